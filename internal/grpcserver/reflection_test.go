package grpcserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

func TestReflection(t *testing.T) {
	f := start(t, func(o *grpcserver.Options) { o.Reflection = true })
	ss, err := v1.NewServerReflectionClient(f.conn).ServerReflectionInfo(as(t, ""))
	require.NoError(t, err)
	require.NoError(t, ss.Send(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_ListServices{}}))
	m, err := ss.Recv()
	require.NoError(t, err)
	var names []string
	for _, s := range m.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	require.Contains(t, names, "synapse.ingest.v1.IngestService")
	require.Contains(t, names, "grpc.health.v1.Health")

	// deprecated, yet what many tools still speak
	old, err := v1alpha.NewServerReflectionClient(f.conn).ServerReflectionInfo(as(t, ""))
	require.NoError(t, err)
	require.NoError(t, old.Send(&v1alpha.ServerReflectionRequest{MessageRequest: &v1alpha.ServerReflectionRequest_ListServices{}})) //nolint:staticcheck // the old protocol is what is tested
	_, err = old.Recv()
	require.NoError(t, err)
}

func TestNoReflectionByDefault(t *testing.T) {
	f := start(t, nil)
	ss, err := v1.NewServerReflectionClient(f.conn).ServerReflectionInfo(as(t, ""))
	require.NoError(t, err)
	_, err = ss.Recv()
	requireError(t, err, errs.PermissionDenied)
}
