package authn

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
)

// cleanInterval is how often Run drops what no longer matters.
const cleanInterval = time.Minute

// HandleNotice takes a pipeline.v1.ControlNotice from the control subject. When
// it returns, nothing that was learnt before about what the notice names is
// used: a changed key or project is asked for again, tokens made before from
// the key, in the session or with the project are refused until all of them
// have ended, and after a change of the signing keys every token is verified
// anew. It fails only on bytes that are no notice.
func (v *CachingVerifier) HandleNotice(data []byte) error {
	var n pipelinev1.ControlNotice
	if err := proto.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("authn: not a control notice: %w", err)
	}
	now := v.cfg.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.generation.Add(1)
	v.negative.purge()
	switch what := n.GetNotice().(type) {
	case *pipelinev1.ControlNotice_ApiKeyChanged:
		v.keys.removeKey(what.ApiKeyChanged)
		// with skew: better a token too many refused than one of a revoked key let in
		v.refused.add(v.refused.keys, what.ApiKeyChanged, now.Add(max(TokenSkew, v.cfg.NoticeSkew)), now)
	case *pipelinev1.ControlNotice_SessionEnded:
		// whatever its tokens say of their time: a session never comes back
		v.refused.add(v.refused.sessions, what.SessionEnded, now.Add(MaxTokenTTL), now)
	case *pipelinev1.ControlNotice_ProjectChanged:
		v.keys.removeProject(what.ProjectChanged)
		v.refused.add(v.refused.projects, what.ProjectChanged, now.Add(v.cfg.NoticeSkew), now)
	case *pipelinev1.ControlNotice_SigningKeysChanged:
		v.tokens.purge()
		v.keySet.markDirty()
	default:
		// of a later release: what it is about is unknown, so forget all
		v.keys.lru.Purge()
		v.tokens.purge()
		v.keySet.markDirty()
	}
	return nil
}

// Run drops ended entries from the caches now and then until ctx ends, and then
// waits for the open questions to the auth service.
func (v *CachingVerifier) Run(ctx context.Context) error {
	tick := time.NewTicker(cleanInterval)
	defer tick.Stop()
	defer v.lookups.open.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			v.clean(v.cfg.Now())
		}
	}
}

func (v *CachingVerifier) clean(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys.removeStale(now)
	v.tokens.removeStale(now)
	v.negative.removeStale(now)
	v.refused.removeStale(now)
}
