package grpcserver

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
)

// The order is part of the server's promises; see makeChain.
func TestChainOrder(t *testing.T) {
	s := &Server{}
	var names, unary, stream []string
	o := Options{MeterProvider: noop.NewMeterProvider()}
	telemetry, err := o.telemetry()
	require.NoError(t, err)
	for _, l := range s.makeChain(telemetry) {
		names = append(names, l.name)
		if l.unary != nil {
			unary = append(unary, l.name)
		}
		if l.stream != nil {
			stream = append(stream, l.name)
		}
		require.False(t, l.unary == nil && l.stream == nil, "%s does nothing", l.name)
	}
	require.Equal(t, []string{
		"recovery", "telemetry", "accesslog", "shutdown", "deadline", "authn", "authz", "limits", "validation", "errormap",
	}, names)
	require.Equal(t, []string{"recovery", "telemetry", "accesslog", "deadline", "authn", "authz", "validation", "errormap"}, unary)
	require.Equal(t, []string{"recovery", "telemetry", "accesslog", "shutdown", "authn", "authz", "limits", "validation", "errormap"}, stream)
}

func TestProjectID(t *testing.T) {
	long := "a"
	for len(long) < 63 {
		long += "b"
	}
	for name, want := range map[string]string{
		"projects/a": "a", "projects/a-b/events/x": "a-b", "projects/-": "-", "projects/-/balance": "-",
		"projects/" + long: long, "projects/a1": "a1",
		"": "", "projects/": "", "projects": "", "project/a": "", "/projects/a": "", "projects//a": "", "projects/1a": "",
		"projects/a-": "", "projects/A": "", "projects/a_b": "", "projects/--": "", "projects/" + long + "c": "",
		"projects/a%2f": "", "projects/a\x00": "", "projects/é": "", "projects/..": "",
	} {
		id, ok := projectID(name)
		require.Equal(t, want, id, name)
		require.Equal(t, want != "", ok, name)
	}
}

func TestSourceOfUnknownRequest(t *testing.T) {
	for _, s := range []projectSource{fromNowhere, fromParent, fromName, fromProject} {
		require.Empty(t, s.read(struct{}{}))
		require.NotEmpty(t, s.field())
	}
}
