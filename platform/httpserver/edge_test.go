package httpserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// secret is put wherever a client can put something; no answer and no log line
// may have it.
const secret = "hunter2"

// journal is a log that tests can read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// lines returns the log's lines with the message.
func (j *journal) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(j.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

type edge struct {
	*httpserver.Router

	log *journal
}

// newEdge returns a router whose pages are the status and the message, and
// whose sessions and members are named by the header X-As.
func newEdge(t testing.TB, change func(*httpserver.Config), mounts ...httpserver.Mount) edge {
	t.Helper()
	log := new(journal)
	errs := &httpserver.ErrorWriter{
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Page: func(w http.ResponseWriter, _ *http.Request, status int, err *fault.Error, requestID string) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "page: "+err.Message+" "+requestID)
		},
	}
	config := httpserver.Config{
		PublicURL: &url.URL{Scheme: "https", Host: "app.example.com"},
		Errors:    errs,
		SignedIn: func(next http.Handler) http.Handler {
			return errs.Handle(func(w http.ResponseWriter, r *http.Request) error {
				if r.Header.Get("X-As") == "" {
					return fault.New(fault.Unauthenticated, "Sign in.")
				}
				next.ServeHTTP(w, r)
				return nil
			})
		},
		Tenant: func(next http.Handler) http.Handler {
			return errs.Handle(func(w http.ResponseWriter, r *http.Request) error {
				if httpserver.PathParam(r, httpserver.TenantParam) != "acme" {
					return fault.New(fault.NotFound, "No such tenant.")
				}
				next.ServeHTTP(w, r)
				return nil
			})
		},
	}
	if change != nil {
		change(&config)
	}
	router, err := httpserver.New(config, mounts...)
	if err != nil {
		t.Fatal(err)
	}
	return edge{router, log}
}

func (e edge) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func (e edge) get(path string) *httptest.ResponseRecorder {
	return e.send(httptest.NewRequest(http.MethodGet, path, nil))
}

// problemIn returns the problem that an answer holds, and fails for any other
// answer.
func problemIn(t *testing.T, w *httptest.ResponseRecorder) httpserver.Problem {
	t.Helper()
	var problem httpserver.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
		t.Fatalf("%d: %v in %s", w.Code, err, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" || problem.Status != w.Code {
		t.Errorf("%d answered as %s: %s", w.Code, got, w.Body)
	}
	if problem.RequestID == "" || problem.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("request id %q, header %q", problem.RequestID, w.Header().Get("X-Request-Id"))
	}
	return problem
}
