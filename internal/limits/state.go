package limits

import (
	"math"
	"time"
)

// State is what a key's bucket holds after a Take, for the answer's headers.
type State struct {
	// Remaining is how many units can be taken at once now; 0 where there is no
	// limit.
	Remaining int
	// Limit is how many units can be taken at once from a full bucket; 0 is no
	// limit.
	Limit int
	// Reset is the time until the bucket is full.
	Reset time.Duration
}

// StateOf is the state of a bucket with so many tokens, which is negative in debt.
func StateOf(tokens, rate, burst float64) State {
	return State{Remaining: clampInt(max(tokens, 0)), Limit: clampInt(burst), Reset: Wait(burst-tokens, rate)}
}

// Wait is the time in which so many tokens come at a rate, rounded up to a
// millisecond; 0 for none.
func Wait(tokens, rate float64) time.Duration {
	if tokens <= 0 {
		return 0
	}
	ms := math.Ceil(tokens / rate * 1000)
	if ms > float64(math.MaxInt64/int64(time.Millisecond)) {
		return math.MaxInt64
	}
	return time.Duration(ms) * time.Millisecond
}

func clampInt(f float64) int {
	if f >= math.MaxInt {
		return math.MaxInt
	}
	return int(f)
}
