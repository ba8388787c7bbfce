package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// hostBrowser is a browser as far as redirects and cookies go. Every name leads to
// this machine.
func hostBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

// visit sends a request as a browser does that navigates, and follows.
func visit(t *testing.T, client *http.Client, method, address, form string, header ...string) (status int, at *url.URL, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	request.Header.Set("Sec-Fetch-Mode", "navigate")
	request.Header.Set("Sec-Fetch-Dest", "document")
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Request.URL, string(read)
}

// leading are the attributes of a page that lead somewhere.
var leading = regexp.MustCompile(`(?:href|action|hx-get|hx-post|hx-push-url|data-organization-profile)="([^"]*)"`)

// TestTenantHosts serves the same tenants by paths and by hosts.
func TestTenantHosts(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := startCommand(t, []string{"DATABASE_URL=" + localpgtest.NewDatabase(t), "TENANT_DOMAIN=tenon.localhost"}, "--addr", "tenon.localhost:0")
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL, "http://"), ":")
	acme, testcorp := "http://acme.tenon.localhost:"+port, "http://testcorp.tenon.localhost:"+port

	browser := hostBrowser(t)
	status, at, body := visit(t, browser, "GET", acme+"/projects?q=web", "")
	if status != http.StatusOK || at.Path != "/__clerk/sign-in" || at.Host != "tenon.localhost:"+port {
		t.Fatalf("a stranger at acme's host is led to %s: %d", at, status)
	}
	form := url.Values{"email_address": {demo[0].people[0].email}, "password": {demoPassword}}
	for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		form.Set(hidden[1], hidden[2])
	}
	form.Del("user_id")
	status, at, body = visit(t, browser, "POST", at.String(), form.Encode(), "Origin", p.URL, "Sec-Fetch-Site", "same-origin")
	if status != http.StatusOK || at.String() != acme+"/projects?q=web" {
		t.Fatalf("who signs in comes back to %s: %d %.300s", at, status, body)
	}

	t.Run("links follow the form in use", func(t *testing.T) {
		for _, path := range []string{"/dashboard", "/projects", "/members", "/settings", "/audit-log", "/activity", "/api-keys", "/search?q=web", "/profile", "/projects/new", "/projects/website-relaunch", "/settings/delete", "/onboarding"} {
			status, at, byHost := visit(t, browser, "GET", acme+path, "")
			if status != http.StatusOK || at.String() != acme+path {
				t.Errorf("%s at the host: %d at %s", path, status, at)
			}
			status, at, byPath := visit(t, browser, "GET", p.URL+"/acme"+path, "")
			if status != http.StatusOK || at.String() != p.URL+"/acme"+path {
				t.Errorf("%s by path: %d at %s", path, status, at)
			}
			for _, match := range leading.FindAllStringSubmatch(byHost, -1) {
				if strings.HasPrefix(match[1], "/acme/") || match[1] == "/acme" || strings.HasPrefix(match[1], "/testcorp") {
					t.Errorf("%s at the host leads to %s", path, match[1])
				}
			}
			hosts := 0
			for _, match := range leading.FindAllStringSubmatch(byPath, -1) {
				if strings.HasPrefix(match[1], acme) || strings.HasPrefix(match[1], testcorp) || match[1] == "/dashboard" {
					t.Errorf("%s by path leads to %s", path, match[1])
				}
				if strings.HasPrefix(match[1], "/acme/") {
					hosts++
				}
			}
			if hosts == 0 {
				t.Errorf("%s by path has no links below /acme", path)
			}
			if main := between(byHost, "<h1", "</h1>"); main == "" || main != between(byPath, "<h1", "</h1>") {
				t.Errorf("%s: %q by host, %q by path", path, main, between(byPath, "<h1", "</h1>"))
			}
		}
	})
	t.Run("a host is one tenant's", func(t *testing.T) {
		token := p.owner(t, "acme")
		for _, c := range []struct {
			host, path string
			want       int
		}{
			{"acme", "/dashboard", 200},
			{"ACME", "/dashboard", 200},
			{"acme", "/acme/dashboard", 404},
			{"acme", "/testcorp/dashboard", 404},
			{"testcorp", "/dashboard", 200}, // where the owner is a member, too
			{"testcorp", "/acme/dashboard", 404},
			{"nobody", "/dashboard", 404},
			{"acme", "/api/tenants/acme/projects", 200},
			{"testcorp", "/api/tenants/acme/projects", 404},
			{"acme", "/api/tenants/testcorp/projects", 404},
			{"a.acme", "/dashboard", 404},
			{"www", "/acme/dashboard", 200},
		} {
			if got := p.callHost(t, c.host+".tenon.localhost:"+port, "GET", c.path, token, ""); got.status != c.want {
				t.Errorf("%s at %s: %d, want %d", c.path, c.host, got.status, c.want)
			}
		}
		stranger := p.token(t, p.newUser(t, "Stranger"), nil)
		for host, want := range map[string]int{"acme.tenon.localhost": 404, "tenon.localhost": 404} {
			if got := p.callHost(t, host, "GET", "/dashboard", stranger, ""); got.status != want {
				t.Errorf("a stranger at %s: %d", host, got.status)
			}
		}
		for _, host := range []string{"acme.tenon.localhost.evil.example", "acme.tenon.localhost.", "evil-tenon.localhost", "[::1]"} {
			if got := p.callHost(t, host, "GET", "/dashboard", token, ""); got.status != 404 {
				t.Errorf("/dashboard at %s: %d", host, got.status)
			}
		}
	})
	t.Run("forms stay on their host", func(t *testing.T) {
		for _, c := range []struct {
			from, site, to string
			want           int
		}{
			{acme, "same-origin", acme + "/theme", 200},
			{acme, "same-site", p.URL + "/theme", 403},
			{testcorp, "same-site", acme + "/theme", 403},
			{testcorp, "same-site", p.URL + "/acme/projects", 403},
			{"http://evil.example", "cross-site", acme + "/theme", 403},
		} {
			if status, at, _ := visit(t, browser, "POST", c.to, "theme=dark&return_to=/dashboard", "Origin", c.from, "Sec-Fetch-Site", c.site); status != c.want {
				t.Errorf("from %s to %s: %d at %s, want %d", c.from, c.to, status, at, c.want)
			}
		}
	})
	t.Run("a theme is for all hosts", func(t *testing.T) {
		for _, c := range []struct{ at, theme, want string }{{acme, "dark", `data-theme="dark"`}, {p.URL, "light", `data-theme="light"`}, {testcorp, "", `<html lang="en">`}} {
			visit(t, browser, "POST", c.at+"/theme", "return_to=/dashboard&theme="+c.theme, "Origin", c.at, "Sec-Fetch-Site", "same-origin")
			for _, page := range []string{acme + "/dashboard", testcorp + "/dashboard", p.URL + "/acme/dashboard"} {
				if status, _, body := visit(t, browser, "GET", page, ""); status != http.StatusOK || !strings.Contains(body, c.want) {
					t.Errorf("%q chosen at %s: %s is %d and not in it", c.theme, c.at, page, status)
				}
			}
		}
	})
	t.Run("in a real browser", func(t *testing.T) {
		here := *p
		here.URL = acme
		v := here.visitor(t)
		host := func(host, path string) {
			t.Helper()
			browsertest.Eventually(t, v.ctx, fmt.Sprintf(`location.host === %q && location.pathname === %q && document.documentElement.classList.contains("js")`, host+":"+port, path))
		}
		v.open(t, "/projects?q=web")
		host("tenon.localhost", "/__clerk/sign-in")
		v.click(t, `[aria-label="Sign in as `+demo[0].people[0].email+`"]`)
		host("acme.tenon.localhost", "/projects")
		v.click(t, `#sidebar nav a[href="/members"]`)
		host("acme.tenon.localhost", "/members")
		v.look(t, "host-members")
		v.open(t, "/projects/new")
		host("acme.tenon.localhost", "/projects/new")
		v.fill(t, map[string]string{"name": "At our own host"})
		v.submits(t, `#project`)
		host("acme.tenon.localhost", "/projects/at-our-own-host")
		v.says(t, "was created.")
		v.click(t, `.sidebar-header summary`)
		v.click(t, `.sidebar-header a[href="`+testcorp+`/dashboard"]`)
		host("testcorp.tenon.localhost", "/dashboard")
		v.lookTwice(t, "host-dashboard")
		browsertest.Evaluate[chromedp.Void](t, v.ctx, `{ document.querySelector('form[action*="sign-out"]').requestSubmit() }`)
		host("tenon.localhost", "/")
		v.open(t, "/projects")
		host("tenon.localhost", "/__clerk/sign-in")
	})
	t.Run("a renamed tenant is found at its new host", func(t *testing.T) {
		status, at, body := visit(t, browser, "POST", acme+"/settings", "name=Acme&slug=apex-works", "Origin", acme, "Sec-Fetch-Site", "same-origin")
		moved := "http://apex-works.tenon.localhost:" + port
		if status != http.StatusOK || at.String() != moved+"/settings" {
			t.Fatalf("the settings lead to %s: %d %.300s", at, status, body)
		}
		if !strings.Contains(body, "The settings were saved.") {
			t.Error("what the former host said is lost on the way")
		}
		if status, at, _ := visit(t, browser, "GET", acme+"/projects?q=web", ""); status != http.StatusOK || at.String() != moved+"/projects?q=web" {
			t.Errorf("the former host leads to %s: %d", at, status)
		}
	})
	t.Run("signing out is for all hosts", func(t *testing.T) {
		_, _, page := visit(t, browser, "GET", "http://apex-works.tenon.localhost:"+port+"/dashboard", "")
		out := regexp.MustCompile(`action="(/__clerk/sign-out[^"]*)"`).FindStringSubmatch(page)
		if out == nil {
			t.Fatal("the page has no form to sign out")
		}
		visit(t, browser, "POST", "http://apex-works.tenon.localhost:"+port+strings.ReplaceAll(out[1], "&amp;", "&"), "x=1", "Origin", "http://apex-works.tenon.localhost:"+port, "Sec-Fetch-Site", "same-origin")
		for _, address := range []string{"http://apex-works.tenon.localhost:" + port + "/dashboard", acme + "/dashboard", p.URL + "/apex-works/dashboard"} {
			if _, at, _ := visit(t, browser, "GET", address, ""); at.Path != "/__clerk/sign-in" {
				t.Errorf("after signing out %s leads to %s", address, at)
			}
		}
	})
}

// between returns what text has from first to the next last.
func between(text, first, last string) string {
	_, rest, _ := strings.Cut(text, first)
	found, _, _ := strings.Cut(rest, last)
	return found
}

// callHost is call at a host by name.
func (p *product) callHost(t *testing.T, host, method, path, token, body string) answer {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL, "http://"), ":")
	request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:"+port+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(read)}
}
