package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

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
// as well. A warning that is nobody's in particular, such as a worker's that the
// database is away, is told twice a minute at most, with how often it was repeated.
func NewLogger(w io.Writer, format string, level slog.Leveler, context ...ContextAttrs) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "json":
		return slog.New(contextHandler{slog.NewJSONHandler(w, options), context, new(repetitions)}), nil
	case "text":
		return slog.New(contextHandler{slog.NewTextHandler(w, options), context, new(repetitions)}), nil
	}
	return nil, fmt.Errorf("telemetry: unknown log format (want json or text)")
}

// contextHandler adds what the context knows.
type contextHandler struct {
	slog.Handler
	context []ContextAttrs
	repeats *repetitions
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
		if record.Level < slog.LevelWarn {
			return h.Handler.Handle(ctx, record)
		}
		since, ok := h.repeats.tell(record)
		if !ok {
			return nil
		}
		if since > 0 {
			attrs = append(attrs, slog.Int("repeated", since))
		}
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
	return contextHandler{h.Handler.WithAttrs(attrs), h.context, h.repeats}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.context, h.repeats}
}

// repetitions are warnings that were told a short while ago. Messages are texts of
// the program, so there are few.
type repetitions struct {
	mu   sync.Mutex
	told map[string]*repetition
}

type repetition struct {
	at    time.Time
	since int
}

// repeatAfter is how long the same warning is not told again.
const repeatAfter = 30 * time.Second

// tell reports whether a warning is due, and how often it was not told since the
// last time.
func (r *repetitions) tell(record slog.Record) (since int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[string]*repetition{}
	}
	last := r.told[record.Message]
	switch {
	case last == nil:
		r.told[record.Message] = &repetition{at: record.Time}
		return 0, true
	case record.Time.Sub(last.at) < repeatAfter:
		last.since++
		return 0, false
	}
	since, last.since, last.at = last.since, 0, record.Time
	return since, true
}
