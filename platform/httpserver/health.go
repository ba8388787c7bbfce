package httpserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tenonhq/tenon/platform/fault"
)

const (
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

// Check is one thing that must work before this process can serve.
type Check struct {
	// Name is shown to whoever asks; the error of Run is logged only.
	Name string
	Run  func(context.Context) error
}

// Readiness decides what /readyz says. The zero value has no checks and is
// ready.
type Readiness struct {
	// Checks run concurrently, when somebody asks. Those who ask meanwhile get the
	// same answer: anybody can ask, as often as they like.
	Checks []Check
	// Timeout bounds all checks together; 0 is 2 seconds.
	Timeout time.Duration

	draining atomic.Bool
	asked    singleflight.Group
}

// Drain makes the process unready for good, so that load balancers stop
// sending requests.
func (rd *Readiness) Drain() { rd.draining.Store(true) }

const (
	defaultReadyTimeout = 2 * time.Second
	drainingName        = "shutdown"
)

// failed returns the names of the checks that fail, in the order of Checks. One that
// has not answered at the timeout has failed.
func (rd *Readiness) failed(ctx context.Context, logger *slog.Logger) []string {
	if rd.draining.Load() {
		return []string{drainingName}
	}
	// That whoever asked first has gone says nothing to the others.
	failed, _, _ := rd.asked.Do("", func() (any, error) { return rd.check(context.WithoutCancel(ctx), logger), nil })
	names, _ := failed.([]string)
	return names
}

// check runs the checks.
func (rd *Readiness) check(ctx context.Context, logger *slog.Logger) []string {
	timeout := rd.Timeout
	if timeout == 0 {
		timeout = defaultReadyTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results := make([]chan error, len(rd.Checks))
	for i, check := range rd.Checks {
		results[i] = make(chan error, 1) // a check that comes too late finds nobody waiting
		go func() { results[i] <- run(ctx, check) }()
	}
	var names []string
	for i, check := range rd.Checks {
		var err error
		select {
		case err = <-results[i]:
		case <-ctx.Done():
			select {
			case err = <-results[i]: // in time, though another was not
			default:
				err = ctx.Err()
			}
		}
		if err != nil {
			names = append(names, check.Name)
			logger.WarnContext(ctx, "not ready", "check", check.Name, "error", err)
		}
	}
	return names
}

// run makes a panic the check's failure instead of the process's end.
func run(ctx context.Context, check Check) error {
	return fault.Recovered(func() error { return check.Run(ctx) })
}

// readyAnswer is the body of /readyz.
type readyAnswer struct {
	Status string   `json:"status"`
	Failed []string `json:"failed,omitempty"`
}

func (rt *Router) serveHealth(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, http.StatusOK, readyAnswer{Status: "ok"})
}

func (rt *Router) serveReady(w http.ResponseWriter, r *http.Request) {
	failed := rt.config.Readiness.failed(r.Context(), rt.errors.logger())
	if len(failed) > 0 {
		w.Header().Set("Retry-After", "1")
		writeStatus(w, http.StatusServiceUnavailable, readyAnswer{Status: "not ready", Failed: failed})
		return
	}
	writeStatus(w, http.StatusOK, readyAnswer{Status: "ready"})
}

func writeStatus(w http.ResponseWriter, status int, body readyAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the client has gone
}
