// Package validation makes the one validator of the protovalidate rules in the
// contracts, and says in plain words which rules a message breaks. It never
// repeats a value: only paths, sizes and rules.
package validation

import (
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// packagePrefix starts the name of every package of the contracts.
const packagePrefix = "synapse."

// New returns a validator with the rules of every message of the contracts that
// is linked into the process compiled, so that the first call is not slower
// than the others. It costs some 10 ms: make one and share it, it is safe for
// concurrent use. It fails on a rule that does not compile.
func New() (protovalidate.Validator, error) {
	v, err := protovalidate.New(protovalidate.WithMessageDescriptors(contractMessages()...))
	if err != nil {
		return nil, fmt.Errorf("validation: %w", err)
	}
	return v, nil
}

// contractMessages returns the top-level messages of the contracts; the
// validator finds those below them.
func contractMessages() []protoreflect.MessageDescriptor {
	var out []protoreflect.MessageDescriptor
	for _, f := range contractFiles() {
		for i := range f.Messages().Len() {
			out = append(out, f.Messages().Get(i))
		}
	}
	return out
}

// contractFiles returns the contracts that are linked in.
func contractFiles() []protoreflect.FileDescriptor {
	var out []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(f.Package()), packagePrefix) {
			out = append(out, f)
		}
		return true
	})
	return out
}

// ToError makes of what Validate returned an *errs.Error: INVALID_FIELD with the
// broken rules, or INTERNAL for a rule that cannot be evaluated. nil gives nil.
func ToError(err error) error {
	if err == nil {
		return nil
	}
	if v := FromProtovalidate(err); v != nil {
		return errs.Invalid(v...)
	}
	return errs.Fault(fmt.Errorf("validation: %w", err))
}

// FromProtovalidate returns the broken rules in plain words, in the order of
// the message's fields; nil for an error that is not about broken rules.
func FromProtovalidate(err error) []errs.Violation {
	var ve *protovalidate.ValidationError
	if !errors.As(err, &ve) {
		return nil
	}
	out := make([]errs.Violation, 0, len(ve.Violations))
	for _, v := range ve.Violations {
		rule, remedy := words(v)
		if v.Proto.GetForKey() {
			rule = "its key " + rule
		}
		out = append(out, errs.Violation{Field: path(v.Proto.GetField()), Rule: rule, Remedy: remedy})
	}
	return out
}
