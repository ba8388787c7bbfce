package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// ContextAttrs returns what every line that is logged with a context tells of
// it, such as the request's id and its tenant.
type ContextAttrs func(ctx context.Context) []slog.Attr

// NewLogger returns a logger that writes to w: one JSON object a line for
// format "json", key=value pairs for a person's eyes for "text". Both escape
// what they are given, so that nobody's input can begin a line of its own. A
// line's own attributes come before those of its context, which are left out
// where the names are the same; within a trace there are trace_id and span_id
// as well.
func NewLogger(w io.Writer, format string, level slog.Leveler, context ...ContextAttrs) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "json":
		return slog.New(contextHandler{slog.NewJSONHandler(w, options), context}), nil
	case "text":
		return slog.New(contextHandler{slog.NewTextHandler(w, options), context}), nil
	}
	return nil, fmt.Errorf("telemetry: unknown log format (want json or text)")
}

// contextHandler adds what the context knows.
type contextHandler struct {
	slog.Handler
	context []ContextAttrs
}

func (h contextHandler) Handle(ctx context.Context, record slog.Record) error {
	var attrs []slog.Attr
	for _, of := range h.context {
		attrs = append(attrs, of(ctx)...)
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	if len(attrs) == 0 {
		return h.Handler.Handle(ctx, record)
	}
	said := map[string]bool{}
	record.Attrs(func(a slog.Attr) bool {
		said[a.Key] = true
		return true
	})
	record = record.Clone()
	for _, attr := range attrs {
		if !said[attr.Key] {
			said[attr.Key] = true
			record.AddAttrs(attr)
		}
	}
	return h.Handler.Handle(ctx, record)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs), h.context}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.context}
}
