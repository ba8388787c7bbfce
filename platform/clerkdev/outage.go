package clerkdev

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Outage is how the Backend API lets its callers down. The zero value is that it
// does not.
type Outage struct {
	// Status is answered instead of what was asked for: 429, or one from 500 to
	// 599. 0 answers as ever.
	Status int `json:"status"`
	// RetryAfter is the header of that name with a status, in seconds; 0 leaves
	// it out.
	RetryAfter int `json:"retry_after"`
	// Silent lets callers wait until they give up, or the outage is over: then
	// their connections end without an answer.
	Silent bool `json:"silent"`
	// Late lets a call take effect before it fails, as when the answer is lost.
	Late bool `json:"late"`
	// Delay is how long every answer takes, in seconds.
	Delay float64 `json:"delay"`
	// Calls is how many calls it lasts; 0 is until another outage is set.
	Calls int `json:"calls"`
	// Path narrows it to calls whose path begins with it, such as "/v1/jwks".
	Path string `json:"path"`
}

const (
	longestOutageDelay = time.Hour
	mostOutageCalls    = 1_000_000
)

// check returns what is wrong with an outage, by the name of its field.
func (o Outage) check() *apiError {
	switch {
	case o.Status != 0 && o.Status != http.StatusTooManyRequests && (o.Status < 500 || o.Status > 599):
		return errValue("status", "Use 429, or one from 500 to 599.")
	case o.RetryAfter < 0 || o.RetryAfter > int(longestOutageDelay.Seconds()):
		return errValue("retry_after", "Use whole seconds, from 0 to 3600.")
	case !(o.Delay >= 0 && o.Delay <= longestOutageDelay.Seconds()): // so that NaN is refused
		return errValue("delay", "Use seconds, from 0 to 3600.")
	case o.Calls < 0 || o.Calls > mostOutageCalls:
		return errValue("calls", fmt.Sprintf("Use a number from 0 to %d.", mostOutageCalls))
	case o.Path != "" && !strings.HasPrefix(o.Path, "/v1/"):
		return errValue("path", "A path begins with /v1/.")
	}
	return nil
}

// isOver reports whether callers notice nothing.
func (o Outage) isOver() bool { return o.Status == 0 && !o.Silent && o.Delay == 0 }

// outages is the one there is.
type outages struct {
	mu      sync.Mutex
	current Outage
	ended   chan struct{} // closed when it ends; nil without one
}

// SetOutage lets the Backend API fail from now on, in the place of an outage
// before; the zero value ends that. Callers that wait for an answer are released.
// The error names the field that is out of range.
func (e *Emulator) SetOutage(o Outage) error {
	if err := o.check(); err != nil {
		return err
	}
	e.outage.set(o)
	return nil
}

func (s *outages) set(o Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		close(s.ended)
	}
	s.current, s.ended = Outage{}, nil
	if !o.isOver() {
		s.current, s.ended = o, make(chan struct{})
	}
}

// Outage returns the present outage, with the calls that are left of it.
func (e *Emulator) Outage() Outage {
	e.outage.mu.Lock()
	defer e.outage.mu.Unlock()
	return e.outage.current
}

// suffer returns the outage that a call meets, if it meets one, and what is
// closed when that ends.
func (s *outages) suffer(path string) (met Outage, ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.isOver() || !strings.HasPrefix(path, s.current.Path) {
		return Outage{}, nil
	}
	met = s.current
	switch s.current.Calls {
	case 0:
	case 1:
		s.current = Outage{} // those who wait still do
	default:
		s.current.Calls--
	}
	return met, s.ended
}

// unreliable is next as an outage leaves it.
func (e *Emulator) unreliable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		met, ended := e.outage.suffer(r.URL.Path)
		fails := met.Silent || met.Status != 0
		if fails && met.Late {
			next.ServeHTTP(&discarded{header: http.Header{}}, r)
		}
		if met.Silent {
			wait(r.Context(), ended, nil)
			panic(http.ErrAbortHandler) // which net/http takes for the end of the connection
		}
		if met.Delay > 0 {
			timer := time.NewTimer(time.Duration(met.Delay * float64(time.Second)))
			defer timer.Stop()
			wait(r.Context(), ended, timer.C)
		}
		switch {
		case !fails:
			next.ServeHTTP(w, r)
			return
		case met.RetryAfter > 0:
			w.Header().Set("Retry-After", strconv.Itoa(met.RetryAfter))
		}
		answer := &apiError{met.Status, "internal_clerk_error", "Oops, an unexpected error occurred", "The local emulator was told to fail.", ""}
		if met.Status == http.StatusTooManyRequests {
			answer.code, answer.message, answer.long = "too_many_requests", "Too many requests. Please try again in a bit.", "Too many requests. Please try again in a bit."
		}
		e.answer(w, nil, answer)
	})
}

func wait(ctx context.Context, ended <-chan struct{}, passed <-chan time.Time) {
	select {
	case <-ctx.Done():
	case <-ended:
	case <-passed:
	}
}

// discarded is an answer that nobody gets.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(int)             {}

// outagePath is where programs ask for the outage, beside Clerk's own paths.
const outagePath = "/outage"

func (e *Emulator) getOutage(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, e.Outage())
}

func (e *Emulator) putOutage(w http.ResponseWriter, r *http.Request) {
	c := &call{r: r}
	var asked Outage
	err := c.read()
	if err == nil {
		err = c.decode(&asked)
	}
	if err == nil {
		err = e.SetOutage(asked)
	}
	e.answer(w, e.Outage(), err)
}
