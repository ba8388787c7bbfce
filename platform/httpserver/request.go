package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// requestState is what this package remembers of a request while it runs.
type requestState struct {
	id       string
	errors   *ErrorWriter
	response middleware.WrapResponseWriter

	// Which tenant the request's host names; "" for none.
	hostSlug string
	hosts    *TenantHosts

	// What operations, which know no router, need of its configuration.
	caller      func(context.Context) Caller
	idempotency IdempotencyStore
	hold        time.Duration // how long a request may run

	// What the database was asked for it, see [ObserveMessage].
	messages atomic.Int64
	database atomic.Int64 // nanoseconds

	mu    sync.Mutex
	attrs []slog.Attr
}

type stateKey struct{}

func stateFrom(ctx context.Context) *requestState {
	state, _ := ctx.Value(stateKey{}).(*requestState)
	return state
}

func (s *requestState) annotations() []slog.Attr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]slog.Attr(nil), s.attrs...)
}

// RequestID returns the id of ctx's request: what the client got as
// X-Request-Id and what every log line of the request carries. It is "" outside
// of a request.
func RequestID(ctx context.Context) string {
	if state := stateFrom(ctx); state != nil {
		return state.id
	}
	return ""
}

// ClientIP returns the address of the client, not of a proxy in front of this
// server. It is the zero Addr when a trusted proxy did not say who the client
// is.
func ClientIP(ctx context.Context) netip.Addr { return middleware.GetClientIPAddr(ctx) }

// Annotate adds attributes, such as the tenant and the person, to the
// request's line in the access log and to its errors. It does nothing outside
// of a request. Safe for concurrent use.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	state := stateFrom(ctx)
	if state == nil {
		return
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	state.attrs = append(state.attrs, attrs...)
}

// LogAttrs returns what ctx's request is known by so far: its id, its route, and
// what [Annotate] added. It is nil outside of a request.
func LogAttrs(ctx context.Context) []slog.Attr {
	state := stateFrom(ctx)
	if state == nil {
		return nil
	}
	attrs := []slog.Attr{slog.String("request_id", state.id)}
	if route := routeOf(ctx); route != "" {
		attrs = append(attrs, slog.String("route", route))
	}
	return append(attrs, state.annotations()...)
}

// routeOf returns the pattern that ctx's request matched, as far as it was
// routed.
func routeOf(ctx context.Context) string {
	if route := chi.RouteContext(ctx); route != nil {
		return route.RoutePattern()
	}
	return ""
}

// errorsFrom returns the ErrorWriter of the router that ctx's request came
// through.
func errorsFrom(ctx context.Context) *ErrorWriter {
	if state := stateFrom(ctx); state != nil {
		return state.errors
	}
	return new(ErrorWriter)
}

// PathParam returns the path parameter called name, decoded. chi hands out the
// encoded form for paths that did not need their encoding, such as "/%61cme".
func PathParam(r *http.Request, name string) string {
	value := chi.URLParam(r, name)
	if r.URL.RawPath == "" {
		return value
	}
	// A path that does not decode never gets past net/http.
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return ""
	}
	return decoded
}

// ParseForm reads r's form, which must be URL-encoded, into r.PostForm. Its
// errors are ready to be answered: a body that is malformed, of another type,
// too large or too slow. r.FormValue hides all of these.
func ParseForm(r *http.Request) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != formType {
		return errUnsupportedMediaType([]string{formType})
	}
	err = r.ParseForm()
	if err == nil && !areText(r.PostForm) {
		return errMalformed("The form must be UTF-8 without NUL.")
	}
	if err == nil {
		return nil
	}
	return bodyError(err)
}

// bodyError is what a body that could not be read is answered.
func bodyError(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return errBodyTimeout()
	}
	return errMalformed("The body is not valid.")
}

const formType = "application/x-www-form-urlencoded"

// responseStarted reports whether a status has been sent for ctx's request.
func responseStarted(ctx context.Context) bool {
	state := stateFrom(ctx)
	return state != nil && state.response.Status() != 0
}
