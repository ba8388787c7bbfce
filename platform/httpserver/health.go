package httpserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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
	// Checks run concurrently, each time somebody asks.
	Checks []Check
	// Timeout bounds all checks together; 0 is 2 seconds.
	Timeout time.Duration

	draining atomic.Bool
}

// Drain makes the process unready for good, so that load balancers stop
// sending requests.
func (rd *Readiness) Drain() { rd.draining.Store(true) }

const (
	defaultReadyTimeout = 2 * time.Second
	drainingName        = "shutdown"
)

// failed runs the checks and returns the names of those that fail, in order.
func (rd *Readiness) failed(ctx context.Context, logger *slog.Logger) []string {
	if rd.draining.Load() {
		return []string{drainingName}
	}
	timeout := rd.Timeout
	if timeout == 0 {
		timeout = defaultReadyTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var (
		group sync.WaitGroup
		errs  = make([]error, len(rd.Checks))
	)
	for i, check := range rd.Checks {
		group.Go(func() { errs[i] = check.Run(ctx) })
	}
	group.Wait()
	var names []string
	for i, err := range errs {
		if err != nil {
			names = append(names, rd.Checks[i].Name)
			logger.WarnContext(ctx, "not ready", "check", rd.Checks[i].Name, "error", err)
		}
	}
	slices.Sort(names)
	return names
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
	failed := rt.config.Readiness.failed(r.Context(), rt.Errors.logger())
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
