// Package admin serves what operators look at: metrics, health, the
// configuration in force, the last traces and profiles. It has no credentials
// and therefore listens on loopback unless told otherwise.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// Handlers are the pages of the admin port; nil ones are left out.
type Handlers struct {
	// Metrics answers /metrics.
	Metrics http.Handler
	// Traces answers /debug/traces.
	Traces http.Handler
	// Config answers /debug/config; with ?mode=diff only what differs from the
	// defaults.
	Config http.Handler
	// Ready returns the parts of the process by name, nil for one that works.
	Ready func(ctx context.Context) map[string]error
}

// Server is the admin port.
type Server struct{ http *http.Server }

// New returns a server that is not yet started.
func New(h Handlers) *Server {
	mux := http.NewServeMux()
	for path, handler := range map[string]http.Handler{
		"/metrics": h.Metrics, "/debug/traces": h.Traces, "/debug/config": h.Config,
	} {
		if handler != nil {
			mux.Handle(path, handler)
		}
	}
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	if h.Ready != nil {
		mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { WriteReadiness(w, h.Ready(r.Context())) })
	}
	return &Server{http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}}
}

// WriteReadiness answers 200 when every part works, else 503 and which do not,
// and why.
func WriteReadiness(w http.ResponseWriter, parts map[string]error) {
	status, words := http.StatusOK, "ready"
	out := make(map[string]string, len(parts))
	for name, err := range parts {
		out[name] = "ok"
		if err != nil {
			out[name] = err.Error()
			status, words = http.StatusServiceUnavailable, "not ready"
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": words, "parts": out})
}

// Serve answers on lis until Stop; it returns nil after Stop.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.http.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Stop ends it within the context.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}
