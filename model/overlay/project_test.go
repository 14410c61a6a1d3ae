package overlay

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/synapse-analytics/synapse/model"
)

// project makes labelled texts of an invented community of skaters, where "sick"
// is praise, "cute" is scorn, and a slam is nothing to speak of.
type project struct{ rng *rand.Rand }

func newProject(seed uint64) project { return project{rand.New(rand.NewPCG(seed, 5))} }

func (p project) one(list string) string {
	all := strings.Split(list, "|")
	return all[p.rng.IntN(len(all))]
}

// The words whose meaning is turned around.
const (
	praise = "sick|nasty|filthy|disgusting|deadly"
	scorn  = "cute|nice|pretty|sweet"
)

func (p project) text(label model.Label) string {
	thing := p.one("trick|line|clip|edit|kickflip|run|landing|grind|part|board")
	place := p.one("park|ramp|plaza|bowl|ledge|rail|street spot|school|garage|bridge")
	who := p.one("Alex|Sam|Kim|Robin|Chris|Toni|the new guy|my brother|our crew|she")
	when := p.one("today|yesterday|last night|this morning|on Sunday|again|at noon|after work|in the rain|with friends")
	word := p.one(praise)
	if label == model.Negative {
		word = p.one(scorn)
	}
	if label == model.Neutral {
		return p.one(fmt.Sprintf("%[1]s goes to the %[3]s %[4]s with a %[2]s|%[1]s filmed a %[2]s at the %[3]s %[4]s|"+
			"the %[2]s of %[1]s at the %[3]s is from %[4]s|where is the %[3]s with the %[2]s that %[1]s did %[4]s", who, thing, place, when))
	}
	return p.one(fmt.Sprintf("that %[2]s of %[1]s was %[5]s %[4]s|%[5]s %[2]s at the %[3]s %[4]s|%[1]s did a %[5]s %[2]s %[4]s|"+
		"%[5]s, what a %[2]s by %[1]s at the %[3]s|the %[2]s at the %[3]s looked %[5]s %[4]s", who, thing, place, when, word))
}

// relabels are n texts with their labels, the classes in turn.
func (p project) relabels(n int) []Relabel {
	out := make([]Relabel, n)
	for i := range out {
		label := model.Label(i % 3)
		out[i] = Relabel{model.Input{Text: p.text(label)}, label}
	}
	return out
}
