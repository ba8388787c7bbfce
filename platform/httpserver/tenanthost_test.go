package httpserver_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/httpserver"
)

// isLabel stands for the rule about slugs, which is tenancy's.
func isLabel(label string) bool {
	return len(label) > 1 && label != "www" && strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func newHosts(publicURL string) *httpserver.TenantHosts {
	public, err := url.Parse(publicURL)
	if err != nil {
		panic(err)
	}
	return httpserver.NewTenantHosts(public, "example.com", isLabel)
}

func TestSlugOf(t *testing.T) {
	t.Parallel()
	hosts := newHosts("https://portal.example.com")
	for host, want := range map[string]string{
		"acme.example.com":      "acme",
		"acme.example.com:443":  "acme",
		"acme.example.com:8080": "acme",
		"ACME.Example.COM":      "acme",

		"":                           "",
		"example.com":                "",
		".example.com":               "",
		"portal.example.com":         "", // the public host, whatever slugs there are
		"Portal.example.com:443":     "",
		"www.example.com":            "",
		"acme.example.com.":          "",
		"acme.example.com.evil.com":  "",
		"acme.evil.com":              "",
		"acmeexample.com":            "",
		"evil-example.com":           "",
		"a.b.example.com":            "",
		"acme..example.com":          "",
		"acme.example.com@evil.com":  "",
		"evil.com/.example.com":      "",
		"acme.example.com:":          "",
		"acme.example.com:80:80":     "",
		"acme.example.com:http":      "",
		"acme.example.com:80evil":    "",
		"acme%2eexample.com":         "",
		"[::1]":                      "",
		"[::1]:8080":                 "",
		"127.0.0.1:8080":             "",
		" acme.example.com":          "",
		"acme.example.com ":          "",
		"ac\u212Ae.example.com":      "", // lower-cased it would be an ASCII k
		"acme.example.com\x00":       "",
		"acme_x.example.com":         "",
		"acme.example.com,evil.com":  "",
		"acme.example.com#evil.com":  "",
		"acme.example.com\\evil.com": "",
	} {
		if slug, ok := hosts.SlugOf(host); slug != want || ok != (want != "") {
			t.Errorf("SlugOf(%q) = %q, %t; want %q", host, slug, ok, want)
		}
	}
	if slug, ok := httpserver.NewTenantHosts(nil, "", isLabel).SlugOf("acme.example.com"); ok {
		t.Errorf("without a domain the host names %q", slug)
	}
}

func TestHasTenantOrigin(t *testing.T) {
	t.Parallel()
	hosts := newHosts("http://example.com:3000")
	for address, want := range map[string]bool{
		"http://acme.example.com:3000/dashboard?x=1": true,
		"http://acme.example.com:3000":               true,
		"https://acme.example.com:3000/":             false,
		"http://acme.example.com/":                   false,
		"http://acme.example.com:3001/":              false,
		"http://user@acme.example.com:3000/":         false,
		"http://acme.example.com:3000@evil.com/":     false,
		"//acme.example.com:3000/":                   false,
		"http://example.com:3000/":                   false,
		"http://evil.com/":                           false,
		"javascript://acme.example.com:3000/":        false,
		"/dashboard":                                 false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if has := hosts.Has(u); has != want {
			t.Errorf("Has(%q) = %t", address, has)
		}
	}
}

// newHostRouter serves pages that say which route answered, and by what base their
// links would begin.
func newHostRouter(t testing.TB, hosts *httpserver.TenantHosts) *httpserver.Router {
	t.Helper()
	public := &url.URL{Scheme: "https", Host: "example.com"}
	pass := func(next http.Handler) http.Handler { return next }
	say := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s base=%q globex=%q", name, httpserver.PathParam(r, httpserver.TenantParam), httpserver.TenantBase(r.Context(), "acme"), httpserver.TenantBase(r.Context(), "globex"))
		}
	}
	router, err := httpserver.New(httpserver.Config{PublicURL: public, TenantHosts: hosts, Errors: &httpserver.ErrorWriter{Logger: slog.New(slog.DiscardHandler)}, SignedIn: pass, Tenant: pass},
		httpserver.Mount{Surface: httpserver.Public, Everywhere: []string{"assets"}, Routes: func(r chi.Router) {
			r.Get("/", say("landing"))
			r.Get("/sign-in", say("sign-in"))
			r.Get("/onboarding", say("welcome"))
			r.Get("/assets/*", say("asset"))
			r.Post("/webhook", say("webhook"))
		}},
		httpserver.Mount{Surface: httpserver.TenantPages, Routes: func(r chi.Router) {
			r.Get("/", say("home"))
			r.Get("/dashboard", say("dashboard"))
			r.Post("/dashboard", say("change"))
			r.Get("/onboarding", say("onboarding"))
		}},
		httpserver.Mount{Surface: httpserver.TenantAPI, Operations: func(api huma.API) {
			httpserver.Register(api, huma.Operation{OperationID: "x", Method: http.MethodGet, Path: "/x"},
				func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func TestTenantHosts(t *testing.T) {
	t.Parallel()
	router := newHostRouter(t, newHosts("https://example.com"))
	const acme = "acme.example.com"
	for _, c := range []struct {
		host, method, target string
		status               int
		want                 string // body's beginning, or Location
	}{
		{"example.com", "GET", "/", 200, `landing `},
		{"example.com", "GET", "/acme/dashboard", 200, `dashboard acme base="/acme" globex="/globex"`},
		{"unknown.org", "GET", "/acme/dashboard", 200, `dashboard acme base="/acme"`},
		{"www.example.com", "GET", "/acme/dashboard", 200, `dashboard acme base="/acme"`},
		{acme, "GET", "/", 200, `home acme base="" globex="https://globex.example.com"`},
		{acme, "GET", "/dashboard", 200, `dashboard acme base=""`},
		{acme, "HEAD", "/dashboard", 200, ""},
		{"ACME.example.com:8443", "GET", "/dashboard", 200, `dashboard acme base=""`},
		{acme, "POST", "/dashboard", 200, "change acme"},
		{acme, "GET", "/onboarding", 200, "onboarding acme"},
		{acme, "GET", "/dashboard/", 308, "/dashboard"},
		// No path names another tenant, or the same a second time.
		{acme, "GET", "/globex/dashboard", 404, ""},
		{acme, "GET", "/acme/dashboard", 404, ""},
		{acme, "GET", "//globex/dashboard", 404, ""},
		{acme, "GET", "/../globex/dashboard", 404, ""},
		{acme, "GET", "/%2e%2e/globex/dashboard", 404, ""},
		{acme, "GET", "/..%2fglobex/dashboard", 404, ""},
		{acme, "GET", "/nothing", 404, ""},
		{acme, "PUT", "/dashboard", 405, ""},
		{acme, "GET", "/api/tenants/acme/x", 204, ""},
		{acme, "GET", "/api/tenants/globex/x", 404, ""},
		{acme, "GET", "/api/tenants/ACME/x", 404, ""},
		{acme, "GET", "/api/tenants/%67lobex/x", 404, ""},
		{acme, "GET", "/api/tenants/acme%2f..%2fglobex/x", 404, ""},
		{"example.com", "GET", "/api/tenants/globex/x", 204, ""},
		// What belongs to no tenant is served here, or led away from.
		{acme, "GET", "/assets/app.css", 200, "asset"},
		{acme, "GET", "/healthz", 200, ""},
		{acme, "GET", "/readyz", 200, ""},
		{acme, "GET", "/sign-in", 307, "https://example.com/sign-in"},
		{acme, "GET", "/sign-in?redirect_url=%2Fdashboard%3Fa%3D1&x=1", 307, "https://example.com/sign-in?redirect_url=https%3A%2F%2Facme.example.com%2Fdashboard%3Fa%3D1&x=1"},
		{acme, "GET", "/sign-in?redirect_url=https://evil.com/", 307, "https://example.com/sign-in?redirect_url=https://evil.com/"},
		{acme, "POST", "/webhook", 404, ""},
	} {
		r := httptest.NewRequest(c.method, "https://"+acme+"/", nil)
		u, err := url.ParseRequestURI(c.target)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI, r.Host = u, c.target, c.host
		r.Header.Set("X-Forwarded-Host", "globex.example.com") // nobody's word
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		got := w.Body.String()
		if location := w.Header().Get("Location"); location != "" {
			got = location
			if location != c.want {
				got = "not " + c.want + " but " + location
			}
		}
		if w.Code != c.status || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s at %s: %d %s; want %d %s", c.method, c.target, c.host, w.Code, got, c.status, c.want)
		}
	}
}

// TestTenantHostsAndForms posts from the pages of one host to another: only a host's
// own pages, and the application's, may.
func TestTenantHostsAndForms(t *testing.T) {
	t.Parallel()
	router := newHostRouter(t, newHosts("https://example.com"))
	for _, c := range []struct {
		from, site, to, path string
		status               int
	}{
		{"https://acme.example.com", "same-origin", "acme.example.com", "/dashboard", 200},
		{"https://acme.example.com", "", "acme.example.com", "/dashboard", 200},
		{"https://example.com", "same-site", "acme.example.com", "/dashboard", 200},
		{"https://example.com", "same-origin", "example.com", "/acme/dashboard", 200},
		{"https://acme.example.com", "same-site", "globex.example.com", "/dashboard", 403},
		{"https://acme.example.com", "", "globex.example.com", "/dashboard", 403},
		{"https://acme.example.com", "same-site", "example.com", "/globex/dashboard", 403},
		{"https://acme.example.com", "same-site", "example.com", "/acme/dashboard", 403},
		{"https://blog.example.com", "same-site", "acme.example.com", "/dashboard", 403},
		{"https://acme.example.com.evil.com", "cross-site", "acme.example.com", "/dashboard", 403},
		{"http://acme.example.com", "cross-site", "acme.example.com", "/dashboard", 403},
		{"null", "cross-site", "acme.example.com", "/dashboard", 403},
		{"null", "", "acme.example.com", "/dashboard", 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "https://"+c.to+c.path, nil)
		r.Header.Set("Origin", c.from)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("a form of %s (%s) posted to %s%s: %d %s; want %d", c.from, c.site, c.to, c.path, w.Code, w.Body, c.status)
		}
	}
}

// BenchmarkTenantHost is what a request pays for each way to name its tenant.
func BenchmarkTenantHost(b *testing.B) {
	for _, c := range []struct {
		name, host, path string
		hosts            *httpserver.TenantHosts
	}{
		{"off", "example.com", "/acme/dashboard", nil},
		{"path", "example.com", "/acme/dashboard", newHosts("https://example.com")},
		{"host", "acme.example.com", "/dashboard", newHosts("https://example.com")},
	} {
		b.Run(c.name, func(b *testing.B) {
			router := newHostRouter(b, c.hosts)
			r := httptest.NewRequest(http.MethodGet, "https://"+c.host+c.path, nil)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				router.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
