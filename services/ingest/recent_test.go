package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecent(t *testing.T) {
	now := testNow
	r := newRecent(1<<16, time.Minute)
	p, other := r.projectSeed("a"), r.projectSeed("b")
	r.add(r.id(p, "id", "text"), now)
	require.True(t, r.known(r.id(p, "id", "text"), now))
	require.False(t, r.known(r.id(p, "id", "other text"), now))
	require.False(t, r.known(r.id(other, "id", "text"), now), "another project's id is another id")
	r.add(r.id(p, "id", "other text"), now)
	require.True(t, r.known(r.id(p, "id", "text"), now), "the first text stays")
	require.False(t, r.known(r.id(p, "id", "other text"), now))
}

func TestRecentForgets(t *testing.T) {
	now := testNow
	r := newRecent(1<<16, time.Minute)
	p := r.projectSeed("a")
	r.add(r.id(p, "id", "text"), now)
	now = now.Add(61 * time.Second)
	require.True(t, r.known(r.id(p, "id", "text"), now), "younger than two generations, and now seen again")
	now = now.Add(61 * time.Second)
	require.True(t, r.known(r.id(p, "id", "text"), now), "seen again in between")
	now = now.Add(2 * time.Minute)
	require.False(t, r.known(r.id(p, "id", "text"), now))
}

func TestRecentIsBounded(t *testing.T) {
	r := newRecent(3200, time.Hour)
	p := r.projectSeed("a")
	for i := range 100_000 {
		r.add(r.id(p, fmt.Sprint(i), "text"), testNow)
	}
	n := 0
	for i := range r.shards {
		n += len(r.shards[i].young) + len(r.shards[i].old)
	}
	require.LessOrEqual(t, n, 3200)
	require.True(t, r.known(r.id(p, "99999", "text"), testNow))
	require.False(t, r.known(r.id(p, "0", "text"), testNow))
	require.Nil(t, newRecent(0, time.Hour))
}
