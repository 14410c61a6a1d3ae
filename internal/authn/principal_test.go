package authn_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

func TestPrincipal(t *testing.T) {
	var nobody *authn.Principal
	one := &authn.Principal{Projects: map[string][]typev1.Access_Scope{"demo": {typev1.Access_READ}}}
	for _, p := range []*authn.Principal{nobody, {}, &person} {
		_, ok := p.OnlyProject()
		require.False(t, ok)
	}
	id, ok := one.OnlyProject()
	require.True(t, ok)
	require.Equal(t, "demo", id)
	require.True(t, one.Can("demo", typev1.Access_READ))
	require.False(t, one.Can("demo", typev1.Access_MANAGE))
	require.False(t, one.Can("other", typev1.Access_READ))
	require.False(t, nobody.Can("demo", typev1.Access_READ))
	require.True(t, one.CanAnywhere(typev1.Access_READ))
	require.False(t, one.CanAnywhere(typev1.Access_INGEST))
	require.False(t, nobody.CanAnywhere(typev1.Access_READ))
	require.Equal(t, []string{"key", "user", "none"}, []string{authn.KindAPIKey.String(), authn.KindUser.String(), authn.Kind(0).String()})

	ctx := context.Background()
	require.Nil(t, authn.FromContext(ctx))
	require.Empty(t, authn.ProjectFrom(ctx))
	ctx = authn.NewContext(ctx, one, "demo")
	require.Same(t, one, authn.FromContext(ctx))
	require.Equal(t, "demo", authn.ProjectFrom(ctx))
}

// An answer about another key than the one asked for must let nobody in.
func TestWrongAnswer(t *testing.T) {
	w := newWorld(t, nil)
	_, secret := w.newKey(t, "demo")
	w.set(func() { w.keys[secret].KeyId = "another00000" })
	_, err := w.verify(secret)
	requireReason(t, err, errs.Internal)
	w.set(func() { w.keys[secret].ProjectId = "" })
	_, err = w.verify(secret)
	requireReason(t, err, errs.Internal)
	w.set(func() { w.down = errs.MissingThing("no such key") })
	_, err = w.verify(secret)
	requireReason(t, err, errs.CredentialUnknown)
}

// With every slot taken by questions that hang, a further one does not wait for
// ever.
func TestLookupsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *authn.VerifierConfig) { c.MaxLookups, c.LookupTimeout = 1, 50*time.Millisecond })
	_, a := w.newKey(t, "demo")
	_, b := w.newKey(t, "demo")
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.set(func() { w.during = func() { once.Do(func() { close(entered) }); <-leave } })
	first := make(chan error, 1)
	go func() { _, err := w.verify(a); first <- err }()
	<-entered
	_, err := w.verify(b)
	requireReason(t, err, errs.Unavailable)
	requireReason(t, <-first, errs.Unavailable)
	close(leave)
}
