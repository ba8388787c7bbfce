package httpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/parallel"
)

// pages are routes at every surface but the tenant's operations.
func pages() []httpserver.Mount {
	ok := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok "+r.Method) }
	tenantPage := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, httpserver.PathParam(r, "tenant")+" "+httpserver.PathParam(r, "name"))
	}
	return []httpserver.Mount{
		{Routes: func(r chi.Router) {
			r.Get("/", ok)
			r.Get("/about", ok)
			r.Post("/about", ok)
			r.Post("/api/webhooks/x", ok)
			r.Post("/form", func(w http.ResponseWriter, r *http.Request) {
				if err := httpserver.ParseForm(r); err != nil {
					errorsOf(r)(w, r, err)
					return
				}
				_, _ = io.WriteString(w, r.PostForm.Get("name"))
			})
		}},
		{Surface: httpserver.SignedIn, Routes: func(r chi.Router) { r.Get("/me", ok) }},
		{Surface: httpserver.TenantPages, Routes: func(r chi.Router) {
			r.Get("/dashboard", tenantPage)
			r.Get("/things/{name}", tenantPage)
			r.Post("/things", ok)
		}},
	}
}

// errorsOf is the router's own ErrorWriter, as a module gets it.
func errorsOf(*http.Request) func(http.ResponseWriter, *http.Request, error) {
	return (&httpserver.ErrorWriter{Logger: slog.New(slog.DiscardHandler)}).Write
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, target string
		status         int
		location       string
	}{
		{"GET", "/", 200, ""},
		{"HEAD", "/about", 200, ""},
		{"GET", "/about/", 308, "/about"},
		{"GET", "/about/?a=b%20c", 308, "/about?a=b%20c"},
		{"HEAD", "/about/", 308, "/about"},
		{"POST", "/about/", 404, ""},
		{"GET", "/About", 401, ""}, // a tenant's name, as far as the router knows
		{"GET", "//about", 404, ""},
		{"GET", "//evil.example.com/", 404, ""},
		{"GET", "/%2Fevil.example.com/", 404, ""},
		{"GET", "/%2F%2Fevil.example.com/", 404, ""},
		{"GET", "/%5Cevil.example.com/", 308, "/%5Cevil.example.com"},
		{"GET", "/./about", 404, ""},
		{"GET", "/x/../about", 404, ""},
		{"GET", "/x/%2e%2e/about", 404, ""},
		{"GET", "/%2e/about", 404, ""},
		{"GET", "/acme//dashboard", 404, ""},
		{"GET", "/acme/%2Fdashboard", 404, ""},
		{"GET", "/about?a=%", 400, ""},
		{"GET", "/about?a=%00", 400, ""},
		{"GET", "/about?a=%ff", 400, ""},
		{"GET", "/about?%00=a", 400, ""},
		{"GET", "/about?a;b", 400, ""},
		{"GET", "/a%00b", 400, ""},
		{"GET", "/a%ffb", 400, ""},
		{"GET", "/about?a=%E2%98%83", 200, ""},
		{"GET", "/api", 404, ""},
		{"GET", "/api/", 404, ""},
		{"GET", "/api/openapi.json/", 404, ""},
		{"GET", "/api/nothing", 404, ""},
		{"GET", "/%61pi/nothing", 404, ""},
		{"GET", "/%61bout", 404, ""},
		{"GET", "/about/us", 404, ""},
		{"BREW", "/about/us", 404, ""},
		{"HEAD", "/acme/dashboard", 401, ""},
		{"GET", "/healthz", 200, ""},
	} {
		e := newEdge(t, nil, pages()...)
		r := httptest.NewRequest(test.method, test.target, nil)
		w := e.send(r)
		if w.Code != test.status || w.Header().Get("Location") != test.location {
			t.Errorf("%s %s: %d to %q, want %d to %q", test.method, test.target, w.Code, w.Header().Get("Location"), test.status, test.location)
		}
		isAPI := strings.HasPrefix(r.URL.Path, "/api")
		if test.status >= 400 {
			if isProblem := w.Header().Get("Content-Type") == "application/problem+json"; isProblem != isAPI {
				t.Errorf("%s %s: answered as %s", test.method, test.target, w.Header().Get("Content-Type"))
			}
		}
	}
}

func TestPathParametersAreDecoded(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/acme/things/a":              "acme a",
		"/%61cme/things/%C3%A9%20b":   "acme é b",
		"/acme/things/a%2Fb":          "acme a/b",
		"/acme/things/100%25":         "acme 100%",
		"/acme/things/a%2Fb%25":       "acme a/b%",
		"/acme/things/%E2%98%83?x=%2": "", // 400
	} {
		e := newEdge(t, nil, pages()...)
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("X-As", "ada")
		if w := e.send(r); w.Code == http.StatusOK && w.Body.String() != want || w.Code != http.StatusOK && want != "" {
			t.Errorf("%s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
}

func TestMethodsThatAnAddressDoesNotTake(t *testing.T) {
	t.Parallel()
	mounts := append(pages(), httpserver.Mount{Operations: things})
	for _, test := range []struct{ method, target, allow string }{
		{"PUT", "/about", "GET, HEAD, POST"},
		{"BREW", "/about", "GET, HEAD, POST"},
		{"DELETE", "/api/things/1", "GET, HEAD, PATCH"},
		{"GET", "/api/things", "POST"},
		{"POST", "/healthz", "GET, HEAD"},
		{"DELETE", "/acme/things", "POST"},
		{"BREW", "/acme/dashboard", "GET, HEAD"},
	} {
		e := newEdge(t, nil, mounts...)
		r := httptest.NewRequest(test.method, test.target, nil)
		r.Header.Set("X-As", "ada")
		w := e.send(r)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != test.allow {
			t.Errorf("%s %s: %d, allowed %q, want %q", test.method, test.target, w.Code, w.Header().Get("Allow"), test.allow)
		}
		if strings.HasPrefix(test.target, "/api") {
			problemIn(t, w)
		} else if !strings.HasPrefix(w.Body.String(), "page: ") {
			t.Errorf("%s %s answered %s", test.method, test.target, w.Body)
		}
	}
}

func TestProgramsGetProblemsEverywhere(t *testing.T) {
	t.Parallel()
	for accept, wantProblem := range map[string]bool{
		"": false, "*/*": false, "text/html": false, "application/json": true, "application/problem+json": true,
		"text/html, application/json": false,
	} {
		e := newEdge(t, nil, pages()...)
		r := httptest.NewRequest(http.MethodGet, "/nothing/at/all", nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("X-As", "ada")
		if isProblem := e.send(r).Header().Get("Content-Type") == "application/problem+json"; isProblem != wantProblem {
			t.Errorf("%q: a problem %v", accept, isProblem)
		}
	}
}

func TestOrderOfSurfaces(t *testing.T) {
	t.Parallel()
	mounts := append(pages(), httpserver.Mount{Surface: httpserver.TenantAPI, Operations: things})
	for _, test := range []struct {
		as, method, target string
		status             int
	}{
		{"", "GET", "/me", 401},
		{"ada", "GET", "/me", 200},
		{"", "GET", "/acme/dashboard", 401},
		{"", "GET", "/acme/nothing", 401},
		{"ada", "GET", "/other/dashboard", 404},
		{"ada", "GET", "/acme/dashboard", 200},
		{"ada", "GET", "/acme/nothing", 404},
		{"", "POST", "/api/tenants/other/things", 401},
		{"ada", "POST", "/api/tenants/other/things", 404},
		{"ada", "POST", "/api/tenants/acme/guarded", 403},
		{"ada", "POST", "/api/tenants/acme/things", 400},
	} {
		e := newEdge(t, nil, mounts...)
		r := httptest.NewRequest(test.method, test.target, nil)
		if test.as != "" {
			r.Header.Set("X-As", test.as)
		}
		if w := e.send(r); w.Code != test.status {
			t.Errorf("%s %s as %q: %d, want %d", test.method, test.target, test.as, w.Code, test.status)
		}
	}
}

func TestNewRefusesToLeaveASurfaceOpen(t *testing.T) {
	t.Parallel()
	pass := func(next http.Handler) http.Handler { return next }
	public := &url.URL{Scheme: "https", Host: "app.example.com"}
	for name, test := range map[string]struct {
		config httpserver.Config
		mount  httpserver.Mount
	}{
		"no public URL":             {httpserver.Config{}, httpserver.Mount{}},
		"a public URL without host": {httpserver.Config{PublicURL: &url.URL{Path: "/"}}, httpserver.Mount{}},
		"no SignedIn":               {httpserver.Config{PublicURL: public}, httpserver.Mount{Surface: httpserver.SignedIn}},
		"no SignedIn for a tenant":  {httpserver.Config{PublicURL: public, Tenant: pass}, httpserver.Mount{Surface: httpserver.TenantAPI}},
		"no Tenant for pages":       {httpserver.Config{PublicURL: public, SignedIn: pass}, httpserver.Mount{Surface: httpserver.TenantPages}},
		"no Tenant for operations":  {httpserver.Config{PublicURL: public, SignedIn: pass}, httpserver.Mount{Surface: httpserver.TenantAPI}},
		"operations among pages":    {httpserver.Config{PublicURL: public, SignedIn: pass, Tenant: pass}, httpserver.Mount{Surface: httpserver.TenantPages, Operations: things}},
		"pages among operations":    {httpserver.Config{PublicURL: public, SignedIn: pass, Tenant: pass}, httpserver.Mount{Surface: httpserver.TenantAPI, Routes: func(chi.Router) {}}},
		"an unknown surface":        {httpserver.Config{PublicURL: public, SignedIn: pass, Tenant: pass}, httpserver.Mount{Surface: 99}},
	} {
		if _, err := httpserver.New(test.config, test.mount); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestReservedSegments(t *testing.T) {
	t.Parallel()
	got := newEdge(t, nil, pages()...).ReservedSegments()
	if want := []string{"about", "api", "form", "healthz", "me", "readyz"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyOurOwnPagesMakeChanges(t *testing.T) {
	t.Parallel()
	bypass := func(c *httpserver.Config) { c.CSRFBypass = []string{"POST /api/webhooks/x"} }
	for name, test := range map[string]struct {
		method, target string
		header         map[string]string
		status         int
	}{
		"our own page":                      {"POST", "/about", map[string]string{"Cookie": "s=1", "Sec-Fetch-Site": "same-origin"}, 200},
		"typed by the person":               {"POST", "/about", map[string]string{"Cookie": "s=1", "Sec-Fetch-Site": "none"}, 200},
		"another site":                      {"POST", "/about", map[string]string{"Cookie": "s=1", "Sec-Fetch-Site": "cross-site"}, 403},
		"another subdomain":                 {"POST", "/about", map[string]string{"Cookie": "s=1", "Sec-Fetch-Site": "same-site"}, 403},
		"another site without a cookie":     {"POST", "/about", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"an old browser on our page":        {"POST", "/about", map[string]string{"Cookie": "s=1", "Origin": "https://app.example.com"}, 200},
		"an old browser on another site":    {"POST", "/about", map[string]string{"Cookie": "s=1", "Origin": "https://evil.example.com"}, 403},
		"an opaque origin":                  {"POST", "/about", map[string]string{"Cookie": "s=1", "Origin": "null"}, 403},
		"no browser":                        {"POST", "/about", nil, 200},
		"reading from another site":         {"GET", "/about", map[string]string{"Cookie": "s=1", "Sec-Fetch-Site": "cross-site"}, 200},
		"a bearer token":                    {"POST", "/about", map[string]string{"Authorization": "Bearer x", "Sec-Fetch-Site": "cross-site"}, 200},
		"a bearer token in lower case":      {"POST", "/about", map[string]string{"Authorization": "bearer x", "Origin": "https://spa.example.com"}, 200},
		"a bearer token beside a cookie":    {"POST", "/about", map[string]string{"Authorization": "Bearer x", "Cookie": "s=1", "Sec-Fetch-Site": "cross-site"}, 403},
		"an empty bearer token":             {"POST", "/about", map[string]string{"Authorization": "Bearer ", "Sec-Fetch-Site": "cross-site"}, 403},
		"credentials of another scheme":     {"POST", "/about", map[string]string{"Authorization": "Basic x", "Sec-Fetch-Site": "cross-site"}, 403},
		"a webhook":                         {"POST", "/api/webhooks/x", map[string]string{"Origin": "https://svix.example.com"}, 200},
		"an address that only begins so":    {"POST", "/api/webhooks/xy", map[string]string{"Origin": "https://evil.example.com"}, 403},
		"a webhook's address by other ways": {"POST", "/api/webhooks/%78", map[string]string{"Origin": "https://evil.example.com"}, 404},
	} {
		e := newEdge(t, bypass, pages()...)
		r := httptest.NewRequest(test.method, "http://10.0.0.7"+test.target, nil)
		for key, value := range test.header {
			r.Header.Set(key, value)
		}
		if w := e.send(r); w.Code != test.status {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, test.status, w.Body)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		contentType, body string
		status            int
	}{
		"a form":             {"application/x-www-form-urlencoded", "name=%C3%A9", 200},
		"with a charset":     {"application/x-www-form-urlencoded; charset=UTF-8", "name=%C3%A9", 200},
		"no type":            {"", "name=x", 415},
		"multipart":          {"multipart/form-data; boundary=x", "--x--", 415},
		"JSON":               {"application/json", "{}", 415},
		"broken encoding":    {"application/x-www-form-urlencoded", "name=%zz", 400},
		"a semicolon":        {"application/x-www-form-urlencoded", "name=x;y", 400},
		"NUL":                {"application/x-www-form-urlencoded", "name=%00", 400},
		"NUL in a name":      {"application/x-www-form-urlencoded", "na%00me=x", 400},
		"no UTF-8":           {"application/x-www-form-urlencoded", "name=%ff", 400},
		"over the limit":     {"application/x-www-form-urlencoded", "name=" + strings.Repeat("x", 1<<20), 413},
		"a thousand columns": {"application/x-www-form-urlencoded", "name=é&" + strings.Repeat("a=b&", 1000), 200},
	} {
		e := newEdge(t, nil, pages()...)
		w := e.post("/form", test.contentType, test.body)
		if w.Code != test.status || test.status == http.StatusOK && w.Body.String() != "é" {
			t.Errorf("%s: %d %.80s, want %d", name, w.Code, w.Body, test.status)
		}
		if test.status != http.StatusOK {
			problemIn(t, w)
		}
	}
}

// TestASlowBodyIsCutOff has clients that promise a body and send half of it.
func TestASlowBodyIsCutOff(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil, append(pages(), httpserver.Mount{Operations: things})...)
	server := httptest.NewUnstartedServer(e)
	server.Config.ReadTimeout = 200 * time.Millisecond
	server.Start()
	defer server.Close()
	for target, contentType := range map[string]string{"/form": "application/x-www-form-urlencoded", "/api/things": "application/json"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{\"name", target, contentType)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: %d, want 408", target, response.StatusCode)
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil, httpserver.Mount{Routes: func(r chi.Router) {
		r.Get("/api/early", func(http.ResponseWriter, *http.Request) { panic("lost " + secret) })
		r.Get("/early", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
			w.Header().Set("ETag", `"x"`)
			panic("lost " + secret)
		})
		r.Get("/late", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half a page")
			panic("lost " + secret)
		})
		r.Get("/api/parallel", func(_ http.ResponseWriter, r *http.Request) {
			_ = parallel.Do(r.Context(), func(context.Context) error { panic("lost " + secret) })
		})
		r.Get("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}})
	for _, path := range []string{"/api/early", "/api/parallel"} {
		if w := e.get(path); w.Code != 500 || problemIn(t, w).Detail != "" || strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := e.get("/early")
	if w.Code != 500 || !strings.HasPrefix(w.Body.String(), "page: ") || w.Header().Get("Content-Length") == "7" || w.Header().Get("ETag") != "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, path := range []string{"/late", "/abort"} {
		func() {
			defer func() {
				if got := recover(); got != http.ErrAbortHandler {
					t.Errorf("%s: the connection is not cut: %v", path, got)
				}
			}()
			e.get(path)
		}()
	}
	failed := e.log.lines(t, "request failed")
	if len(failed) != 4 {
		t.Fatalf("%d lines for four panics: %s", len(failed), e.log)
	}
	for _, line := range failed {
		if !strings.Contains(line["stack"].(string), "middleware_test.go") || !strings.Contains(line["error"].(string), secret) {
			t.Errorf("the log does not tell what happened: %v", line)
		}
	}
	if requests := e.log.lines(t, "request"); len(requests) != 5 {
		t.Errorf("%d requests in the access log, want 5", len(requests))
	}
}

func TestTheAccessLogKeepsNoSecrets(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil, append(pages(), httpserver.Mount{Routes: func(r chi.Router) {
		r.Get("/annotated/{id}", func(w http.ResponseWriter, r *http.Request) {
			httpserver.Annotate(r.Context(), slog.String("tenant", "org_1"))
			_, _ = io.WriteString(w, "four")
		})
	}})...)
	r := httptest.NewRequest(http.MethodGet, "/annotated/hunter2?__clerk_handshake=hunter2", strings.NewReader(secret))
	r.Header.Set("Cookie", "__session=hunter2")
	r.Header.Set("Authorization", "Bearer hunter2")
	r.Header.Set("Referer", "https://app.example.com/?t=hunter2")
	r.Header.Set("X-Request-Id", "hunter2-hunter2")
	w := e.send(r)
	lines := e.log.lines(t, "request")
	if len(lines) != 1 || strings.Contains(e.log.String(), secret) {
		t.Fatalf("the log: %s", e.log)
	}
	for name, want := range map[string]any{
		"method": "GET", "route": "/annotated/{id}", "status": 200.0, "bytes": 4.0, "client_ip": "192.0.2.1",
		"tenant": "org_1", "request_id": w.Header().Get("X-Request-Id"), "level": "INFO",
	} {
		if lines[0][name] != want {
			t.Errorf("%s is %v, want %v", name, lines[0][name], want)
		}
	}
	e.get("/healthz")
	if line := e.log.lines(t, "request")[1]; line["level"] != "DEBUG" {
		t.Errorf("a health check is logged as %v", line)
	}
	httpserver.Annotate(context.Background(), slog.String("a", "b")) // outside of a request: nothing
	if httpserver.RequestID(context.Background()) != "" {
		t.Error("there is a request id outside of a request")
	}
}

func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	t.Parallel()
	const id = "proxy-request-1"
	for name, test := range map[string]struct {
		trusted        []netip.Prefix
		remote         string
		forwarded      string
		wantIP, wantID string
	}{
		"nobody is trusted":         {nil, "192.0.2.7:1", "203.0.113.9", "192.0.2.7", ""},
		"a trusted proxy":           {prefixes("192.0.2.0/24"), "192.0.2.7:1", "203.0.113.9", "203.0.113.9", id},
		"a chain of them":           {prefixes("192.0.2.0/24"), "192.0.2.7:1", "198.51.100.1, 203.0.113.9, 192.0.2.8", "203.0.113.9", id},
		"a trusted proxy over IPv6": {prefixes("2001:db8::/32"), "[2001:db8::1%eth0]:1", "203.0.113.9", "203.0.113.9", id},
		"IPv4 in IPv6":              {prefixes("192.0.2.0/24"), "[::ffff:192.0.2.7]:1", "203.0.113.9", "203.0.113.9", id},
		"a stranger":                {prefixes("10.0.0.0/8"), "192.0.2.7:1", "203.0.113.9", "192.0.2.7", ""},
		"a proxy that says nothing": {prefixes("192.0.2.0/24"), "192.0.2.7:1", "", "", id},
	} {
		var got netip.Addr
		e := newEdge(t, func(c *httpserver.Config) { c.TrustedProxies = test.trusted }, httpserver.Mount{Routes: func(r chi.Router) {
			r.Get("/", func(_ http.ResponseWriter, r *http.Request) { got = httpserver.ClientIP(r.Context()) })
		}})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.remote
		r.Header.Set("X-Request-Id", id)
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		w := e.send(r)
		if test.wantIP != "" && got.String() != test.wantIP || test.wantIP == "" && got.IsValid() {
			t.Errorf("%s: client %v, want %s", name, got, test.wantIP)
		}
		if requestID := w.Header().Get("X-Request-Id"); (requestID == id) != (test.wantID == id) || len(requestID) < 8 {
			t.Errorf("%s: request id %q", name, requestID)
		}
	}
	for _, malformed := range []string{"short", strings.Repeat("x", 129), "a\"b,c{d}e", "töööööö"} {
		e := newEdge(t, func(c *httpserver.Config) { c.TrustedProxies = prefixes("0.0.0.0/0") }, pages()...)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Request-Id", malformed)
		if got := e.send(r).Header().Get("X-Request-Id"); got == malformed {
			t.Errorf("a proxy's id %q was taken", malformed)
		}
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	for scheme, hsts := range map[string]string{"https": "max-age=63072000", "http": ""} {
		e := newEdge(t, func(c *httpserver.Config) { c.PublicURL = &url.URL{Scheme: scheme, Host: "localhost:3000"} }, pages()...)
		for _, path := range []string{"/", "/nothing", "/api/nothing", "/healthz", "//"} {
			header := e.get(path).Header()
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
				"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": hsts,
				"Referrer-Policy": "strict-origin-when-cross-origin",
			} {
				if got := header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", scheme, path, name, got, want)
				}
			}
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("text ", 1000)
	e := newEdge(t, nil, httpserver.Mount{Routes: func(r chi.Router) {
		r.Get("/page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, long)
		})
		r.Get("/embedded", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/css")
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, long)
		})
		r.Get("/image", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			_, _ = io.WriteString(w, long)
		})
	}})
	for path, want := range map[string]string{"/page": "gzip", "/embedded": "br", "/image": ""} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := e.send(r)
		if got := w.Header().Get("Content-Encoding"); got != want || (w.Body.Len() == len(long)) != (want != "gzip") {
			t.Errorf("%s: encoding %q, %d bytes", path, got, w.Body.Len())
		}
	}
}

func TestTimeIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t, func(c *httpserver.Config) { c.RequestTimeout = time.Minute }, httpserver.Mount{Routes: func(r chi.Router) {
			wait := func(r *http.Request) error {
				<-r.Context().Done()
				return fault.Wrap("wait", r.Context().Err())
			}
			r.Get("/api/silent", func(_ http.ResponseWriter, r *http.Request) { _ = wait(r) })
			r.Get("/api/error", func(w http.ResponseWriter, r *http.Request) { errorsOf(r)(w, r, wait(r)) })
		}})
		for _, path := range []string{"/api/silent", "/api/error"} {
			start := time.Now()
			w := e.get(path)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "2" || time.Since(start) != time.Minute {
				t.Errorf("%s: %d after %v, Retry-After %q", path, w.Code, time.Since(start), w.Header().Get("Retry-After"))
			}
			problemIn(t, w)
		}
	})
}

func TestAClientThatLeavesIsNoError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	e := newEdge(t, nil, httpserver.Mount{Routes: func(r chi.Router) {
		r.Get("/gone", func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
	}})
	e.send(httptest.NewRequest(http.MethodGet, "/gone", nil).WithContext(ctx))
	lines := e.log.lines(t, "request")
	if len(lines) != 1 || lines[0]["status"] != 499.0 || len(e.log.lines(t, "request failed")) != 0 {
		t.Errorf("the log: %s", e.log)
	}
}
