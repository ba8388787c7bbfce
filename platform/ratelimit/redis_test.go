package ratelimit_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/ratelimit"
	"github.com/tenonhq/tenon/platform/ratelimit/redistest"
)

func open(t testing.TB, s *redistest.Server, logger *slog.Logger) *ratelimit.Redis {
	t.Helper()
	shared, err := ratelimit.OpenRedis(s.URL(), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Close(); err != nil {
			t.Error(err)
		}
	})
	return shared
}

func take(l *ratelimit.Limiter, key string) (*httptest.ResponseRecorder, error) {
	w := httptest.NewRecorder()
	return w, l.Take(w, httptest.NewRequest("GET", "/", nil), key)
}

var quiet = slog.New(slog.DiscardHandler)

// TestSharedLimit has two processes count together.
func TestSharedLimit(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	one, two := ratelimit.New("person", 3, open(t, s, quiet)), ratelimit.New("person", 3, open(t, s, quiet))
	other := ratelimit.New("tenant", 3, open(t, s, quiet))
	for i, l := range []*ratelimit.Limiter{one, two, one} {
		w, err := take(l, "a")
		if err != nil || !strings.HasPrefix(w.Header().Get("RateLimit"), fmt.Sprintf(`"person";r=%d;t=`, 2-i)) || w.Header().Get("RateLimit-Policy") != `"person";q=3;w=60` {
			t.Errorf("%d: %v, %v", i, err, w.Header())
		}
	}
	for _, l := range []*ratelimit.Limiter{one, two} {
		w, err := take(l, "a")
		refused := fault.As(err)
		if refused == nil || refused.Kind != fault.RateLimited || refused.RetryAfter < 21*time.Second || refused.RetryAfter > 80*time.Second || !strings.Contains(w.Header().Get("RateLimit"), ";r=0;") {
			t.Errorf("%v, %v", err, w.Header())
		}
	}
	if _, err := take(one, "b"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if _, err := take(other, "a"); err != nil {
		t.Errorf("another limit: %v", err)
	}

	// A minute passes: what was counted now reaches in from the window before, and
	// after another minute no more.
	client := redis.NewClient(&redis.Options{Addr: s.Address})
	defer client.Close()
	const key = "tenon:limit:person:a"
	pass := func() {
		t.Helper()
		if err := client.HIncrBy(t.Context(), key, "window", -1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	let := 0
	for range 10 {
		if _, err := take(two, "a"); err == nil {
			let++
		}
	}
	if let > 3 {
		t.Errorf("%d requests right after the window", let)
	}
	pass()
	pass()
	let = 0
	for range 10 {
		if _, err := take(two, "a"); err == nil {
			let++
		}
	}
	if let != 3 {
		t.Errorf("%d requests after two windows, want 3", let)
	}
	if left := client.PTTL(t.Context(), key).Val(); left <= 0 || left > 2*ratelimit.Window {
		t.Errorf("a counter is kept for %v", left)
	}
}

// TestManyProcessesGetNoMoreThanTheLimit counts from many connections at once.
func TestManyProcessesGetNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	limiters := make([]*ratelimit.Limiter, 8)
	for i := range limiters {
		limiters[i] = ratelimit.New("ip", 50, open(t, s, quiet))
	}
	var let atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if _, err := take(limiters[i%len(limiters)], "a"); err == nil {
				let.Add(1)
			}
		})
	}
	wg.Wait()
	// A window that ends meanwhile lets at most as many through again.
	if n := let.Load(); n < 50 || n > 100 {
		t.Errorf("%d of 200 got through, want 50", n)
	}
}

// TestWithoutRedis takes Redis away in the middle, and brings it back.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	log := new(lockedBuffer)
	shared := open(t, s, slog.New(slog.NewTextHandler(log, nil)))
	l := ratelimit.New("person", 5, shared)
	if _, err := take(l, "a"); err != nil || !shared.Shared() {
		t.Fatalf("%v", err)
	}
	s.Stop()
	let, began := 0, time.Now()
	for range 1000 {
		if _, err := take(l, "a"); err == nil {
			let++
		}
	}
	// Its own limit, however many were counted together before.
	if let != 5 || shared.Shared() || shared.Fallbacks() != 1000 {
		t.Errorf("%d of 1000 let through, shared %v, %d fallbacks", let, shared.Shared(), shared.Fallbacks())
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("1000 requests take %v", took)
	}
	if text := log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "\n") != 1 {
		t.Errorf("the alarm is\n%s", text)
	}
	s.Restart()
	deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !shared.Shared() {
		if _, err := take(l, "b"); err != nil && !fault.Is(err, fault.RateLimited) {
			t.Fatal(err)
		}
		select {
		case <-deadline.Done():
			t.Fatalf("Redis is not asked again\n%s", log.String())
		case <-ticker.C:
		}
	}
	if _, err := take(l, "a"); err != nil { // a new server knows of nobody
		t.Errorf("%v", err)
	}
	if text := log.String(); strings.Count(text, "level=INFO") != 1 {
		t.Errorf("that it is over is told as\n%s", text)
	}
}

// TestAClientThatGoesIsNoAlarm ends a request while it waits.
func TestAClientThatGoesIsNoAlarm(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	shared, err := ratelimit.OpenRedis("redis://"+listener.Addr().String(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	l := ratelimit.New("person", 1, shared)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Take(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx), "a"); err != nil || !shared.Shared() {
		t.Errorf("%v, shared %v", err, shared.Shared())
	}
	// Whoever waits, does not wait for long.
	began := time.Now()
	if _, err := take(l, "b"); err != nil || shared.Shared() || time.Since(began) > 5*time.Second {
		t.Errorf("%v, shared %v, after %v", err, shared.Shared(), time.Since(began))
	}
}

func TestURLsOfRedis(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:6379", "http://localhost", "redis://:secret@localhost:6379/x", "redis://localhost:port"} {
		_, err := ratelimit.OpenRedis(url, quiet)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
