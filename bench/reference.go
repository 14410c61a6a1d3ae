package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// reference is something simpler that the product is measured against.
type reference struct {
	name string
	call caller
	stop func()
	// callers and perCall, when they are not those of the row.
	callers, perCall int
	// stored says that it is compared with what was stored, not accepted.
	stored bool
}

// noopGRPC is a gRPC server that answers without doing anything: no credentials,
// no queue.
func noopGRPC() (*reference, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(8 << 20))
	ingestv1.RegisterIngestServiceServer(s, noopIngest{})
	go func() { _ = s.Serve(lis) }()
	conn, err := dial(lis.Addr().String())
	if err != nil {
		return nil, err
	}
	return &reference{
		name: "a no-op gRPC server", call: unaryCaller(conn, func(ctx context.Context) context.Context { return ctx }),
		stop: func() { _ = conn.Close(); s.Stop() },
	}, nil
}

type noopIngest struct {
	ingestv1.UnimplementedIngestServiceServer
}

func (noopIngest) IngestEvents(_ context.Context, req *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
	return &ingestv1.IngestEventsResponse{Accepted: int32(len(req.GetEvents()))}, nil
}

// rawQueue is JetStream alone, embedded, fsync before each acknowledgement, with
// the same packing: 100 events a message.
func rawQueue() (*reference, error) {
	dir, err := os.MkdirTemp("", "synapse-bench-*")
	if err != nil {
		return nil, err
	}
	ns, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true, NoLog: true})
	if err != nil {
		return nil, err
	}
	ns.Start()
	ns.ReadyForConnections(10 * time.Second)
	nc, err := nats.Connect("", nats.InProcessServer(ns))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "RAW", Subjects: []string{"raw"}, Storage: jetstream.FileStorage}); err != nil {
		return nil, err
	}
	return &reference{name: "raw JetStream publish of the same packing", call: publisher(js), stop: func() {
		nc.Close()
		ns.Shutdown()
		ns.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}}, nil
}

// publisher publishes messages of 100 events.
func publisher(js jetstream.JetStream) caller {
	return func(int) (func(context.Context) error, func(), error) {
		bodies := make([][]byte, prepared)
		for i := range bodies {
			m := &pipelinev1.EventBatch{}
			for _, e := range batch(seeds.Add(1), 100) {
				m.Events = append(m.Events, &pipelinev1.QueuedEvent{Project: "default", Event: e, AcceptedAtUs: 1})
			}
			var err error
			if bodies[i], err = proto.Marshal(m); err != nil {
				return nil, nil, err
			}
		}
		i := 0
		return func(ctx context.Context) error {
			i++
			_, err := js.Publish(ctx, "raw", bodies[i%prepared])
			return err
		}, func() {}, nil
	}
}

// handHTTP is a net/http server written by hand that decodes the body with
// encoding/json and does nothing with it.
func handHTTP(perCall int) func() (*reference, error) {
	return func() (*reference, error) {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		type event struct {
			ID     string `json:"id"`
			Text   string `json:"text"`
			Source string `json:"source"`
			UserID string `json:"userId"`
		}
		s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body struct {
				Events []event `json:"events"`
			}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]int{"accepted": len(body.Events)})
		})}
		go func() { _ = s.Serve(lis) }()
		return &reference{
			name: "net/http + encoding/json, nothing stored",
			call: httpCaller(lis.Addr().String(), "none", "application/json", func() []byte { return jsonBody(seeds.Add(1), perCall) }),
			stop: func() { _ = s.Close() },
		}, nil
	}
}
