package main

import (
	"encoding/json"
	"fmt"
	"strings"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// words make texts of the length of a tweet, about 100 bytes, that differ.
var words = strings.Fields(`the battery of this phone lasts all day and I love it but the camera is not as
 good as they say which made me a bit angry yesterday when my sister wanted a picture of our dinner and it came out
 dark again while the screen is bright support was friendly fast and honest I would buy it again never had any problem
 terrible update slow app crashes often great value nice design happy with delivery late box broken refund arrived`)

func text(n uint64) string {
	var b strings.Builder
	x := n*2862933555777941757 + 3037000493
	for b.Len() < 96 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b.WriteString(words[x%uint64(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}

var sources = []string{"app-store", "tweet", "ticket", "chat", "review"}

// batch makes n events that differ from those of every other batch.
func batch(seed uint64, n int) []*typev1.EventInput {
	events := make([]*typev1.EventInput, n)
	for i := range events {
		k := seed*1000 + uint64(i)
		events[i] = &typev1.EventInput{Text: text(k), Source: sources[k%5], UserId: fmt.Sprintf("user-%d", k%5000)}
	}
	return events
}

func jsonEvent(e *typev1.EventInput) []byte {
	b, err := json.Marshal(map[string]string{"text": e.GetText(), "source": e.GetSource(), "userId": e.GetUserId()})
	if err != nil {
		panic(err) // a map of strings always has a JSON form
	}
	return b
}

// jsonBody makes the body of a REST call with n events.
func jsonBody(seed uint64, n int) []byte {
	var b strings.Builder
	b.WriteString(`{"events":[`)
	for i, e := range batch(seed, n) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(jsonEvent(e))
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// ndjsonBody makes the same as lines.
func ndjsonBody(seed uint64, n int) []byte {
	var b strings.Builder
	for _, e := range batch(seed, n) {
		b.Write(jsonEvent(e))
		b.WriteByte('\n')
	}
	return []byte(b.String())
}
