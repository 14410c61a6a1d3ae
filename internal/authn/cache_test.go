package authn

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// When there are too many notices to remember, everything from before is
// refused rather than anything forgotten.
func TestRefusalsAreBoundedAndSafe(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := newRefusals(3)
	token := func(session string, issued time.Time) *verifiedToken {
		return &verifiedToken{principal: &Principal{Kind: KindUser, ID: "u", SessionID: session}, issuedAt: issued}
	}
	for i := range 3 {
		r.add(r.sessions, fmt.Sprint(i), now.Add(MaxTokenTTL), now)
	}
	require.NotNil(t, r.check(token("0", now), now))
	require.Nil(t, r.check(token("9", now), now))
	r.add(r.sessions, "3", now.Add(MaxTokenTTL), now)
	require.LessOrEqual(t, len(r.sessions), 3)
	for _, s := range []string{"0", "1", "2", "3", "9"} {
		require.NotNil(t, r.check(token(s, now), now), s)
	}
	require.Nil(t, r.check(token("9", now.Add(time.Second)), now.Add(time.Second)), "a new token is taken")
}

func TestRefusalsEnd(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := newRefusals(2)
	r.add(r.keys, "a", now, now)
	r.add(r.keys, "b", now, now)
	later := now.Add(MaxTokenTTL + 3*TokenSkew)
	r.add(r.keys, "c", later, later) // there is room again: the old ones have ended
	require.Len(t, r.keys, 1)
	require.True(t, r.all.IsZero())
}

func TestCachesDropStaleEntries(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	v := NewVerifier(VerifierConfig{MaxKeys: 2, MaxTokens: 2, MaxNegative: 2}, nil, nil)
	for i := range 5 {
		h := hashString(fmt.Sprint(i))
		v.keys.add(fmt.Sprint(i), "p", h, &Principal{}, now)
		v.tokens.add(h, &verifiedToken{principal: &Principal{ExpireTime: now}})
		v.negative.add(h, &errs.Error{}, now)
	}
	require.Equal(t, []int{2, 2, 2}, []int{v.keys.lru.Len(), v.tokens.lru.Len(), v.negative.lru.Len()})
	v.clean(now.Add(time.Hour))
	require.Equal(t, []int{0, 0, 0}, []int{v.keys.lru.Len(), v.tokens.lru.Len(), v.negative.lru.Len()})
}

func TestHashOfLongAndShort(t *testing.T) {
	long := string(make([]byte, 5000))
	require.NotEqual(t, hashString(long), hashString(long[1:]))
	require.Equal(t, hashString("abc"), hashString("abc"))
}
