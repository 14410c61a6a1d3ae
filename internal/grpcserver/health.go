package grpcserver

import (
	"sync"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// healthState keeps the overall health in step with that of the services.
type healthState struct {
	server *health.Server

	mu       sync.Mutex
	services map[string]bool
}

func newHealthState() *healthState {
	h := &healthState{server: health.NewServer(), services: map[string]bool{}}
	h.server.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	return h
}

func (h *healthState) add(service string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.services[service] = false
	h.publish()
}

func (h *healthState) set(service string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if service == "" {
		for name := range h.services {
			h.services[name] = ok
		}
	} else {
		h.services[service] = ok
	}
	h.publish()
}

func (h *healthState) publish() {
	all := len(h.services) > 0
	for name, ok := range h.services {
		h.server.SetServingStatus(name, servingStatus(ok))
		all = all && ok
	}
	h.server.SetServingStatus("", servingStatus(all))
}

func servingStatus(ok bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if ok {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}

// shutdown makes everything NOT_SERVING for good.
func (h *healthState) shutdown() { h.server.Shutdown() }
