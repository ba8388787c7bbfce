package httpserver_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web/browsertest"
)

var scriptPattern = regexp.MustCompile(`<script src="([^"]*)">`)

func TestReferenceIsServedFromHere(t *testing.T) {
	t.Parallel()
	e := newThings(t)
	page := e.get("/api/docs")
	if page.Code != http.StatusOK || page.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", page.Code, page.Header())
	}
	if policy := page.Header().Get("Content-Security-Policy"); strings.Contains(policy, "http") || !strings.Contains(policy, "script-src 'self';") {
		t.Errorf("policy %q", policy)
	}
	scripts := scriptPattern.FindAllStringSubmatch(page.Body.String(), -1)
	if len(scripts) != 2 {
		t.Fatalf("%d scripts in %s", len(scripts), page.Body)
	}
	for _, match := range scripts {
		plain := e.get(match[1])
		if plain.Code != http.StatusOK || !strings.Contains(plain.Header().Get("Cache-Control"), "immutable") || plain.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d %v", match[1], plain.Code, plain.Header())
		}
		request := httptest.NewRequest(http.MethodGet, match[1], nil)
		request.Header.Set("Accept-Encoding", "br, gzip")
		zipped := e.send(request)
		reader, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(reader); err != nil || string(body) != plain.Body.String() {
			t.Errorf("%s: %d bytes compressed, %d plain: %v", match[1], len(body), plain.Body.Len(), err)
		}
	}
	if missing := e.get("/api/docs/scalar.000000000000.js"); missing.Code != http.StatusNotFound || problemIn(t, missing).Status != http.StatusNotFound {
		t.Errorf("a script of another version: %d", missing.Code)
	}
}

// TestReferenceInABrowser holds that the page shows the operations, asks nobody
// but its own server and breaks no policy.
func TestReferenceInABrowser(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *httpserver.Config) { c.PublicURL = &url.URL{Scheme: "http", Host: "localhost"} }, httpserver.Mount{Operations: things})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)

	ctx := browsertest.Start(t)
	browsertest.Emulate(t, ctx, "light", 1280)
	complaints := browsertest.Listen(t, ctx)
	foreign := foreignRequests(t, ctx, server.URL)
	browsertest.Do(t, ctx, chromedp.Navigate(server.URL+"/api/docs"))
	browsertest.Eventually(t, ctx, `document.body.innerText.includes("Test Request")`)
	browsertest.Screenshot(t, ctx, "api-reference")
	complaints.Check(t)
	for _, asked := range foreign() {
		t.Errorf("the page asks %s", asked)
	}
}

// foreignRequests returns a function that returns what the browser asked others
// than own.
func foreignRequests(t *testing.T, ctx context.Context, own string) func() []string {
	t.Helper()
	var mu sync.Mutex
	var list []string
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(event any) {
		request, ok := event.(*network.EventRequestWillBeSent)
		if !ok || strings.HasPrefix(request.Request.URL, own+"/") || strings.HasPrefix(request.Request.URL, "data:") {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		list = append(list, request.Request.URL)
	}); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}
