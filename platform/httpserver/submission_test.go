package httpserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/idempotency"
)

// newForms serves a form of acme's at /acme/things, each run of which is handled by
// handle with its number.
func newForms(t *testing.T, handle func(run int, w http.ResponseWriter, r *http.Request) error, change ...func(*httpserver.Config)) (e edge, runs *atomic.Int64) {
	runs = new(atomic.Int64)
	var errs *httpserver.ErrorWriter
	e = newEdge(t, func(config *httpserver.Config) {
		errs = config.Errors
		config.Caller = func(ctx context.Context) httpserver.Caller {
			return httpserver.Caller{Account: ctx.Value(asKey{}).(string), Tenant: "org_acme"}
		}
		config.Idempotency = idempotency.NewMemory()
		for _, change := range change {
			change(config)
		}
	}, httpserver.Mount{Surface: httpserver.TenantPages, Routes: func(r chi.Router) {
		r.Post("/things", func(w http.ResponseWriter, r *http.Request) {
			errs.Handle(func(w http.ResponseWriter, r *http.Request) error {
				return handle(int(runs.Add(1)), w, r)
			})(w, r)
		})
	}})
	return e, runs
}

type asKey struct{}

func (e edge) submit(as, body string, header ...string) *httptest.ResponseRecorder {
	return e.submitIn(context.Background(), as, body, header...)
}

func (e edge) submitIn(ctx context.Context, as, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/acme/things", strings.NewReader(body))
	r = r.WithContext(context.WithValue(ctx, asKey{}, as))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-As", as)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return e.send(r)
}

// made is what a form that makes a thing answers.
func made(run int, w http.ResponseWriter, r *http.Request) error {
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: "flash", Value: fmt.Sprint(run)})
	http.Redirect(w, r, fmt.Sprintf("/acme/things/%s-%d", r.PostForm.Get("name"), run), http.StatusSeeOther)
	return nil
}

func TestAFormIsDoneOnce(t *testing.T) {
	t.Parallel()
	e, runs := newForms(t, made)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			w := e.submit("ada", "name=a&submission=s1")
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/acme/things/a-1" || !strings.HasPrefix(w.Header().Get("Set-Cookie"), "flash=1") {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
		})
	}
	group.Wait()
	if n := runs.Load(); n != 1 {
		t.Errorf("%d runs", n)
	}
	for _, again := range []struct{ as, body string }{
		{"ada", "name=b&submission=s1"}, // gone back to and changed
		{"ada", "name=a&submission=s2"},
		{"bob", "name=a&submission=s1"},
		{"ada", "name=a"},
		{"ada", "name=a"},
		{"ada", "name=a&submission="},
		{"ada", "name=a&submission=%01"},
		{"ada", "name=a&submission=" + strings.Repeat("x", 300)},
	} {
		before := runs.Load()
		if w := e.submit(again.as, again.body); w.Code != http.StatusSeeOther || runs.Load() != before+1 {
			t.Errorf("%s %.40s: %d after %d more runs", again.as, again.body, w.Code, runs.Load()-before)
		}
	}
}

func TestAFormThatLedNowhereMayComeAgain(t *testing.T) {
	t.Parallel()
	e, runs := newForms(t, func(run int, w http.ResponseWriter, r *http.Request) error {
		switch run {
		case 1:
			panic("lost")
		case 2:
			return fault.New(fault.Unavailable, "Away.")
		case 3:
			w.WriteHeader(http.StatusUnprocessableEntity)
			return nil
		case 4:
			_, err := w.Write([]byte("a secret that is shown once"))
			return err
		case 5:
			w.Header().Set("Hx-Redirect", "/acme/things/5")
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return made(run, w, r)
	})
	for i, want := range []int{500, 503, 422, 200, 204, 303} {
		if w := e.submit("ada", "name=a&submission=s1"); w.Code != want {
			t.Errorf("%d: %d, want %d: %s", i, w.Code, want, w.Body)
		}
	}
	// Each sending is led in its own way.
	if w := e.submit("ada", "submission=s1&name=a"); w.Header().Get("Location") != "/acme/things/5" || w.Header().Get("Hx-Redirect") != "" {
		t.Errorf("a browser gets %d %v", w.Code, w.Header())
	}
	if w := e.submit("ada", "name=%61&submission=s1", "HX-Request", "true", "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"); w.Code != 204 || w.Header().Get("Hx-Redirect") != "/acme/things/5" {
		t.Errorf("htmx gets %d %v", w.Code, w.Header())
	}
	if n := runs.Load(); n != 5 {
		t.Errorf("%d runs", n)
	}
}

// TestAFormIsDoneToItsEnd although the browser that sent it has gone, as it does when
// its button is pressed again: what was done by then would be done once more.
func TestAFormIsDoneToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &abandonedStore{Memory: idempotency.NewMemory()}
		e, runs := newForms(t, func(run int, w http.ResponseWriter, r *http.Request) error {
			select { // what is left to do, as whoever asks a database does it
			case <-time.After(time.Second):
				return made(run, w, r)
			case <-r.Context().Done():
				return r.Context().Err()
			}
		}, func(config *httpserver.Config) { config.Idempotency = store })
		for _, abandon := range []func(leave func()){
			func(leave func()) { leave() },                              // while the form is claimed
			func(leave func()) { time.AfterFunc(time.Second/2, leave) }, // while it is done
		} {
			before := runs.Load()
			name := fmt.Sprintf("submission=s%d&name=a", before)
			first, leave := context.WithCancel(t.Context())
			store.begun = func() { store.begun = nil; abandon(leave) }
			go e.submitIn(first, "ada", name)
			synctest.Wait()
			w := e.submit("ada", name)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != fmt.Sprintf("/acme/things/a-%d", before+1) || runs.Load() != before+1 {
				t.Errorf("%d %v after %d runs", w.Code, w.Header(), runs.Load()-before)
			}
			leave()
		}
	})
}

// abandonedStore tells when a key was claimed, before anybody else hears of it.
type abandonedStore struct {
	*idempotency.Memory

	begun func()
}

// Begin does not tell a context that has ended, as a database does not.
func (s *abandonedStore) Begin(ctx context.Context, r idempotency.Request, hold time.Duration) (idempotency.Claim, *idempotency.Answer, error) {
	claim, answer, err := s.Memory.Begin(ctx, r, hold)
	if claim != "" && s.begun != nil {
		s.begun()
	}
	if ctx.Err() != nil {
		return "", nil, ctx.Err()
	}
	return claim, answer, err
}

// TestARenameInBetween makes no other request of one that is sent again: its tenant is
// the same, and where it was leads to where it is.
func TestARenameInBetween(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	e := newEdge(t, func(config *httpserver.Config) {
		config.Tenant = func(next http.Handler) http.Handler { return next }
		config.Caller = func(context.Context) httpserver.Caller { return httpserver.Caller{Account: "ada", Tenant: "org_acme"} }
		config.Idempotency = idempotency.NewMemory()
	},
		httpserver.Mount{Surface: httpserver.TenantPages, Routes: func(r chi.Router) {
			r.Post("/{what}", func(w http.ResponseWriter, r *http.Request) {
				runs.Add(1)
				http.Redirect(w, r, "/acme/done", http.StatusSeeOther)
			})
		}},
		httpserver.Mount{Surface: httpserver.TenantAPI, Operations: func(api huma.API) {
			type input struct {
				What string `path:"what"`
				Body struct{ Name string }
			}
			httpserver.Register(api, huma.Operation{OperationID: "make", Method: http.MethodPost, Path: "/{what}"},
				func(context.Context, *input) (*thingOutput, error) {
					runs.Add(1)
					return &thingOutput{Body: thing{Name: "done"}}, nil
				})
		}})
	send := func(path string) int {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"Name":"x"}`))
		r.Header.Set("Content-Type", "application/json")
		if !strings.HasPrefix(path, "/api/") {
			r = httptest.NewRequest(http.MethodPost, path, strings.NewReader("submission=s1"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.Header.Set("Idempotency-Key", "k1")
		r.Header.Set("X-As", "ada")
		return e.send(r).Code
	}
	for _, test := range []struct {
		path         string
		status, runs int64
	}{
		{"/acme/things", 303, 1},
		{"/acme/things", 303, 1},
		{"/acme-two/things", 303, 1},
		{"/acme-two/acme", 303, 2},
		{"/api/tenants/acme/things", 200, 3},
		{"/api/tenants/acme-two/things", 200, 3},
		{"/api/tenants/acme-two/acme", 422, 3},
	} {
		if status := send(test.path); int64(status) != test.status || runs.Load() != test.runs {
			t.Errorf("%s: %d after %d runs, want %d after %d", test.path, status, runs.Load(), test.status, test.runs)
		}
	}
}

// TestAFormsBodyIsItsHandlers who says what is wrong with it.
func TestAFormsBodyIsItsHandlers(t *testing.T) {
	t.Parallel()
	e, runs := newForms(t, made)
	for body, want := range map[string]int{
		"submission=s1&name=" + strings.Repeat("x", 2<<20): http.StatusRequestEntityTooLarge,
		"submission=s1&name=%zz":                           http.StatusBadRequest,
		"submission=s1&name=%00":                           http.StatusBadRequest,
		"submission=s1&name=fine":                          http.StatusSeeOther,
	} {
		if w := e.submit("ada", body); w.Code != want {
			t.Errorf("%.40s: %d, want %d", body, w.Code, want)
		}
	}
	if w := e.submit("ada", `{"submission": "s1"}`, "Content-Type", "application/json"); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("JSON: %d", w.Code)
	}
	if n := runs.Load(); n != 5 {
		t.Errorf("%d runs", n)
	}
}
