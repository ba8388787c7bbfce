package cache_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/platform/cache"
)

type strings = cache.Scoped[string, string, string]

func newCache(ttl time.Duration) *strings {
	c := cache.NewScoped[string, string, string](100, ttl)
	c.Switch(true)
	return c
}

func expect(t *testing.T, c *strings, key, want string) {
	t.Helper()
	if got, ok := c.Get(key); got != want || ok != (want != "") {
		t.Errorf("%s is %q, %v; want %q", key, got, ok, want)
	}
}

func TestForgetting(t *testing.T) {
	t.Parallel()
	c := newCache(time.Hour)
	c.Put("a", "acme", "1", c.Begin())
	c.Put("b", "acme", "2", c.Begin())
	c.Put("c", "other", "3", c.Begin())
	expect(t, c, "a", "1")
	c.Forget("acme")
	expect(t, c, "a", "")
	expect(t, c, "b", "")
	expect(t, c, "c", "3")

	// Read before the change, stored after it.
	begun := c.Begin()
	c.Forget("acme")
	c.Put("a", "acme", "old", begun)
	expect(t, c, "a", "")
	c.Put("a", "acme", "new", c.Begin())
	expect(t, c, "a", "new")
	if got := c.Stats(); got.Hits != 3 || got.Misses != 3 || got.Entries != 3 {
		t.Errorf("%+v", got)
	}
}

func TestHolding(t *testing.T) {
	t.Parallel()
	c := newCache(time.Hour)
	c.Put("a", "acme", "1", c.Begin())
	c.Put("c", "other", "3", c.Begin())
	first, second := c.Hold("acme"), c.Hold("acme")
	expect(t, c, "a", "")
	expect(t, c, "c", "3")
	c.Put("a", "acme", "2", c.Begin())
	expect(t, c, "a", "")
	begun := c.Begin()
	first()
	c.Put("a", "acme", "2", c.Begin())
	expect(t, c, "a", "")
	second()
	c.Put("a", "acme", "2", begun)
	expect(t, c, "a", "")
	c.Put("a", "acme", "4", c.Begin())
	expect(t, c, "a", "4")
}

func TestSwitchingOff(t *testing.T) {
	t.Parallel()
	c := newCache(time.Hour)
	c.Put("a", "acme", "1", c.Begin())
	begun := c.Begin()
	c.Switch(false)
	expect(t, c, "a", "")
	c.Put("a", "acme", "2", c.Begin())
	c.Switch(true)
	expect(t, c, "a", "")
	c.Put("a", "acme", "3", begun) // nobody heard what happened since
	expect(t, c, "a", "")
	c.Put("a", "acme", "4", c.Begin())
	expect(t, c, "a", "4")
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(30 * time.Second)
		defer c.Stop()
		c.Put("a", "acme", "1", c.Begin())
		time.Sleep(29 * time.Second)
		expect(t, c, "a", "1")
		time.Sleep(2 * time.Second)
		expect(t, c, "a", "")

		// What is found and stored anew is no younger for it.
		c.Put("a", "acme", "1", c.Begin())
		for range 3 {
			time.Sleep(11 * time.Second)
			if value, ok := c.Get("a"); ok {
				c.Put("a", "acme", value+"'", c.Begin())
			}
		}
		expect(t, c, "a", "")
	})
}

// TestNothingOldIsBelieved has readers that store what they read while a writer
// changes it: whoever has seen the change by another way never sees less.
func TestNothingOldIsBelieved(t *testing.T) {
	t.Parallel()
	c := cache.NewScoped[string, string, int64](100, time.Hour)
	c.Switch(true)
	var stored, visible atomic.Int64
	var group sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := visible.Load()
				value, ok := c.Get("a")
				if !ok {
					begun := c.Begin()
					value = stored.Load()
					c.Put("a", "acme", value, begun)
				}
				if value < least {
					t.Errorf("%d is seen after %d was visible", value, least)
					return
				}
			}
		})
	}
	for n := range int64(20_000) {
		release := c.Hold("acme")
		stored.Store(n)
		visible.Store(n) // to whoever asks the database by another way
		release()
	}
	close(done)
	group.Wait()
}
