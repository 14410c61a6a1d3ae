package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/services/auth"
)

func testKeys(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	full := key("full", "p")
	full.ExpireTime = now.Add(time.Hour)
	full.Scopes = []typev1.Access_Scope{typev1.Access_INGEST, typev1.Access_READ, typev1.Access_SCORE, typev1.Access_MANAGE}
	require.NoError(t, s.CreateKey(t.Context(), full, 100))
	got, exists, err := s.KeyByID(t.Context(), "full")
	require.NoError(t, err)
	require.True(t, exists)
	require.Equal(t, full, got)
	_, _, err = s.KeyByID(t.Context(), "none")
	require.ErrorIs(t, err, auth.ErrNotFound)
	require.ErrorIs(t, s.CreateKey(t.Context(), full, 100), auth.ErrExists)
	require.ErrorIs(t, s.CreateKey(t.Context(), key("x", "none"), 100), auth.ErrNotFound)

	require.NoError(t, s.CreateKey(t.Context(), key("k", "p"), 2))
	require.ErrorIs(t, s.CreateKey(t.Context(), key("x", "p"), 2), auth.ErrLimit)
	x := key("x", "p")
	x.CreateTime = now.Add(time.Hour) // the first one has expired by then
	require.NoError(t, s.CreateKey(t.Context(), x, 2))

	require.ErrorIs(t, s.RevokeKey(t.Context(), "p", "none", now), auth.ErrNotFound)
	require.ErrorIs(t, s.RevokeKey(t.Context(), "other", "k", now), auth.ErrNotFound, "a key is revoked in its project only")
	require.NoError(t, s.RevokeKey(t.Context(), "p", "k", now.Add(time.Second)))
	require.NoError(t, s.RevokeKey(t.Context(), "p", "k", now.Add(time.Minute)))
	got, _, err = s.KeyByID(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, now.Add(time.Second), got.RevokeTime, "the first time counts")

	require.NoError(t, s.DeleteProject(t.Context(), "p", now))
	_, exists, err = s.KeyByID(t.Context(), "full")
	require.NoError(t, err)
	require.False(t, exists)
	require.ErrorIs(t, s.CreateKey(t.Context(), key("y", "p"), 100), auth.ErrNotFound)
}

func testListKeys(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	require.NoError(t, s.CreateProject(t.Context(), project("other"), "u", 100))
	require.NoError(t, s.CreateKey(t.Context(), key("foreign", "other"), 100))
	var want []string
	for i := range 7 {
		k := key(fmt.Sprint("k", i), "p")
		k.CreateTime = now.Add(time.Duration(i/2) * time.Second) // pairs with the same time
		require.NoError(t, s.CreateKey(t.Context(), k, 100))
		want = append([]string{k.ID}, want...)
	}
	for size := 1; size <= 8; size++ {
		var got []string
		var after auth.KeyCursor
		for {
			page, err := s.ListKeys(t.Context(), "p", after, size)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), size)
			if len(page) == 0 {
				break
			}
			for _, k := range page {
				got = append(got, k.ID)
				after = auth.KeyCursor{CreateTime: k.CreateTime, ID: k.ID}
			}
		}
		require.Equal(t, want, got, "pages of %d", size)
	}
	none, err := s.ListKeys(t.Context(), "none", auth.KeyCursor{}, 10)
	require.NoError(t, err)
	require.Empty(t, none)
}

func testRotateKey(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	create := func(id string, expire time.Time) {
		k := key(id, "p")
		k.ExpireTime = expire
		require.NoError(t, s.CreateKey(t.Context(), k, 100))
	}
	get := func(id string) auth.APIKey {
		k, _, err := s.KeyByID(t.Context(), id)
		require.NoError(t, err)
		return k
	}
	rotate := func(id, next string, oldExpire time.Time) error {
		return s.RotateKey(t.Context(), "p", id, key(next, "p"), now, oldExpire)
	}
	create("at-once", time.Time{})
	require.NoError(t, rotate("at-once", "n1", now))
	require.Equal(t, now, get("at-once").RevokeTime)
	require.Equal(t, "n1", get("at-once").ReplacedBy)
	require.Equal(t, key("n1", "p"), get("n1"))

	create("overlap", time.Time{})
	require.NoError(t, rotate("overlap", "n2", now.Add(time.Hour)))
	require.Zero(t, get("overlap").RevokeTime)
	require.Equal(t, now.Add(time.Hour), get("overlap").ExpireTime)

	create("ends-first", now.Add(time.Minute))
	require.NoError(t, rotate("ends-first", "n3", now.Add(time.Hour)))
	require.Equal(t, now.Add(time.Minute), get("ends-first").ExpireTime, "an overlap never makes a key live longer")

	create("expired", now)
	create("revoked", time.Time{})
	require.NoError(t, s.RevokeKey(t.Context(), "p", "revoked", now))
	require.ErrorIs(t, rotate("overlap", "x", now), auth.ErrReplaced)
	require.ErrorIs(t, rotate("at-once", "x", now), auth.ErrReplaced)
	require.ErrorIs(t, rotate("expired", "x", now), auth.ErrEnded)
	require.ErrorIs(t, rotate("revoked", "x", now), auth.ErrEnded)
	require.ErrorIs(t, rotate("none", "x", now), auth.ErrNotFound)
	require.ErrorIs(t, s.RotateKey(t.Context(), "other", "n1", key("x", "other"), now, now), auth.ErrNotFound)
	_, _, err := s.KeyByID(t.Context(), "x")
	require.ErrorIs(t, err, auth.ErrNotFound, "a refused rotation leaves no key")
}

func testTouchKeys(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	require.NoError(t, s.CreateKey(t.Context(), key("k", "p"), 100))
	require.NoError(t, s.TouchKeys(t.Context(), nil))
	require.NoError(t, s.TouchKeys(t.Context(), map[string]time.Time{"k": now, "none": now}))
	require.NoError(t, s.TouchKeys(t.Context(), map[string]time.Time{"k": now.Add(-time.Minute)}))
	got, _, err := s.KeyByID(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, now, got.LastUse)
}
