package scoring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/model"
)

// cachedScorer remembers analyses by the model's version and all that it was asked,
// the text only as a hash.
type cachedScorer struct {
	Scorer
	cache cache.Cache
}

// NewCachedScorer returns a scorer that scores the same text once. It is for models
// that take milliseconds: the built-in one is faster than a look into a cache. What
// it answers must depend on the input and the version alone.
func NewCachedScorer(s Scorer, c cache.Cache) Scorer { return cachedScorer{s, c} }

// Analyze implements Scorer.
func (s cachedScorer) Analyze(in []model.Input, want model.Extra, out []model.Analysis) error {
	ctx, version := context.Background(), s.Version() // the cache has bounds of its own
	keys := make([]string, len(in))
	for i := range in {
		keys[i] = scoreKey(version, want, &in[i])
	}
	var missing []int
	for i, v := range s.cache.Get(ctx, keys...) {
		var a model.Analysis
		if v == nil || json.Unmarshal(v, &a) != nil {
			missing = append(missing, i)
			continue
		}
		out[i] = a
	}
	if len(missing) == 0 {
		return nil
	}
	texts, scores := make([]model.Input, len(missing)), make([]model.Analysis, len(missing))
	for n, i := range missing {
		texts[n] = in[i]
	}
	if err := s.Scorer.Analyze(texts, want, scores); err != nil {
		return err
	}
	entries := make([]cache.Entry, 0, len(missing))
	for n, i := range missing {
		out[i] = scores[n]
		if v, err := json.Marshal(&scores[n]); err == nil {
			entries = append(entries, cache.Entry{Key: keys[i], Value: v})
		}
	}
	if s.Version() == version { // else it is not known whose scores these are
		s.cache.Set(ctx, entries...)
	}
	return nil
}

func scoreKey(version string, want model.Extra, in *model.Input) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %d %q %q", version, want, in.Source, in.Language)
	for _, t := range in.Targets {
		fmt.Fprintf(&b, " %q %v", t.Text, t.Span)
	}
	h := sha256.New()
	_, _ = h.Write([]byte(b.String())) // a hash takes everything
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(in.Text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
