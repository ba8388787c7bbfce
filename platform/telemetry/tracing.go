package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tenonhq/tenon/platform/database"
)

// Tracing sends spans to where OpenTelemetry's standard variables say
// (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER, OTEL_TRACES_SAMPLER, …). The
// zero value sends none.
type Tracing struct{ provider *sdktrace.TracerProvider }

// NewTracing reads the variables, and does nothing when none of them names a
// place to send to. The process' own environment is what the exporter goes by.
func NewTracing(ctx context.Context, environ []string, version string) (Tracing, error) {
	if !wantsTraces(environ) {
		return Tracing{}, nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return Tracing{}, fmt.Errorf("telemetry: traces: %w", err)
	}
	return newTracing(ctx, sdktrace.WithBatcher(exporter), version)
}

func newTracing(ctx context.Context, processor sdktrace.TracerProviderOption, version string) (Tracing, error) {
	// What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes last, and wins.
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("tenon"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return Tracing{}, fmt.Errorf("telemetry: traces: %w", err)
	}
	// The samplers' variables are the provider's own to read.
	provider := sdktrace.NewTracerProvider(processor, sdktrace.WithResource(about))
	return Tracing{provider}, nil
}

// wantsTraces reports whether somebody set up where traces go.
func wantsTraces(environ []string) bool {
	wants := false
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch name {
		case "OTEL_SDK_DISABLED":
			if strings.EqualFold(value, "true") {
				return false
			}
		case "OTEL_TRACES_EXPORTER":
			if value == "none" {
				return false
			}
			wants = wants || value != ""
		case "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":
			wants = wants || value != ""
		}
	}
	return wants
}

// Provider is what a router makes its spans with; nil without a place to send
// them to.
func (t Tracing) Provider() trace.TracerProvider {
	if t.provider == nil {
		return nil
	}
	return t.provider
}

// Install makes traces cross process borders as W3C's Trace Context says. It
// changes the process as a whole, so it is for its main function.
func (t Tracing) Install() {
	if t.provider != nil {
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	}
}

// Client makes a span of every request that transport sends.
func (t Tracing) Client(transport http.RoundTripper) http.RoundTripper {
	if t.provider == nil {
		return transport
	}
	return otelhttp.NewTransport(transport, otelhttp.WithTracerProvider(t.provider))
}

// Job runs work as a trace of its own.
func (t Tracing) Job(ctx context.Context, name string, work func(ctx context.Context) error) error {
	if t.provider == nil {
		return work(ctx)
	}
	ctx, span := t.provider.Tracer(scopeName).Start(ctx, name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	err := work(ctx)
	if err != nil {
		span.SetStatus(codes.Error, "failed") // the log has why
	}
	return err
}

// Stop sends what was not sent yet.
func (t Tracing) Stop(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

const scopeName = "github.com/tenonhq/tenon/platform/telemetry"

// traceMessage makes a span of a message within a trace. Messages of nobody's, as
// a worker's look at an empty queue, make none.
func traceMessage(ctx context.Context, message database.Message) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return
	}
	operation := message.Operation()
	_, span := parent.TracerProvider().Tracer(scopeName).Start(ctx, "postgresql "+operation,
		trace.WithTimestamp(message.Start), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.DBSystemNamePostgreSQL, semconv.DBOperationName(operation), semconv.DBQueryText(message.Text())))
	if message.Err != nil {
		span.SetStatus(codes.Error, "failed")
		span.SetAttributes(attribute.String("error.type", fmt.Sprintf("%T", message.Err)))
	}
	span.End(trace.WithTimestamp(message.Start.Add(message.Duration)))
}
