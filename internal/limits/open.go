package limits

import "sync"

// Open bounds how many of something, such as streams, are open at a time for
// each key. Its memory is bounded by what is open.
type Open struct {
	max int

	mu    sync.Mutex
	count map[string]int
}

// NewOpen returns a bound of limit per key; 0 is no bound.
func NewOpen(limit int) *Open { return &Open{max: limit, count: map[string]int{}} }

// Max returns the bound; 0 is none.
func (o *Open) Max() int { return o.max }

// Acquire opens one for the key. If the key has as many open as it may, ok is
// false and nothing is opened. release closes it again; further calls of it do
// nothing.
func (o *Open) Acquire(key string) (release func(), ok bool) {
	if o.max <= 0 {
		return func() {}, true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count[key] >= o.max {
		return nil, false
	}
	o.count[key]++
	return sync.OnceFunc(func() { o.release(key) }), true
}

func (o *Open) release(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count[key]--; o.count[key] <= 0 {
		delete(o.count, key)
	}
}

// Count returns how many are open for the key.
func (o *Open) Count(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count[key]
}
