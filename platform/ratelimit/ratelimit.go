// Package ratelimit bounds how often one sender may ask. It counts in a sliding
// window of httprate's, in this process: with several of them, each lets through
// as much.
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
	rate     *httprate.RateLimiter
}

// New returns a limiter that lets through requests in a [Window] for each key,
// and nil for 0. The name is how clients tell it from others in the RateLimit
// headers.
func New(name string, requests int) *Limiter {
	if requests == 0 {
		return nil
	}
	return &Limiter{name: name, requests: requests, rate: httprate.NewRateLimiter(requests, Window)}
}

// Take counts a request of key and says in w's RateLimit and RateLimit-Policy
// headers, as draft-ietf-httpapi-ratelimit-headers has them, what is left. Over
// the limit it counts nothing and returns an error of kind [fault.RateLimited]
// that says when to come back.
func (l *Limiter) Take(w http.ResponseWriter, r *http.Request, key string) error {
	if l == nil {
		return nil
	}
	state := make(headers)
	exceeded := l.rate.OnLimit(state, r, key)
	remaining, _ := strconv.Atoi(state.Header().Get("X-RateLimit-Remaining"))
	resets, _ := strconv.ParseInt(state.Header().Get("X-RateLimit-Reset"), 10, 64)
	reset := max(1, int(math.Ceil(time.Until(time.Unix(resets, 0)).Seconds())))
	w.Header().Add("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", l.name, l.requests, int(Window.Seconds())))
	w.Header().Add("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", l.name, max(0, remaining), reset))
	if !exceeded {
		return nil
	}
	// When the window ends, the requests in it begin to leave one by one.
	wait := time.Duration(reset)*time.Second + Window/time.Duration(l.requests)
	return fault.New(fault.RateLimited, "There were too many requests. Slow down.").WithRetryAfter(wait)
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
