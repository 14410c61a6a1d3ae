package query

import (
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// stageQuery is the stage of dead letters that this service writes.
const stageQuery = "query"

// unreadable is the letter of a message of SCORED that can not be decoded. What
// it held is known only from its header.
func unreadable(m *queue.Message, cause error, nowUS int64) Letter {
	counts, _ := headerCounts(m)
	return Letter{
		Epoch: m.Position.Epoch, Sequence: m.Position.Sequence, Digest: RawDigest(m.Data),
		Stage: stageQuery, Reason: string(errs.Unprocessable), Detail: "the message can not be read: " + cause.Error(),
		Attempts: int32(min(m.Deliveries, math.MaxInt32)), FailedUS: nowUS, Counts: counts,
	}
}

// headerCounts reads the counts of a message's header.
func headerCounts(m *queue.Message) ([]HourCount, error) {
	parsed, err := queue.ParseCounts(m.Header[queue.CountsHeader])
	if err != nil {
		return nil, err
	}
	counts := make([]HourCount, len(parsed))
	for i, c := range parsed {
		counts[i] = HourCount{Project: c.Project, Hour: c.Hour, Events: int64(c.Count)}
	}
	return counts, nil
}

// sourceOf turns a message of SCORED into what the store applies. An event that
// breaks a rule becomes a letter; a message that can not be read is one letter.
func sourceOf(m *queue.Message, nowUS int64) Source {
	var b pipelinev1.ScoredBatch
	if err := proto.Unmarshal(m.Data, &b); err != nil {
		return Source{
			Epoch: m.Position.Epoch, Sequence: m.Position.Sequence, QueuedUS: m.Time.UnixMicro(),
			Letters: []Letter{unreadable(m, err, nowUS)},
		}
	}
	src := Source{Epoch: b.SourceEpoch, Sequence: b.SourceSequence, QueuedUS: b.QueuedAtUs}
	if src.Sequence == 0 { // of no message of EVENTS: its own place identifies it
		src.Epoch, src.Sequence = m.Position.Epoch, m.Position.Sequence
	}
	src.Events = make([]Event, 0, len(b.Events))
	for _, se := range b.Events {
		var e Event
		if rule := fill(&e, se); rule != "" {
			src.Letters = append(src.Letters, brokenEvent(&src, se, rule, nowUS))
			continue
		}
		e.QueuedUS, e.EventsSequence, e.ScoredSequence = b.QueuedAtUs, b.SourceSequence, m.Position.Sequence
		src.Events = append(src.Events, e)
	}
	return src
}

func brokenEvent(src *Source, se *pipelinev1.ScoredEvent, rule string, nowUS int64) Letter {
	q := se.GetQueued()
	l := Letter{
		Epoch: src.Epoch, Sequence: src.Sequence, Project: q.GetProject(), EventID: q.GetEvent().GetId(), AcceptedUS: q.GetAcceptedAtUs(),
		Digest: EventDigest(q.GetProject(), q.GetEvent().GetId(), q.GetAcceptedAtUs(), q.GetEvent().GetText()),
		Stage:  stageQuery, Reason: string(errs.Unprocessable), Detail: "the scored event " + rule, Attempts: 1, FailedUS: nowUS,
	}
	if validProject(l.Project) {
		l.Counts = []HourCount{{Project: l.Project, Hour: hourOf(l.AcceptedUS), Events: 1}}
	}
	return l
}

// fill reads a scored event; it returns the rule that it breaks, or "".
func fill(e *Event, se *pipelinev1.ScoredEvent) string {
	q, in, s := se.GetQueued(), se.GetQueued().GetEvent(), se.GetSentiment()
	switch {
	case !validProject(q.GetProject()):
		return "names no valid project"
	case in.GetId() == "" || len(in.GetId()) > 128:
		return "has no valid id"
	case q.GetAcceptedAtUs() <= 0:
		return "has no time of acceptance"
	case s.GetLabel() < typev1.Sentiment_NEGATIVE || s.GetLabel() > typev1.Sentiment_POSITIVE:
		return "has no label"
	case !(s.GetScore() >= -1 && s.GetScore() <= 1): // also not a number
		return "has a score outside of -1 to 1"
	case len(se.Emotions) > maxEmotions:
		return "has too many emotions"
	case len(se.Targets) > 0 && len(se.Targets) != len(in.Targets):
		return "has scores of other targets than its own"
	}
	*e = Event{
		Project: q.Project, ID: in.Id, Text: in.Text, Source: in.Source, UserID: in.UserId,
		Language: se.Language, LanguageSupported: se.LanguageSupported, Model: s.ModelVersion,
		Label: Label(s.Label), ScoreE4: int32(math.Round(s.Score * 1e4)),
		NegativeE6: probabilityE6(s.Probabilities.GetNegative()), PositiveE6: probabilityE6(s.Probabilities.GetPositive()),
		OccurredUS: q.AcceptedAtUs, AcceptedUS: q.AcceptedAtUs, ScoredUS: se.ScoredAtUs, Targets: in.Targets,
	}
	if e.Language == "" {
		e.Language = "und"
	}
	if in.OccurredAt.IsValid() {
		e.OccurredUS = in.OccurredAt.Seconds*1e6 + int64(in.OccurredAt.Nanos/1000)
	}
	if len(in.Attributes) > 0 {
		e.Attributes = in.Attributes
	}
	e.Mixed, e.LanguageHint = s.Mixed, in.Language
	if rule := fillExtras(e, se); rule != "" {
		return rule
	}
	if len(q.TraceId) == 16 && len(q.SpanId) == 8 {
		e.TraceID, e.SpanID = q.TraceId, q.SpanId
	}
	return ""
}

// maxEmotions bounds the emotions of an event, maxEmotionBytes their names.
const (
	maxEmotions     = 64
	maxEmotionBytes = 32
)

// fillExtras reads stars, emotions and targets; it returns the rule that they
// break, or "".
func fillExtras(e *Event, se *pipelinev1.ScoredEvent) string {
	if len(se.StarsE4) > 0 {
		sum := uint64(0)
		for i, n := range se.StarsE4 {
			sum += uint64(n)
			e.StarsE4[min(i, 4)] = int32(min(n, 10_000))
		}
		if len(se.StarsE4) != 5 || sum != 10_000 {
			return "has stars which are no distribution"
		}
	}
	for _, m := range se.Emotions {
		if !validEmotion(m.GetName()) || m.GetProbabilityE4() > 10_000 {
			return "has an emotion without a valid name and probability"
		}
		e.Emotions = append(e.Emotions, filter.Emotion{Name: m.Name, ProbabilityE4: int32(m.ProbabilityE4)})
	}
	for _, t := range se.Targets {
		switch {
		case t.GetLabel() < typev1.Sentiment_NEGATIVE || t.GetLabel() > typev1.Sentiment_POSITIVE,
			uint64(t.GetNegativeE4())+uint64(t.GetPositiveE4()) > 10_000:
			return "has a target without a valid score"
		case t.GetStartByte() > t.GetEndByte() || uint64(t.GetEndByte()) > uint64(len(e.Text)):
			return "has a target outside of its text"
		}
		e.TargetScores = append(e.TargetScores, TargetScore{
			Label: Label(t.Label), NegativeE4: int32(t.NegativeE4), PositiveE4: int32(t.PositiveE4),
			Start: int32(t.StartByte), End: int32(t.EndByte),
		})
	}
	return ""
}

func validEmotion(name string) bool {
	for i := range len(name) {
		if name[i] < 'a' || name[i] > 'z' {
			return false
		}
	}
	return name != "" && len(name) <= maxEmotionBytes
}

func probabilityE6(p float64) int32 {
	if !(p >= 0) {
		return 0
	}
	return int32(math.Round(min(p, 1) * 1e6))
}

// hourOf returns the hour of a time, hours since 1970.
func hourOf(us int64) int64 {
	const hour = 3600e6
	if us < 0 {
		return (us - hour + 1) / hour
	}
	return us / hour
}

// letterOf turns a message of DEAD into a letter.
func letterOf(m *queue.Message, nowUS int64) Letter {
	var d pipelinev1.DeadLetter
	if err := proto.Unmarshal(m.Data, &d); err != nil {
		return unreadable(m, err, nowUS)
	}
	q := d.Queued
	l := Letter{
		Epoch: d.SourceEpoch, Sequence: d.SourceSequence, Project: q.GetProject(), EventID: q.GetEvent().GetId(), AcceptedUS: q.GetAcceptedAtUs(),
		Stage: d.Stage, Reason: d.Reason, Detail: d.Detail, Attempts: d.Attempts, FailedUS: nowUS,
	}
	if d.FailedAt.IsValid() {
		l.FailedUS = d.FailedAt.AsTime().UnixMicro()
	}
	if q != nil {
		l.Digest = EventDigest(l.Project, l.EventID, l.AcceptedUS, q.GetEvent().GetText())
	} else {
		l.Digest = RawDigest(d.Raw)
	}
	// The header is what ingest's own counts were made of.
	counts, err := headerCounts(m)
	if (err != nil || len(counts) == 0) && q != nil && validProject(l.Project) {
		counts = []HourCount{{Project: l.Project, Hour: hourOf(l.AcceptedUS), Events: int64(max(d.Events, 1))}}
	}
	l.Counts = counts
	return l
}

// validProject says whether the id has the form of a project's.
func validProject(s string) bool {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func eventName(project, id string) string { return "projects/" + project + "/events/" + id }

func timestamp(us int64) *timestamppb.Timestamp { return timestamppb.New(time.UnixMicro(us)) }

// toProto makes the answer of an event.
func toProto(e *Event) *typev1.Event {
	negative, positive := float64(e.NegativeE6)/1e6, float64(e.PositiveE6)/1e6
	p := &typev1.Probabilities{Negative: negative, Positive: positive, Neutral: float64(1_000_000-e.NegativeE6-e.PositiveE6) / 1e6}
	confidence := p.Neutral
	switch e.Label {
	case Negative:
		confidence = negative
	case Positive:
		confidence = positive
	}
	out := &typev1.Event{
		Name: eventName(e.Project, e.ID), Id: e.ID, Text: e.Text, Source: e.Source, UserId: e.UserID,
		OccurredAt: timestamp(e.OccurredUS), AcceptedAt: timestamp(e.AcceptedUS), Attributes: e.Attributes,
		Sentiment: &typev1.Sentiment{
			Label: typev1.Sentiment_Label(e.Label), Score: float64(e.ScoreE4) / 1e4, Probabilities: p,
			Confidence: confidence, ModelVersion: e.Model, Stars: stars(&e.StarsE4), Mixed: e.Mixed,
		},
		Language: e.Language, LanguageSupported: e.LanguageSupported, TraceId: hex.EncodeToString(e.TraceID), Targets: e.Targets,
	}
	if len(e.Emotions) > 0 {
		out.Emotions = make(map[string]float64, len(e.Emotions))
		for _, m := range e.Emotions {
			out.Emotions[m.Name] = float64(m.ProbabilityE4) / 1e4
		}
	}
	for i := range e.TargetScores[:min(len(e.TargetScores), len(e.Targets))] {
		out.TargetSentiments = append(out.TargetSentiments, targetSentiment(e, i))
	}
	return out
}

// stars are the probabilities as numbers, or nil when they are not known.
func stars(e4 *[5]int32) []float64 {
	if *e4 == [5]int32{} {
		return nil
	}
	out := make([]float64, len(e4))
	for i, n := range e4 {
		out[i] = float64(n) / 1e4
	}
	return out
}

func targetSentiment(e *Event, i int) *typev1.TargetSentiment {
	t := &e.TargetScores[i]
	out := &typev1.TargetSentiment{
		Target: e.Targets[i], Label: typev1.Sentiment_Label(t.Label), Score: float64(t.PositiveE4-t.NegativeE4) / 1e4,
		Probabilities: &typev1.Probabilities{
			Negative: float64(t.NegativeE4) / 1e4, Positive: float64(t.PositiveE4) / 1e4, Neutral: float64(10_000-t.NegativeE4-t.PositiveE4) / 1e4,
		},
	}
	if start, end := int(t.Start), int(t.End); start < end && end <= len(e.Text) {
		out.Mentioned, out.StartByte, out.EndByte = true, t.Start, t.End
		out.StartUtf16 = utf16Units(e.Text[:start])
		out.EndUtf16 = out.StartUtf16 + utf16Units(e.Text[start:end])
	}
	return out
}

// utf16Units counts the UTF-16 code units of a text.
func utf16Units(s string) int32 {
	n := int32(0)
	for _, r := range s {
		if n++; r > 0xffff {
			n++
		}
	}
	return n
}

// values is the event as a filter sees it.
func values(e *Event) filter.Values {
	return filter.Values{
		ID: e.ID, Text: e.Text, Source: e.Source, UserID: e.UserID, Language: e.Language, ModelVersion: e.Model,
		Label: int64(e.Label), ScoreE4: int64(e.ScoreE4), OccurredUS: e.OccurredUS, AcceptedUS: e.AcceptedUS, Attributes: e.Attributes,
		Mixed: e.Mixed, Emotions: e.Emotions,
	}
}

// parseFilter reads a filter of a request.
func parseFilter(text string, scope filter.Scope) (*filter.Filter, error) {
	f, err := filter.Parse(text, scope)
	if err == nil {
		return f, nil
	}
	v := errs.Violation{Field: "filter", Rule: err.Error()}
	if fe, ok := err.(*filter.Error); ok { //nolint:errorlint // Parse returns it bare
		v.Rule, v.Remedy = fmt.Sprintf("%s (column %d)", fe.Rule, fe.Column), fe.Remedy
	}
	e := errs.Invalid(v)
	e.Reason = errs.InvalidFilter
	e.Remedy = v.Remedy
	return nil, e
}
