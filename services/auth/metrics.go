package auth

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// metrics counts outcomes. The label `outcome` is "ok" or one of the documented
// reasons: no ids.
type metrics struct {
	signIns, refreshes, keyChecks metric.Int64Counter
}

func newMetrics(p metric.MeterProvider) (*metrics, error) {
	meter := p.Meter("github.com/synapse-analytics/synapse/services/auth")
	var m metrics
	var e [3]error
	m.signIns, e[0] = meter.Int64Counter("synapse.auth.sign_ins",
		metric.WithUnit("{sign-in}"), metric.WithDescription("Sign-ins by outcome."))
	m.refreshes, e[1] = meter.Int64Counter("synapse.auth.session_refreshes",
		metric.WithUnit("{refresh}"), metric.WithDescription("Refreshes of sessions by outcome."))
	m.keyChecks, e[2] = meter.Int64Counter("synapse.auth.key_checks",
		metric.WithUnit("{check}"), metric.WithDescription("Introspections and exchanges of API keys by outcome."))
	return &m, errors.Join(e[:]...)
}

func count(ctx context.Context, c metric.Int64Counter, err error) {
	outcome := "ok"
	if err != nil {
		outcome = string(errs.FromError(err).Reason)
	}
	c.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
}
