package httpserver_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/idempotency"
)

// counted is an operation that counts its runs and ends as its first runs are
// told to.
type counted struct {
	runs  atomic.Int64
	start chan struct{} // closed once the operation may end; nil for at once
	work  func(context.Context) error
	ends  []func() error
}

func (c *counted) mount(api huma.API) {
	type input struct{ Body struct{ Name string } }
	httpserver.Register(api, huma.Operation{OperationID: "count", Method: http.MethodPost, Path: "/count"},
		func(ctx context.Context, _ *input) (*thingOutput, error) {
			run := int(c.runs.Add(1))
			if c.start != nil {
				<-c.start
			}
			if c.work != nil {
				if err := c.work(ctx); err != nil {
					return nil, err
				}
			}
			if run <= len(c.ends) {
				if err := c.ends[run-1](); err != nil {
					return nil, err
				}
			}
			return &thingOutput{Body: thing{Name: "done"}}, nil
		})
}

func newCounted(t *testing.T, c *counted) edge {
	return newEdge(t, func(config *httpserver.Config) {
		config.Caller = func(context.Context) httpserver.Caller { return httpserver.Caller{Account: "user_1"} }
		config.Idempotency = idempotency.NewMemory()
	}, httpserver.Mount{Operations: c.mount})
}

func (e edge) count(key string) *httptest.ResponseRecorder {
	return e.countIn(context.Background(), key)
}

func (e edge) countIn(ctx context.Context, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/count", strings.NewReader(`{"Name":"x"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	return e.send(r)
}

func TestOneOfManyUnderAKeyRuns(t *testing.T) {
	t.Parallel()
	c := &counted{start: make(chan struct{})}
	e := newCounted(t, c)
	var wg sync.WaitGroup
	var done, refused atomic.Int64
	const n = 20
	for range n {
		wg.Go(func() {
			switch w := e.count("k"); w.Code {
			case http.StatusOK:
				done.Add(1)
			case http.StatusConflict:
				if w.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				// All others have been refused: let the one end.
				if refused.Add(1) == n-1 {
					close(c.start)
				}
			default:
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if c.runs.Load() != 1 || done.Load() != 1 {
		t.Errorf("%d runs, %d done, %d refused", c.runs.Load(), done.Load(), refused.Load())
	}
	if w := e.count("k"); w.Code != http.StatusOK || w.Header().Get("Idempotency-Replayed") != "true" || c.runs.Load() != 1 {
		t.Errorf("afterwards: %d %v, %d runs", w.Code, w.Header(), c.runs.Load())
	}
}

func TestWhatFailsUnderAKeyMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	c := &counted{ends: []func() error{
		func() error { panic("lost") },
		func() error { return fault.New(fault.Unavailable, "Away.") },
		func() error { return fault.New(fault.Conflict, "Taken.") },
	}}
	e := newCounted(t, c)
	for _, want := range []int{500, 503, 409, 200, 200} {
		if w := e.count("k"); w.Code != want {
			t.Errorf("%d, want %d: %s", w.Code, want, w.Body)
		}
	}
	if n := c.runs.Load(); n != 4 {
		t.Errorf("%d runs, want 4", n)
	}
}

// TestWhatRunsUnderAKeyOutlivesItsClient who sends it again, not having waited.
func TestWhatRunsUnderAKeyOutlivesItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counted{work: func(ctx context.Context) error {
			select {
			case <-time.After(20 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		e := newCounted(t, c)
		impatient, leave := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, leave)
		e.countIn(impatient, "k")
		w := e.count("k")
		if w.Code != http.StatusOK || w.Header().Get("Idempotency-Replayed") != "true" || c.runs.Load() != 1 {
			t.Errorf("%d %v %s after %d runs", w.Code, w.Header(), w.Body, c.runs.Load())
		}
		// The deadline of all requests is its own, too.
		c.work = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		if w := e.count("k2"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("without an end: %d %s", w.Code, w.Body)
		}
	})
}

func TestKeysNeedCallers(t *testing.T) {
	t.Parallel()
	config := httpserver.Config{PublicURL: &url.URL{Scheme: "https", Host: "example.com"}, Idempotency: idempotency.NewMemory()}
	if _, err := httpserver.New(config); err == nil {
		t.Error("keys that belong to nobody are accepted")
	}
}

// TestSecretsAreNotKept holds that an answer is remembered without what is shown
// once, and that a person's keys for idempotency are not those of their API keys.
func TestSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	type callerKey struct{}
	e := newEdge(t, func(config *httpserver.Config) {
		config.Caller = func(ctx context.Context) httpserver.Caller {
			key, _ := ctx.Value(callerKey{}).(string)
			return httpserver.Caller{Account: "user_1", Key: key}
		}
		config.SignedIn = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, r.Header.Get("X-Key"))))
			})
		}
		config.Idempotency = idempotency.NewMemory()
	}, httpserver.Mount{Surface: httpserver.SignedIn, Operations: func(api huma.API) {
		op := huma.Operation{OperationID: "reveal", Method: http.MethodPost, Path: "/reveal"}
		httpserver.KeepWithout(&op, func(body []byte) ([]byte, error) {
			if broken.Load() {
				return nil, errors.New("not to be read")
			}
			return bytes.ReplaceAll(body, []byte("secret"), []byte("hidden")), nil
		})
		httpserver.Register(api, op, func(context.Context, *struct{}) (*thingOutput, error) {
			return &thingOutput{Body: thing{Name: "secret"}}, nil
		})
	}})
	ask := func(idempotencyKey, apiKey string) string {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/api/reveal", nil)
		r.Header.Set("Idempotency-Key", idempotencyKey)
		r.Header.Set("X-Key", apiKey)
		w := e.send(r)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	for _, apiKey := range []string{"", "KEY1", "KEY2"} { // each of them is somebody else
		if first, again := ask("k", apiKey), ask("k", apiKey); !strings.Contains(first, "secret") || strings.Contains(again, "secret") || !strings.Contains(again, "hidden") {
			t.Errorf("%q: first %s, again %s", apiKey, first, again)
		}
	}
	broken.Store(true)
	if first, again := ask("k2", ""), ask("k2", ""); !strings.Contains(first, "secret") || again != "" {
		t.Errorf("first %s, again %s", first, again)
	}
}
