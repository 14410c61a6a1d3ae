package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// servers are what the product runs on instead of its embedded engines: a NATS server
// and a PostgreSQL server, fresh, durable, on loopback.
type servers struct {
	nats     *natstest.Cluster
	postgres *pgtest.Server
	flags    []string
}

func startServers() (_ *servers, err error) {
	s := &servers{}
	defer func() {
		if err != nil {
			_ = s.stop()
		}
	}()
	if s.nats, err = natstest.Start(natstest.Options{}); err != nil {
		return nil, err
	}
	if s.postgres, err = pgtest.Start(); err != nil {
		return nil, err
	}
	s.flags = []string{"--set", "queue.url=" + s.nats.URL()}
	for _, role := range []string{"auth", "query"} {
		url, err := s.postgres.NewDatabase()
		if err != nil {
			return nil, err
		}
		s.flags = append(s.flags, "--set", "stores."+role+".url="+url)
	}
	return s, nil
}

func (s *servers) stop() error {
	var err error
	if s.nats != nil {
		err = s.nats.Stop()
	}
	if s.postgres != nil {
		if perr := s.postgres.Stop(); err == nil {
			err = perr
		}
	}
	return err
}

// rawPublish is JetStream on a server of its own kind: fsync before each
// acknowledgement, 100 events a message.
func rawPublish() (*reference, error) {
	c, err := natstest.Start(natstest.Options{})
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(c.URL())
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "RAW", Subjects: []string{"raw"}, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, err
	}
	return &reference{name: "raw publish to NATS of the same packing", call: publisher(js), stop: func() { nc.Close(); _ = c.Stop() }}, nil
}

// copyRows is how many rows the reference copies in a transaction.
const copyRows = 5000

// rawCopy is COPY of such events into a table without an index, a rollup or a check,
// by one connection, as the writer has one.
func rawCopy() (*reference, error) {
	s, err := pgtest.Start()
	if err != nil {
		return nil, err
	}
	url, err := s.NewDatabase()
	if err != nil {
		return nil, err
	}
	columns := []string{"id", "text", "source", "user_id", "label", "score", "occurred_us"}
	call := func(int) (func(context.Context) error, func(), error) {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return nil, nil, err
		}
		_, err = conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS raw (id text, text text, source text, user_id text, label int8, score int8, occurred_us int8)")
		if err != nil {
			return nil, nil, err
		}
		events := batch(seeds.Add(1), copyRows)
		n := 0
		return func(ctx context.Context) error {
			n++
			_, err := conn.CopyFrom(ctx, pgx.Identifier{"raw"}, columns, pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
				e := events[i]
				return []any{fmt.Sprintf("%s-%d", e.GetId(), n), e.GetText(), e.GetSource(), e.GetUserId(), int64(1), int64(i), int64(n)*copyRows + int64(i)}, nil
			}))
			return err
		}, func() { _ = conn.Close(context.Background()) }, nil
	}
	return &reference{name: "raw COPY, of what is stored", call: call, callers: 1, perCall: copyRows, stored: true, stop: func() { _ = s.Stop() }}, nil
}
