package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/train/compose"
)

const noLabel = -1

// item is a training text with the labels that its set gives.
type item struct {
	text   string
	units  []unit // of English texts, see vocabulary
	lang   string
	source int8 // model.Kind
	weight float32
	class  int8 // or noLabel
	binary bool // says nothing about neutral
	soft   *[3]float32
	stars  int8 // 0 to 4, or noLabel
	four   int8 // of TweetEval's emotions, or noLabel
	emoji  int8
	mixed  int8 // 0, 1, or noLabel
	many   uint32
	hasAll bool // many is set
	long   bool // train on windows of it
	deep   bool // for the network alone
	made   bool // not a natural text: nothing is calibrated on it
	held   bool // to be calibrated on, whatever its hash
	phrase bool // of a parsed sentence: trained on unless held
}

// plain is an item without labels.
var plain = item{class: noLabel, stars: noLabel, four: noLabel, emoji: noLabel, mixed: noLabel, source: -1, weight: 1, lang: "en"}

// corpus is all that is trained on.
type corpus struct {
	english, others []item
	languages       []labelled // for the identifier
	dropped         int
}

// labelled is a text and its language.
type labelled struct{ text, lang string }

var trainedOn = []string{
	"sst5_train_phrases", "tweeteval_sentiment_train", "tse_train", "imdb_train", "customer_reviews_cr",
	"aspect_semeval14_laptops_train", "aspect_semeval14_restaurants_train", "aspect_mams_train",
	"aspect_twitter_acl14_train", "goemotions_train", "sentiment140_100k_distant", "tweeteval_emotion_train",
	"tweeteval_emoji_train", "multilingual_umsab_train", "multilingual_nusax_train",
	"udhr (language identification only)", "rows composed by model/train/compose",
}

// tags are the BCP 47 codes of the languages that the sets name.
var tags = map[string]string{
	"arabic": "ar", "english": "en", "french": "fr", "german": "de", "hindi": "hi-Latn", "italian": "it",
	"portuguese": "pt", "spanish": "es", "acehnese": "ace", "balinese": "ban", "banjarese": "bjn",
	"buginese": "bug", "indonesian": "id", "javanese": "jv", "madurese": "mad", "minangkabau": "min",
	"ngaju": "nij", "sundanese": "su", "toba_batak": "bbc", "toba batak": "bbc",
}

// What counts is to find each class, not to bet on the commonest one: these even
// out the classes of tweeteval (15, 45 and 40 of 100) and goemotions in part.
var (
	tweetWeight   = [3]float32{1.8, 0.8, 0.95}
	commentWeight = [3]float32{1.5, 1.2, 1}
)

const (
	composedRows   = 12 * compose.DefaultRows
	composedWeight = 0.65
	emotionRepeats = 3 // the smallest set, and the only one of its kind
)

// load reads the sets of dir; of every n rows it takes one. No row has a text of
// the minimal pairs.
func load(dir, pairs string, n int) (*corpus, error) {
	guard, err := dataset.NewGuard(dir)
	if err != nil {
		return nil, err
	}
	exam, err := readExam(pairs)
	if err != nil {
		return nil, err
	}
	l := &loader{dir: dir, reduce: n, guard: guard, exam: exam, c: &corpus{}}
	for _, f := range []func() error{l.reviews, l.tweets, l.comments, l.aspects, l.languages} {
		if err := f(); err != nil {
			return nil, err
		}
	}
	l.emoji()
	l.irony()
	l.degrees()
	l.composed()
	return l.c, nil
}

type loader struct {
	dir    string
	reduce int
	guard  *dataset.Guard
	exam   map[string][]string
	c      *corpus
}

// readExam gives the keys of the texts of the minimal pairs, by their first
// letters.
func readExam(path string) (map[string][]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys := map[string][]string{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("%s: a line of %d columns, want 6", path, len(f))
		}
		for _, text := range []string{f[2], f[4]} {
			if k := dataset.Key(text); len(k) >= examKey {
				keys[k[:examKey]] = append(keys[k[:examKey]], k)
			}
		}
	}
	return keys, nil
}

// rows calls f with the rows of a set that may be trained on.
func (l *loader) rows(set, extra string, f func(r dataset.Row)) error {
	rows, err := dataset.Read(l.dir, set, extra)
	if err != nil {
		return err
	}
	for i, r := range rows {
		switch {
		case i%l.reduce != 0:
		case !l.guard.Allows(set, r.Text):
			l.c.dropped++
		default:
			f(r)
		}
	}
	return nil
}

func (l *loader) add(it item) {
	if l.inExam(&it) {
		l.c.dropped++
		return
	}
	l.c.english = append(l.c.english, it)
}

// examKey is how long the key of a text is at least for a row to count as a copy
// of it: shorter ones ("bad", "great") are words that any text may have.
const examKey = 10

// inExam reports whether a row is a text of the minimal pairs or, if it was made
// up, has one within it.
func (l *loader) inExam(it *item) bool {
	key := dataset.Key(it.text)
	for at := 0; at+examKey <= len(key); at++ {
		for _, e := range l.exam[key[at:at+examKey]] {
			if key == e || it.made && strings.HasPrefix(key[at:], e) {
				return true
			}
		}
	}
	return false
}

// row starts an item of a row, with its polarity if the label is one.
func row(r dataset.Row, source model.Kind) item {
	it := plain
	it.text, it.source = r.Text, int8(source)
	if k, ok := dataset.Polarity(r.Label); ok {
		it.class = int8(k)
	}
	return it
}

func (l *loader) reviews() error {
	held, err := l.heldPhrases()
	if err != nil {
		return err
	}
	if err := l.rows("sst5_train_phrases", "kind", func(r dataset.Row) {
		it := row(r, model.Review)
		it.weight, it.stars = phraseWeight(r), int8(r.Label[0]-'0')
		it.phrase, it.held = true, held[r.Text]
		l.add(it)
		if !it.held {
			l.emphasis(r.Text, it.stars)
		}
		l.english(r.Text)
	}); err != nil {
		return err
	}
	if err := l.rows("imdb_train", "stars", func(r dataset.Row) {
		it := row(r, model.Review)
		it.binary, it.long, it.weight = true, true, 0.6
		if s, ok := imdbStars[r.Extra]; ok {
			it.stars = s
		}
		l.add(it)
	}); err != nil {
		return err
	}
	return l.rows("customer_reviews_cr", "", func(r dataset.Row) {
		it := row(r, model.Review)
		it.binary = true
		l.add(it)
		l.english(r.Text)
	})
}

// heldPhrases are the sentences to calibrate on and all phrases of two words or
// more within them: a phrase in training says how the sentence around it feels, so
// on a sentence alone the answers would look surer than they are.
func (l *loader) heldPhrases() (map[string]bool, error) {
	held := map[string]bool{}
	err := l.rows("sst5_train_phrases", "kind", func(r dataset.Row) {
		if r.Extra != "sentence" || !toCalibrate(r.Text) {
			return
		}
		words := strings.Fields(r.Text)
		for i := range words {
			for j := i + 2; j <= len(words); j++ {
				held[strings.Join(words[i:j], " ")] = true
			}
		}
	})
	return held, err
}

// How sure a reader is of a phrase, as it stands and with emphasis: shouted,
// drawn out, or with marks behind it. By distance from neutral.
var (
	calm     = [3][3]float32{1: {0.06, 0.28, 0.66}, 2: {0.04, 0.16, 0.80}}
	emphatic = [3][3]float32{1: {0.02, 0.10, 0.88}, 2: {0.005, 0.01, 0.985}}
)

const (
	emphasisWords  = 7
	emphasisWeight = 0.4
)

// emphasis adds short phrases as they are and with emphasis. A class alone would
// not teach that emphasis makes more of what is there, and the sets mix it with
// other things.
func (l *loader) emphasis(text string, stars int8) {
	h := hash(text + "!")
	words := strings.Fields(text)
	if stars == 2 || len(words) > emphasisWords || h%2 != 0 {
		return
	}
	k := max(stars-2, 2-stars)
	add := func(text string, p [3]float32) {
		if stars < 2 {
			p[0], p[2] = p[2], p[0]
		}
		it := plain
		it.text, it.soft, it.weight, it.made = text, &p, emphasisWeight, true
		l.add(it)
	}
	add(text+[]string{"", ".", ""}[h/2%3], calm[k])
	marks := []string{"!!!", "!!", "!!!!", "", ""}[h/8%5]
	longest := 0
	for i, w := range words {
		if len(w) >= len(words[longest]) {
			longest = i
		}
	}
	words[longest] = drawOut(words[longest], 2+int(h/64%3))
	add(strings.Join(words, " ")+marks, emphatic[k])
	switch h / 512 % 4 {
	case 0:
		add(text+"!!!", emphatic[k])
	case 1:
		add(strings.ToUpper(text)+marks, emphatic[k])
	case 2: // one word
		words = strings.Fields(text)
		words[longest] = strings.ToUpper(words[longest])
		add(strings.Join(words, " ")+marks, emphatic[k])
	case 3: // word for word
		add(strings.ToUpper(strings.ReplaceAll(text, " ", ". "))+".", emphatic[k])
	}
}

// drawOut repeats the last vowel of a word, or its last letter, n times more.
func drawOut(w string, n int) string {
	at := strings.LastIndexAny(w[:max(len(w)-1, 0)], "aeiou")
	if at < 0 || n%2 == 1 && w[len(w)-1] >= 'a' && w[len(w)-1] <= 'z' {
		at = len(w) - 1
	}
	return w[:at] + strings.Repeat(w[at:at+1], n) + w[at:]
}

// imdbStars maps ten stars to five; 5 and 6 do not occur.
var imdbStars = map[string]int8{"1": 0, "2": 0, "3": 1, "4": 1, "7": 3, "8": 3, "9": 4, "10": 4}

// phraseWeight weighs the fragments of a parsed sentence down: half of them are
// neutral, which would teach the model that most texts are.
func phraseWeight(r dataset.Row) float32 {
	switch {
	case r.Extra == "sentence":
		return 1
	case r.Label == "2" && !strings.Contains(r.Text, " "):
		return 0.1
	}
	return 0.3
}

func (l *loader) tweets() error {
	if err := l.rows("tweeteval_sentiment_train", "", func(r dataset.Row) {
		it := row(r, model.Tweet)
		it.weight = tweetWeight[it.class]
		l.add(it)
		l.english(r.Text)
	}); err != nil {
		return err
	}
	if err := l.rows("tse_train", "", func(r dataset.Row) {
		l.add(row(r, model.Tweet))
		l.english(r.Text)
	}); err != nil {
		return err
	}
	if err := l.rows("sentiment140_100k_distant", "", func(r dataset.Row) {
		it := row(r, model.Tweet)
		it.binary, it.weight = true, 0.25
		l.add(it)
		l.english(r.Text)
	}); err != nil {
		return err
	}
	if err := l.rows("tweeteval_emotion_train", "", func(r dataset.Row) {
		it := row(r, model.Tweet)
		it.binary, it.four = true, int8(slices.Index(dataset.Moods, r.Label))
		for range emotionRepeats {
			l.add(it)
		}
	}); err != nil {
		return err
	}
	id := map[string]int8{}
	return l.rows("tweeteval_emoji_train", "", func(r dataset.Row) {
		it := row(dataset.Row{Text: r.Text}, model.Tweet)
		k, ok := id[r.Label]
		if !ok {
			k = int8(len(id))
			id[r.Label] = k
		}
		if k < emojis {
			it.emoji, it.deep = k, true
			l.add(it)
		}
	})
}

func (l *loader) comments() error {
	var unknown error
	err := l.rows("goemotions_train", "emotions", func(r dataset.Row) {
		it := row(r, model.Comment)
		it.mixed, it.hasAll = 0, true
		if it.class != noLabel {
			it.weight = commentWeight[it.class]
		}
		if r.Label == "mixed" {
			it.mixed = 1
		}
		for name := range strings.SplitSeq(r.Extra, ",") {
			k := slices.Index(dataset.Emotions, name)
			if k < 0 {
				unknown = fmt.Errorf("goemotions_train: unknown emotion %q", name)
				return
			}
			it.many |= 1 << k
		}
		l.add(it)
		l.english(r.Text)
	})
	if err == nil {
		err = unknown
	}
	return err
}

// aspects adds whether the sentences of the aspect sets are mixed. Their polarity
// is left out: what is learned towards targets relies on what the document says of
// texts that it was not trained on.
func (l *loader) aspects() error {
	for _, set := range []string{"aspect_semeval14_laptops_train", "aspect_semeval14_restaurants_train", "aspect_mams_train"} {
		var order []string
		seen := map[string]uint8{}
		if err := l.rows(set, "", func(r dataset.Row) {
			if k, ok := dataset.Polarity(r.Label); ok {
				if seen[r.Text] == 0 {
					order = append(order, r.Text)
				}
				seen[r.Text] |= 1 << k
			}
		}); err != nil {
			return err
		}
		const both = 1<<dataset.Negative | 1<<dataset.Positive
		for _, text := range order {
			it := row(dataset.Row{Text: text}, model.Review)
			it.mixed = 0
			if seen[text]&both == both {
				it.mixed = 1
			}
			l.add(it)
		}
	}
	return nil
}

// languages adds the multilingual sets. UMSAB's English rows are left out: only
// negative ones are left of them without the validation tweets of other sets.
func (l *loader) languages() error {
	for _, set := range []string{"multilingual_umsab_train", "multilingual_nusax_train"} {
		source := model.Tweet
		if strings.Contains(set, "nusax") {
			source = model.Review
		}
		if err := l.rows(set, "lang", func(r dataset.Row) {
			it := row(r, source)
			it.lang = tags[r.Extra]
			if it.lang == "" || it.class == noLabel {
				return
			}
			l.c.languages = append(l.c.languages, labelled{r.Text, it.lang})
			switch {
			case it.lang != "en":
				l.c.others = append(l.c.others, it)
			case source == model.Review:
				l.add(it)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// english gives the identifier a quarter of the English texts, by their hash.
func (l *loader) english(text string) {
	if hash(text)%4 == 0 {
		l.c.languages = append(l.c.languages, labelled{text, "en"})
	}
}

// The sets have few texts of emoji alone, and feelings in emoji need no sample to
// be known: these are read as written here.
const (
	gladEmoji  = "😀 😃 😄 😁 😆 😊 🙂 😍 🥰 😘 🤩 😎 🥳 😇 🤗 😋 👍 👏 🥇 📈 🙌 🙏 💪 👌 💯 🔥 🎉 🎊 ✨ ⭐ 🌟 🏆 ❤ 🧡 💛 💚 💙 💜 💕 💖 💗 💓 💞 💝 ♥ ☺ 😻 🌹 ✅ 😌 :) (: :d <3 ;) ^_^"
	sadEmoji   = "😞 😓 😑 📉 😔 😟 😕 🙁 ☹ 😣 😖 😫 😩 😢 😭 😤 😠 😡 🤬 😨 😰 😱 😒 🙄 👎 💔 🤮 🤢 😷 🤕 🤒 😾 🖕 💩 😿 🥺 😴 🤦 :( ): :'( </3 :/ -_- >:("
	plainEmoji = "😐 😶 🤔 📷 📸 📅 📍 🚗 ✈ 🏠 📱 💻 ⏰ 📈 🗓 👀 ➡ ▶ ℹ 🔗"
)

// Praise before a face that takes it back is meant the other way.
var (
	takenBack = strings.Fields("🙄 😒 😑 🤦 👎 😤")
	praise    = []string{"nice one", "Just perfect.", "love that", "Fantastic.", "Brilliant", "well done", "thanks a lot", "How lovely", "good job", "super.", "what a surprise"}
)

// emojiRepeats makes the steps of these few rows reach far enough.
const emojiRepeats = 8

var emojiFrames = []string{"%", "%%", "% % %", "today %", "the meeting is at 5 %", "on my way home %", "they called me back %"}

func (l *loader) emoji() {
	for class, list := range [3]string{dataset.Negative: sadEmoji, dataset.Neutral: plainEmoji, dataset.Positive: gladEmoji} {
		for _, e := range strings.Fields(list) {
			for n := range emojiRepeats {
				for k, frame := range emojiFrames {
					it := plain
					it.text, it.class, it.made = strings.ReplaceAll(frame, "%", e), int8(class), true
					l.add(it)
					if n < 3 && k < 3 {
						l.c.others = append(l.c.others, it, it, it)
					}
				}
			}
		}
	}
}

func (l *loader) irony() {
	for _, e := range takenBack {
		for _, p := range praise {
			it := plain
			it.text, it.class, it.made = p+" "+e, dataset.Negative, true
			for range 4 {
				l.add(it)
			}
			it.text, it.class = p+" "+strings.Fields(gladEmoji)[int(hash(p+e)%20)], dataset.Positive
			l.add(it)
		}
	}
}

// The degrees: how sure a reader is of a word that is weighed up, or down.
var (
	praiseWords = strings.Fields("good nice helpful comfortable friendly tasty useful fast clean interesting pleased happy satisfied fun reliable quiet fresh easy")
	blameWords  = strings.Fields("bad slow rude dirty boring noisy expensive disappointed annoyed unhappy tired late uncomfortable confusing ugly sad worried bland")
	strong      = []string{"very %", "really %", "extremely %", "so %", "incredibly %", "deeply %", "absolutely, totally %", "by far the most % of all", "% beyond words", "truly %"}
	mild        = []string{"fairly %", "a little %", "slightly %", "kind of %", "somewhat %", "just about %", "okay, I guess: %", "more or less %", "reasonably %", "a bit %"}
	degreeFrame = []string{"The soup was %.", "I am %", "it's %", "my room is %.", "The staff were %", "This one is %.", "We were %.", "the trip was % today", "She seems %."}
)

var (
	strongly = [3]float32{0.01, 0.04, 0.95}
	mildly   = [3]float32{0.08, 0.32, 0.60}
)

func (l *loader) degrees() {
	add := func(words, forms []string, p [3]float32) {
		for _, w := range words {
			for _, form := range forms {
				h := hash(w + form)
				for k := range 3 {
					it := plain
					frame := degreeFrame[(int(h%97)+4*k)%len(degreeFrame)]
					it.text = strings.ReplaceAll(frame, "%", strings.ReplaceAll(form, "%", w))
					it.soft, it.made = &p, true
					l.add(it)
				}
			}
		}
	}
	flip := func(p [3]float32) [3]float32 { return [3]float32{p[2], p[1], p[0]} }
	add(praiseWords, strong, strongly)
	add(praiseWords, mild, mildly)
	add(blameWords, strong, flip(strongly))
	add(blameWords, mild, flip(mildly))
}

func (l *loader) composed() {
	for i, r := range compose.Rows(1, composedRows) {
		if i%l.reduce != 0 {
			continue
		}
		it := plain
		it.text, it.class, it.weight, it.made = r.Text, r.Class, composedWeight*r.Weight, true
		it.mixed = 0
		if i%4 == 0 {
			it.source = int8(model.SourceKind(r.Source))
		}
		if r.Mixed {
			it.mixed = 1
		}
		l.add(it)
		switch {
		case r.Mixed || i%5 != 0:
		case it.class == dataset.Neutral: // a face decides what a plain text is meant to say
			h := hash(r.Text)
			faces, class := strings.Fields(gladEmoji), int8(dataset.Positive)
			if h%2 == 0 {
				faces, class = strings.Fields(sadEmoji), dataset.Negative
			}
			it.text, it.class = r.Text+" "+faces[h/2%uint32(len(faces))], class
			l.add(it)
		default:
			l.emphasis(r.Text, 2*it.class)
		}
	}
}

// calibrationShare is one in how many texts is kept out of training, to fit on
// it what the answers are weighed and cut by.
const calibrationShare = 20

func toCalibrate(text string) bool { return hash(text)%calibrationShare == 7 }

// split sets the calibration texts apart, by their hash: copies go together.
func split(all []item) (fit, calibration []item) {
	for _, it := range all {
		if it.held || !it.made && !it.phrase && toCalibrate(it.text) {
			calibration = append(calibration, it)
		} else {
			fit = append(fit, it)
		}
	}
	return fit, calibration
}

func hash(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}

// withClass are the items that teach polarity to the linear models.
func withClass(all []item) []item {
	var out []item
	for _, it := range all {
		if (it.class != noLabel || it.soft != nil) && !it.deep {
			out = append(out, it)
		}
	}
	return out
}
