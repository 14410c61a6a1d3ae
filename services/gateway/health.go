package gateway

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// healthz says that the process is alive; it asks nobody.
func (g *Gateway) healthz(c *call) {
	c.answer(http.StatusOK, []byte(`{"status":"ok"}`))
}

type readiness struct {
	Ready bool   `json:"ready"`
	Parts []part `json:"parts"`
}

type part struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// readyz says whether every part that this process needs can do its work, and
// which one can not and what to do.
func (g *Gateway) readyz(c *call) {
	parts := map[string]error{}
	if g.deps.Ready != nil {
		for name, err := range g.deps.Ready(c.ctx) {
			parts[name] = err
		}
	}
	parts["gateway"] = g.Ready(c.ctx)
	out := readiness{Ready: true}
	for name, err := range parts {
		p := part{Name: name, Ready: err == nil}
		if err != nil {
			out.Ready = false
			if e := errs.As(err); e != nil {
				p.Error, p.Remedy = e.Message, e.Remedy
			} else {
				p.Error, p.Remedy = err.Error(), "see the log of this part"
			}
		}
		out.Parts = append(out.Parts, p)
	}
	slices.SortFunc(out.Parts, func(a, b part) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	status := http.StatusOK
	if !out.Ready {
		status = http.StatusServiceUnavailable
		c.Header().Set("Retry-After", "1")
	}
	body, err := json.Marshal(out)
	if err != nil {
		c.fail(errs.Fault(err))
		return
	}
	c.answer(status, body)
}
