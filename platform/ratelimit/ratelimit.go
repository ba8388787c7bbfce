package ratelimit

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/go-chi/httprate"

	"github.com/tenonhq/tenon/platform/fault"
)

// Window is the time that limits are about.
const Window = time.Minute

// Limiter lets each key ask a number of times in a [Window]. A nil Limiter has
// no limit.
type Limiter struct {
	name     string
	requests int
	own      *httprate.RateLimiter
	shared   *Redis
}

// New returns a limiter that lets through requests in a [Window] for each key,
// and nil for 0. The name is how clients tell it from others in the RateLimit
// headers, and how limiters of several processes know each other in shared, which
// is nil for a process that counts by itself.
func New(name string, requests int, shared *Redis) *Limiter {
	if requests == 0 {
		return nil
	}
	return &Limiter{name: name, requests: requests, own: httprate.NewRateLimiter(requests, Window), shared: shared}
}

// verdict is what became of one request.
type verdict struct {
	allowed   bool
	remaining int
	reset     time.Duration // until the window ends
}

// Take counts a request of key and says in w's RateLimit and RateLimit-Policy
// headers, as draft-ietf-httpapi-ratelimit-headers has them, what is left. Over
// the limit it counts nothing and returns an error of kind [fault.RateLimited]
// that says when to come back.
func (l *Limiter) Take(w http.ResponseWriter, r *http.Request, key string) error {
	if l == nil {
		return nil
	}
	v, ok := l.shared.take(r.Context(), l.name, key, l.requests)
	if !ok {
		v = l.takeOwn(r, key)
	}
	reset := max(1, int(math.Ceil(v.reset.Seconds())))
	w.Header().Add("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", l.name, l.requests, int(Window.Seconds())))
	w.Header().Add("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", l.name, max(0, v.remaining), reset))
	if v.allowed {
		return nil
	}
	// When the window ends, the requests in it begin to leave one by one.
	wait := time.Duration(reset)*time.Second + Window/time.Duration(l.requests)
	return fault.New(fault.RateLimited, "There were too many requests. Slow down.").WithRetryAfter(wait)
}

// takeOwn counts in this process.
func (l *Limiter) takeOwn(r *http.Request, key string) verdict {
	state := make(headers)
	exceeded := l.own.OnLimit(state, r, key)
	remaining, _ := strconv.Atoi(state.Header().Get("X-RateLimit-Remaining"))
	resets, _ := strconv.ParseInt(state.Header().Get("X-RateLimit-Reset"), 10, 64)
	return verdict{allowed: !exceeded, remaining: remaining, reset: time.Until(time.Unix(resets, 0))}
}

// headers takes what httprate says in headers of other names.
type headers http.Header

func (h headers) Header() http.Header { return http.Header(h) }

func (headers) Write(p []byte) (int, error) { return len(p), nil }

func (headers) WriteHeader(int) {}

// KeyOf returns what an address is counted by: an IPv6 client has a whole /64.
func KeyOf(client netip.Addr) string {
	return httprate.CanonicalizeIP(client.Unmap().WithZone("").String())
}
