package ingestjson

import (
	stdjson "encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"google.golang.org/protobuf/encoding/protojson"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
)

// batch is a request of n events with a tweet each and all usual fields.
func batch(n int) string {
	var b strings.Builder
	b.WriteString(`{"events":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"01997a3e-7a4c-7c3e-9b1d-%012d","text":"@airline my flight was delayed again for three hours, and nobody at the desk could say why. Never flying with you again! 😡","source":"tweet","userId":"user-%d","occurredAt":"2026-01-31T12:00:%02dZ","attributes":{"plan":"pro","country":"DE"}}`, i, i, i%60)
	}
	b.WriteString(`]}`)
	return b.String()
}

type plainEvent struct {
	ID         string            `json:"id"`
	Text       string            `json:"text"`
	Source     string            `json:"source"`
	UserID     string            `json:"userId"`
	OccurredAt string            `json:"occurredAt"`
	Attributes map[string]string `json:"attributes"`
}

func BenchmarkDecode100(b *testing.B) {
	doc := batch(100)
	data := []byte(doc)
	per := func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
		b.ReportAllocs()
	}
	b.Run("synapse", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodeRequest(string(data)); err != nil {
				b.Fatal(err)
			}
		}
		per(b)
	})
	b.Run("protojson", func(b *testing.B) {
		for b.Loop() {
			if err := protojson.Unmarshal(data, &ingestv1.IngestEventsRequest{}); err != nil {
				b.Fatal(err)
			}
		}
		per(b)
	})
	b.Run("encoding-json-structs", func(b *testing.B) {
		for b.Loop() {
			var v struct{ Events []plainEvent }
			if err := stdjson.Unmarshal(data, &v); err != nil {
				b.Fatal(err)
			}
		}
		per(b)
	})
	b.Run("jsonv2-structs", func(b *testing.B) {
		for b.Loop() {
			var v struct {
				Events []plainEvent `json:"events"`
			}
			if err := json.Unmarshal(data, &v); err != nil {
				b.Fatal(err)
			}
		}
		per(b)
	})
}

func BenchmarkEncode(b *testing.B) {
	r := &ingestv1.IngestEventsResponse{Accepted: 1, TraceId: "0af7651916cd43dd8448eb211c80319c"}
	b.Run("synapse", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf = AppendResponse(buf[:0], r)
		}
		b.ReportAllocs()
	})
	b.Run("protojson", func(b *testing.B) {
		for b.Loop() {
			_, _ = protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(r)
		}
		b.ReportAllocs()
	})
}
