package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

func TestWantsTraces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		environ []string
		want    bool
	}{
		{nil, false},
		{[]string{"OTEL_SERVICE_NAME=x"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"}, true},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://localhost:4318/v1/traces"}, true},
		{[]string{"OTEL_TRACES_EXPORTER=console"}, true},
		{[]string{"OTEL_TRACES_EXPORTER="}, false},
		{[]string{"OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", "OTEL_SDK_DISABLED=TRUE"}, false},
	} {
		if got := wantsTraces(test.environ); got != test.want {
			t.Errorf("%v: %v", test.environ, got)
		}
	}
}

// TestOneTrace follows a request through the router to the database and to a call
// of somebody else, and a job beside it.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	tracing, err := newTracing(t.Context(), sdktrace.WithSyncer(spans), "test")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger, err := NewLogger(&log, "text", slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	metrics := NewMetrics(logger, 0, nil)
	db, err := database.Open(database.Config{URL: localpgtest.NewDatabase(t), Observe: metrics.ObserveMessage})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	client := &http.Client{Transport: tracing.Client(http.DefaultTransport)}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if _, err := db.Registry().ExecContext(r.Context(), "SELECT ?::text", "secret"); err != nil {
			t.Error(err)
		}
		request, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, other.URL, nil)
		if response, err := client.Do(request); err != nil {
			t.Error(err)
		} else {
			response.Body.Close()
		}
		logger.InfoContext(r.Context(), "half way")
	}
	router, err := httpserver.New(httpserver.Config{
		PublicURL: &url.URL{Scheme: "https", Host: "app.example.com"}, Tracing: tracing.Provider(), Observe: metrics.ObserveRequest,
	}, httpserver.Mount{Surface: httpserver.Public, Routes: func(r chi.Router) { r.Get("/things/{id}", handler) }})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/things/1", nil)
	const foreign = "0af7651916cd43dd8448eb211c80319c"
	r.Header.Set("Traceparent", "00-"+foreign+"-b7ad6b7169203331-01")
	mux := http.NewServeMux() // which says of every request that it matched "/"
	mux.Handle("/", router)
	mux.ServeHTTP(httptest.NewRecorder(), r)

	names := map[string]tracetest.SpanStub{}
	for _, span := range spans.GetSpans() {
		names[span.Name] = span
	}
	root := names["GET /things/{id}"]
	if !root.SpanContext.IsValid() || root.SpanContext.TraceID().String() == foreign {
		t.Fatalf("there is no trace of its own: %v", names)
	}
	for _, name := range []string{"postgresql select", "HTTP GET"} {
		if span := names[name]; span.Parent.SpanID() != root.SpanContext.SpanID() {
			t.Errorf("%s is not of the request: %+v", name, span)
		}
	}
	for _, attr := range names["postgresql select"].Attributes {
		if strings.Contains(attr.Value.String(), "secret") {
			t.Errorf("an argument is told: %v", attr)
		}
	}
	if !strings.Contains(log.String(), "trace_id="+root.SpanContext.TraceID().String()) {
		t.Errorf("the log does not say which trace:\n%s", &log)
	}

	spans.Reset()
	errJob := errors.New("x")
	err = tracing.Job(t.Context(), "webhook user.created", func(ctx context.Context) error {
		if !trace.SpanFromContext(ctx).IsRecording() {
			t.Error("a job has no span")
		}
		return errJob
	})
	if got := spans.GetSpans(); !errors.Is(err, errJob) || len(got) != 1 || got[0].Name != "webhook user.created" || got[0].Status.Code.String() != "Error" {
		t.Errorf("%v, %+v", err, got)
	}
	if err := tracing.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWithoutTracing(t *testing.T) {
	t.Parallel()
	tracing, err := NewTracing(t.Context(), nil, "test")
	if err != nil || tracing.Provider() != nil || tracing.Client(http.DefaultTransport) != http.DefaultTransport {
		t.Errorf("%v, %v", tracing, err)
	}
	tracing.Install()
	if err := tracing.Job(t.Context(), "x", func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := tracing.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
