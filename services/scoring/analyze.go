package scoring

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/synapse-analytics/synapse/model"
)

// panicError is a panic of the scorer. It tells the kind of the panic, not its
// value, which could hold an event's text.
type panicError struct{ kind string }

func (e *panicError) Error() string { return "the scorer panicked: " + e.kind }

// maxDetail bounds what is told of a scorer's error.
const maxDetail = 256

// analyzer is a scorer whose panics are errors.
type analyzer struct {
	scorer Scorer
	log    *slog.Logger
}

// analyze is Scorer.Analyze; a panic becomes an error.
func (a analyzer) analyze(in []model.Input, want model.Extra, out []model.Analysis) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		p := &panicError{kind: fmt.Sprintf("%T", r)}
		var re runtime.Error
		if e, ok := r.(error); ok && errors.As(e, &re) {
			p.kind = re.Error() // an index, a nil pointer: never a text
		}
		a.log.Debug("scorer panicked", slog.String("kind", p.kind), slog.String("stack", string(debug.Stack())))
		err = p
	}()
	if err := a.scorer.Analyze(in, want, out); err != nil {
		detail := err.Error()
		if len(detail) > maxDetail {
			detail = detail[:maxDetail]
		}
		return errors.New(detail)
	}
	return nil
}
