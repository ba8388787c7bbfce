package main

import (
	"context"
	"flag"
	"net/http"
	"runtime"
	"testing"
	"time"
)

var soakFor = flag.Duration("soak", 4*time.Second, "how long TestSoakLeaksNothing keeps up its load")

// TestSoakLeaksNothing keeps up load while the database goes away now and then, and
// compares what the process holds at rest, after a quarter of the time and at the
// end.
func TestSoakLeaksNothing(t *testing.T) {
	p := startProduct(t, "--no-seed")
	i, c := startOnCable(t, p)
	ada := p.newUser(t, "Ada")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	p.token(t, ada, acme)

	// round is load for some time, a short outage in it, and the rest after.
	round := func(took time.Duration) (goroutines int, heap uint64, conns int) {
		ctx, cancel := context.WithTimeout(t.Context(), took)
		defer cancel()
		outage := time.AfterFunc(took/2, func() { c.set(true) })
		defer outage.Stop()
		mend := time.AfterFunc(took/2+100*time.Millisecond, func() { c.set(false) })
		defer mend.Stop()
		l := &load{acknowledged: map[string]bool{}}
		done := make(chan struct{})
		for range 4 {
			go func() {
				l.person(ctx, t, p, i.url, ada, acme)
				done <- struct{}{}
			}()
		}
		for range 4 {
			<-done
		}
		eventually(t, "recovery", i.ready)
		if answered, _ := l.count(); answered == 0 {
			t.Fatal("there was no load")
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		// What the collector has to do is done in two.
		runtime.GC()
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		c.mu.Lock()
		defer c.mu.Unlock()
		return runtime.NumGoroutine(), memory.HeapAlloc, len(c.conns)
	}
	quarter := *soakFor / 4
	goroutines, heap, conns := round(quarter)
	const rounds = 3
	var goroutinesAfter, connsAfter int
	var heapAfter uint64
	for range rounds {
		goroutinesAfter, heapAfter, connsAfter = round(quarter)
	}
	t.Logf("%d → %d goroutines, %d → %d KiB of heap, %d → %d ends of connections", goroutines, goroutinesAfter, heap>>10, heapAfter>>10, conns, connsAfter)
	const slackGoroutines, slackHeap = 10, 8 << 20 // connections of clients and pools come and go
	if goroutinesAfter > goroutines+slackGoroutines || heapAfter > heap+slackHeap {
		t.Errorf("the process holds more and more")
	}
}
