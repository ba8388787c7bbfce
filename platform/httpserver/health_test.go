package httpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/httpserver"
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	works := httpserver.Check{Name: "works", Run: func(context.Context) error { return nil }}
	broken := httpserver.Check{Name: "broken", Run: func(context.Context) error { return errors.New("password " + secret) }}
	panics := httpserver.Check{Name: "panics", Run: func(context.Context) error { panic(secret) }}
	patient := httpserver.Check{Name: "patient", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	never := make(chan struct{})
	deaf := httpserver.Check{Name: "deaf", Run: func(context.Context) error { <-never; return nil }}
	for name, test := range map[string]struct {
		checks []httpserver.Check
		status int
		body   string
		takes  time.Duration
	}{
		"no checks":               {nil, 200, `{"status":"ready"}`, 0},
		"all work":                {[]httpserver.Check{works, works}, 200, `{"status":"ready"}`, 0},
		"one fails":               {[]httpserver.Check{works, broken}, 503, `{"status":"not ready","failed":["broken"]}`, 0},
		"one panics":              {[]httpserver.Check{panics, works}, 503, `{"status":"not ready","failed":["panics"]}`, 0},
		"one takes too long":      {[]httpserver.Check{patient, works, broken}, 503, `{"status":"not ready","failed":["patient","broken"]}`, 3 * time.Second},
		"one ignores its context": {[]httpserver.Check{deaf, works, patient}, 503, `{"status":"not ready","failed":["deaf","patient"]}`, 3 * time.Second},
		"many take too long":      {[]httpserver.Check{patient, patient, patient}, 503, `{"status":"not ready","failed":["patient","patient","patient"]}`, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, func(c *httpserver.Config) {
				c.Readiness = &httpserver.Readiness{Checks: test.checks, Timeout: 3 * time.Second}
			})
			var answered time.Duration
			if name == "one ignores its context" {
				// Its goroutine outlives the test, which a bubble does not allow.
				e = newEdge(t, func(c *httpserver.Config) {
					c.Readiness = &httpserver.Readiness{Checks: test.checks, Timeout: 20 * time.Millisecond}
				})
				answered = test.takes
			} else {
				synctest.Test(t, func(*testing.T) {
					start := time.Now()
					e.get("/readyz")
					answered = time.Since(start)
				})
			}
			w := e.get("/readyz")
			if w.Code != test.status || strings.TrimSpace(w.Body.String()) != test.body || answered != test.takes {
				t.Errorf("%d %s after %v", w.Code, w.Body, answered)
			}
			if retry := w.Header().Get("Retry-After"); (retry != "") != (test.status == 503) {
				t.Errorf("Retry-After %q", retry)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", w.Header().Get("Cache-Control"))
			}
			if alive := e.get("/healthz"); alive.Code != http.StatusOK || strings.TrimSpace(alive.Body.String()) != `{"status":"ok"}` {
				t.Errorf("the process itself: %d %s", alive.Code, alive.Body)
			}
		})
	}
}

// TestManyAskOnce holds that whoever asks often makes no more work of it: the address
// has no limit.
func TestManyAskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		e := newEdge(t, func(c *httpserver.Config) {
			c.Readiness = &httpserver.Readiness{Checks: []httpserver.Check{{Name: "slow", Run: func(ctx context.Context) error {
				runs.Add(1)
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}}}
		})
		var group sync.WaitGroup
		impatient, leave := context.WithCancel(t.Context())
		for n := range 100 {
			ctx := t.Context()
			if n%2 == 0 {
				ctx = impatient
			}
			group.Go(func() {
				if w := e.send(httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil)); ctx != impatient && w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		synctest.Wait()
		leave()
		group.Wait()
		if runs.Load() != 1 || len(e.log.lines(t, "not ready")) > 0 {
			t.Errorf("%d runs, %s", runs.Load(), e.log)
		}
		e.get("/readyz")
		if runs.Load() != 2 {
			t.Errorf("later: %d runs", runs.Load())
		}
	})
}

func TestServeStopsCleanly(t *testing.T) {
	t.Parallel()
	readiness := new(httpserver.Readiness)
	entered, finish := make(chan struct{}), make(chan struct{})
	e := newEdge(t, func(c *httpserver.Config) { c.Readiness = readiness }, httpserver.Mount{Routes: func(r chi.Router) {
		r.Get("/slow", func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-finish
			_, _ = io.WriteString(w, "finished")
		})
	}})
	listener := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- httpserver.Serve(ctx, e, httpserver.ServeConfig{Readiness: readiness}, listener) }()
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + listener.Addr().String() + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	<-entered
	stop()
	waitFor(t, "an end to new connections", func() bool {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if w := e.get("/readyz"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "shutdown") {
		t.Errorf("ready while stopping: %d %s", w.Code, w.Body)
	}
	close(finish)
	if got := <-answer; got != "finished" {
		t.Errorf("a running request got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("a clean stop: %v", err)
	}
}

func TestServeCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	listener := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- httpserver.Serve(ctx, handler, httpserver.ServeConfig{ShutdownTimeout: 10 * time.Millisecond}, listener)
	}()
	go func() {
		if response, err := http.Get("http://" + listener.Addr().String()); err == nil {
			response.Body.Close()
			t.Error("a request that was cut off was answered")
		}
	}()
	<-entered
	stop()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestServeStopsBesideASilentConnection(t *testing.T) {
	t.Parallel()
	opened := make(chan struct{}, 1)
	listener := &announcing{Listener: listen(t), accepted: opened}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- httpserver.Serve(ctx, http.NotFoundHandler(), httpserver.ServeConfig{ShutdownTimeout: 4 * time.Second}, listener)
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-opened
	stop()
	if err := <-served; err != nil {
		t.Errorf("a connection nobody used is taken for a request: %v", err)
	}
}

// announcing tells of every connection it has handed out.
type announcing struct {
	net.Listener
	accepted chan<- struct{}
}

func (l *announcing) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return conn, err
}

func TestServeEndsWithItsListener(t *testing.T) {
	t.Parallel()
	first, second := listen(t), listen(t)
	served := make(chan error, 1)
	go func() {
		served <- httpserver.Serve(t.Context(), http.NotFoundHandler(), httpserver.ServeConfig{}, first, second)
	}()
	waitFor(t, "the server", func() bool {
		response, err := http.Get("http://" + second.Addr().String())
		if err == nil {
			response.Body.Close()
		}
		return err == nil
	})
	first.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if conn, err := net.Dial("tcp", second.Addr().String()); err == nil {
		conn.Close()
		t.Error("the other listener was left open")
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
