package httpserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/origin"
)

// chain returns every middleware that each request passes, outermost first.
// The order is the design: what is above sees what is below fail.
func (rt *Router) chain() []func(http.Handler) http.Handler {
	return []func(http.Handler) http.Handler{
		rt.trace,        // around all that is measured
		rt.identify,     // request id and state, which everything below reads
		rt.clientIP(),   // before anything that logs or counts by address
		rt.serverTiming, // around what takes time
		originate,       // whatever is changed below comes from this request
		rt.logAccess,    // sees the final status, also of panics
		rt.recoverPanic, // above everything that can panic
		rt.limitBody,    // a cap for whoever reads; 401 and 404 come before 413
		rt.limitTime,    // deadline of all work below
		rt.secureHeaders(),
		rt.limitAddress, // before any work for whoever asks too often
		rt.checkURL,     // nothing below sees NUL, broken UTF-8 or a second spelling
		rt.checkOrigin,
		compress(),
		middleware.GetHead,
		rt.serveTenantHost, // next to the routes, which it chooses
	}
}

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{8,128}$`)

// identify gives the request its id and state. The id is the proxy's when a
// trusted one sent it, so that both logs agree; anybody else could use it to
// forge log lines or collide with others.
func (rt *Router) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !requestIDPattern.MatchString(id) || !rt.fromTrustedProxy(r) {
			id = rand.Text()
		}
		state := &requestState{
			id:       id,
			errors:   rt.errors,
			response: middleware.NewWrapResponseWriter(w, r.ProtoMajor),

			caller:      rt.config.Caller,
			idempotency: rt.config.Idempotency,
			hold:        rt.config.RequestTimeout + finishTimeout,
			hosts:       rt.config.TenantHosts,
		}
		state.hostSlug, _ = state.hosts.SlugOf(r.Host)
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(state.response, r.WithContext(context.WithValue(r.Context(), stateKey{}, state)))
	})
}

// originate says to the database which request its changes come from. Whoever finds
// out who sent it adds that.
func originate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := origin.Origin{IP: ClientIP(r.Context()), RequestID: RequestID(r.Context())}
		next.ServeHTTP(w, r.WithContext(origin.NewContext(r.Context(), from)))
	})
}

// trace makes the request a span when there is somebody to tell. A trace goes on
// from the client's only where a trusted proxy passed it.
func (rt *Router) trace(next http.Handler) http.Handler {
	if rt.config.Tracing == nil {
		return next
	}
	return otelhttp.NewMiddleware("request",
		otelhttp.WithTracerProvider(rt.config.Tracing),
		otelhttp.WithPublicEndpointFn(func(r *http.Request) bool { return !rt.fromTrustedProxy(r) }),
		// Asked when the request begins and again when it is over and was routed.
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			return strings.TrimSpace(r.Method + " " + routeOf(r.Context()))
		}),
		otelhttp.WithFilter(func(r *http.Request) bool { return r.URL.Path != healthPath && r.URL.Path != readyPath }),
	)(next)
}

func (rt *Router) fromTrustedProxy(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	peer, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	peer = peer.Unmap().WithZone("")
	return slices.ContainsFunc(rt.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// clientIP believes X-Forwarded-For as far as it was written by trusted
// proxies, and not at all without any.
func (rt *Router) clientIP() func(http.Handler) http.Handler {
	if len(rt.config.TrustedProxies) == 0 {
		return middleware.ClientIPFromRemoteAddr
	}
	var prefixes []string
	for _, prefix := range rt.config.TrustedProxies {
		prefixes = append(prefixes, prefix.String())
	}
	return middleware.ClientIPFromXFF(prefixes...)
}

// logAccess writes one line a request. It has no query string: those carry
// tickets of the identity provider.
func (rt *Router) logAccess(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		state := stateFrom(r.Context())
		// Deferred, since an aborted response passes as a panic.
		defer func() {
			status := state.response.Status()
			if status == 0 {
				status = http.StatusOK // net/http's default for a handler that wrote nothing
				if r.Context().Err() != nil {
					status = StatusClientClosedRequest
				}
			}
			route, took := routeOf(r.Context()), time.Since(start)
			rt.observe(r, route, status, took)
			attrs := []slog.Attr{
				slog.String("request_id", state.id),
				slog.String("method", r.Method),
				slog.String("route", route),
				slog.Int("status", status),
				slog.Duration("duration", took),
				slog.Int("bytes", state.response.BytesWritten()),
				slog.String("client_ip", middleware.GetClientIP(r.Context())),
			}
			level := slog.LevelInfo
			if route == healthPath || route == readyPath {
				level = slog.LevelDebug
			}
			rt.errors.logger().LogAttrs(r.Context(), level, "request", append(attrs, state.annotations()...)...)
		}()
		next.ServeHTTP(w, r)
	})
}

// observe tells the metrics and the trace of a request that was answered.
func (rt *Router) observe(r *http.Request, route string, status int, took time.Duration) {
	answered := Answered{Method: r.Method, Route: route, Status: status, Duration: took}
	for _, attr := range stateFrom(r.Context()).annotations() {
		if attr.Key == TenantAttr {
			answered.Tenant = attr.Value.String()
		}
	}
	if rt.config.Observe != nil {
		rt.config.Observe(r.Context(), answered)
	}
	span := trace.SpanFromContext(r.Context())
	if !span.IsRecording() {
		return
	}
	if route != "" {
		span.SetAttributes(semconv.HTTPRoute(route))
	}
	span.SetAttributes(attribute.String("tenon.request_id", RequestID(r.Context())))
	if answered.Tenant != "" {
		span.SetAttributes(attribute.String("tenon.tenant", answered.Tenant))
	}
}

// recoverPanic makes a panic cost its own request only. http.ErrAbortHandler
// is how a handler asks net/http to cut the connection, so it passes.
func (rt *Router) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
			rt.errors.Write(w, r, fault.New(fault.Internal, "").WithCause(fault.PanicOf(value)))
		}()
		next.ServeHTTP(w, r)
	})
}

func (rt *Router) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, rt.config.BodyLimit)
		next.ServeHTTP(w, r)
	})
}

// limitTime gives the request its deadline. Handlers run in the request's own
// goroutine and are expected to honour their context; one that returned without
// an answer because time was up gets a 503 here.
func (rt *Router) limitTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), rt.config.RequestTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		next.ServeHTTP(w, r)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && !responseStarted(ctx) {
			rt.errors.Write(w, r, fault.New(fault.Unavailable, "The request took too long.").WithCause(ctx.Err()))
		}
	})
}

// secureHeaders are a baseline that a handler may replace for its own page.
func (rt *Router) secureHeaders() func(http.Handler) http.Handler {
	headers := [][2]string{
		{"Content-Security-Policy", rt.config.ContentSecurityPolicy},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
		{"Referrer-Policy", "strict-origin-when-cross-origin"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
	}
	if rt.config.PublicURL.Scheme == "https" {
		// Without includeSubDomains: the public host may be a domain's apex,
		// and its other hosts are not this application's to decide about.
		headers = append(headers, [2]string{"Strict-Transport-Security", "max-age=63072000"})
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, header := range headers {
				w.Header().Set(header[0], header[1])
			}
			next.ServeHTTP(w, r)
		})
	}
}

// checkURL refuses addresses that no resource has, so that no two spellings
// lead to one resource and nothing unprintable reaches a parameter.
func (rt *Router) checkURL(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := cmp.Or(r.URL.Path, "/") // "" is the path of "GET http://host"
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil || !isText(path) || !areText(query) {
			rt.errors.Write(w, r, errMalformed("The address is not valid: it must be UTF-8 without NUL."))
			return
		}
		segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
		trailing := len(segments) > 1 && segments[len(segments)-1] == ""
		if trailing {
			segments = segments[:len(segments)-1]
		}
		if path != "/" && slices.ContainsFunc(segments, func(s string) bool { return s == "" || s == "." || s == ".." }) {
			rt.errors.Write(w, r, errNoSuchAddress)
			return
		}
		if trailing && !isAPI(path) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				rt.errors.Write(w, r, errNoSuchAddress)
				return
			}
			// The path starts with one slash and no "//" got here, so this
			// cannot lead to another host; a backslash is encoded.
			target := url.URL{Path: strings.TrimSuffix(path, "/"), RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, target.String(), http.StatusPermanentRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var errNoSuchAddress = fault.New(fault.NotFound, "There is nothing at this address.")

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func areText(query url.Values) bool {
	for name, values := range query {
		if !isText(name) || slices.ContainsFunc(values, func(v string) bool { return !isText(v) }) {
			return false
		}
	}
	return true
}

// checkOrigin refuses changes that another site made a browser send. A request
// without cookies carries nothing that a browser attached on its own: with a
// bearer token it cannot be forged.
func (rt *Router) checkOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer := len(r.Header["Cookie"]) == 0 && hasBearer(r)
		if !bearer {
			if err := rt.origins.Check(r); err != nil {
				rt.errors.Write(w, r, fault.New(fault.Forbidden, "This request came from another site.").WithCause(err))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func hasBearer(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// compress leaves alone what has a Content-Encoding already, such as embedded
// assets. Compressing a secret next to what an attacker chose makes its length
// tell (BREACH); pages here hold no such secret: CSRF protection goes by
// headers instead of tokens and sessions live in cookies.
func compress() func(http.Handler) http.Handler {
	return middleware.Compress(5,
		"text/html", "text/css", "text/plain", "text/csv", "text/javascript", "image/svg+xml",
		"application/json", problemContentType, "application/openapi+json")
}
