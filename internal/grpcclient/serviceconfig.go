package grpcclient

import (
	"encoding/json"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The parts of gRPC's service config that are used (grpc.service_config).
type (
	config struct {
		LoadBalancing []map[string]struct{} `json:"loadBalancingConfig"`
		Methods       []methodConfig        `json:"methodConfig,omitempty"`
		Throttling    *throttling           `json:"retryThrottling,omitempty"`
	}
	methodConfig struct {
		Names []methodName `json:"name"`
		Retry retryPolicy  `json:"retryPolicy"`
	}
	methodName struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	retryPolicy struct {
		MaxAttempts       int      `json:"maxAttempts"`
		InitialBackoff    string   `json:"initialBackoff"`
		MaxBackoff        string   `json:"maxBackoff"`
		BackoffMultiplier float64  `json:"backoffMultiplier"`
		Codes             []string `json:"retryableStatusCodes"`
	}
	throttling struct {
		MaxTokens  float64 `json:"maxTokens"`
		TokenRatio float64 `json:"tokenRatio"`
	}
)

// serviceConfig spreads calls over all addresses. With retry, unary reads (those
// declared NO_SIDE_EFFECTS) that fail with UNAVAILABLE are repeated up to two
// times with a random wait. At most about one call in ten is a repetition: when
// more fail, retries stop, so that they do not feed an outage.
func serviceConfig(retry bool) string {
	if retry {
		return withRetry()
	}
	return withoutRetry()
}

var (
	withRetry    = sync.OnceValue(func() string { return makeServiceConfig(readMethods()) })
	withoutRetry = sync.OnceValue(func() string { return makeServiceConfig(nil) })
)

func makeServiceConfig(reads []methodName) string {
	c := config{LoadBalancing: []map[string]struct{}{{"round_robin": {}}}}
	if len(reads) > 0 {
		c.Methods = []methodConfig{{Names: reads, Retry: retryPolicy{
			MaxAttempts: 3, InitialBackoff: "0.1s", MaxBackoff: "1s", BackoffMultiplier: 2, Codes: []string{"UNAVAILABLE"},
		}}}
		c.Throttling = &throttling{MaxTokens: 10, TokenRatio: 0.1}
	}
	b, err := json.Marshal(c)
	if err != nil { // no such value is in it
		return "{}"
	}
	return string(b)
}

// readMethods finds the unary reads in the contracts that are linked in.
func readMethods() []methodName {
	var out []methodName
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "synapse.") {
			return true
		}
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				o, _ := m.Options().(*descriptorpb.MethodOptions)
				if !m.IsStreamingClient() && !m.IsStreamingServer() &&
					o.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
					out = append(out, methodName{Service: string(s.FullName()), Method: string(m.Name())})
				}
			}
		}
		return true
	})
	return out
}
