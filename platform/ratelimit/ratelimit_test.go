package ratelimit_test

import (
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/ratelimit"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New("person", 3, nil)
		r := httptest.NewRequest("GET", "/", nil)
		take := func(key string) (*httptest.ResponseRecorder, error) {
			w := httptest.NewRecorder()
			return w, l.Take(w, r, key)
		}
		for i, left := range []string{`"person";r=2;t=60`, `"person";r=1;t=60`, `"person";r=0;t=60`} {
			w, err := take("a")
			if err != nil || w.Header().Get("RateLimit") != left || w.Header().Get("RateLimit-Policy") != `"person";q=3;w=60` {
				t.Errorf("%d: %v, %v", i, err, w.Header())
			}
		}
		time.Sleep(10 * time.Second)
		w, err := take("a")
		if refused := fault.As(err); refused == nil || refused.Kind != fault.RateLimited || refused.RetryAfter != 70*time.Second {
			t.Fatalf("%v", err)
		}
		if w.Header().Get("RateLimit") != `"person";r=0;t=50` {
			t.Errorf("%v", w.Header())
		}
		if _, err := take("b"); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		time.Sleep(fault.As(err).RetryAfter)
		if _, err := take("a"); err != nil {
			t.Errorf("who came back when told to: %v", err)
		}
		if _, err := take("a"); err == nil {
			t.Error("the limit starts anew at once")
		}
	})
}

func TestManyAtOnceGetNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	l := ratelimit.New("ip", 50, nil)
	var let atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if l.Take(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), "a") == nil {
				let.Add(1)
			}
		})
	}
	wg.Wait()
	if let.Load() != 50 {
		t.Errorf("%d of 200 got through, want 50", let.Load())
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	l := ratelimit.New("ip", 0, nil)
	w := httptest.NewRecorder()
	for range 1000 {
		if err := l.Take(w, httptest.NewRequest("GET", "/", nil), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.Header()) != 0 {
		t.Errorf("%v", w.Header())
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := ratelimit.KeyOf(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
