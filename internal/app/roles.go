package app

import (
	"fmt"
	"slices"
	"strings"
)

// Role is a part of the product that can run in a process of its own.
type Role string

// The roles.
const (
	Auth    Role = "auth"
	Ingest  Role = "ingest"
	Scoring Role = "scoring"
	Query   Role = "query"
	Gateway Role = "gateway"
)

// AllRoles lists the roles in the order in which they start.
func AllRoles() []Role { return []Role{Auth, Ingest, Scoring, Query, Gateway} }

// ParseRoles reads role names; "all" or none is every role.
func ParseRoles(names []string) ([]Role, error) {
	if len(names) == 0 || slices.Contains(names, "all") {
		return AllRoles(), nil
	}
	var out []Role
	for _, r := range AllRoles() {
		if slices.Contains(names, string(r)) {
			out = append(out, r)
		}
	}
	for _, n := range names {
		if !slices.Contains(AllRoles(), Role(n)) {
			return nil, fmt.Errorf("role %q is not known; the roles are all, auth, ingest, scoring, query and gateway", n)
		}
	}
	return out, nil
}

// calls lists the roles whose gRPC services a role calls.
func (r Role) calls() []Role {
	if r == Gateway {
		return []Role{Auth, Ingest, Scoring, Query}
	}
	return []Role{Auth} // to verify credentials
}

// checkRoles says what a set of roles still needs from the configuration.
func checkRoles(cfg Config, roles []Role) error {
	var missing []string
	for _, r := range roles {
		for _, peer := range r.calls() {
			if !slices.Contains(roles, peer) && cfg.Peers.of(peer) == "" {
				missing = append(missing, "peers."+string(peer))
			}
		}
	}
	if cfg.Queue.URL == "" && !onlyGateway(roles) && !slices.Equal(roles, AllRoles()) {
		missing = append(missing, "queue.url")
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("roles that run apart need %s: the addresses of the other roles and of a NATS server with JetStream",
		strings.Join(slices.Compact(missing), ", "))
}

func onlyGateway(roles []Role) bool { return len(roles) == 1 && roles[0] == Gateway }
