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

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/idempotency"
)

// newForms serves a form of acme's at /acme/things, each run of which is handled by
// handle with its number.
func newForms(t *testing.T, handle func(run int, w http.ResponseWriter, r *http.Request) error) (e edge, runs *atomic.Int64) {
	runs = new(atomic.Int64)
	var errs *httpserver.ErrorWriter
	e = newEdge(t, func(config *httpserver.Config) {
		errs = config.Errors
		config.Caller = func(ctx context.Context) httpserver.Caller {
			return httpserver.Caller{Account: ctx.Value(asKey{}).(string), Tenant: "org_acme"}
		}
		config.Idempotency = idempotency.NewMemory()
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
	r := httptest.NewRequest(http.MethodPost, "/acme/things", strings.NewReader(body))
	r = r.WithContext(context.WithValue(r.Context(), asKey{}, as))
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
