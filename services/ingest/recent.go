package ingest

import (
	"hash/maphash"
	"sync"
	"time"
)

// recent remembers events whose append was acknowledged, by project and id, with
// a hash of the text. It is bounded in number and age: each shard has two
// generations; when the younger one is full or old it becomes the older one, and
// what was the older one is forgotten. A hit moves its entry to the younger one,
// so entries in use stay.
//
// Keys are 128 bits of two hashes with random seeds, so that neither chance nor
// a sender can make two ids look alike.
type recent struct {
	seeds  [3]maphash.Seed
	shards [recentShards]recentShard
	size   int           // entries of one generation
	ttl    time.Duration // age of one generation
}

const recentShards = 16

type recentShard struct {
	mu         sync.Mutex
	born       time.Time
	young, old map[recentKey]uint64
}

type recentKey [2]uint64

// recentID is a remembered or remembrable event.
type recentID struct {
	key  recentKey
	text uint64
}

// newRecent returns a memory of about max ids; nil for 0, which knows nothing.
func newRecent(maxIDs int, ttl time.Duration) *recent {
	if maxIDs <= 0 {
		return nil
	}
	r := &recent{size: max(1, maxIDs/(2*recentShards)), ttl: ttl}
	for i := range r.seeds {
		r.seeds[i] = maphash.MakeSeed()
	}
	return r
}

// projectSeed is the part of the key that a project's ids share.
func (r *recent) projectSeed(project string) recentKey {
	return recentKey{maphash.String(r.seeds[0], project), maphash.String(r.seeds[1], project)}
}

// id makes the entry of an event.
func (r *recent) id(project recentKey, id, text string) recentID {
	return recentID{
		key:  recentKey{maphash.String(r.seeds[0], id) ^ project[0], maphash.String(r.seeds[1], id) + project[1]},
		text: maphash.String(r.seeds[2], text),
	}
}

func (r *recent) shard(k recentKey) *recentShard { return &r.shards[k[0]>>60] }

// known says that this id was acknowledged with this text.
func (r *recent) known(e recentID, now time.Time) bool {
	s := r.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(r, now)
	if text, ok := s.young[e.key]; ok {
		return text == e.text
	}
	text, ok := s.old[e.key]
	if ok {
		s.put(r, recentID{e.key, text}, now)
	}
	return ok && text == e.text
}

// add remembers an acknowledged event. The first text of an id stays: that is
// the one that the store keeps.
func (r *recent) add(e recentID, now time.Time) {
	s := r.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(r, now)
	if _, ok := s.young[e.key]; ok {
		return
	}
	if text, ok := s.old[e.key]; ok {
		e.text = text
	}
	s.put(r, e, now)
}

func (s *recentShard) put(r *recent, e recentID, now time.Time) {
	if len(s.young) >= r.size {
		s.rotate(now)
	}
	s.young[e.key] = e.text
}

// turn ages the generations.
func (s *recentShard) turn(r *recent, now time.Time) {
	switch age := now.Sub(s.born); {
	case s.young == nil:
		s.young, s.old, s.born = map[recentKey]uint64{}, map[recentKey]uint64{}, now
	case age >= 2*r.ttl:
		clear(s.old)
		clear(s.young)
		s.born = now
	case age >= r.ttl:
		s.rotate(now)
	}
}

func (s *recentShard) rotate(now time.Time) {
	s.young, s.old = s.old, s.young
	clear(s.young)
	s.born = now
}
