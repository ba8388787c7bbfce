package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/net/html"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/internal/gallery"
	"github.com/tenonhq/tenon/platform/web/ui"
)

func text(content string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, templ.EscapeString(content))
		return err
	})
}

func inTenant(r *http.Request) *http.Request {
	shell := &web.Shell{
		Tenant:     &web.Tenant{Name: "Acme", Slug: "acme", Base: "/acme"},
		Navigation: []web.NavigationItem{{Label: "Dashboard", Icon: "home", Path: "/dashboard"}},
		SignInHref: "/sign-in",
	}
	return r.WithContext(web.NewContext(r.Context(), shell))
}

func withHeaders(r *http.Request, headers ...string) *http.Request {
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestFromContextIsNeverNil(t *testing.T) {
	t.Parallel()
	if web.FromContext(t.Context()) == nil {
		t.Error("FromContext is nil without a shell")
	}
	if web.FromContext(web.NewContext(t.Context(), nil)) == nil {
		t.Error("FromContext is nil with a nil shell")
	}
	shell := new(web.Shell)
	if web.FromContext(web.NewContext(t.Context(), shell)) != shell {
		t.Error("FromContext returns another shell than the one put in")
	}
}

func TestLinkEscapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		base, format string
		args         []any
		want         string
	}{
		{"/acme", "/projects", nil, "/acme/projects"},
		{"", "/projects", nil, "/projects"},
		{"/acme", "/projects/%s/edit", []any{"apollo"}, "/acme/projects/apollo/edit"},
		{"/acme", "/projects/%d", []any{42}, "/acme/projects/42"},
		{"/acme", "/projects/%s", []any{"a/b?c#d"}, "/acme/projects/a%2Fb%3Fc%23d"},
		{"/acme", "/projects/%s", []any{".."}, "/acme/projects/%252E%252E"},
		{"/acme", "/projects/%s", []any{"."}, "/acme/projects/%252E"},
		{"/acme", "/projects/%s", []any{"100% <b>"}, "/acme/projects/100%25%20%3Cb%3E"},
		{"/acme", "/projects?q=%s&after=%s", []any{"a&b=c d", "ü"}, "/acme/projects?q=a%26b%3Dc+d&after=%C3%BC"},
		{"/acme", "/%s?q=%s", []any{"a?b", "%s"}, "/acme/a%3Fb?q=%25s"},
		{"/acme", "/projects/%s/%s", []any{"one"}, "/acme/projects/one/%s"},
	}
	for _, test := range tests {
		shell := &web.Shell{Tenant: &web.Tenant{Base: test.base}}
		if got := string(shell.Link(test.format, test.args...)); got != test.want {
			t.Errorf("Link(%q, %v) = %q, want %q", test.format, test.args, got, test.want)
		}
	}
	if got := string(new(web.Shell).Link("/x")); got != "/x" {
		t.Errorf("Link without a tenant = %q, want /x", got)
	}
}

func FuzzLinkStaysInItsSegment(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "a/b", "%2e%2e", "?x", "#", "\\", "\x00", "ü", "//evil.example"} {
		f.Add(seed)
	}
	shell := &web.Shell{Tenant: &web.Tenant{Base: "/acme"}}
	f.Fuzz(func(t *testing.T, segment string) {
		link, err := url.Parse(string(shell.Link("/projects/%s/edit", segment)))
		if err != nil {
			t.Fatalf("not a URL: %v", err)
		}
		// What a browser asks for: dot segments are resolved before sending.
		resolved := (&url.URL{Scheme: "https", Host: "tenon.example"}).ResolveReference(link)
		parts := strings.Split(resolved.EscapedPath(), "/")
		if resolved.Host != "tenon.example" || resolved.RawQuery != "" || resolved.Fragment != "" ||
			len(parts) != 5 || parts[1] != "acme" || parts[2] != "projects" || parts[4] != "edit" {
			t.Errorf("segment %q leads to %s", segment, resolved)
		}
	})
}

func TestRenderAnswersWhoeverAsks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		headers  []string
		document bool
	}{
		{"browser", nil, true},
		{"htmx", []string{"HX-Request", "true"}, false},
		{"boosted htmx", []string{"HX-Request", "true", "HX-Boosted", "true"}, true},
		{"history restore", []string{"HX-Request", "true", "HX-History-Restore-Request", "true"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			r := withHeaders(inTenant(httptest.NewRequest("GET", "/acme/projects", nil)), test.headers...)
			if err := web.Render(w, r, http.StatusTeapot, "Projects & more", text("the page")); err != nil {
				t.Fatal(err)
			}
			body := w.Body.String()
			if w.Code != http.StatusTeapot || w.Header().Get("Vary") != "HX-Request" || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("status %d, headers %v", w.Code, w.Header())
			}
			if !strings.Contains(body, "<title>Projects &amp; more · Acme · Tenon</title>") || !strings.Contains(body, "the page") {
				t.Errorf("body lacks its title or page: %s", body)
			}
			if got := strings.Contains(body, "<html"); got != test.document {
				t.Errorf("a whole document: %t, want %t", got, test.document)
			}
		})
	}
}

func TestRenderSendsNothingOfABrokenPage(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	page := templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, _ = io.WriteString(w, "half a page")
		return broken
	})
	w := httptest.NewRecorder()
	if err := web.Render(w, httptest.NewRequest("GET", "/", nil), http.StatusOK, "Broken", page); !errors.Is(err, broken) {
		t.Errorf("Render = %v, want the component's error", err)
	}
	if w.Body.Len() > 0 || w.Header().Get("Content-Type") != "" {
		t.Errorf("something was sent: %q %v", w.Body, w.Header())
	}
}

func TestRenderAnswersHeadWithoutBody(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if err := web.Render(w, httptest.NewRequest("HEAD", "/", nil), http.StatusOK, "Page", text("x")); err != nil {
		t.Fatal(err)
	}
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d bytes, headers %v", w.Body.Len(), w.Header())
	}
}

// follow sends the cookies that w set along with the next request.
func follow(w *httptest.ResponseRecorder, target string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	for _, cookie := range w.Result().Cookies() {
		if cookie.MaxAge >= 0 {
			r.AddCookie(cookie)
		}
	}
	return r
}

func TestFlashIsShownOnce(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"Saved.", `<script>alert("x")</script>`, "Größe; “quoted”\nsecond line", strings.Repeat("ü", 5000)} {
		posted := httptest.NewRecorder()
		web.Redirect(posted, httptest.NewRequest("POST", "/acme/projects", nil), "/acme/projects", &web.Flash{Kind: ui.Success, Message: message})
		if posted.Code != http.StatusSeeOther || posted.Header().Get("Location") != "/acme/projects" {
			t.Fatalf("Redirect: %d to %q", posted.Code, posted.Header().Get("Location"))
		}
		for _, cookie := range posted.Result().Cookies() {
			if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || len(cookie.Value) > 1000 {
				t.Errorf("cookie %v", cookie)
			}
		}

		for _, htmx := range []string{"false", "true"} {
			shown := httptest.NewRecorder()
			r := withHeaders(follow(posted, "/acme/projects"), "HX-Request", htmx)
			if err := web.Render(shown, r, http.StatusOK, "Projects", text("page")); err != nil {
				t.Fatal(err)
			}
			start := templ.EscapeString(message[:min(len(message), 40)])
			if !strings.Contains(shown.Body.String(), start) || strings.Contains(shown.Body.String(), "<script>alert") {
				t.Errorf("htmx %s: the flash is not shown, or not escaped: %s", htmx, shown.Body)
			}
			cleared := false
			for _, cookie := range shown.Result().Cookies() {
				cleared = cleared || cookie.Name == "flash" && cookie.MaxAge < 0
			}
			if !cleared {
				t.Errorf("htmx %s: the flash's cookie stays", htmx)
			}
		}
	}
}

// TestCookiesAreSecure wherever browsers see the application over TLS, whoever ends
// it.
func TestCookiesAreSecure(t *testing.T) {
	t.Parallel()
	flash := &web.Flash{Kind: ui.Success, Message: "Saved."}
	for name, answer := range map[string]http.HandlerFunc{
		"flash":         func(w http.ResponseWriter, r *http.Request) { web.Redirect(w, r, "/acme", flash) },
		"flash to host": func(w http.ResponseWriter, r *http.Request) { web.Redirect(w, r, "https://acme.example.com/", flash) },
		"theme":         web.ThemeHandler().ServeHTTP,
		"sidebar":       web.SidebarHandler().ServeHTTP,
	} {
		for _, secure := range []bool{true, false} {
			r, w := httptest.NewRequest("POST", "/", nil), httptest.NewRecorder()
			answer(w, r.WithContext(web.NewContext(r.Context(), &web.Shell{Secure: secure})))
			if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].Secure != secure {
				t.Errorf("%s, secure %t: %v", name, secure, cookies)
			}
		}
	}
}

// TestFlashCrossesHosts of one domain, and is for nobody there but its target.
func TestFlashCrossesHosts(t *testing.T) {
	t.Parallel()
	flash := &web.Flash{Kind: ui.Success, Message: "Acme is ready."}
	for _, c := range []struct{ from, target, domain, cookie string }{
		{"example.com", "https://acme.example.com/dashboard", "example.com", "flash_away"},
		{"Acme.Example.com:8443", "https://acme-sons.example.com:8443/settings", "example.com", "flash_away"},
		{"acme.example.com", "https://example.com/", "example.com", "flash_away"},
		{"acme.example.com", "https://acme.example.com/dashboard", "", "flash"},
		{"acme.example.com", "/dashboard", "", "flash"},
		{"localhost:8080", "http://127.0.0.1:8080/", "", "flash"},
		{"127.0.0.1:8080", "http://127.1.0.1:8080/", "", "flash"},
		{"a.com", "https://b.com/", "", "flash"},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = c.from
		posted := httptest.NewRecorder()
		web.Redirect(posted, r, c.target, flash)
		cookies := posted.Result().Cookies()
		if len(cookies) != 1 || cookies[0].Domain != c.domain || cookies[0].Name != c.cookie {
			t.Errorf("from %s to %s: %v", c.from, c.target, cookies)
			continue
		}
		if c.domain == "" {
			continue
		}
		target, err := url.Parse(c.target)
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]bool{target.Host: true, strings.ToUpper(target.Host): true, "other.example.com": false, "evil.example": false, "[::1]": false} {
			r := follow(posted, "/")
			r.Host = host
			w := httptest.NewRecorder()
			if err := web.Render(w, r, http.StatusOK, "Page", text("page")); err != nil {
				t.Fatal(err)
			}
			if shown := strings.Contains(w.Body.String(), flash.Message); shown != want {
				t.Errorf("from %s to %s: at %s it is shown: %t", c.from, c.target, host, shown)
			}
			gone := w.Result().Cookies()
			if want && (len(gone) != 1 || gone[0].Domain != c.domain || gone[0].MaxAge >= 0) {
				t.Errorf("from %s to %s: the cookie stays: %v", c.from, c.target, gone)
			}
		}
	}
}

func TestRedirectOfHTMXLoadsThePage(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	web.Redirect(w, withHeaders(httptest.NewRequest("POST", "/", nil), "HX-Request", "true"), "/acme/projects", nil)
	if w.Code != http.StatusNoContent || w.Header().Get("HX-Redirect") != "/acme/projects" || len(w.Result().Cookies()) != 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func FuzzForgedFlash(f *testing.F) {
	for _, seed := range []string{"", ".", "success", "success.", "success.!!!", "evil.aGk", "success.aGk", "error.PHNjcmlwdD4", "info._w", "success.aGk.ZXhhbXBsZS5jb20gZXhhbXBsZS5jb20", "success.aGk.IA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		for _, name := range []string{"flash", "flash_away"} {
			r.Header.Set("Cookie", (&http.Cookie{Name: name, Value: value}).String())
			w := httptest.NewRecorder()
			if err := web.Render(w, r, http.StatusOK, "Page", text("page")); err != nil {
				t.Fatal(err)
			}
			noScripts(t, w.Body.String())
		}
	})
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	for status, kind := range gallery.Statuses {
		err := fault.New(kind, "Shown to <everybody>.").WithCause(errors.New("SELECT secret")).WithRetryAfter(1500 * time.Millisecond)

		w := httptest.NewRecorder()
		web.ErrorPage(w, inTenant(httptest.NewRequest("GET", "/acme/x?y=1", nil)), status, err, "req_42")
		body := w.Body.String()
		for _, want := range []string{"Shown to &lt;everybody&gt;.", "req_42", `id="sidebar"`, "<h1"} {
			if !strings.Contains(body, want) {
				t.Errorf("%d: the page lacks %q", status, want)
			}
		}
		if w.Code != status || strings.Contains(body, "SELECT") || w.Header().Get("Retry-After") != "2" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d: status %d, headers %v", status, w.Code, w.Header())
		}
		if status == http.StatusUnauthorized && !strings.Contains(body, "/sign-in?redirect_url=%2Facme%2Fx%3Fy%3D1") {
			t.Error("401: the page does not lead to sign-in and back")
		}

		toast := httptest.NewRecorder()
		web.ErrorPage(toast, withHeaders(inTenant(httptest.NewRequest("POST", "/acme/x", nil)), "HX-Request", "true"), status, err, "req_42")
		if toast.Code != status || toast.Header().Get("HX-Retarget") != "#toasts" || strings.Contains(toast.Body.String(), "<html") {
			t.Errorf("%d: htmx gets status %d, headers %v", status, toast.Code, toast.Header())
		}
	}
}

// TestErrorPageOfAFormLeadsBack holds that what was sent from a page leads back to that
// page, which no other site can name.
func TestErrorPageOfAFormLeadsBack(t *testing.T) {
	t.Parallel()
	for referer, want := range map[string]string{
		"http://example.com/acme/projects/apollo?x=1": "/acme/projects/apollo?x=1",
		"http://evil.example/acme/projects/apollo":    "/",
		"http://example.com//evil.example":            "/",
		"::":                                          "/",
		"":                                            "/",
	} {
		for _, status := range []int{http.StatusConflict, http.StatusServiceUnavailable, http.StatusUnauthorized} {
			link := `href="` + want + `"`
			if status == http.StatusUnauthorized {
				link = `href="/sign-in?redirect_url=` + url.QueryEscape(want) + `"`
			}
			w := httptest.NewRecorder()
			web.ErrorPage(w, withHeaders(inTenant(httptest.NewRequest("POST", "/acme/projects/apollo/status", nil)), "Referer", referer), status, nil, "req_42")
			if !strings.Contains(w.Body.String(), link) {
				t.Errorf("%d from %q: no %s", status, referer, link)
			}
		}
	}
}

func TestErrorPageOfASuspendedTenant(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	web.ErrorPage(w, httptest.NewRequest("GET", "/acme", nil), http.StatusForbidden, fault.New(fault.Suspended, "Suspended."), "req_42")
	if body := w.Body.String(); w.Code != http.StatusForbidden || !strings.Contains(body, "This organization is suspended") || strings.Contains(body, "an admin") {
		t.Errorf("%d %s", w.Code, body)
	}
}

func TestErrorPageOfUnknownErrors(t *testing.T) {
	t.Parallel()
	for _, status := range []int{418, 422, 502, 504, 599} {
		w := httptest.NewRecorder()
		web.ErrorPage(w, httptest.NewRequest("GET", "/x", nil), status, nil, "req_42")
		if w.Code != status || !strings.Contains(w.Body.String(), "req_42") || strings.Contains(w.Body.String(), `id="sidebar"`) {
			t.Errorf("%d: status %d: %s", status, w.Code, w.Body)
		}
	}
}

func TestErrorPageSurvivesABrokenLayout(t *testing.T) {
	t.Parallel()
	shell := &web.Shell{Tenant: &web.Tenant{Name: "Acme"}, Navigation: []web.NavigationItem{{Icon: "no-such-icon"}}}
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	web.ErrorPage(w, r.WithContext(web.NewContext(r.Context(), shell)), http.StatusInternalServerError, nil, "req_42")
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "req_42") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	get := func(path string, headers ...string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		web.Assets().ServeHTTP(w, withHeaders(httptest.NewRequest("GET", path, nil), headers...))
		return w
	}
	for name, contentType := range map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8",
		"favicon.svg": "image/svg+xml", "geist-latin.woff2": "font/woff2", "licenses.txt": "text/plain; charset=utf-8",
	} {
		path := web.AssetPath(name)
		plain := get(path)
		if plain.Code != http.StatusOK || plain.Header().Get("Content-Type") != contentType ||
			plain.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || plain.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", name, plain.Code, plain.Header())
		}
		zipped := get(path, "Accept-Encoding", "br, gzip;q=0.8")
		if strings.HasPrefix(contentType, "text/") {
			reader, err := gzip.NewReader(zipped.Body)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			body, err := io.ReadAll(reader)
			if err != nil || string(body) != plain.Body.String() || zipped.Header().Get("Content-Encoding") != "gzip" {
				t.Errorf("%s: gzip differs from the plain text (%v)", name, err)
			}
			if zipped.Header().Get("ETag") == plain.Header().Get("ETag") || zipped.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: two representations share an entity tag, or do not vary", name)
			}
		}
		if refused := get(path, "Accept-Encoding", "gzip;q=0, identity"); refused.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s: gzip for a client that refuses it", name)
		}
		if again := get(path, "If-None-Match", `"other", W/`+plain.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s: %d for a known entity tag", name, again.Code)
		}
	}
	for _, path := range []string{"/assets/", "/assets/app.css", "/assets/app.0123456789ab.css", "/assets/../assets.go", "/assets/%2e%2e/web.go", "app.css", "/"} {
		if w := get("/" + strings.TrimPrefix(path, "/")); w.Code != http.StatusNotFound || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, Cache-Control %q", path, w.Code, w.Header().Get("Cache-Control"))
		}
	}
	w := httptest.NewRecorder()
	web.Assets().ServeHTTP(w, httptest.NewRequest("POST", web.AssetPath("app.css"), nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// The style sheet names the fonts; a name that stays unhashed is a 404.
func TestStyleSheetLeadsToItsFonts(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	web.Assets().ServeHTTP(w, httptest.NewRequest("GET", web.AssetPath("app.css"), nil))
	if css := w.Body.String(); strings.Contains(css, "url(./") || !strings.Contains(css, web.AssetPath("geist-latin-ext.woff2")) {
		t.Error("the style sheet refers to assets by names that are not served")
	}
}

// A first visit loads the page, which the router compresses, its style, script
// and font.
func TestFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	const limit = 80_000
	total := 0
	for _, path := range []string{"/", web.AssetPath("app.css"), web.AssetPath("app.js"), web.AssetPath("geist-latin.woff2"), web.AssetPath("favicon.svg")} {
		w := httptest.NewRecorder()
		gallery.New().ServeHTTP(w, withHeaders(httptest.NewRequest("GET", path, nil), "Accept-Encoding", "gzip"))
		size := w.Body.Len()
		if path == "/" {
			size = gzipped(t, w.Body.Bytes())
		}
		t.Logf("%6d bytes %s", size, path)
		total += size
	}
	t.Logf("%6d bytes in all", total)
	if total > limit {
		t.Errorf("a first load takes %d bytes, more than %d", total, limit)
	}
}

func gzipped(t *testing.T, body []byte) int {
	t.Helper()
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	if _, err := writer.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed.Len()
}

func TestTheme(t *testing.T) {
	t.Parallel()
	tests := []struct{ theme, returnTo, wantHTML, wantLocation string }{
		{"dark", "/acme/projects?q=x", `data-theme="dark"`, "/acme/projects?q=x"},
		{"light", "/", `data-theme="light"`, "/"},
		{"", "/acme", `<html lang="en">`, "/acme"},
		{`"><script>`, "/acme", `<html lang="en">`, "/acme"},
		{"dark", "//evil.example", `data-theme="dark"`, "/"},
		{"dark", "https://evil.example", `data-theme="dark"`, "/"},
		{"dark", `/\evil.example`, `data-theme="dark"`, "/"},
		{"dark", "/\t/evil.example", `data-theme="dark"`, "/"},
		{"dark", "/\r\nSet-Cookie: x", `data-theme="dark"`, "/"},
		{"dark", "", `data-theme="dark"`, "/"},
	}
	for _, test := range tests {
		form := url.Values{"theme": {test.theme}, "return_to": {test.returnTo}}
		r := withHeaders(httptest.NewRequest("POST", "/theme", strings.NewReader(form.Encode())), "Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		web.ThemeHandler().ServeHTTP(w, r)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != test.wantLocation {
			t.Errorf("%q, %q: %d to %q", test.theme, test.returnTo, w.Code, w.Header().Get("Location"))
		}
		page := httptest.NewRecorder()
		if err := web.Render(page, follow(w, "/"), http.StatusOK, "Page", text("page")); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page.Body.String(), test.wantHTML) {
			t.Errorf("%q: the page is not in %s", test.theme, test.wantHTML)
		}
	}
}

func TestSidebar(t *testing.T) {
	t.Parallel()
	for value, folded := range map[string]bool{"folded": true, "": false, "open": false, `"><script>`: false} {
		form := url.Values{"sidebar": {value}, "return_to": {"/acme/projects?q=x"}}
		w := httptest.NewRecorder()
		web.SidebarHandler().ServeHTTP(w, withHeaders(httptest.NewRequest("POST", "/sidebar", strings.NewReader(form.Encode())), "Content-Type", "application/x-www-form-urlencoded"))
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/acme/projects?q=x" {
			t.Errorf("%q: %d to %q", value, w.Code, w.Header().Get("Location"))
		}
		page := httptest.NewRecorder()
		if err := web.Render(page, inTenant(follow(w, "/")), http.StatusOK, "Page", text("page")); err != nil {
			t.Fatal(err)
		}
		body := page.Body.String()
		if strings.Contains(body, `data-sidebar="folded"`) != folded || strings.Contains(body, `aria-expanded="false"`) != folded {
			t.Errorf("%q: the sidebar is not what was asked for", value)
		}
	}
}

// TestThemeOfSeveralHosts replaces what one of them remembered by itself.
func TestThemeOfSeveralHosts(t *testing.T) {
	t.Parallel()
	for theme, wantAge := range map[string]int{"dark": 365 * 24 * 60 * 60, "": -1} {
		r := withHeaders(httptest.NewRequest("POST", "/theme", strings.NewReader("theme="+theme)), "Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		web.ThemeHandler().ServeHTTP(w, r.WithContext(web.NewContext(r.Context(), &web.Shell{Domain: "example.com"})))
		cookies := w.Result().Cookies()
		if len(cookies) != 2 || cookies[0].Domain != "" || cookies[0].MaxAge != -1 || cookies[1].Domain != "example.com" || cookies[1].Value != theme || cookies[1].MaxAge != wantAge {
			t.Errorf("%q: %v", theme, cookies)
		}
	}
}

// TestNavigationIsWhereItBelongs: pages in the sidebar, what has keys in the help
// sheet, and the palette only where something finds things.
func TestNavigationIsWhereItBelongs(t *testing.T) {
	t.Parallel()
	shell := &web.Shell{Tenant: &web.Tenant{Name: "Acme", Base: "/acme"}, Navigation: []web.NavigationItem{
		{Label: "Projects", Icon: "folder", Path: "/projects", Keys: "g p"},
		{Kind: web.ActionItem, Label: "New project", Icon: "plus", Path: "/projects/new", Keys: "n"},
	}}
	render := func() (sidebar, rest string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/acme/x", nil)
		if err := web.Render(w, r.WithContext(web.NewContext(r.Context(), shell)), http.StatusOK, "Page", text("page")); err != nil {
			t.Fatal(err)
		}
		sidebar, rest, _ = strings.Cut(w.Body.String(), "</aside>")
		return sidebar, rest
	}
	sidebar, rest := render()
	if !strings.Contains(sidebar, `href="/acme/projects"`) || strings.Contains(sidebar, "/acme/projects/new") || strings.Contains(sidebar+rest, `id="palette"`) {
		t.Error("the sidebar shows other things than pages")
	}
	if !strings.Contains(rest, `href="/acme/projects" data-keys="g p"`) || !strings.Contains(rest, `href="/acme/projects/new" data-keys="n"`) {
		t.Error("keys lead nowhere")
	}
	shell.Navigation = append(shell.Navigation, web.NavigationItem{Kind: web.SearchItem, Label: "Search", Icon: "search", Path: "/search"})
	if sidebar, rest := render(); !strings.Contains(sidebar, `href="/acme/search"`) || !strings.Contains(rest, `hx-get="/acme/search"`) {
		t.Error("nothing leads to the search")
	}
}

// TestComponentsPolicy: scripts come from the named origins alone, and none are
// inline, although styles are.
func TestComponentsPolicy(t *testing.T) {
	t.Parallel()
	policy := web.ComponentsPolicy(nil, "https://clerk.example.com", "https://static.example.com")
	for _, want := range []string{
		"default-src 'self'; ", "; connect-src 'self' https://clerk.example.com https://*.protect.clerk.com:*; ",
		"; script-src 'self' https://clerk.example.com https://challenges.cloudflare.com https://*.protect.clerk.com https://static.example.com; ",
		"; frame-src https://challenges.cloudflare.com https://*.protect.clerk.com; ", "; style-src 'self' 'unsafe-inline'; ", "; worker-src 'self' blob:",
		"; base-uri 'none'; ", "; frame-ancestors 'none'; ", "; object-src 'none'; ",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if strings.Count(policy, "unsafe") != 1 {
		t.Errorf("the policy allows more than inline styles: %s", policy)
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	policy := web.ContentSecurityPolicy("https://accounts.example.com")
	for _, want := range []string{"default-src 'self'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'self' https://accounts.example.com"} {
		if !strings.Contains(policy+";", want+";") {
			t.Errorf("%q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("%q allows what is unsafe", policy)
	}
}

// inlineCode lists what a strict policy would stop in a document.
func inlineCode(document string) []string {
	var found []string
	tokens := html.NewTokenizer(strings.NewReader(document))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return found
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			hasSource := false
			for _, attribute := range token.Attr {
				key, value := strings.ToLower(attribute.Key), strings.ToLower(strings.TrimSpace(attribute.Val))
				hasSource = hasSource || key == "src"
				if strings.HasPrefix(key, "on") || strings.HasPrefix(key, "hx-on") || key == "style" || strings.HasPrefix(value, "javascript:") {
					found = append(found, token.Data+" "+attribute.Key)
				}
			}
			if token.Data == "style" || token.Data == "script" && !hasSource {
				found = append(found, token.Data)
			}
		}
	}
}

func noScripts(t *testing.T, document string) {
	t.Helper()
	for _, found := range inlineCode(document) {
		t.Errorf("inline code: %s", found)
	}
}

func TestNothingIsInline(t *testing.T) {
	t.Parallel()
	for name, path := range gallery.Paths() {
		w := httptest.NewRecorder()
		gallery.New().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if !strings.Contains(w.Body.String(), "</html>") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		noScripts(t, w.Body.String())
	}
	planted := `<p style="x">a</p><b onclick=x></b><script>1</script><style></style><a href=" JavaScript:x"></a><i hx-on:click=x></i>`
	if found := inlineCode(planted); len(found) != 6 {
		t.Errorf("of 6 planted pieces of inline code %d are found: %v", len(found), found)
	}
}

// Hostile values stay values, whatever they are put into.
func TestHostileValuesAreEscaped(t *testing.T) {
	t.Parallel()
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)> ' onfocus=alert(1) autofocus x='`
	shell := &web.Shell{
		Tenant:        &web.Tenant{Name: hostile, Slug: hostile, ImageURL: "javascript:alert(1)", Base: "/acme"},
		Person:        &web.Person{Name: hostile, Email: hostile, AvatarURL: hostile, Role: hostile},
		Navigation:    []web.NavigationItem{{Label: hostile, Icon: "home", Path: "/x"}},
		Organizations: []web.Organization{{Name: hostile, Href: "javascript:alert(1)"}},
		SwitchHref:    "javascript:alert(1)", SignOutHref: "/out", Flash: &web.Flash{Kind: ui.Error, Message: hostile}, RequestID: hostile,
	}
	r := httptest.NewRequest("GET", "/acme/x", nil)
	r = r.WithContext(web.NewContext(r.Context(), shell))
	w := httptest.NewRecorder()
	page := templ.Join(
		ui.Field(ui.FieldProps{Name: "a", Label: hostile, Value: hostile, Hint: hostile, Error: hostile, Placeholder: hostile, Prefix: hostile}),
		ui.TextArea(ui.FieldProps{Name: "b", Label: hostile, Value: "</textarea>" + hostile}),
		ui.Select(ui.FieldProps{Name: "c", Label: hostile, Value: hostile, Options: []ui.Option{{Value: hostile, Label: hostile}}}),
		ui.ConfirmDialog(ui.ConfirmProps{ID: "d", Title: hostile, Description: hostile, Typed: hostile, Action: "/x"}),
		ui.Toast(ui.ToastProps{Title: hostile, Message: hostile}),
		ui.Stat(ui.StatProps{Label: hostile, Value: hostile}),
		ui.Avatar(ui.AvatarProps{Name: hostile}),
	)
	if err := web.Render(w, r, http.StatusOK, hostile, page); err != nil {
		t.Fatal(err)
	}
	noScripts(t, w.Body.String())
}

func TestSourcesNameNoRegistry(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		content, err := fs.ReadFile(os.DirFS("assets"), name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), `"resolved"`) || strings.Contains(string(content), "registry=") {
			t.Errorf("assets/%s names a registry", name)
		}
	}
}
