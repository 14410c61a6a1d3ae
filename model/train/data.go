package main

import (
	"strings"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

// example is one training row.
type example struct {
	text   string
	class  int8
	binary bool // labels of two classes: say nothing about neutral
	source model.Kind
	weight float32
	lang   string
	long   bool // also train on windows of it
}

type corpus struct {
	english, others []example
	languages       []example // text and lang only, for the identifier
	dropped         int
}

var trainedOn = []string{
	"sst5_train_phrases", "tweeteval_sentiment_train", "tse_train", "imdb_train", "customer_reviews_cr",
	"aspect_semeval14_laptops_train", "aspect_semeval14_restaurants_train", "goemotions_train",
	"sentiment140_100k_distant", "tweeteval_emotion_train", "multilingual_umsab_train", "multilingual_nusax_train",
	"udhr (language identification only)",
}

// tags are the BCP 47 codes of the languages that the sets name.
var tags = map[string]string{
	"arabic": "ar", "english": "en", "french": "fr", "german": "de", "hindi": "hi-Latn", "italian": "it",
	"portuguese": "pt", "spanish": "es", "acehnese": "ace", "balinese": "ban", "banjarese": "bjn",
	"buginese": "bug", "indonesian": "id", "javanese": "jv", "madurese": "mad", "minangkabau": "min",
	"ngaju": "nij", "sundanese": "su", "toba_batak": "bbc", "toba batak": "bbc",
}

// spec says how a file becomes training rows.
type spec struct {
	file, extra string
	source      model.Kind
	weight      float32
	binary      bool
	long        bool
	language    bool // use it to teach the identifier English
}

var specs = []spec{
	{"sst5_train_phrases", "kind", model.Review, 1, false, false, true},
	{"tweeteval_sentiment_train", "", model.Tweet, 1, false, false, true},
	{"tse_train", "", model.Tweet, 1, false, false, true},
	{"imdb_train", "", model.Review, 1, false, true, false},
	{"customer_reviews_cr", "", model.Review, 1, true, false, true},
	{"goemotions_train", "", model.Comment, 1, false, false, true},
	{"sentiment140_100k_distant", "", model.Tweet, 0.25, true, false, true},
	{"tweeteval_emotion_train", "", model.Tweet, 1, true, false, false},
}

func load(dir string, reduce int) (*corpus, error) {
	c := &corpus{}
	banned := map[string]bool{}
	for _, name := range dataset.ValidationNames {
		rows, err := dataset.Read(dir, name, "")
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			// Keys under 8 letters ("thanks") are phrases, not copies of a text.
			if k := dataset.Key(r.Text); len(k) >= 8 {
				banned[k] = true
			}
		}
	}
	keep := func(text string) bool {
		if banned[dataset.Key(text)] {
			c.dropped++
			return false
		}
		return true
	}
	for _, sp := range specs {
		rows, err := dataset.Read(dir, sp.file, sp.extra)
		if err != nil {
			return nil, err
		}
		for i, r := range rows {
			class, ok := dataset.Polarity(r.Label)
			if !ok || i%reduce != 0 || !keep(r.Text) || (sp.long && dataset.HeldOut(r.Text)) {
				continue
			}
			e := example{text: r.Text, class: int8(class), binary: sp.binary, source: sp.source,
				weight: sp.weight, long: sp.long, lang: "en"}
			if sp.file == "sst5_train_phrases" {
				e.weight = phraseWeight(r)
			}
			switch sp.file {
			case "tweeteval_sentiment_train":
				e.weight *= tweetClassWeight[class]
			case "goemotions_train":
				e.weight *= commentClassWeight[class]
			}
			c.english = append(c.english, e)
			if sp.language && i%4 == 0 {
				c.languages = append(c.languages, example{text: r.Text, lang: "en"})
			}
		}
	}
	c.emoji()
	if err := c.aspects(dir, reduce, keep); err != nil {
		return nil, err
	}
	for _, file := range []string{"multilingual_umsab_train", "multilingual_nusax_train"} {
		rows, err := dataset.Read(dir, file, "lang")
		if err != nil {
			return nil, err
		}
		source := model.Tweet
		if strings.Contains(file, "nusax") {
			source = model.Review
		}
		for i, r := range rows {
			class, ok := dataset.Polarity(r.Label)
			tag := tags[r.Extra]
			if !ok || tag == "" || i%reduce != 0 || !keep(r.Text) {
				continue
			}
			e := example{text: r.Text, class: int8(class), source: source, weight: 1, lang: tag}
			c.languages = append(c.languages, e)
			switch {
			case tag != "en":
				c.others = append(c.others, e)
			case source == model.Review:
				// UMSAB's English rows are left out: only negative ones remain of
				// them, and the tweets of the other sets cover their kind.
				c.english = append(c.english, e)
			}
		}
	}
	return c, nil
}

// The sets have few texts of emoji alone, and feelings in emoji need no sample to
// be known: these are read as written here.
const (
	gladEmoji  = "😀 😃 😄 😁 😆 😊 🙂 😍 🥰 😘 🤩 😎 🥳 😇 🤗 😋 👍 👏 🙌 🙏 💪 👌 💯 🔥 🎉 🎊 ✨ ⭐ 🌟 🏆 ❤ 🧡 💛 💚 💙 💜 💕 💖 💗 💓 💞 💝 ♥ ☺ 😻 🌹 ✅ :) :d <3 ;)"
	sadEmoji   = "😞 😔 😟 😕 🙁 ☹ 😣 😖 😫 😩 😢 😭 😤 😠 😡 🤬 😨 😰 😱 😒 🙄 👎 💔 🤮 🤢 😷 🤕 🤒 😾 🖕 💩 😿 🥺 :( :'( </3 :/ -_-"
	plainEmoji = "😐 😶 🤔 📷 📸 📅 📍 🚗 ✈ 🏠 📱 💻 ⏰ 📈 🗓 👀 ➡ ▶ ℹ 🔗"
)

// emojiRepeats makes the steps of these few rows reach far enough.
const emojiRepeats = 30

func (c *corpus) emoji() {
	for class, list := range [3]string{dataset.Negative: sadEmoji, dataset.Neutral: plainEmoji, dataset.Positive: gladEmoji} {
		for _, e := range strings.Fields(list) {
			for n := range emojiRepeats {
				for _, text := range []string{e, e + e, e + " " + e + " " + e} {
					row := example{text: text, class: int8(class), source: model.UnknownSource, weight: 1}
					c.english = append(c.english, row)
					if n%3 == 0 {
						c.others = append(c.others, row)
					}
				}
			}
		}
	}
}

// These even the classes of tweeteval (15, 45 and 40 of 100) and goemotions out
// in part: what counts is to find each class, not to bet on the commonest one.
var (
	tweetClassWeight   = [3]float32{1.9, 0.8, 0.95}
	commentClassWeight = [3]float32{1.35, 1, 0.8}
)

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

// aspects adds the sentences whose targets all have one label.
func (c *corpus) aspects(dir string, reduce int, keep func(string) bool) error {
	for _, file := range []string{"aspect_semeval14_laptops_train", "aspect_semeval14_restaurants_train"} {
		rows, err := dataset.Read(dir, file, "")
		if err != nil {
			return err
		}
		label := map[string]string{}
		for _, r := range rows {
			if l, ok := label[r.Text]; ok && l != r.Label {
				label[r.Text] = "mixed"
			} else {
				label[r.Text] = r.Label
			}
		}
		n := 0
		for _, r := range rows { // in the order of the file, not of the map
			class, ok := dataset.Polarity(label[r.Text])
			delete(label, r.Text)
			n++
			if !ok || n%reduce != 0 || !keep(r.Text) {
				continue
			}
			c.english = append(c.english, example{text: r.Text, class: int8(class), source: model.Review, weight: 1, lang: "en"})
		}
	}
	return nil
}
