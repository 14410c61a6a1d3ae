package authn

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// maxIntrospections bounds how often a question is asked again because a notice
// came while it was open.
const maxIntrospections = 3

// introspect asks the auth service about a key and remembers the answer.
func (v *CachingVerifier) introspect(ctx context.Context, id, secret string, h digest) (*Principal, error) {
	for try := 1; ; try++ {
		generation := v.generation.Load()
		// the generation in the name: who comes after a notice does not join a
		// question from before it
		name := strconv.FormatUint(generation, 36) + hex.EncodeToString(h[:])
		answer, err := v.lookups.do(ctx, name, func(ctx context.Context) (any, error) {
			return v.client.IntrospectApiKey(ctx, &authv1.IntrospectApiKeyRequest{ApiKey: secret})
		})
		resp, _ := answer.(*authv1.IntrospectApiKeyResponse)
		p, project, refusal, transient := v.judge(ctx, id, resp, err)
		if transient != nil {
			return nil, transient
		}
		now := v.cfg.Now()
		v.mu.Lock()
		current := generation == v.generation.Load()
		switch {
		case !current: // not to be remembered, and asked again
		case refusal != nil:
			v.negative.add(h, refusal, now.Add(v.cfg.NegativeTTL))
		default:
			v.keys.add(id, project, h, p, now.Add(v.cfg.KeyTTL))
		}
		v.mu.Unlock()
		switch {
		case !current && try < maxIntrospections:
			continue
		case refusal != nil:
			return nil, refusal
		case ended(p, now):
			return nil, errKeyExpired
		default:
			return p, nil
		}
	}
}

// judge makes of the auth service's answer a principal, a refusal that may be
// remembered, or an error that may not.
func (v *CachingVerifier) judge(ctx context.Context, id string, resp *authv1.IntrospectApiKeyResponse, err error) (p *Principal, project string, refusal, transient *errs.Error) {
	switch {
	case err == nil && (resp.GetKeyId() != id || resp.GetProjectId() == ""):
		v.log.LogAttrs(ctx, slog.LevelError, "the auth service's answer is about another key or names no project",
			slog.String("key_id", id), slog.String("answer_key_id", resp.GetKeyId()))
		return nil, "", nil, errs.Fault(errors.New("authn: wrong answer to IntrospectApiKey"))
	case err == nil:
		scopes := make([]typev1.Access_Scope, 0, len(resp.GetScopes()))
		for _, s := range resp.GetScopes() {
			if s != typev1.Access_SCOPE_UNSPECIFIED {
				scopes = append(scopes, s)
			}
		}
		p = &Principal{
			Kind: KindAPIKey, ID: resp.GetKeyId(),
			Projects: map[string][]typev1.Access_Scope{resp.GetProjectId(): scopes},
		}
		if resp.GetExpireTime() != nil {
			p.ExpireTime = resp.GetExpireTime().AsTime()
		}
		return p, resp.GetProjectId(), nil, nil
	}
	e := errs.FromError(err)
	switch e.Reason {
	case errs.CredentialUnknown, errs.CredentialExpired, errs.CredentialRevoked, errs.CredentialMalformed:
		return nil, "", errs.Unauthenticated(e.Reason, e.Message, e.Remedy), nil
	case errs.NotFound, errs.PermissionDenied, errs.InvalidField:
		return nil, "", errs.Unauthenticated(errs.CredentialUnknown, "no such API key", "check the key, or create a new one"), nil
	case errs.StoreBusy: // of the auth service: the credential may well be good
		return nil, "", nil, e
	case errs.Canceled:
		if ctx.Err() != nil {
			return nil, "", nil, errs.FromError(context.Cause(ctx))
		}
	case errs.DeadlineExceeded:
		if ctx.Err() != nil {
			return nil, "", nil, errs.Timeout(err)
		}
	}
	v.log.LogAttrs(ctx, slog.LevelWarn, "the auth service does not answer", slog.String("key_id", id), slog.Any("error", err))
	return nil, "", nil, errs.Down("the auth service does not answer, so the credential cannot be checked", time.Second, err)
}

// lookups runs the questions to the auth service: equal ones at the same time
// are one, only so many are open at once, each is bounded in time, and none
// ends because the caller that happened to be first gives up.
type lookups struct {
	group   singleflight.Group
	slots   chan struct{}
	timeout time.Duration
	open    sync.WaitGroup
}

func (l *lookups) init(limit int, timeout time.Duration) {
	l.slots, l.timeout = make(chan struct{}, limit), timeout
}

// do returns the answer of f, or an error when ctx ends first.
func (l *lookups) do(ctx context.Context, name string, f func(context.Context) (any, error)) (any, error) {
	ch := l.group.DoChan(name, func() (any, error) {
		l.open.Add(1)
		defer l.open.Done()
		// values, such as the trace, of the first caller, but not its end
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
		defer cancel()
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return nil, errs.Down("too many credentials are being checked", time.Second, ctx.Err())
		}
		return f(ctx)
	})
	select {
	case res := <-ch:
		return res.Val, res.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
