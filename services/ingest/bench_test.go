package ingest

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// BenchmarkAccept is the accept path of one call without the queue: judge, stamp,
// encode, pack, append to nothing, answer. Calls run one after the other.
func BenchmarkAccept(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		for _, kind := range []string{"full", "nameless", "text"} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				s := newService(b, discardQueue{}, func(d *Deps) { d.Config.RecentIDs = 0 })
				events := make([]*typev1.EventInput, n)
				for i := range events {
					events[i] = fullEvent(fmt.Sprintf("id-%d", i))
					switch kind {
					case "nameless":
						events[i].Id = ""
					case "text":
						events[i] = textEvent("", events[i].Text)
					}
				}
				benchmarkCalls(b, s, func(int) *ingestv1.IngestEventsRequest { return request(events...) }, n)
			})
		}
	}
}

// BenchmarkAcceptFresh has ids that were not seen before, so that the memory of
// recent ids works as in operation, and unpacks each request as gRPC does.
func BenchmarkAcceptFresh(b *testing.B) {
	const n = 100
	s := newService(b, discardQueue{}, nil)
	tmpl := &ingestv1.IngestEventsRequest{Parent: "projects/-"}
	for i := range n {
		tmpl.Events = append(tmpl.Events, fullEvent(fmt.Sprintf("xxxxxxxx-%d", i)))
	}
	wire, err := proto.Marshal(tmpl)
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"accept", "unpack and accept", "unpack"} {
		b.Run(kind, func(b *testing.B) {
			reused := &ingestv1.IngestEventsRequest{}
			if err := proto.Unmarshal(wire, reused); err != nil {
				b.Fatal(err)
			}
			benchmarkLoop(b, n, func(call int) {
				req := reused
				if kind != "accept" {
					req = &ingestv1.IngestEventsRequest{}
					if err := proto.Unmarshal(wire, req); err != nil {
						b.Fatal(err)
					}
				}
				if kind == "unpack" {
					return
				}
				for i, e := range req.Events {
					e.Id = fmt.Sprintf("%x-%d", call, i)
				}
				if _, err := s.IngestEvents(callerCtx(context.Background(), project), req); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkAcceptQueue appends to the real queue, from many callers at once.
func BenchmarkAcceptQueue(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			q := openQueue(b, b.TempDir())
			s := newService(b, q, nil)
			events := make([]*typev1.EventInput, n)
			for i := range events {
				events[i] = fullEvent("")
			}
			b.ReportAllocs()
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.IngestEvents(callerCtx(context.Background(), project), request(events...)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func benchmarkCalls(b *testing.B, s *Service, req func(int) *ingestv1.IngestEventsRequest, n int) {
	benchmarkLoop(b, n, func(i int) {
		if _, err := s.IngestEvents(callerCtx(context.Background(), project), req(i)); err != nil {
			b.Fatal(err)
		}
	})
}

func benchmarkLoop(b *testing.B, n int, f func(int)) {
	b.Helper()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f(i)
		i++
	}
	b.ReportMetric(float64(i)*float64(n)/b.Elapsed().Seconds(), "events/s")
}
