package httpserver_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
)

func TestEveryKindHasItsAnswer(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]struct {
		status int
		level  string
	}{
		fault.Internal:           {500, "ERROR"},
		fault.Invalid:            {422, "INFO"},
		fault.Unauthenticated:    {401, "INFO"},
		fault.Forbidden:          {403, "INFO"},
		fault.Suspended:          {403, "INFO"},
		fault.NotFound:           {404, "INFO"},
		fault.Conflict:           {409, "INFO"},
		fault.PreconditionFailed: {412, "INFO"},
		fault.TooLarge:           {413, "INFO"},
		fault.RateLimited:        {429, "INFO"},
		fault.Unavailable:        {503, "WARN"},
		fault.Canceled:           {499, "INFO"},
	}
	types := map[string]fault.Kind{}
	for _, kind := range fault.Kinds() {
		if got := httpserver.Status(kind); got != want[kind].status {
			t.Errorf("Status(%v) = %d, want %d", kind, got, want[kind].status)
		}
		var log bytes.Buffer
		errs := &httpserver.ErrorWriter{Logger: slog.New(slog.NewJSONHandler(&log, nil))}
		response := httptest.NewRecorder()
		cause := errors.New(`relation "tenant_acme.projects"`)
		err := fault.New(kind, "Shown to the client.").WithCause(cause).WithField("slug", "is taken").WithRetryAfter(1500 * time.Millisecond)
		errs.Write(response, httptest.NewRequest(http.MethodGet, "/api/x", nil), fault.Wrap("projects.create", err))

		var problem httpserver.Problem
		if err := json.Unmarshal(response.Body.Bytes(), &problem); err != nil {
			t.Fatalf("%v: %v in %s", kind, err, response.Body)
		}
		if other, taken := types[problem.Type]; taken {
			t.Errorf("%v and %v share the type %q", kind, other, problem.Type)
		}
		types[problem.Type] = kind
		if response.Code != want[kind].status || problem.Status != response.Code || problem.Title == "" {
			t.Errorf("%v: answered %d with %+v", kind, response.Code, problem)
		}
		if got := response.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%v: content type %q", kind, got)
		}
		if got := response.Header().Get("Retry-After"); got != "2" {
			t.Errorf("%v: Retry-After %q, want whole seconds, rounded up", kind, got)
		}
		if strings.Contains(response.Body.String(), "tenant_acme") || !strings.Contains(log.String(), "tenant_acme") {
			t.Errorf("%v: the cause belongs into the log alone:\n%s\n%s", kind, response.Body, log.String())
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `"level":"`+want[kind].level+`"`) {
			t.Errorf("%v: want one %s line, got %s", kind, want[kind].level, log.String())
		}
		if shown := problem.Detail == "Shown to the client."; shown == (kind == fault.Internal) {
			t.Errorf("%v: detail %q", kind, problem.Detail)
		}
	}
	if httpserver.Status(fault.Kind(200)) != http.StatusInternalServerError {
		t.Error("an unknown kind must be a 500")
	}
}
