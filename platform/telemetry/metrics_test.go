package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/telemetry"
)

func newMetrics(t *testing.T, slow time.Duration) (*telemetry.Metrics, *strings.Builder) {
	t.Helper()
	log := new(strings.Builder)
	logger, err := telemetry.NewLogger(log, "text", slog.LevelInfo, func(context.Context) []slog.Attr {
		return []slog.Attr{slog.String("tenant", "org_1"), slog.String("route", "/{tenant}/projects")}
	})
	if err != nil {
		t.Fatal(err)
	}
	return telemetry.NewMetrics(logger, slow, prometheus.Labels{"version": "test"}), log
}

func get(t *testing.T, m *telemetry.Metrics, address string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))
	return w.Code, w.Body.String()
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing from:\n%s", want, text)
		}
	}
}

func TestRequestsAreMeasuredWithoutTenants(t *testing.T) {
	t.Parallel()
	m, _ := newMetrics(t, 0)
	m.ObserveRequest(t.Context(), httpserver.Answered{Method: "GET", Route: "/{tenant}/projects", Status: 200, Duration: time.Millisecond, Tenant: "org_1"})
	m.ObserveRequest(t.Context(), httpserver.Answered{Method: "BREW\n", Status: 405, Duration: time.Millisecond})
	status, text := get(t, m, "/metrics")
	if status != http.StatusOK || strings.Contains(text, "org_1") || strings.Contains(text, "BREW") {
		t.Errorf("%d: %s", status, text)
	}
	contains(t, text,
		`tenon_http_request_duration_seconds_count{method="GET",route="/{tenant}/projects",status="200"} 1`,
		`tenon_http_request_duration_seconds_count{method="other",route="none",status="405"} 1`,
		`tenon_build_info{version="test"} 1`, "go_goroutines", "process_open_fds")
}

func TestMessagesAreMeasuredAndSlowOnesLogged(t *testing.T) {
	t.Parallel()
	m, log := newMetrics(t, time.Nanosecond)
	db, err := database.Open(database.Config{URL: localpgtest.NewDatabase(t), Observe: m.ObserveMessage})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m.Pool(db)
	if _, err := db.Registry().ExecContext(t.Context(), "SELECT ?::text", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Registry().ExecContext(t.Context(), "DELETE FROM nowhere"); err == nil {
		t.Fatal("a table that is none was emptied")
	}
	_, text := get(t, m, "/metrics")
	contains(t, text,
		`tenon_database_message_duration_seconds_count{operation="select"} 1`,
		`tenon_database_message_failures_total{operation="delete"} 1`,
		"tenon_database_slow_messages_total 2", `tenon_database_connections{state="idle"} 1`, "tenon_database_waits_total 0")
	contains(t, log.String(), `statement="SELECT ?::text"`, "tenant=org_1", "route=/{tenant}/projects")
	if strings.Contains(log.String(), "ada@example.com") {
		t.Errorf("an argument is logged:\n%s", log)
	}
}

func TestAProbeThatFailsHidesNothingElse(t *testing.T) {
	t.Parallel()
	m, log := newMetrics(t, 0)
	m.Probe(telemetry.Probe{Name: "good", Read: func(context.Context) ([]telemetry.Reading, error) {
		return []telemetry.Reading{
			{Name: "tenon_rooms", Help: "Rooms.", Label: "state", LabelValue: "free", Value: 2},
			{Name: "tenon_rooms", Help: "Rooms.", Label: "state", LabelValue: "taken", Value: 3},
		}, nil
	}})
	m.Probe(telemetry.Probe{Name: "bad", Read: func(context.Context) ([]telemetry.Reading, error) {
		return nil, errors.New("the database is away")
	}})
	get(t, m, "/metrics") // a failure is counted while the scrape that saw it may be over
	status, text := get(t, m, "/metrics")
	if status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	contains(t, text, `tenon_rooms{state="free"} 2`, `tenon_rooms{state="taken"} 3`, `tenon_probe_failures_total{probe="bad"}`)
	contains(t, log.String(), "the database is away", "probe=bad")
}

func TestBusiestTenants(t *testing.T) {
	t.Parallel()
	m, _ := newMetrics(t, 0)
	for tenant, took := range map[string]time.Duration{"org_many": time.Millisecond, "org_slow": time.Second, "": time.Hour} {
		m.ObserveRequest(t.Context(), httpserver.Answered{Method: "GET", Status: 200, Duration: took, Tenant: tenant})
	}
	m.ObserveRequest(t.Context(), httpserver.Answered{Method: "GET", Status: 200, Duration: time.Millisecond, Tenant: "org_many"})
	for address, want := range map[string]string{"/tenants": "org_many", "/tenants?by=seconds&top=1": "org_slow"} {
		status, text := get(t, m, address)
		var answer struct {
			Minutes int
			Tenants []telemetry.Busy
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", address, status, text)
		}
		if answer.Minutes != 15 || answer.Tenants[0].Tenant != want || strings.Contains(address, "top=1") != (len(answer.Tenants) == 1) {
			t.Errorf("%s: %+v", address, answer)
		}
	}
	for _, address := range []string{"/tenants?top=0", "/tenants?top=1001", "/tenants?top=x", "/tenants?by=name"} {
		if status, _ := get(t, m, address); status != http.StatusBadRequest {
			t.Errorf("%s: %d", address, status)
		}
	}
}
