package cli

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/synapse-analytics/synapse/model"
)

// A score is written by hand: encoding/json takes as long for one as the model
// takes for a short text.

var emotionKeys = func() (keys []string) {
	for _, name := range model.EmotionNames() {
		keys = append(keys, `"`+name+`":`)
	}
	return keys
}()

// appendScore appends a score as one JSON object.
func appendScore(b []byte, id string, a *model.Analysis, want model.Extra, version string) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, id)
	b = append(b, ',')
	b = appendPolarity(b, &model.Polarity{Label: a.Label, Score: a.Score, Probabilities: a.Probabilities})
	b = append(b, `,"stars":`...)
	for i, p := range a.Stars {
		b = append(b, "[,,,,"[i])
		b = appendFloat(b, p)
	}
	b = append(b, `],"mixed":`...)
	b = strconv.AppendBool(b, a.Mixed)
	b = append(b, `,"language":`...)
	b = appendText(b, a.Language)
	b = append(b, `,"languageSupported":`...)
	b = strconv.AppendBool(b, a.LanguageSupported)
	if want&model.Emotions != 0 {
		b = append(b, `,"emotions":{`...)
		for i, p := range a.Emotions[:min(len(a.Emotions), len(emotionKeys))] {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, emotionKeys[i]...)
			b = appendFixed(b, p)
		}
		b = append(b, '}')
	}
	b = append(b, `,"targets":[`...)
	for i := range a.Targets {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTarget(b, &a.Targets[i])
	}
	b = append(b, ']')
	if want&model.Sentences != 0 {
		b = append(b, `,"sentences":[`...)
		for i := range a.Sentences {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '{')
			b = appendSpan(b, a.Sentences[i].Span)
			b = append(b, ',')
			b = appendPolarity(b, &a.Sentences[i].Polarity)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if want&model.Evidences != 0 {
		b = append(b, `,"evidence":[`...)
		for i, e := range a.Evidence {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '{')
			b = appendSpan(b, model.Span{StartByte: e.StartByte, EndByte: e.EndByte, StartUTF16: e.StartUTF16, EndUTF16: e.EndUTF16})
			b = append(b, `,"weight":`...)
			b = appendFloat(b, e.Weight)
			b = append(b, '}')
		}
		b = append(b, `],"bias":`...)
		b = appendFloat(b, a.Bias)
		b = append(b, `,"logitDifference":`...)
		b = appendFloat(b, a.LogitDifference)
	}
	b = append(b, `,"modelVersion":`...)
	b = appendText(b, version)
	return append(b, '}')
}

// appendTarget appends the sentiment towards a target.
func appendTarget(b []byte, t *model.TargetResult) []byte {
	b = append(b, `{"target":`...)
	b = appendText(b, t.Target)
	b = append(b, ',')
	b = appendPolarity(b, &t.Polarity)
	b = append(b, `,"mentioned":`...)
	b = strconv.AppendBool(b, t.Mentioned)
	b = append(b, ',')
	b = appendSpan(b, t.Span)
	b = append(b, `,"found":`...)
	b = strconv.AppendBool(b, t.Found)
	b = append(b, `,"opinions":[`...)
	for i, o := range t.Opinions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendSpan(b, o)
		b = append(b, '}')
	}
	return append(b, ']', '}')
}

// appendPolarity appends label, score and probabilities, without braces.
func appendPolarity(b []byte, p *model.Polarity) []byte {
	b = append(b, `"label":"`...)
	b = append(b, p.Label.String()...)
	b = append(b, `","score":`...)
	b = appendFloat(b, p.Score)
	b = append(b, `,"probabilities":{"negative":`...)
	b = appendFloat(b, p.Probabilities[model.Negative])
	b = append(b, `,"neutral":`...)
	b = appendFloat(b, p.Probabilities[model.Neutral])
	b = append(b, `,"positive":`...)
	b = appendFloat(b, p.Probabilities[model.Positive])
	return append(b, '}')
}

// appendSpan appends offsets, without braces.
func appendSpan(b []byte, s model.Span) []byte {
	b = append(b, `"startByte":`...)
	b = strconv.AppendInt(b, int64(s.StartByte), 10)
	b = append(b, `,"endByte":`...)
	b = strconv.AppendInt(b, int64(s.EndByte), 10)
	b = append(b, `,"startUtf16":`...)
	b = strconv.AppendInt(b, int64(s.StartUTF16), 10)
	b = append(b, `,"endUtf16":`...)
	return strconv.AppendInt(b, int64(s.EndUTF16), 10)
}

// appendFloat appends the shortest number that reads as exactly x.
func appendFloat(b []byte, x float64) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, x, 'g', -1, 64)
}

// appendFixed appends a probability with six decimals.
func appendFixed(b []byte, p float64) []byte {
	if !(p < 0.9999995) {
		return append(b, '1')
	}
	n := uint32(math.Round(max(p, 0) * 1e6))
	if n == 0 {
		return append(b, '0')
	}
	var digits [8]byte
	digits[0], digits[1] = '0', '.'
	for i := 7; i > 1; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[:]...)
}

const hexDigits = "0123456789abcdef"

// appendText appends a string of JSON; what is not UTF-8 becomes U+FFFD.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, s[from:i]...)
			b = append(b, '\\', c)
			i++
			from = i
		case c < 0x20:
			b = append(b, s[from:i]...)
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			i++
			from = i
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, s[from:i]...)
				b = append(b, "\ufffd"...)
				from = i + 1
			}
			i += n
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
