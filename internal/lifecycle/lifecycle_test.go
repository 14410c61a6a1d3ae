package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func recorder(log *[]string, name string, startErr error) Component {
	return Component{
		Name: name,
		Start: func(context.Context) error {
			*log = append(*log, "+"+name)
			return startErr
		},
		Stop: func(context.Context) error {
			*log = append(*log, "-"+name)
			return nil
		},
	}
}

func TestOrder(t *testing.T) {
	var log []string
	var g Group
	g.Add(recorder(&log, "a", nil))
	g.Add(Component{Name: "nothing"})
	g.Add(recorder(&log, "b", nil))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, g.Run(ctx))
	require.Equal(t, []string{"+a", "+b", "-b", "-a"}, log)
}

func TestFailedStartStopsWhatRuns(t *testing.T) {
	var log []string
	var g Group
	g.Add(recorder(&log, "a", nil))
	g.Add(recorder(&log, "b", errors.New("no")))
	g.Add(recorder(&log, "c", nil))
	require.ErrorContains(t, g.Run(context.Background()), "start b: no")
	require.Equal(t, []string{"+a", "+b", "-a"}, log)
}

func TestFailureEndsRun(t *testing.T) {
	var log []string
	var g Group
	g.Add(recorder(&log, "a", nil))
	g.Fail("a", errors.New("broke"))
	g.Fail("a", errors.New("again"))
	require.ErrorContains(t, g.Run(context.Background()), "a: broke")
	require.Equal(t, []string{"+a", "-a"}, log)
}

func TestLateStopIsBoundedAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		var g Group
		g.Add(recorder(&log, "a", nil))
		g.Add(Component{Name: "late", StopTimeout: time.Second, Stop: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		require.NoError(t, g.Start(context.Background()))
		require.ErrorIs(t, g.Stop(context.Background()), context.DeadlineExceeded)
		require.Equal(t, []string{"+a", "-a"}, log)
	})
}
