package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func example() *Values {
	return &Values{
		ID: "e-1", Text: "The Delivery was late, déjà vu", Source: "app-store", UserID: "u1", Language: "en", ModelVersion: "synapse-2",
		Label: 1, ScoreE4: -5000, OccurredUS: 1_795_000_000_000_000, AcceptedUS: 1_795_000_000_000_123,
		Attributes: map[string]string{"plan": "pro", "a.b": "x", "empty": ""}, Mixed: true, Emotions: []Emotion{{"joy", 5000}, {"love", 9000}},
	}
}

func TestMatch(t *testing.T) {
	for text, want := range map[string]bool{
		``:                                true,
		"  \t":                            true,
		`id = "e-1"`:                      true,
		`id != "e-1"`:                     false,
		`source = "app-store"`:            true,
		`source = 'app-store'`:            true,
		`source != "web"`:                 true,
		`language = en`:                   true,
		`user_id > "u0" AND user_id<"u2"`: true,
		`label = NEGATIVE`:                true,
		`label = "POSITIVE"`:              false,
		`label != "POSITIVE"`:             true,
		`NOT label = "POSITIVE"`:          true,
		`-label = "POSITIVE"`:             true,
		`score < -0.4999`:                 true,
		`score < -0.5`:                    false,
		`score <= -0.5`:                   true,
		`score = -0.5`:                    true,
		`score = -0.50001`:                false,
		`score != -0.50001`:               true,
		`score > -0.50001`:                true,
		`score < -0.49999`:                true,
		`score >= -0.49999`:               false,
		`score < 1`:                       true,
		`score < 99999999999999`:          true,
		`model_version = "synapse-2"`:     true,
		`text : "LATE"`:                   true,
		`text:late`:                       true,
		`text:"DÉJÀ"`:                     false, // only ASCII folds
		`text:"déjà"`:                     true,
		`text:""`:                         true,
		`attributes:plan`:                 true,
		`attributes:"nope"`:               false,
		`attributes.plan = "pro"`:         true,
		`attributes.plan:pro`:             true,
		`attributes.plan:*`:               true,
		`attributes.nope:*`:               false,
		`attributes."a.b" = "x"`:          true,
		`attributes.empty = ""`:           true,
		`attributes.nope = ""`:            false,
		`attributes.nope != "x"`:          true,
		`attributes.nope < "x"`:           false,
		`attributes.plan >= "pro"`:        true,
		`emotion:joy`:                     true,
		`emotion : "love"`:                true,
		`emotions:love`:                   true,
		`emotion = joy`:                   true,
		`emotion != joy`:                  false,
		`emotion:anger`:                   false,
		`NOT emotion:anger`:               true,
		`emotion:jo`:                      false,
		`mixed = true`:                    true,
		`mixed != "true"`:                 false,
		`mixed = false OR emotion:love`:   true,
		`label = NEGATIVE AND source = "web" OR score < 0`:   true, // OR binds tighter
		`(label = POSITIVE AND source = "web") OR score < 0`: true,
		`label = POSITIVE AND source = "web" OR score < 0`:   false,
		`occurred_at >= "2026-11-18T00:00:00Z"`:              true,
		`occurred_at < "2026-11-18"`:                         false,
		`occurred_at = timestamp("2026-11-18T09:06:40Z")`:    false,
		`accepted_at > "2026-11-18T11:06:40.000122999Z"`:     true,
	} {
		t.Run(text, func(t *testing.T) {
			f, err := Parse(text, Events)
			require.NoError(t, err)
			require.Equal(t, want, f.Match(example()))
		})
	}
}

func TestTimesBetweenMicroseconds(t *testing.T) {
	v := &Values{OccurredUS: -1}
	for text, want := range map[string]bool{
		`occurred_at = "1969-12-31T23:59:59.999999Z"`:     true,
		`occurred_at = "1969-12-31T23:59:59.9999995Z"`:    false,
		`occurred_at < "1969-12-31T23:59:59.9999995Z"`:    true,
		`occurred_at > "1969-12-31T23:59:59.9999985Z"`:    true,
		`occurred_at != "1969-12-31T23:59:59.9999995Z"`:   true,
		`occurred_at >= "1969-12-31T23:59:59.9999995Z"`:   false,
		`occurred_at <= "1969-12-31T23:59:59.999999000Z"`: true,
	} {
		f, err := Parse(text, Events)
		require.NoError(t, err)
		require.Equal(t, want, f.Match(v), text)
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		text   string
		column int
		rule   string
	}{
		{`foo = "x"`, 1, `field "foo"`},
		{`  source = "x" AND foo = "x"`, 20, `field "foo"`},
		{`source = 5`, 10, "something else than a string"},
		{`score = "x"`, 9, "something else than a number"},
		{`label = "GOOD"`, 9, `"GOOD"`},
		{`label > "NEGATIVE"`, 1, "orders labels"},
		{`source : "x"`, 1, "works with text, emotion and attributes"},
		{`emotion < joy`, 1, "orders emotions"},
		{`emotion:5`, 9, "something else than a string"},
		{`emotions.joy > 0.5`, 1, "has no parts"},
		{`mixed = yes`, 9, `mixed with "yes"`},
		{`mixed > true`, 1, "orders mixed"},
		{`mixed:true`, 1, "uses : with the field mixed"},
		{`occurred_at > "yesterday"`, 15, "not an RFC 3339 time"},
		{`occurred_at > 5`, 15, "something else than a time"},
		{`attributes = "x"`, 1, "all attributes"},
		{`source.x = "x"`, 1, "has no parts"},
		{`attributes.a.b = "x"`, 1, "more than two parts"},
		{`"refund"`, 1, "nothing is compared with"},
		{`source`, 1, "nothing is compared with"},
		{`source = "x" label = NEGATIVE`, 1, "side by side"},
		{`source = "x`, 10, "unterminated string"},
		{`source = `, 9, "syntax"},
		{`(source = "x"`, 14, "syntax"},
		{`é = "x" AND`, 8, "can not be read from here on"},
		{`"x" = source`, 1, "no field on the left"},
		{`now() > 5`, 1, "no field on the left"},
		{`source = lower("x")`, 10, "something else than a string"},
		{`regex("x")`, 1, `calls "regex"`},
		{`AND(a, b)`, 1, ""},
		{"source = \"a\x00b\"", 12, "NUL"},
		{"source = \"\xff\"", 1, "UTF-8"},
		{strings.Repeat("(", 17) + `source = "x"` + strings.Repeat(")", 17), 17, "levels of parentheses"},
		{`source = "` + strings.Repeat("x", MaxBytes) + `"`, 1, "bytes long"},
		{strings.TrimSuffix(strings.Repeat(`score < 1 AND `, 33), " AND "), 449, "more than 32"},
	} {
		t.Run(fmt.Sprintf("%.40s", tc.text), func(t *testing.T) {
			_, err := Parse(tc.text, Events)
			var e *Error
			require.True(t, errors.As(err, &e), "%v", err)
			require.Contains(t, e.Rule, tc.rule)
			require.NotEmpty(t, e.Remedy)
			if tc.rule != "" {
				require.Equal(t, tc.column, e.Column, e.Rule)
			}
		})
	}
}

func TestScope(t *testing.T) {
	_, err := Parse(`score < 0`, Dimensions)
	require.ErrorContains(t, err, "can not be filtered by here")
	f, err := Parse(`source = "a" AND label = NEGATIVE AND language = en AND model_version != x`, Dimensions)
	require.NoError(t, err)
	require.True(t, f.Names(Source))
	require.False(t, f.Names(Score))
	require.False(t, (*Filter)(nil).Names(Source))
}

type plain struct{}

func (plain) Column(f Field) string             { return f.String() }
func (plain) Contains() string                  { return "has(?)" }
func (plain) HasEmotion() string                { return "felt(?)" }
func (plain) HasAttribute() string              { return "key(?)" }
func (plain) CompareAttribute(op string) string { return "attr(? " + op + " ?)" }

func TestSQL(t *testing.T) {
	f, err := Parse(`(source = "a' OR 1=1" OR -text:"B") AND NOT attributes.k != "v" AND score < 0.00005`, Events)
	require.NoError(t, err)
	text, args := f.SQL(plain{})
	require.Equal(t, "(((source = ? OR NOT (has(?))) AND NOT (NOT (attr(? = ?)))) AND score <= ?)", text)
	require.Equal(t, []any{"a' OR 1=1", "b", "k", "v", int64(0)}, args)
	text, args = (*Filter)(nil).SQL(plain{})
	require.Empty(t, text)
	require.Empty(t, args)
}

// FuzzParse: any string is refused with a place inside it or gives a filter whose
// SQL has as many marks as parameters, and which Match can run.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`label = "NEGATIVE" AND source = "app-store" AND score < -0.5`, `attributes."a\"b" : *`, `NOT (a OR b) AND -c:d`, `f(f(f(x`,
		`occurred_at > timestamp("2026-01-01T00:00:00Z")`, `emotion:joy AND mixed = true`, `a.b.c = 0x10`, "x\n=\n'\\u00e9'", `score = 99999999999999999999`, `((((((`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s, Events)
		if err != nil {
			var e *Error
			require.True(t, errors.As(err, &e))
			require.True(t, e.Column >= 1 && e.Column <= len(s)+1)
			return
		}
		got.Match(example())
		text, args := got.SQL(plain{})
		require.Equal(t, strings.Count(text, "?"), len(args))
	})
}
