package httpserver_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/httpserver"
)

func TestServerTiming(t *testing.T) {
	t.Parallel()
	handle := func(w http.ResponseWriter, r *http.Request) {
		httpserver.ObserveMessage(r.Context(), 2*time.Millisecond)
		httpserver.ObserveMessage(r.Context(), time.Millisecond/2)
		_, _ = w.Write([]byte("body"))
		httpserver.ObserveMessage(r.Context(), time.Hour) // behind the header
	}
	for _, on := range []bool{true, false} {
		router := newEdge(t, func(c *httpserver.Config) { c.ServerTiming = on }, httpserver.Mount{
			Surface: httpserver.Public, Routes: func(r chi.Router) { r.Get("/page", handle) },
		})
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/page", http.NoBody))
		got := w.Result().Header.Get("Server-Timing")
		if matched := regexp.MustCompile(`^db;dur=2\.5;desc="2 messages", total;dur=\d+\.\d$`).MatchString(got); matched != on || !on && got != "" {
			t.Errorf("on %v: %q", on, got)
		}
		if w.Body.String() != "body" {
			t.Errorf("%q", w.Body)
		}
	}
	httpserver.ObserveMessage(t.Context(), time.Second) // outside of a request
}
