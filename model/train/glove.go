package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/synapse-analytics/synapse/model/internal/deep"
)

// glove reads the pretrained vectors of the words that want and of the commonest;
// order has all words, commonest first. See MODEL_CARD.md for their origin.
func glove(path string, commonest int, want func(word string) bool) (vectors map[string][]float32, order []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	d := json.NewDecoder(bufio.NewReaderSize(f, 1<<20))
	vectors = map[string][]float32{}
	common := map[string]bool{}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		switch t {
		case "words":
			if err := d.Decode(&order); err != nil {
				return nil, nil, err
			}
			for _, w := range order[:min(len(order), commonest)] {
				common[w] = true
			}
		case "vectors":
			if _, err := d.Token(); err != nil {
				return nil, nil, err
			}
			for d.More() {
				key, err := d.Token()
				if err != nil {
					return nil, nil, err
				}
				word, _ := key.(string)
				var raw json.RawMessage
				if err := d.Decode(&raw); err != nil {
					return nil, nil, err
				}
				if !common[word] && !want(word) {
					continue
				}
				var v []float32
				if err := json.Unmarshal(raw, &v); err != nil {
					return nil, nil, err
				}
				if len(v) < deep.Dim {
					return nil, nil, fmt.Errorf("vector of %q: %d values", word, len(v))
				}
				vectors[word] = v[:deep.Dim]
			}
			return vectors, order, nil
		default:
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return nil, nil, err
			}
		}
	}
	return nil, nil, errors.New("no vectors in it")
}
