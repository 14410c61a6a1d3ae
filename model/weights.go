package model

import (
	_ "embed" // the weights and the card
	"encoding/json"
	"fmt"
	"sync"

	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

//go:embed weights/synapse-4.bin
var embeddedWeights []byte

//go:embed weights/synapse-4.json
var embeddedCard []byte

// Card describes a model: what it is, what it answers in, and how well it did on
// texts that it was not trained on.
type Card struct {
	Version   string   `json:"version"`
	Classes   []string `json:"classes"`
	Languages []string `json:"languages"` // BCP 47
	Trained   []string `json:"trained"`   // names of the training sets
	Bytes     int      `json:"bytes"`     // size of the weights
	SHA256    string   `json:"sha256"`    // of the weights, in hex
	// Tables compare it with other scorers on texts that none was trained on.
	Tables []Table `json:"tables"`
}

// Load reads weights. It checks their format and checksum, returns an error for
// anything else, and never panics whatever the bytes are. The scorer keeps no
// reference to weights.
func Load(weights []byte) (*Scorer, error) {
	m, err := modelfile.Decode(weights)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	s, err := newScorer(m)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	return s, nil
}

var defaultScorer = sync.OnceValue(func() *Scorer {
	s, err := Load(embeddedWeights)
	if err != nil {
		// Only a broken build gets here; TestDefault holds it off.
		panic("model: embedded weights: " + err.Error())
	}
	return s
})

// Default returns the scorer with the weights that are part of the program. They
// are read on the first call; all calls return the same scorer.
func Default() *Scorer { return defaultScorer() }

// Models are the versions that can score, the default first.
func Models() []string { return []string{Default().Version()} }

// Info returns the card of the embedded weights. The caller may change it.
func Info() Card {
	var c Card
	if err := json.Unmarshal(embeddedCard, &c); err != nil {
		panic("model: embedded card: " + err.Error()) // see Default
	}
	return c
}
