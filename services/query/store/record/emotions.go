package record

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/synapse-analytics/synapse/services/query/filter"
)

var errEmotions = errors.New("the emotions of an event can not be read")

// EmotionsText writes emotions as {"joy":8123,"love":6021}: JSON, so that a
// filter can look into it, and in the order given. Names are lower-case letters.
func EmotionsText(list []filter.Emotion) string {
	b := make([]byte, 0, 24*len(list))
	for i, e := range list {
		if i == 0 {
			b = append(b, '{', '"')
		} else {
			b = append(b, ',', '"')
		}
		b = append(b, e.Name...)
		b = append(b, '"', ':')
		b = strconv.AppendInt(b, int64(e.ProbabilityE4), 10)
	}
	return string(append(b, '}'))
}

// ReadEmotions reads what EmotionsText wrote; nothing for none.
func ReadEmotions(b []byte) ([]filter.Emotion, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return nil, errEmotions
	}
	b = b[1 : len(b)-1]
	var out []filter.Emotion
	for entry := range bytes.SplitSeq(b, []byte(",")) {
		name, number, _ := bytes.Cut(entry, []byte(":"))
		n, err := strconv.ParseInt(string(number), 10, 32)
		if err != nil || len(name) < 3 || name[0] != '"' || name[len(name)-1] != '"' {
			return nil, errEmotions
		}
		out = append(out, filter.Emotion{Name: string(name[1 : len(name)-1]), ProbabilityE4: int32(n)})
	}
	return out, nil
}
