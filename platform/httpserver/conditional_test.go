package httpserver_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/platform/httpserver"
)

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][]string{
		`"a"`: {"a"}, ` "a" ,"b"`: {"a", "b"}, httpserver.EntityTag("7-x"): {"7-x"},
		`W/"a"`: {}, `a`: {}, `"`: {}, `"a`: {}, `,`: {}, `"a", x, W/"b"`: {"a"}, `*, "a"`: {"a"},
	} {
		if got := httpserver.IfMatch(header); got == nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	for _, header := range []string{"", " ", "*", " * "} {
		if got := httpserver.IfMatch(header); got != nil {
			t.Errorf("%q: %q, want any", header, got)
		}
	}
}

// TestWhatIsReadHasATag asks again for answers that have no version of their own.
func TestWhatIsReadHasATag(t *testing.T) {
	t.Parallel()
	e := newThings(t)
	get := func(method, path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return e.send(r)
	}
	first, other := get("GET", "/api/things/one"), get("GET", "/api/things/other")
	tag := first.Header().Get("ETag")
	if first.Code != 200 || !strings.HasPrefix(tag, `W/"`) || other.Header().Get("ETag") == tag || first.Body.Len() < 10 {
		t.Fatalf("%d %v %s, and another %v", first.Code, first.Header(), first.Body, other.Header())
	}
	for _, known := range []string{tag, strings.TrimPrefix(tag, "W/"), `"a", ` + tag, "*"} {
		for _, method := range []string{"GET", "HEAD"} {
			again := get(method, "/api/things/one", "If-None-Match", known)
			if again.Code != http.StatusNotModified || again.Body.Len() > 0 || again.Header().Get("ETag") != tag || again.Header().Get("Content-Type") != "" {
				t.Errorf("%s, known %s: %d %v %s", method, known, again.Code, again.Header(), again.Body)
			}
		}
	}
	if again := get("GET", "/api/things/other", "If-None-Match", tag); again.Code != 200 || again.Body.String() != other.Body.String() {
		t.Errorf("%d %s", again.Code, again.Body)
	}
	if failed := get("GET", "/api/things/fault", "If-None-Match", "*"); failed.Code != http.StatusConflict || failed.Header().Get("ETag") != "" {
		t.Errorf("an error: %d %v", failed.Code, failed.Header())
	}
	if made := e.post("/api/things", "application/json", `{"name": "one"}`); made.Header().Get("ETag") != "" {
		t.Errorf("what was made: %v", made.Header())
	}
}

// TestStreamsAreNotHeldBack holds that what is sent bit by bit arrives so.
func TestStreamsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	e := newEdge(t, nil, httpserver.Mount{Operations: func(api huma.API) {
		httpserver.Register(api, huma.Operation{OperationID: "stream", Method: http.MethodGet, Path: "/stream"},
			func(context.Context, *struct{}) (*huma.StreamResponse, error) {
				return &huma.StreamResponse{Body: func(ctx huma.Context) {
					_, _ = io.WriteString(ctx.BodyWriter(), "first") // to a recorder
					if w.Body.String() != "first" {
						t.Errorf("in the middle of it %q has been sent", w.Body)
					}
				}}, nil
			})
	}})
	e.ServeHTTP(w, httptest.NewRequest("GET", "/api/stream", nil))
	if w.Code != 200 || w.Header().Get("ETag") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// FuzzIfMatch holds that only a header that says so lets a change be made to any
// version.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{"", "*", `"a"`, `"a", "b"`, `W/"a"`, `"`, `"",""`, `"""a"""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		versions := httpserver.IfMatch(header)
		if trimmed := strings.TrimSpace(header); (versions == nil) != (trimmed == "" || trimmed == "*") {
			t.Errorf("%q: %q", header, versions)
		}
		for _, version := range versions {
			if !strings.Contains(header, httpserver.EntityTag(version)) {
				t.Errorf("%q: %q is not in it", header, version)
			}
		}
	})
}
