package ingest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/google/go-cmp/cmp"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

func testSpan() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		SpanID:  trace.SpanID{1, 2, 3, 4, 5, 6, 7, 8}, TraceFlags: trace.FlagsSampled,
	})
}

func TestEncodeMatchesGenerated(t *testing.T) {
	span := testSpan()
	traceID, spanID := span.TraceID(), span.SpanID()
	bare := textEvent("", "x")
	zeroTime := fullEvent("z")
	zeroTime.OccurredAt = &timestamppb.Timestamp{Seconds: 946684800}
	emptyValue := fullEvent("v")
	emptyValue.Attributes = map[string]string{"a": "", "b": "c"}
	for name, tc := range map[string]struct {
		event *typev1.EventInput
		span  trace.SpanContext
	}{
		"full": {fullEvent("id-1"), span}, "full, not sampled": {fullEvent("id-1"), trace.SpanContext{}},
		"bare": {bare, trace.SpanContext{}}, "time without nanos": {zeroTime, span}, "empty value": {emptyValue, span},
	} {
		t.Run(name, func(t *testing.T) {
			st := &stamp{project: project, acceptedUS: testNow.UnixMicro(), span: tc.span}
			st.encode()
			b := appendEvent(nil, st, tc.event, "the-id")
			b = appendEvent(b, st, tc.event, "other")
			want := &pipelinev1.QueuedEvent{
				Project: project, AcceptedAtUs: testNow.UnixMicro(),
				Event: proto.CloneOf(tc.event),
			}
			if tc.span.IsSampled() {
				want.TraceId, want.SpanId = traceID[:], spanID[:]
			}
			want.Event.Id = "the-id"
			if want.Event.OccurredAt == nil {
				want.Event.OccurredAt = &timestamppb.Timestamp{Seconds: testNow.Unix(), Nanos: int32(testNow.Nanosecond() / 1000 * 1000)}
			}
			other := proto.CloneOf(want)
			other.Event.Id = "other"
			got := &pipelinev1.EventBatch{}
			require.NoError(t, proto.Unmarshal(b, got))
			require.Empty(t, cmp.Diff(&pipelinev1.EventBatch{Events: []*pipelinev1.QueuedEvent{want, other}}, got, protocmp.Transform()))
			require.Equal(t, proto.Size(got), len(b), "not the shortest encoding")
		})
	}
}

// A field that is added to the contract must be added to the encoder.
func TestEncodeKnowsEveryField(t *testing.T) {
	for _, m := range []struct {
		desc protoreflect.MessageDescriptor
		want []string
	}{
		{(&typev1.EventInput{}).ProtoReflect().Descriptor(), []string{"id=1", "text=2", "source=3", "user_id=4", "occurred_at=5", "language=6", "attributes=7", "targets=8"}},
		{(&pipelinev1.QueuedEvent{}).ProtoReflect().Descriptor(), []string{"project=1", "event=2", "accepted_at_us=3", "trace_id=4", "span_id=5"}},
		{(&pipelinev1.EventBatch{}).ProtoReflect().Descriptor(), []string{"events=1"}},
	} {
		var got []string
		for i := range m.desc.Fields().Len() {
			f := m.desc.Fields().Get(i)
			got = append(got, fmt.Sprintf("%s=%d", f.Name(), f.Number()))
		}
		require.Equal(t, m.want, got, "%s has changed: change encode.go and validate.go too", m.desc.FullName())
	}
}

func TestEncodeDropsUnknownFields(t *testing.T) {
	e := textEvent("a", "text")
	e.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 999, protowire.BytesType), make([]byte, 1<<20)))
	st := &stamp{project: project, acceptedUS: 1}
	st.encode()
	require.Less(t, len(appendEvent(nil, st, e, "a")), 100)
}
