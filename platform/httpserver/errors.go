package httpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/tenonhq/tenon/platform/fault"
)

// ErrorWriter answers requests that failed. Every error reaches it exactly
// once, so what it logs is the error's only line in the log.
type ErrorWriter struct {
	// Logger takes the errors with their causes; nil is slog.Default.
	Logger *slog.Logger
	// Page answers requests that are not for the API; nil answers problem
	// documents everywhere. err is never nil, and neither its message nor its
	// fields hold anything a client may not see.
	Page func(w http.ResponseWriter, r *http.Request, status int, err *fault.Error, requestID string)
}

// Write logs err and answers it: as problem+json for paths under /api and
// clients that prefer JSON, as a page otherwise. When the response has already
// begun it ends the connection instead, so that the client notices the
// truncation.
func (e *ErrorWriter) Write(w http.ResponseWriter, r *http.Request, err error) {
	a := e.log(r.Context(), err)
	if responseStarted(r.Context()) {
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	// A handler may have begun to describe the body it did not get to write.
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified"} {
		header.Del(name)
	}
	maps.Copy(header, a.problem.header)
	if e.Page != nil && !wantsProblem(r) {
		e.Page(w, r, a.problem.Status, a.fault, RequestID(r.Context()))
		return
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(a.problem) // strings and integers always encode
	header.Set("Content-Type", problemContentType)
	w.WriteHeader(a.problem.Status)
	_, _ = w.Write(body.Bytes()) // fails only when the client has gone
}

// Handle makes a handler of one that returns its error for [ErrorWriter.Write].
func (e *ErrorWriter) Handle(handler func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handler(w, r); err != nil {
			e.Write(w, r, err)
		}
	}
}

// log writes err's one line and returns what the client is told.
func (e *ErrorWriter) log(ctx context.Context, err error) answer {
	a := describe(ctx, err)
	attrs := []slog.Attr{
		slog.String("request_id", RequestID(ctx)),
		slog.String("kind", a.fault.Kind.String()),
		slog.Int("status", a.problem.Status),
		slog.String("error", err.Error()),
	}
	if panicked, ok := errors.AsType[*fault.Panic](err); ok {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	if state := stateFrom(ctx); state != nil {
		attrs = append(attrs, state.annotations()...)
	}
	e.logger().LogAttrs(ctx, a.level(), "request failed", attrs...)
	return a
}

func (e *ErrorWriter) logger() *slog.Logger {
	if e.Logger != nil {
		return e.Logger
	}
	return slog.Default()
}

// wantsProblem reports whether r's client reads problem documents rather than
// pages.
func wantsProblem(r *http.Request) bool {
	if isAPI(r.URL.Path) {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// isAPI reports whether path belongs to the API.
func isAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }
