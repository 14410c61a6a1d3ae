package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/cli/importer"
	"google.golang.org/grpc"
)

// Bounds of an import: events a batch, bytes of text a batch, and batches that
// wait for their acknowledgement.
const (
	importBatch      = 500
	importBatchBytes = 1 << 20
	importWindow     = 16
)

func importCommand(g *globals) *cobra.Command {
	var opts importer.Options
	var errorsFile string
	var restart bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import a file of texts: csv, tsv, ndjson or txt, also .gz and .zst",
		Long: "Sends each row of a file as an event. Columns named text, id, source, user_id,\n" +
			"occurred_at and language (and the usual other names for them) fill these fields,\n" +
			"the others become attributes. A row without an id gets one made of the file and\n" +
			"its line, so an import that was cut off goes on where it stood, and a repeat\n" +
			"counts nothing twice. Rows that can not be taken are listed in a file.",
		Example: "  synapse import reviews.csv --source app-store\n  synapse import tweets.ndjson.gz",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			if opts.Format == "" {
				f, err := importer.FormatOf(path)
				if err != nil {
					return usage(err.Error(), "--format csv, tsv, ndjson or txt")
				}
				opts.Format = f
			}
			if errorsFile == "" {
				errorsFile = filepath.Base(path) + ".errors.jsonl"
			}
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			im := &importJob{
				client: ingestv1.NewIngestServiceClient(conn), parent: g.parent(), path: path, opts: opts,
				errorsPath: errorsFile, progress: cmd.ErrOrStderr(), server: conn.Target(),
			}
			if err := im.open(restart); err != nil {
				return err
			}
			err = im.run(ctx)
			return errors.Join(err, im.finish(g, cmd.OutOrStdout(), err == nil))
		},
	}
	f := c.Flags()
	f.StringVar(&opts.Format, "format", "", "csv, tsv, ndjson or txt; default: by the file's name")
	f.StringVar(&opts.TextColumn, "text-column", "", "the column that holds the text; default: by its name")
	f.StringVar(&opts.Source, "source", "", "source of rows which name none")
	f.StringVar(&errorsFile, "errors", "", "file for rows that can not be taken; default: NAME.errors.jsonl here")
	f.BoolVar(&restart, "restart", false, "begin at the first row even if an import of this file was cut off")
	return c
}

// checkpoint is how far an import is: all rows up to Line are decided.
type checkpoint struct {
	Line      int   `json:"line"`
	Accepted  int64 `json:"accepted"`
	Duplicate int64 `json:"duplicate"`
	Rejected  int64 `json:"rejected"`
}

type importJob struct {
	client         ingestv1.IngestServiceClient
	parent, server string
	path           string
	opts           importer.Options
	progress       io.Writer
	errorsPath     string

	identity   string
	statePath  string
	done       checkpoint
	resumed    bool
	skip       int // rows that an import which was cut off has decided
	file       *os.File
	bar        *progressbar.ProgressBar
	read       atomic.Int64
	reader     *importer.Reader
	unpackDone func()
	errMu      sync.Mutex // the sender and the receiver report rows
	errFile    *os.File
	started    time.Time
	saved      time.Time

	pending []importPart // sent or to be sent, not acknowledged
	eof     bool
}

// importPart is a batch with the last row that it covers.
type importPart struct {
	events   []*typev1.EventInput
	lines    []int
	last     int
	badRows  int64
	firstSeq int64
}

func (im *importJob) open(restart bool) error {
	var err error
	if im.identity, err = importer.Identity(im.path); err != nil {
		return hint(err, "the path of a file that you may read")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "synapse", "imports")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder for the import's state: %w", err)
	}
	im.statePath = filepath.Join(dir, fmt.Sprintf("%s-%s.json", im.identity, safeName(im.server+"-"+im.parent)))
	if b, err := os.ReadFile(im.statePath); err == nil && !restart {
		if json.Unmarshal(b, &im.done) == nil && im.done.Line > 0 {
			im.resumed, im.skip = true, im.done.Line
		}
	}
	if im.file, err = os.Open(im.path); err != nil {
		return hint(err, "the path of a file that you may read")
	}
	st, err := im.file.Stat()
	if err != nil {
		return err
	}
	content, unpackDone, err := importer.Unpack(im.path, &countingReader{r: im.file, n: &im.read})
	if err != nil {
		return hint(err, "check the file's name and content")
	}
	im.unpackDone = unpackDone
	if im.reader, err = importer.NewReader(content, im.opts); err != nil {
		return hint(err, "--text-column NAME, or --format")
	}
	im.started = time.Now()
	if isTerminal(im.progress) {
		im.bar = progressbar.NewOptions64(st.Size(), progressbar.OptionSetWriter(im.progress), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription(filepath.Base(im.path)), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	if im.resumed {
		fmt.Fprintf(im.progress, "going on after line %d of an import that was cut off (--restart begins anew)\n", im.done.Line)
	}
	return nil
}

func safeName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			b[i] = '_'
		}
	}
	return string(b)
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// run sends the file on one stream after another until all of it is decided.
func (im *importJob) run(ctx context.Context) error {
	fails := 0
	for {
		before := im.done.Line
		err := im.stream(ctx)
		if err == nil {
			return nil
		}
		if im.done.Line > before {
			fails = 0
		}
		delay, again := retryDelay(err)
		if fails++; !again || fails > 20 || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(max(delay, 50*time.Millisecond)*time.Duration(fails), 10*time.Second)):
		}
	}
}

// stream sends what is pending and then the rest of the file on one stream.
func (im *importJob) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := im.client.StreamEvents(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex // guards pending and done between sender and receiver
	room := sync.NewCond(&mu)
	var recvErr error
	received := make(chan struct{})
	go func() {
		defer close(received)
		err := im.receive(st, &mu, room)
		mu.Lock()
		recvErr = err
		room.Broadcast()
		mu.Unlock()
	}()
	sendErr := im.sendAll(st, &mu, room, &recvErr)
	if sendErr != nil && !errors.Is(sendErr, io.EOF) {
		cancel()
	}
	<-received
	if recvErr != nil && !errors.Is(recvErr, io.EOF) {
		return recvErr
	}
	if sendErr != nil && !errors.Is(sendErr, io.EOF) {
		return sendErr
	}
	mu.Lock()
	defer mu.Unlock()
	if len(im.pending) > 0 || !im.eof {
		return errors.New("the server ended the import early")
	}
	return im.save(true)
}

func (im *importJob) sendAll(st grpc.BidiStreamingClient[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse], mu *sync.Mutex, room *sync.Cond, recvErr *error) error {
	var seq int64
	for {
		mu.Lock()
		for *recvErr == nil && len(im.pending) >= importWindow && im.sentAll(seq) {
			room.Wait()
		}
		if *recvErr != nil {
			mu.Unlock()
			return nil //nolint:nilerr // stream reports what the receiver met
		}
		next := im.unsent(seq)
		if next == len(im.pending) {
			mu.Unlock()
			part, err := im.readPart()
			if err != nil {
				return err
			}
			mu.Lock()
			if part == nil {
				im.eof = true
				mu.Unlock()
				return st.CloseSend()
			}
			im.pending = append(im.pending, *part)
			next = len(im.pending) - 1
		}
		part := &im.pending[next]
		if len(part.events) == 0 { // only unreadable rows: decided once all before are
			part.firstSeq = seq
			im.settleEmpty()
			mu.Unlock()
			continue
		}
		seq++
		part.firstSeq = seq
		req := &ingestv1.StreamEventsRequest{Sequence: seq, Events: part.events}
		if seq == 1 {
			req.Parent = im.parent
		}
		mu.Unlock()
		if err := st.Send(req); err != nil {
			return err // io.EOF: the reason is in Recv
		}
	}
}

// sentAll says whether every pending part was sent on the stream whose last
// sequence is seq.
func (im *importJob) sentAll(seq int64) bool { return im.unsent(seq) == len(im.pending) }

// unsent is the index of the first pending part that was not sent on the stream
// whose last sequence is seq.
func (im *importJob) unsent(seq int64) int {
	if seq == 0 { // a new stream: all go again
		for i := range im.pending {
			im.pending[i].firstSeq = 0
		}
		return 0
	}
	for i := range im.pending {
		if im.pending[i].firstSeq == 0 {
			return i
		}
	}
	return len(im.pending)
}

func (im *importJob) settleEmpty() {
	for len(im.pending) > 0 && len(im.pending[0].events) == 0 {
		im.done.Line = im.pending[0].last
		im.done.Rejected += im.pending[0].badRows
		im.pending = im.pending[1:]
	}
}

func (im *importJob) receive(st grpc.BidiStreamingClient[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse], mu *sync.Mutex, room *sync.Cond) error {
	var accepted, duplicate, rejected int64
	for {
		res, err := st.Recv()
		if err != nil {
			return err
		}
		mu.Lock()
		for _, r := range res.GetResults() {
			im.reportRejected(r)
		}
		for len(im.pending) > 0 && im.pending[0].firstSeq > 0 && im.pending[0].firstSeq <= res.GetAcknowledgedSequence() {
			im.done.Line = im.pending[0].last
			im.done.Rejected += im.pending[0].badRows
			im.pending = im.pending[1:]
			im.settleEmpty()
		}
		im.done.Accepted += res.GetAccepted() - accepted
		im.done.Duplicate += res.GetDuplicate() - duplicate
		im.done.Rejected += res.GetRejected() - rejected
		accepted, duplicate, rejected = res.GetAccepted(), res.GetDuplicate(), res.GetRejected()
		err = im.save(false)
		room.Signal()
		mu.Unlock()
		if im.bar != nil {
			_ = im.bar.Set64(im.read.Load())
		}
		if err != nil {
			return err
		}
	}
}

func (im *importJob) reportRejected(r *ingestv1.StreamResult) {
	res := r.GetResult()
	if res.GetStatus() != ingestv1.IngestResult_REJECTED {
		return
	}
	for _, p := range im.pending {
		if p.firstSeq == r.GetSequence() && int(res.GetIndex()) < len(p.lines) {
			why := res.GetReason()
			for _, v := range res.GetViolations() {
				why += fmt.Sprintf(": %s %s", v.GetField(), v.GetRule())
			}
			im.rowError(p.lines[res.GetIndex()], why)
		}
	}
}

// rowError appends a line to the file of rows that were not taken.
func (im *importJob) rowError(line int, why string) {
	im.errMu.Lock()
	defer im.errMu.Unlock()
	if im.errFile == nil {
		mode := os.O_TRUNC
		if im.resumed {
			mode = os.O_APPEND
		}
		f, err := os.OpenFile(im.errorsPath, os.O_CREATE|os.O_WRONLY|mode, 0o600)
		if err != nil {
			fmt.Fprintf(im.progress, "line %d: %s\n", line, why)
			return
		}
		im.errFile = f
	}
	b, _ := json.Marshal(map[string]any{"line": line, "error": why})
	fmt.Fprintf(im.errFile, "%s\n", b)
}

// readPart reads the next batch; nil at the end of the file.
func (im *importJob) readPart() (*importPart, error) {
	p := &importPart{}
	size := 0
	for len(p.events) < importBatch && size < importBatchBytes && p.badRows < importBatch {
		row, err := im.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if row.Line <= im.skip {
			continue
		}
		p.last = row.Line
		if row.Err != nil {
			im.rowError(row.Line, row.Err.Error())
			p.badRows++
			continue
		}
		if row.Event.GetId() == "" {
			row.Event.Id = fmt.Sprintf("import-%s-%d", im.identity, row.Line)
		}
		size += len(row.Event.GetText())
		p.events = append(p.events, row.Event)
		p.lines = append(p.lines, row.Line)
	}
	if p.last == 0 {
		return nil, nil
	}
	return p, nil
}

// save writes the checkpoint, at most once a second unless forced.
func (im *importJob) save(force bool) error {
	if !force && time.Since(im.saved) < time.Second {
		return nil
	}
	im.saved = time.Now()
	b, err := json.Marshal(im.done)
	if err != nil {
		return err
	}
	tmp := im.statePath + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("save the import's state: %w", err)
	}
	return os.Rename(tmp, im.statePath)
}

func (im *importJob) finish(g *globals, out io.Writer, whole bool) error {
	if im.bar != nil {
		_ = im.bar.Finish()
	}
	im.unpackDone()
	_ = im.file.Close()
	if im.errFile != nil {
		_ = im.errFile.Close()
	}
	if whole {
		if err := os.Remove(im.statePath); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	} else if err := im.save(true); err != nil {
		return err
	}
	took := time.Since(im.started)
	rate := float64(im.done.Accepted) / took.Seconds()
	if g.format(out) != "table" {
		return json.NewEncoder(out).Encode(map[string]any{
			"accepted": im.done.Accepted, "duplicate": im.done.Duplicate, "rejected": im.done.Rejected,
			"line": im.done.Line, "complete": whole, "seconds": took.Seconds(),
		})
	}
	fmt.Fprintf(out, "%s accepted, %s known already, %s refused in %.1f s (%s/s)\n", thin(float64(im.done.Accepted)),
		thin(float64(im.done.Duplicate)), thin(float64(im.done.Rejected)), took.Seconds(), thin(rate))
	if im.errFile != nil {
		fmt.Fprintf(out, "refused rows are in %s\n", im.errorsPath)
	}
	if !whole {
		fmt.Fprintf(out, "cut off after line %d: the same command goes on from there\n", im.done.Line)
	}
	return nil
}
