package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/auth"
)

func session(id string, create time.Time) auth.Session {
	return auth.Session{ID: id, UserID: "u", CreateTime: create, ExpireTime: create.Add(time.Hour)}
}

func testSessions(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	for i := range 3 {
		ended, err := s.CreateSession(t.Context(), session(fmt.Sprint("s", i), now.Add(time.Duration(i)*time.Second)), hash(fmt.Sprint("r", i)), 2)
		require.NoError(t, err)
		if i < 2 {
			require.Empty(t, ended)
		} else {
			require.Equal(t, []string{"s0"}, ended, "the oldest makes room")
		}
	}
	got, err := s.SessionByID(t.Context(), "s1")
	require.NoError(t, err)
	require.Equal(t, session("s1", now.Add(time.Second)), got)
	_, err = s.SessionByID(t.Context(), "none")
	require.ErrorIs(t, err, auth.ErrNotFound)

	require.NoError(t, s.EndSession(t.Context(), "s1", now.Add(time.Minute)))
	require.NoError(t, s.EndSession(t.Context(), "s1", now.Add(2*time.Minute)))
	require.NoError(t, s.EndSession(t.Context(), "none", now))
	got, err = s.SessionByID(t.Context(), "s1")
	require.NoError(t, err)
	require.Equal(t, now.Add(time.Minute), got.EndTime, "the first end counts")
}

func testRefresh(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	_, err := s.CreateSession(t.Context(), session("s", now), hash("r1"), 9)
	require.NoError(t, err)
	extend := func(at time.Time) func(auth.Session) time.Time {
		return func(ses auth.Session) time.Time {
			require.Equal(t, "s", ses.ID)
			require.Equal(t, now, ses.CreateTime)
			return at
		}
	}
	_, err = s.RotateRefresh(t.Context(), hash("none"), hash("x"), now, extend(now))
	require.ErrorIs(t, err, auth.ErrNotFound)

	later := now.Add(30 * time.Minute)
	got, err := s.RotateRefresh(t.Context(), hash("r1"), hash("r2"), later, extend(later.Add(time.Hour)))
	require.NoError(t, err)
	require.Equal(t, auth.Session{ID: "s", UserID: "u", CreateTime: now, ExpireTime: later.Add(time.Hour)}, got)

	// Expired: one microsecond before is in time, the moment itself is not.
	_, err = s.RotateRefresh(t.Context(), hash("r2"), hash("r3"), later.Add(time.Hour), extend(now))
	require.ErrorIs(t, err, auth.ErrEnded)
	_, err = s.RotateRefresh(t.Context(), hash("r2"), hash("r3"), later.Add(time.Hour-time.Microsecond), extend(later.Add(2*time.Hour)))
	require.NoError(t, err)

	// Used again: the session is over, for the right token too.
	got, err = s.RotateRefresh(t.Context(), hash("r1"), hash("x"), later.Add(time.Hour), extend(now))
	require.ErrorIs(t, err, auth.ErrReplaced)
	require.Equal(t, "s", got.ID)
	got, err = s.RotateRefresh(t.Context(), hash("r3"), hash("x"), later.Add(time.Hour), extend(now))
	require.ErrorIs(t, err, auth.ErrEnded)
	require.Equal(t, later.Add(time.Hour), got.EndTime)
	_, err = s.RotateRefresh(t.Context(), hash("x"), hash("y"), now, extend(now))
	require.ErrorIs(t, err, auth.ErrNotFound, "a refused rotation leaves no token")
}

// testRefreshRace uses one token many times at once: at most one wins.
// together runs f in n goroutines that begin at once, with all of the engine's
// connections open.
func together(t *testing.T, s auth.Store, n int, f func(i int)) {
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			err := s.Ping(context.Background())
			ready.Done()
			<-begin
			if err != nil {
				t.Errorf("ping: %v", err)
				return
			}
			f(i)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
}

func testRefreshRace(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	for round := range 10 {
		id, token := fmt.Sprint("s", round), fmt.Sprint("r", round)
		_, err := s.CreateSession(t.Context(), session(id, now), hash(token), 99)
		require.NoError(t, err)
		var won, refused atomic.Int32
		together(t, s, 8, func(i int) {
			_, err := s.RotateRefresh(context.Background(), hash(token), hash(fmt.Sprint("n", round, "-", i)), now, func(auth.Session) time.Time { return now.Add(time.Hour) })
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, auth.ErrReplaced), errors.Is(err, auth.ErrEnded):
				refused.Add(1)
			default:
				t.Errorf("unexpected: %v", err)
			}
		})
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 7, refused.Load())
		got, err := s.SessionByID(t.Context(), id)
		require.NoError(t, err)
		require.False(t, got.EndTime.IsZero())
	}
}

func testSigningKeysRace(t *testing.T, h Harness) {
	var made atomic.Int32
	together(t, h.Store, 8, func(i int) {
		_, err := h.Store.UpdateSigningKeys(context.Background(), func(have []auth.SigningKey) ([]auth.SigningKey, []string) {
			if len(have) > 0 {
				return nil, nil
			}
			made.Add(1)
			return []auth.SigningKey{{ID: fmt.Sprint(i), Seed: []byte("seed"), CreateTime: now, ActivateTime: now}}, nil
		})
		if err != nil {
			t.Errorf("update: %v", err)
		}
	})
	require.EqualValues(t, 1, made.Load())
}

func testChanges(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	at := func(sec int) time.Time { return now.Add(time.Duration(sec) * time.Second) }
	for _, id := range []string{"early", "late", "turned", "ending", "fine", "expiring"} {
		k := key(id, "p")
		if id == "expiring" { // runs out by itself, which every verifier knows
			k.ExpireTime = at(15)
		}
		require.NoError(t, s.CreateKey(t.Context(), k, 100))
	}
	require.NoError(t, s.RevokeKey(t.Context(), "p", "early", at(5)))
	require.NoError(t, s.RevokeKey(t.Context(), "p", "late", at(12)))
	require.NoError(t, s.RotateKey(t.Context(), "p", "turned", key("n1", "p"), at(13), at(13)))
	require.NoError(t, s.RotateKey(t.Context(), "p", "ending", key("n2", "p"), at(1), at(14)))
	_, err := s.CreateSession(t.Context(), session("s", now), hash("r"), 9)
	require.NoError(t, err)
	require.NoError(t, s.EndSession(t.Context(), "s", at(11)))
	require.NoError(t, s.CreateProject(t.Context(), project("gone"), "u", 100))
	require.NoError(t, s.DeleteProject(t.Context(), "gone", at(20)))

	got, err := s.Changes(t.Context(), at(5), at(20))
	require.NoError(t, err)
	require.Equal(t, auth.Changes{Keys: []string{"ending", "turned", "late"}, Sessions: []string{"s"}, Projects: []string{"gone"}}, got)
	got, err = s.Changes(t.Context(), at(4), at(13))
	require.NoError(t, err)
	require.Equal(t, auth.Changes{Keys: []string{"turned", "late", "early"}, Sessions: []string{"s"}}, got)
	got, err = s.Changes(t.Context(), at(20), at(30))
	require.NoError(t, err)
	require.Zero(t, got)
}

func testPrune(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	for _, id := range []string{"ended", "expired", "fine"} {
		ses := session(id, now)
		if id == "fine" {
			ses.ExpireTime = now.Add(100 * time.Hour)
		}
		_, err := s.CreateSession(t.Context(), ses, hash(id), 9)
		require.NoError(t, err)
	}
	require.NoError(t, s.EndSession(t.Context(), "ended", now))
	_, err := s.AddFailure(t.Context(), hash("old"), now, time.Hour)
	require.NoError(t, err)
	_, err = s.AddFailure(t.Context(), hash("new"), now.Add(9*time.Hour), time.Hour)
	require.NoError(t, err)
	require.NoError(t, s.Prune(t.Context(), now.Add(2*time.Hour)))
	for id, stays := range map[string]bool{"ended": false, "expired": false, "fine": true} {
		_, err := s.SessionByID(t.Context(), id)
		require.Equal(t, stays, err == nil, id)
	}
	_, err = s.RotateRefresh(t.Context(), hash("expired"), hash("x"), now, func(auth.Session) time.Time { return now })
	require.ErrorIs(t, err, auth.ErrNotFound, "its tokens went with it")
	f, err := s.Failures(t.Context(), hash("old"))
	require.NoError(t, err)
	require.Zero(t, f)
	f, err = s.Failures(t.Context(), hash("new"))
	require.NoError(t, err)
	require.Equal(t, 1, f.Count)
}

func testCanceled(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.Store.CreateUser(ctx, user("u")), context.Canceled)
	_, err := h.Store.UserByID(ctx, "u")
	require.ErrorIs(t, err, context.Canceled)
	_, err = h.Store.UserByID(t.Context(), "u")
	require.ErrorIs(t, err, auth.ErrNotFound)
}

func testReopen(t *testing.T, h Harness) {
	seed(t, h.Store)
	require.NoError(t, h.Store.CreateKey(t.Context(), key("k", "p"), 9))
	s := h.Reopen()
	got, exists, err := s.KeyByID(t.Context(), "k")
	require.NoError(t, err)
	require.True(t, exists)
	require.Equal(t, key("k", "p"), got)
	empty, err := s.Empty(t.Context())
	require.NoError(t, err)
	require.False(t, empty)
}
