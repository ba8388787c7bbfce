package cache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Scoped is a bounded cache whose entries belong to scopes. It is safe for
// concurrent use. A nil one has nothing and keeps nothing.
type Scoped[K comparable, S comparable, V any] struct {
	entries *otter.Cache[K, entry[S, V]]
	on      atomic.Bool

	hits, misses atomic.Int64

	mu        sync.RWMutex
	held      map[S]int    // how many changes of each scope are under way
	clock     Ticket       // counts what was forgotten
	forgotten map[S]Ticket // when, of each scope
	floor     Ticket       // everything begun before is forgotten
}

// Ticket is a moment in the life of a cache.
type Ticket uint64

type entry[S comparable, V any] struct {
	value V
	scope S
	begun Ticket
}

// NewScoped returns a cache of at most size entries, each kept for ttl at most, also
// when another is stored in its place. It is off until [Scoped.Switch].
func NewScoped[K comparable, S comparable, V any](size int, ttl time.Duration) *Scoped[K, S, V] {
	return &Scoped[K, S, V]{
		entries: otter.Must(&otter.Options[K, entry[S, V]]{
			// What is stored over an entry may have been found in it.
			MaximumSize: size, ExpiryCalculator: otter.ExpiryCreating[K, entry[S, V]](ttl),
		}),
		held:      map[S]int{},
		forgotten: map[S]Ticket{},
	}
}

// Begin is called before reading what will be stored.
func (c *Scoped[K, S, V]) Begin() Ticket {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.clock
}

// Get returns what is stored for key and still true.
func (c *Scoped[K, S, V]) Get(key K) (value V, ok bool) {
	if !c.on.Load() {
		return value, false
	}
	found, ok := c.entries.GetIfPresent(key)
	if !ok || !c.holds(found.scope, found.begun) {
		c.misses.Add(1)
		return value, false
	}
	c.hits.Add(1)
	return found.value, true
}

// holds reports whether nothing of scope was forgotten since begun, and nothing is
// being changed.
func (c *Scoped[K, S, V]) holds(scope S, begun Ticket) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.held[scope] == 0 && begun >= c.floor && begun >= c.forgotten[scope]
}

// Put stores what was read since [Scoped.Begin] returned begun.
func (c *Scoped[K, S, V]) Put(key K, scope S, value V, begun Ticket) {
	if c.on.Load() && c.holds(scope, begun) {
		c.entries.Set(key, entry[S, V]{value, scope, begun})
	}
}

// Hold keeps nothing of a scope while it is changed, and returns nothing of it. What
// it returns is called when the change was made; then everything of the scope is
// forgotten. Whoever sees the change sees it from then on: a change that is visible
// and not yet forgotten is one that is held.
func (c *Scoped[K, S, V]) Hold(scope S) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[scope]++
	return func() {
		c.Forget(scope)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.held[scope]--; c.held[scope] == 0 {
			delete(c.held, scope)
		}
	}
}

// Forget drops everything of a scope, also what is being read now.
func (c *Scoped[K, S, V]) Forget(scope S) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	if len(c.forgotten) >= maxForgotten { // what they were for has expired long ago
		clear(c.forgotten)
		c.floor = c.clock
	}
	c.forgotten[scope] = c.clock
}

// maxForgotten bounds the memory for scopes that were forgotten once.
const maxForgotten = 100_000

// Switch turns the cache on or off. Whatever happened while it was off nobody
// heard of, so it is empty when it is on again.
func (c *Scoped[K, S, V]) Switch(on bool) {
	if c.on.Load() == on {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	c.floor = c.clock
	clear(c.forgotten)
	c.on.Store(on)
	c.entries.InvalidateAll()
}

// Stop ends what the cache does in the background. It is off afterwards.
func (c *Scoped[K, S, V]) Stop() {
	c.Switch(false)
	c.entries.StopAllGoroutines()
}

// Stats are how often [Scoped.Get] found something, how often it did not, and how
// many entries there are.
type Stats struct {
	Hits, Misses int64
	Entries      int
}

// Stats returns the counters; they only grow.
func (c *Scoped[K, S, V]) Stats() Stats {
	return Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Entries: c.entries.EstimatedSize()}
}
