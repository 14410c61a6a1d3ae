package archive

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/blob"
)

// Prefix begins the keys of all objects of the archive.
const Prefix = "events/"

// Object is what the key of an object tells of it.
type Object struct {
	// Key and Size in the blob store.
	Key  string
	Size int64
	// First and Last are the times of its messages in EVENTS.
	First, Last time.Time
	// Epoch of the stream, its lowest and highest sequence, and the number of
	// messages.
	Epoch, Low, High uint64
	Messages         int
}

const timeForm = "20060102T150405.000000Z"

// key makes the key: by time, so that objects list in the order of the events, with
// a part of the checksum, so that only the same object takes its place.
func (o Object) key(sum blob.Sum) string {
	first := o.First.UTC()
	return fmt.Sprintf("%s%s/%s_%s_%016x_%d_%d_%d_%s.zst", Prefix, first.Format("2006-01-02"), first.Format(timeForm),
		o.Last.UTC().Format(timeForm), o.Epoch, o.Low, o.High, o.Messages, hex.EncodeToString(sum[:4]))
}

// ParseKey reads the key of an object.
func ParseKey(i blob.Info) (Object, error) {
	o := Object{Key: i.Key, Size: i.Size}
	bad := fmt.Errorf("%w: %s is no name of an object of the archive", ErrFormat, i.Key)
	name, ok := strings.CutSuffix(i.Key[strings.LastIndexByte(i.Key, '/')+1:], ".zst")
	parts := strings.Split(name, "_")
	if !ok || len(parts) != 7 {
		return o, bad
	}
	var err [6]error
	o.First, err[0] = time.Parse(timeForm, parts[0])
	o.Last, err[1] = time.Parse(timeForm, parts[1])
	o.Epoch, err[2] = strconv.ParseUint(parts[2], 16, 64)
	o.Low, err[3] = strconv.ParseUint(parts[3], 10, 64)
	o.High, err[4] = strconv.ParseUint(parts[4], 10, 64)
	o.Messages, err[5] = strconv.Atoi(parts[5])
	for _, e := range err {
		if e != nil {
			return o, bad
		}
	}
	return o, nil
}
