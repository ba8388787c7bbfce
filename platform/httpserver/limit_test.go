package httpserver_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/ratelimit"
	"github.com/tenonhq/tenon/platform/ratelimit/redistest"
)

// newLimited returns an edge with limits over pages and an operation. Who asks is
// in the path's last segment.
func newLimited(t testing.TB, limits httpserver.Limits, change ...func(*httpserver.Config)) edge {
	ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	type nobody struct{}
	return newEdge(t, func(c *httpserver.Config) {
		c.Limits = limits
		for _, change := range change {
			change(c)
		}
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		c.Caller = func(ctx context.Context) httpserver.Caller {
			caller, _ := ctx.Value(nobody{}).(httpserver.Caller)
			return caller
		}
		signIn, enter := c.SignedIn, c.Tenant
		c.SignedIn = func(next http.Handler) http.Handler {
			return signIn(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nobody{}, httpserver.Caller{Account: r.Header.Get("X-As"), Key: r.Header.Get("X-Key")})))
			}))
		}
		c.Tenant = func(next http.Handler) http.Handler {
			return enter(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				caller := httpserver.Caller{Account: r.Header.Get("X-As"), Key: r.Header.Get("X-Key"), Tenant: "org_acme"}
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nobody{}, caller)))
			}))
		}
	},
		httpserver.Mount{Routes: func(r chi.Router) {
			r.Get("/", ok)
			r.Get("/sign-in", ok)
			r.Get("/assets/*", ok)
			r.Post("/api/webhooks/clerk", ok)
		}},
		httpserver.Mount{Surface: httpserver.SignedIn, Routes: func(r chi.Router) { r.Get("/me", ok) }},
		httpserver.Mount{Surface: httpserver.TenantPages, Routes: func(r chi.Router) { r.Get("/dashboard", ok) }},
		httpserver.Mount{Surface: httpserver.TenantAPI, Operations: func(api huma.API) {
			httpserver.Register(api, huma.Operation{OperationID: "rows", Method: http.MethodGet, Path: "/rows"},
				func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
		}},
	)
}

// until sends requests until one is refused and returns how many were not.
func (e edge) until(t *testing.T, method, path, from, as string, header ...string) int {
	t.Helper()
	for n := range 20 {
		r := httptest.NewRequest(method, path, nil)
		r.RemoteAddr = from
		r.Header.Set("X-As", as)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := e.send(r)
		if w.Code == http.StatusTooManyRequests {
			if after, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || after < 1 || !strings.Contains(strings.Join(w.Header().Values("RateLimit"), ","), ";r=0;") {
				t.Errorf("%s: %v", path, w.Header())
			}
			if strings.HasPrefix(path, "/api/") && problemIn(t, w).Type != "urn:tenon:problem:rate-limited" {
				t.Errorf("%s: %s", path, w.Body)
			}
			return n
		}
		if w.Code != http.StatusNoContent && w.Code != http.StatusUnauthorized && w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	return 20
}

func TestLimitsOfAddresses(t *testing.T) {
	t.Parallel()
	e := newLimited(t, httpserver.Limits{Address: 5, SignIn: 2, Webhook: 3})
	for _, test := range []struct {
		method, path, from string
		header             []string
		want               int
	}{
		{"GET", "/", "192.0.2.1:1", nil, 5},
		{"GET", "/api/tenants/acme/rows", "192.0.2.1:2", nil, 0}, // the same address
		{"GET", "/sign-in", "192.0.2.1:2", nil, 2},
		{"POST", "/api/webhooks/clerk", "192.0.2.1:2", nil, 3},
		{"GET", "/assets/x", "192.0.2.1:2", nil, 20},
		{"GET", "/healthz", "192.0.2.1:2", nil, 20},
		{"GET", "/", "[2001:db8::1]:1", nil, 5},
		{"GET", "/", "[2001:db8::2]:1", nil, 0}, // the same /64
		{"GET", "/", "[2001:db8:0:1::1]:1", nil, 5},
		{"GET", "/", "192.0.2.2:1", nil, 5},
		{"GET", "/sign-makers/dashboard", "192.0.2.3:1", nil, 5}, // a tenant's page like any other
		// Nobody gets another address by saying so, but a trusted proxy may.
		{"GET", "/", "192.0.2.2:1", []string{"X-Forwarded-For", "198.51.100.1"}, 0},
		{"GET", "/", "10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1"}, 5},
		{"GET", "/", "10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.2"}, 5},
	} {
		if got := e.until(t, test.method, test.path, test.from, "", test.header...); got != test.want {
			t.Errorf("%s from %s %v: %d, want %d", test.path, test.from, test.header, got, test.want)
		}
	}
}

func TestLimitsOfPersonsAndTenants(t *testing.T) {
	t.Parallel()
	const from = "192.0.2.1:1"
	e := newLimited(t, httpserver.Limits{Person: 4, Tenant: 6})
	for _, test := range []struct {
		path, as string
		want     int
	}{
		{"/", "", 20}, // nobody is no person
		{"/api/tenants/acme/rows", "", 20},
		{"/me", "ada", 4},
		{"/acme/dashboard", "ada", 0}, // a person is the same everywhere
		{"/acme/dashboard", "bob", 4},
		{"/api/tenants/acme/rows", "eve", 2}, // the tenant's limit
		{"/me", "eve", 1},                    // the refused request was Eve's third
		{"/me", "joe", 4},
	} {
		if got := e.until(t, "GET", test.path, from, test.as); got != test.want {
			t.Errorf("%s as %q: %d, want %d", test.path, test.as, got, test.want)
		}
	}
	// A key has a limit of its own and uses up nothing of its maker's.
	e = newLimited(t, httpserver.Limits{Person: 4, Key: 3})
	for _, test := range []struct {
		key  string
		want int
	}{{"KEY1", 3}, {"KEY2", 3}, {"", 4}, {"KEY1", 0}, {"", 0}} {
		if got := e.until(t, "GET", "/api/tenants/acme/rows", from, "ada", "X-Key", test.key); got != test.want {
			t.Errorf("key %q: %d, want %d", test.key, got, test.want)
		}
	}
	for _, limits := range []httpserver.Limits{{Person: 1}, {Key: 1}, {Tenant: 1}} {
		config := httpserver.Config{PublicURL: &url.URL{Scheme: "https", Host: "example.com"}, Limits: limits}
		if _, err := httpserver.New(config); err == nil {
			t.Errorf("limits of nobody are accepted: %+v", limits)
		}
	}
}

// BenchmarkLimits is what a request costs with limits of its address, its person
// and its tenant, counted nowhere, in the process and in Redis. It does nothing
// else, so the differences are the limits'.
func BenchmarkLimits(b *testing.B) {
	shared, err := ratelimit.OpenRedis(redistest.Start(b).URL(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer shared.Close()
	const many = 1 << 30
	limits := httpserver.Limits{Address: many, Person: many, Tenant: many}
	for _, way := range []struct {
		name   string
		limits httpserver.Limits
		shared *ratelimit.Redis
	}{{"off", httpserver.Limits{}, nil}, {"memory", limits, nil}, {"redis", limits, shared}} {
		b.Run(way.name, func(b *testing.B) {
			e := newLimited(b, way.limits, func(c *httpserver.Config) {
				c.SharedLimits = way.shared
				c.Errors.Logger = slog.New(slog.DiscardHandler)
			})
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					r := httptest.NewRequest("GET", "/acme/dashboard", nil)
					r.Header.Set("X-As", "ada")
					if w := e.send(r); w.Code != http.StatusNoContent {
						b.Error(w.Code)
					}
				}
			})
		})
	}
}
