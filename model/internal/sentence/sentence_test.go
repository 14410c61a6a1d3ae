package sentence

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func split(text string) []string {
	var out []string
	for _, s := range Split(nil, text) {
		out = append(out, text[s.Start:s.End])
	}
	return out
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		// Stops and runs of them.
		{"nothing", "", nil},
		{"white space", " \t\r\n\u00a0\u3000", nil},
		{"no stop", "works as expected", []string{"works as expected"}},
		{"one stop", "Works as expected.", []string{"Works as expected."}},
		{"space around", "  Nice.  Very nice. ", []string{"Nice.", "Very nice."}},
		{"three stops", "Is it good? Yes! I like it.", []string{"Is it good?", "Yes!", "I like it."}},
		{"runs", "What?! No way!!! Ok.", []string{"What?!", "No way!!!", "Ok."}},
		{"lower case", "great phone. love it! buy it", []string{"great phone.", "love it!", "buy it"}},
		{"spaced stops", "Wow ! So nice ! !", []string{"Wow !", "So nice ! !"}},
		{"only stops", "?!?!", []string{"?!?!"}},
		{"double bang", "Stop‼️ Now", []string{"Stop‼️", "Now"}},
		{"missing space", "great phone.Love it!Buy now", []string{"great phone.", "Love it!", "Buy now"}},
		{"missing space before I", "it broke.I want a refund", []string{"it broke.", "I want a refund"}},
		{"name with a bang", "Tickets for P!nk and Wham!-fans", []string{"Tickets for P!nk and Wham!-fans"}},
		{"code", "if a != b it fails", []string{"if a != b it fails"}},
		{"comma behind", "chairs, tables, etc., all broken", []string{"chairs, tables, etc., all broken"}},
		{"line break tags", "Dull.<br /><br />The end helps.", []string{"Dull.", "<br /><br />The end helps."}},

		// Pauses.
		{"pause", "well... fine", []string{"well... fine"}},
		{"pause of two", "ok.. thanks", []string{"ok.. thanks"}},
		{"pause before I", "So... I went home", []string{"So... I went home"}},
		{"pause that ends", "I waited... Nothing came.", []string{"I waited...", "Nothing came."}},
		{"pause sign", "hm… maybe… No.", []string{"hm… maybe…", "No."}},
		{"pause without space", "wait...what", []string{"wait...what"}},
		{"pause with a question", "really...? ok", []string{"really...?", "ok"}},
		{"pause in brackets", "the plot [...] is thin", []string{"the plot [...] is thin"}},

		// Quotes and brackets.
		{"quote closes", `He said "Great!" Then he left.`, []string{`He said "Great!"`, "Then he left."}},
		{"quote goes on", `"Great!" he said.`, []string{`"Great!" he said.`}},
		{"quoted question", `"Why?" she asked. "Because."`, []string{`"Why?" she asked.`, `"Because."`}},
		{"typographic quotes", "“Never again.” That was it.", []string{"“Never again.”", "That was it."}},
		{"German quotes", "„Toll!“ Sagte keiner.", []string{"„Toll!“", "Sagte keiner."}},
		{"French quotes", "« Non ! » Elle part.", []string{"« Non !", "» Elle part."}},
		{"bracket", "It broke (again!). Sad.", []string{"It broke (again!).", "Sad."}},
		{"bracket within", "It broke (really!) on day one.", []string{"It broke (really!) on day one."}},
		{"sentence in brackets", "Good. (Mostly.) Bye.", []string{"Good.", "(Mostly.)", "Bye."}},
		{"quote starts", `Fine. "Love it" is too much.`, []string{"Fine.", `"Love it" is too much.`}},
		{"bold", "**Great!** Thanks.", []string{"**Great!**", "Thanks."}},

		// Lines.
		{"wrapped line", "the room was\nclean and quiet", []string{"the room was\nclean and quiet"}},
		{"new line", "Great room\nBad breakfast", []string{"Great room", "Bad breakfast"}},
		{"new line before a name", "we met in\nParis", []string{"we met in", "Paris"}},
		{"comma at the end of the line", "Great room,\nBad breakfast", []string{"Great room,\nBad breakfast"}},
		{"empty line", "great room\n\nbad food", []string{"great room", "bad food"}},
		{"empty line with spaces", "great room \r\n \t\r\nbad food", []string{"great room", "bad food"}},
		{"CRLF is one line end", "the room\r\nwas fine", []string{"the room\r\nwas fine"}},
		{"CR", "great room\rBad food", []string{"great room", "Bad food"}},
		{"line separator", "great room\u2028Bad food", []string{"great room", "Bad food"}},
		{"dashes", "Pros:\n- cheap\n- fast", []string{"Pros:", "- cheap", "- fast"}},
		{"stars", "* cheap\n* fast", []string{"* cheap", "* fast"}},
		{"points in a line", "• cheap • fast", []string{"• cheap", "• fast"}},
		{"numbers", "1. Cheap\n2. Fast\n10) light", []string{"1. Cheap", "2. Fast", "10) light"}},
		{"letters", "a) cheap\nb) fast", []string{"a) cheap", "b) fast"}},
		{"numbers after stops", "1. Cheap. 2. Fast.", []string{"1. Cheap.", "2. Fast."}},
		{"minus at a line's start", "the range is 5\n-5 is fine", []string{"the range is 5\n-5 is fine"}},
		{"emoji starts a line", "great room\n😀 and food", []string{"great room", "😀 and food"}},
		{"emoji ends a line", "great room 😀\nThe food too", []string{"great room 😀", "The food too"}},
		{"emoticon ends a line", "my room :(\nThe food too", []string{"my room :(", "The food too"}},
		{"Arabic lines", "الغرفة جميلة\nالطعام سيئ", []string{"الغرفة جميلة", "الطعام سيئ"}},

		// Abbreviations.
		{"titles", "Mr. Smith met Dr. Jones. They left.", []string{"Mr. Smith met Dr. Jones.", "They left."}},
		{"doctor at the end", "I saw the Dr. He was rude.", []string{"I saw the Dr.", "He was rude."}},
		{"title at a line's end", "Ask for Mr.\nSmith", []string{"Ask for Mr.\nSmith"}},
		{"for example", "Some, e.g. Tom, left.", []string{"Some, e.g. Tom, left."}},
		{"versus", "It was us vs. Them.", []string{"It was us vs. Them."}},
		{"et cetera within", "pens, paper, etc. for school", []string{"pens, paper, etc. for school"}},
		{"et cetera at the end", "Pens, paper, etc. All fine.", []string{"Pens, paper, etc.", "All fine."}},
		{"country within", "The U.S. Army came.", []string{"The U.S. Army came."}},
		{"country at the end", "I live in the U.S. It is big.", []string{"I live in the U.S.", "It is big."}},
		{"number sign", "See No. 5 on the list.", []string{"See No. 5 on the list."}},
		{"no as an answer", "Good? No. Never buy it.", []string{"Good?", "No.", "Never buy it."}},
		{"initials", "George W. Bush and J. K. Rowling met.", []string{"George W. Bush and J. K. Rowling met."}},
		{"I at the end", "So am I. We agree.", []string{"So am I.", "We agree."}},
		{"letter at the end", "it has vitamin C. My skin loves it.", []string{"it has vitamin C.", "My skin loves it."}},
		{"time", "At 5 p.m. we left. At 6 p.m. Bob came.", []string{"At 5 p.m. we left.", "At 6 p.m.", "Bob came."}},
		{"first", "We came 1st. They lost.", []string{"We came 1st.", "They lost."}},
		{"month", "On Jan. 5 it broke.", []string{"On Jan. 5 it broke."}},
		{"word that ends like one", "Un piano. 5 stars.", []string{"Un piano.", "5 stars."}},
		{"company", "Acme Inc. is fine. I like Acme Inc. They care.", []string{"Acme Inc. is fine.", "I like Acme Inc.", "They care."}},
		{"abbreviation at the end", "I like Acme Inc.", []string{"I like Acme Inc."}},

		// Dots in words.
		{"version", "Version 2.0 is out. Get 2.1.3 now.", []string{"Version 2.0 is out.", "Get 2.1.3 now."}},
		{"price", "It costs $4.99. Cheap.", []string{"It costs $4.99.", "Cheap."}},
		{"number at the end", "I give it a 5. Would buy again.", []string{"I give it a 5.", "Would buy again."}},
		{"link", "See https://a.example/b?c=d!e.F for more. Bye", []string{"See https://a.example/b?c=d!e.F for more.", "Bye"}},
		{"link at the end", "See www.example.com. Bye", []string{"See www.example.com.", "Bye"}},
		{"mail", "Write to jo.Doe@mail.example please", []string{"Write to jo.Doe@mail.example please"}},
		{"names of software", "I use node.js and .NET daily", []string{"I use node.js and .NET daily"}},

		// Emoji and emoticons.
		{"emoji after the stop", "Great! 😀 Next", []string{"Great! 😀", "Next"}},
		{"emoji without space", "Great!😀Next", []string{"Great!😀", "Next"}},
		{"several emoji", "Great. 😀 👍🏽👩‍💻 ❤️ Next", []string{"Great. 😀 👍🏽👩‍💻 ❤️", "Next"}},
		{"flag", "We won! 🇩🇪 Again", []string{"We won! 🇩🇪", "Again"}},
		{"emoji on the next line", "Great!\n😀 Next", []string{"Great!", "😀 Next"}},
		{"emoji within", "I ❤️ New York", []string{"I ❤️ New York"}},
		{"emoji after a pause", "well... 😅 fine", []string{"well... 😅", "fine"}},
		{"emoji between stops", "Yes! 😀! No", []string{"Yes! 😀!", "No"}},
		{"emoticons", "Great! :) Next. :'-( Then ^_^", []string{"Great! :)", "Next. :'-(", "Then ^_^"}},
		{"mirrored emoticon", "Great. (: Next", []string{"Great. (:", "Next"}},
		{"heart", "Thanks! <3 Bye", []string{"Thanks! <3", "Bye"}},
		{"bracket is no emoticon", "Great. (not) Bye", []string{"Great.", "(not) Bye"}},

		// Other scripts.
		{"Chinese", "很好。太好了！真的？是", []string{"很好。", "太好了！", "真的？", "是"}},
		{"Chinese quote goes on", "“太好了！”他说。再见。", []string{"“太好了！”他说。", "再见。"}},
		{"Japanese quotes", "「すごい！」「本当？」", []string{"「すごい！」", "「本当？」"}},
		{"Japanese quote goes on", "「すごい！」と言った。", []string{"「すごい！」と言った。"}},
		{"Chinese emoji", "很好。😀再见", []string{"很好。😀", "再见"}},
		{"Arabic", "هل هو جيد؟ نعم. شكرا!", []string{"هل هو جيد؟", "نعم.", "شكرا!"}},
		{"Urdu", "اچھا ہے۔ شکریہ۔", []string{"اچھا ہے۔", "شکریہ۔"}},
		{"Hindi", "यह अच्छा है। धन्यवाद॥ ठीक", []string{"यह अच्छा है।", "धन्यवाद॥", "ठीक"}},
		{"Spanish", "¿Es bueno? ¡Sí! Gracias.", []string{"¿Es bueno?", "¡Sí!", "Gracias."}},
		{"German", "Das kostet z.B. Geld. Und Dr. Braun zahlt.", []string{"Das kostet z.B. Geld.", "Und Dr. Braun zahlt."}},
		{"combining marks", "très bien. e\u0301te\u0301. Fin", []string{"très bien.", "e\u0301te\u0301.", "Fin"}},

		// Broken bytes.
		{"invalid", "\xff\xfe. Ok. \xe2\x82", []string{"\xff\xfe.", "Ok.", "\xe2\x82"}},
		{"NUL", "a\x00b. C", []string{"a\x00b.", "C"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, split(c.text))
			check(t, c.text)
		})
	}
}

func TestLongSentencesAreCut(t *testing.T) {
	word := strings.Repeat("x", 99)
	for _, c := range []struct {
		name, text string
		lengths    []int
	}{
		{"just fits", strings.Repeat("x", MaxBytes), []int{MaxBytes}},
		{"at white space", strings.Repeat(word+" ", 13), []int{599, 599, 99}},
		{"at the white space on the bound", strings.Repeat("x", MaxBytes) + " y", []int{MaxBytes, 1}},
		{"at much white space", strings.Repeat("x", 400) + strings.Repeat(" ", 300) + strings.Repeat("x", 400), []int{400, 400}},
		{"white space of three bytes", strings.Repeat("x", 599) + "\u3000" + "y", []int{599, 1}},
		{"none", strings.Repeat("x", 2*MaxBytes+1), []int{MaxBytes, MaxBytes, 1}},
		{"between characters", strings.Repeat("x", 598) + "€€", []int{598, 6}},
		{"emoji", strings.Repeat("x", 599) + "😀", []int{599, 4}},
		{"stops", strings.Repeat("!", 700), []int{MaxBytes, 100}},
		{"broken bytes", strings.Repeat("\x80", 700), []int{597, 103}},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, c.text)
			var lengths []int
			for _, s := range Split(nil, c.text) {
				lengths = append(lengths, s.End-s.Start)
			}
			require.Equal(t, c.lengths, lengths)
		})
	}
}

func TestSplitAppends(t *testing.T) {
	dst := Split(make([]Span, 0, 8), "One. Two.")
	require.Equal(t, []Span{{0, 4}, {5, 9}, {0, 6}}, Split(dst, "Three."))
}

func TestSplitDoesNotAllocate(t *testing.T) {
	text := strings.Repeat("Mr. J. Smith paid $4.99, e.g. for this. \"Great!\" 😀 he said... etc. See www.a.example. Fine :)\n- one\n", 20)
	dst := Split(nil, text)
	require.NotEmpty(t, dst)
	require.Zero(t, testing.AllocsPerRun(10, func() { dst = Split(dst[:0], text) }))
}

// check holds the spans of any text to what Split promises.
func check(t *testing.T, text string) {
	t.Helper()
	blank := func(from, to int) {
		for at := from; at < to; {
			r, size := utf8.DecodeRuneInString(text[at:to])
			require.True(t, unicode.IsSpace(r), "%q lies between sentences of %q", text[from:to], text)
			at += size
		}
	}
	last := 0
	for _, s := range Split(nil, text) {
		require.LessOrEqual(t, last, s.Start)
		require.Less(t, s.Start, s.End)
		require.LessOrEqual(t, s.End, len(text))
		require.LessOrEqual(t, s.End-s.Start, MaxBytes)
		blank(last, s.Start)
		last = s.End
		part := text[s.Start:s.End]
		if utf8.ValidString(text) {
			require.True(t, utf8.ValidString(part), "%q cuts a character", part)
		}
		r, _ := utf8.DecodeRuneInString(part)
		require.False(t, unicode.IsSpace(r), "%q starts with white space", part)
		r, _ = utf8.DecodeLastRuneInString(part)
		require.False(t, unicode.IsSpace(r), "%q ends with white space", part)
	}
	blank(last, len(text))
}

func FuzzSplit(f *testing.F) {
	for _, text := range []string{
		"Mr. J. Smith paid $4.99... etc. \"Great!\" 😀 he said :) (No. 5) U.S. Army\r\n\r\n- one\n2) two • three",
		"很好。「すごい！」と言った؟ यह।॥ ‼️ 👩\u200d💻 e\u0301 \u2028 \u00a0 <br />", "\xff\x80. \xe2\x82\xed\xa0\x80!",
		strings.Repeat("x", 598) + "€€", strings.Repeat("a. ", 300), "www.a@b://c.d.e", "1. 1) a) 12. (3) - ",
	} {
		f.Add(text)
	}
	f.Fuzz(check)
}
