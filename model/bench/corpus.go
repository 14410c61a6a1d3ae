package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

// corpus is a list of texts of one kind.
type corpus struct {
	name   string
	inputs []model.Input
	bytes  float64 // of a text, on average
}

// partBytes is about how much text is worked on between two looks at the time:
// enough that looking costs nothing, and not more than some tenths of a second.
const partBytes = 24 << 10

// part is the texts from at on that are worked on at once: as many as partBytes
// holds on average, at most a batch.
func (c *corpus) part(at int) []model.Input {
	n := min(batch, int(partBytes/c.bytes)+1)
	return c.inputs[at:min(at+n, len(c.inputs))]
}

// Texts of a review's usual length, in bytes.
const shortReview, longReview = 700, 1500

// corpora makes texts of the repository's sample and, where the labelled sets are
// at hand, takes theirs too. The same arguments give the same texts.
func corpora(samples, data string) ([]corpus, error) {
	texts, err := sampleTexts(samples)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(4, 2))
	var tweets, reviews []string
	for range 4000 {
		tweets = append(tweets, tweet(texts, rng))
	}
	for range 500 {
		var b strings.Builder
		for b.Len() < 1000 {
			b.WriteString(texts[rng.IntN(len(texts))] + " ")
		}
		reviews = append(reviews, strings.TrimSpace(b.String()))
	}
	list := []corpus{newCorpus("tweets", "tweet", tweets), newCorpus("reviews", "review", reviews)}
	if !exists(filepath.Join(data, "tse_val.tsv.gz")) {
		return list, nil
	}
	tweets, reviews = nil, nil
	for _, name := range []string{"tweeteval_sentiment_val", "tse_val", "imdb_train"} {
		rows, err := dataset.Read(data, name, "")
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			switch {
			case name != "imdb_train":
				tweets = append(tweets, r.Text)
			case dataset.HeldOut(r.Text) && len(r.Text) > shortReview && len(r.Text) < longReview:
				reviews = append(reviews, r.Text)
			}
		}
	}
	rng.Shuffle(len(tweets), func(i, j int) { tweets[i], tweets[j] = tweets[j], tweets[i] })
	return append(list, newCorpus("tweets of the sets", "tweet", tweets), newCorpus("reviews of the sets", "review", reviews)), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func newCorpus(name, source string, texts []string) corpus {
	c := corpus{name: name}
	for _, t := range texts {
		c.inputs = append(c.inputs, model.Input{Text: t, Source: source})
		c.bytes += float64(len(t)) / float64(len(texts))
	}
	return c
}

func sampleTexts(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var texts []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var row struct{ Text string }
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		texts = append(texts, strings.Join(strings.Fields(row.Text), " "))
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s: no texts", path)
	}
	return texts, nil
}

// tweet dresses one or two samples as a tweet of about 100 bytes.
func tweet(texts []string, rng *rand.Rand) string {
	one := func(list ...string) string { return list[rng.IntN(len(list))] }
	text := one(texts...)
	for len(text) < 60 {
		text += " " + one(texts...)
	}
	if len(text) > 110 {
		cut := strings.LastIndexByte(text[:110], ' ')
		text = text[:max(cut, 0)]
	}
	if rng.IntN(3) == 0 {
		text = one("@user ", "@user @user ", "RT @user: ") + text
	}
	if rng.IntN(3) == 0 {
		text += one(" 😍", " 😡", " 🙂", " :(", " :)", " ❤️", " 😂😂", " !!!", " 👍🏽")
	}
	if rng.IntN(3) == 0 {
		text += one(" #fail", " #love", " #monday", " #MustHave", " sooo good", " ugh")
	}
	if rng.IntN(4) == 0 {
		text += " http://t.co/" + string(rune('a'+rng.IntN(26))) + string(rune('A'+rng.IntN(26)))
	}
	return text
}
