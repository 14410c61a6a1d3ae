package model

import (
	"math"
	"sort"
	"unicode"

	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// undetermined is BCP 47's tag for "the language is not known".
const undetermined = "und"

const (
	// gateFeatures bounds the letter n-grams that the language is told from: the
	// first 150 to 200 bytes. More adds cost and next to no certainty.
	gateFeatures = 512
	rowFeatures  = 256
	// gateOpen is the log-odds from which a text counts as English without
	// asking the larger table. Most texts end here.
	gateOpen = 1.0
	// languageBar is the probability below which the answer is "und".
	languageBar = 0.5
	// hintLogit is what a caller's hint is worth.
	hintLogit = 3.0
)

// identifier tells languages apart: by script where the script decides, by
// letter n-grams among those written in Latin letters.
type identifier struct {
	gate      []int8
	gateShift uint
	gateScale float64
	gateBias  float64

	rows      []uint64 // see packRows
	words     int      // of one row
	shift     uint
	scale     float64
	codes     []string
	supported []bool
	bias      []float64
	english   int
}

// verdict is what identify found.
type verdict struct {
	code      string
	supported bool
	english   bool // score with the English table
	letters   bool // the text has letters at all
	byHint    bool // the tag is the caller's
}

func newIdentifier(l *modelfile.Language) identifier {
	id := identifier{
		gate: l.Gate, gateShift: 64 - uint(l.GateBits), gateScale: l.GateScale, gateBias: l.GateBias,
		rows: packRows(l.Rows, len(l.Codes)), words: rowWords(len(l.Codes)), shift: 64 - uint(l.Bits), scale: l.Scale,
		codes: l.Codes, supported: l.Supported, bias: l.Bias, english: -1,
	}
	for i, c := range l.Codes {
		if c == "en" {
			id.english = i
		}
	}
	return id
}

func (id *identifier) supportedCodes() []string {
	var out []string
	for i, c := range id.codes {
		if id.supported[i] {
			out = append(out, c)
		}
	}
	if id.hasCode("ar") < 0 {
		out = append(out, "ar") // told by its script alone
	}
	sort.Strings(out)
	return out
}

func (id *identifier) hasCode(code string) int {
	for i, c := range id.codes {
		if c == code {
			return i
		}
	}
	return -1
}

// identify looks at the first block of a text. chars are the block's letter
// n-grams.
func (id *identifier) identify(hint string, b *feature.Block, chars []uint64) verdict {
	script, letters := dominantScript(b)
	if letters == 0 {
		return verdict{code: undetermined, english: true}
	}
	if script != scriptLatin {
		code := codeOfScript(script, b)
		return verdict{code: code, supported: code == "ar", letters: true}
	}
	return id.latin(hint, chars)
}

func (id *identifier) latin(hint string, chars []uint64) verdict {
	hinted := id.class(hint)
	g := id.gateLogit(chars)
	if hinted >= 0 {
		if hinted == id.english {
			g += hintLogit
		} else {
			g -= hintLogit
		}
	}
	if g >= gateOpen {
		return verdict{code: "en", supported: true, english: true, letters: true}
	}
	best, p := id.classify(chars, hinted)
	v := verdict{code: id.codes[best], supported: id.supported[best], english: best == id.english, letters: true}
	if p >= languageBar {
		return v
	}
	// The text leaves it open, so the caller's word decides, if there is one.
	if hinted >= 0 {
		return verdict{code: id.codes[hinted], supported: id.supported[hinted], english: hinted == id.english, letters: true}
	}
	return verdict{code: undetermined, english: g > -gateOpen, letters: true, byHint: primary(hint) != ""}
}

// tag is the language to report. It is the caller's own tag when that decided.
func (id *identifier) tag(hint string, v verdict) string {
	switch {
	case v.byHint:
		return primary(hint)
	case v.code == "":
		return undetermined
	}
	return v.code
}

// gateLogit is the log-odds of English.
func (id *identifier) gateLogit(chars []uint64) float64 {
	if len(chars) > gateFeatures {
		chars = chars[:gateFeatures]
	}
	if len(chars) == 0 {
		return id.gateBias
	}
	var sum int32
	for _, h := range chars {
		sum += int32(id.gate[h>>id.gateShift])
	}
	x := float64(float64(sum) * id.gateScale)
	return x/math.Sqrt(float64(len(chars))) + id.gateBias
}

// classify returns the likeliest class and its probability.
func (id *identifier) classify(chars []uint64, hinted int) (best int, p float64) {
	if len(chars) > rowFeatures {
		chars = chars[:rowFeatures]
	}
	const maxClasses = modelfile.MaxClasses
	var acc [maxClasses / lanes]uint64
	k := len(id.codes)
	for _, h := range chars {
		at := int(h>>id.shift) * id.words
		row := id.rows[at : at+id.words]
		for i, w := range row {
			acc[i&(len(acc)-1)] += w
		}
	}
	unbias := int32(len(chars)) * rowBias
	var logit [maxClasses]float64
	norm := id.scale / math.Sqrt(float64(max(len(chars), 1)))
	top := math.Inf(-1)
	for i := range k {
		sum := int32(acc[i/lanes]>>(16*(i%lanes))&0xffff) - unbias
		logit[i] = float64(float64(sum)*norm) + id.bias[i]
		if i == hinted {
			logit[i] += hintLogit
		}
		if logit[i] > top {
			best, top = i, logit[i]
		}
	}
	sum := 0.0
	for i := range k {
		sum += vec.Exp64(logit[i] - top)
	}
	return best, 1 / sum
}

const (
	lanes   = 4 // classes in one word of a row
	rowBias = 128
)

func rowWords(classes int) int { return (classes + lanes - 1) / lanes }

// packRows puts four classes into each 64-bit word, so that one addition serves
// four. A lane holds weight+128 in 16 bits: rowFeatures of at most 255 fit.
func packRows(rows []int8, classes int) []uint64 {
	words := rowWords(classes)
	out := make([]uint64, len(rows)/classes*words)
	for i, w := range rows {
		row, c := i/classes, i%classes
		out[row*words+c/lanes] |= uint64(int(w)+rowBias) << (16 * (c % lanes))
	}
	return out
}

// class finds the class of a hint, -1 for none. Hindi in Latin letters is a
// class of its own, which the plain hint "hi" means here.
func (id *identifier) class(hint string) int {
	p := primary(hint)
	if p == "" {
		return -1
	}
	for i, c := range id.codes {
		if primary(c) == p {
			return i
		}
	}
	return -1
}

// primary is the language subtag of a tag, "" when it is not two or three
// lower-case letters. It is a part of tag, so it costs no memory.
func primary(tag string) string {
	n := 0
	for n < len(tag) && tag[n] != '-' && tag[n] != '_' {
		if tag[n] < 'a' || tag[n] > 'z' {
			return ""
		}
		n++
	}
	if n < 2 || n > 3 || tag[:n] == undetermined {
		return ""
	}
	return tag[:n]
}

type script uint8

const (
	scriptLatin script = iota
	scriptArabic
	scriptDevanagari
	scriptCyrillic
	scriptHan
	scriptKana
	scriptHangul
	scriptGreek
	scriptHebrew
	scriptThai
	scriptOther
	scripts
)

// dominantScript counts the letters of the block per script.
func dominantScript(b *feature.Block) (best script, letters int) {
	var count [scripts]int
	for i := range b.N {
		if b.Tokens[i].Kind != feature.Word {
			continue
		}
		for _, r := range b.Runes(i) {
			if r < 0x250 {
				if r >= 'a' {
					count[scriptLatin]++
				}
				continue
			}
			count[scriptOf(r)]++
		}
	}
	// A few kana settle it for Japanese, however much Han there is.
	if count[scriptKana] > 0 {
		count[scriptKana] += count[scriptHan]
		count[scriptHan] = 0
	}
	for s, n := range count {
		letters += n
		if n > count[best] {
			best = script(s)
		}
	}
	return best, letters
}

func scriptOf(r rune) script {
	switch {
	case r < 0x370:
		return scriptLatin // and combining marks
	case r < 0x400:
		return scriptGreek
	case r < 0x530:
		return scriptCyrillic
	case r >= 0x590 && r < 0x600:
		return scriptHebrew
	case r >= 0x600 && r < 0x780, r >= 0xfb50 && r < 0xfe00, r >= 0xfe70 && r < 0xff00:
		return scriptArabic
	case r >= 0x900 && r < 0x980:
		return scriptDevanagari
	case r >= 0xe00 && r < 0xe80:
		return scriptThai
	case r >= 0x1e00 && r < 0x1f00:
		return scriptLatin
	case r >= 0x1f00 && r < 0x2000:
		return scriptGreek
	case r >= 0x3040 && r < 0x3100:
		return scriptKana
	case r >= 0xac00 && r < 0xd7b0, r >= 0x1100 && r < 0x1200:
		return scriptHangul
	case r >= 0x4e00 && r < 0xa000, r >= 0x3400 && r < 0x4dc0, unicode.Is(unicode.Han, r):
		return scriptHan
	}
	return scriptOther
}

// codeOfScript names the language that a script stands for. Scripts of several
// languages are settled by letters that only one of them has, else "und".
func codeOfScript(s script, b *feature.Block) string {
	switch s {
	case scriptArabic:
		switch {
		case has(b, 2, "ٹڈڑںے"):
			return "ur"
		case has(b, 2, "پچژگکی"):
			return "fa"
		}
		return "ar"
	case scriptDevanagari:
		return "hi"
	case scriptCyrillic:
		switch {
		case has(b, 1, "іїєґ"):
			return "uk"
		case has(b, 1, "ыэё"):
			return "ru"
		}
	case scriptHan:
		return "zh"
	case scriptKana:
		return "ja"
	case scriptHangul:
		return "ko"
	case scriptGreek:
		return "el"
	case scriptHebrew:
		return "he"
	case scriptThai:
		return "th"
	}
	return undetermined
}

// has reports whether at least n runes of the block are in set.
func has(b *feature.Block, n int, set string) bool {
	for i := range b.N {
		for _, r := range b.Runes(i) {
			for _, s := range set {
				if r == s {
					n--
					break
				}
			}
			if n <= 0 {
				return true
			}
		}
	}
	return false
}
