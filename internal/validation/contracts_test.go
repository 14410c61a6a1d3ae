package validation

import (
	"testing"

	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	// the contracts whose rules must have words
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
)

// Every pattern of the contracts must have words of its own, every rule of the
// contracts' own an advice, and no words may be left over.
func TestEveryPatternHasWords(t *testing.T) {
	seen, cel := map[string]bool{}, map[string]bool{}
	var walk func(m protoreflect.Message)
	walk = func(m protoreflect.Message) { // the rules of a field, and those inside them
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case fd.Name() == "pattern" && fd.Kind() == protoreflect.StringKind:
				seen[v.String()] = true
			case fd.Name() == "cel" && fd.IsList():
				for i := range v.List().Len() {
					rule := v.List().Get(i).Message()
					cel[rule.Get(rule.Descriptor().Fields().ByName("id")).String()] = true
				}
			case fd.Message() != nil && !fd.IsList() && !fd.IsMap():
				walk(v.Message())
			}
			return true
		})
	}
	var messages func(ms protoreflect.MessageDescriptors)
	messages = func(ms protoreflect.MessageDescriptors) {
		for i := range ms.Len() {
			for j := range ms.Get(i).Fields().Len() {
				rules, err := protovalidate.ResolveFieldRules(ms.Get(i).Fields().Get(j))
				require.NoError(t, err)
				if rules != nil {
					walk(rules.ProtoReflect())
				}
			}
			messages(ms.Get(i).Messages())
		}
	}
	for _, m := range contractMessages() {
		messages(m.ParentFile().Messages())
	}
	require.NotEmpty(t, seen)
	for p := range seen {
		require.Contains(t, patterns, p, "say this pattern in words in patterns.go")
	}
	for p := range patterns {
		require.True(t, seen[p], "no rule has the pattern %s any more", p)
	}
	for id := range cel {
		require.Contains(t, celRemedies, id, "say what to do in words.go")
	}
	for id := range celRemedies {
		require.True(t, cel[id], "no rule has the id %s any more", id)
	}
}

func TestNumbers(t *testing.T) {
	require.Equal(t, "0", number(0))
	require.Equal(t, "999", number(999))
	require.Equal(t, "1,000", number(1000))
	require.Equal(t, "1,234,567", number(1234567))
	require.Equal(t, "-1,000", signed(-1000))
	require.Equal(t, "1.5 s", seconds(1, 500_000_000))
	require.Equal(t, "90 s", seconds(90, 0))
	require.Equal(t, "a", orList([]string{"a"}))
	require.Equal(t, "a or b", orList([]string{"a", "b"}))
	rule, remedy := patternWords("^x$")
	require.Equal(t, "must match the pattern ^x$", rule)
	require.NotEmpty(t, remedy)
}
