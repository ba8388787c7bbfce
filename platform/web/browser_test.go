package web_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/web/internal/gallery"
)

//go:embed testdata/axe.min.js
var axe string

// chromium returns the path of a browser. Without one the test is skipped, or
// fails where TENON_REQUIRE_TOOLS says that every tool has to be there.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("TENON_REQUIRE_TOOLS") == "1" {
		t.Fatal("chromium is not installed, and TENON_REQUIRE_TOOLS is set")
	}
	t.Skip("chromium is not installed")
	return ""
}

// browser starts a browser and returns a context of its first tab.
func browser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancelAllocator)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	do(t, ctx) // starts the browser, whose life is that of this context
	ctx, cancelDeadline := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancelDeadline)
	return ctx
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("browser: %v", err)
	}
}

// run runs one action for its value.
func run[T any](t *testing.T, ctx context.Context, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("browser: %v", err)
	}
	return value
}

// complaints collects what the browser says about pages: exceptions, and
// violations of the content security policy among its errors.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func listen(t *testing.T, ctx context.Context) *complaints {
	t.Helper()
	c := new(complaints)
	add := func(text string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.list = append(c.list, text)
	}
	err := chromedp.Listen(ctx, func(event any) {
		switch event := event.(type) {
		case *runtime.EventExceptionThrown:
			add(fmt.Sprintf("%s at %s:%d", event.ExceptionDetails.Text, event.ExceptionDetails.URL, event.ExceptionDetails.LineNumber))
		case *log.EventEntryAdded:
			// The network source reports the statuses that the tests ask for.
			if event.Entry.Level == log.EntryLevelError && event.Entry.Source != log.EntrySourceNetwork {
				add(event.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatalf("browser: %v", err)
	}
	return c
}

func (c *complaints) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.list {
		t.Errorf("the browser complains: %s", text)
	}
	c.list = nil
}

const reportViolations = `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({
	rule: v.id, help: v.help, nodes: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary),
}))))`

// violations returns what axe-core finds wrong with the open page.
func violations(t *testing.T, ctx context.Context) []string {
	t.Helper()
	do(t, ctx, chromedp.Evaluate[chromedp.Void](axe))
	report := run(t, ctx, chromedp.Evaluate[string](reportViolations, chromedp.EvalAwaitPromise))
	var found []struct {
		Rule, Help string
		Nodes      []string
	}
	if err := json.Unmarshal([]byte(report), &found); err != nil {
		t.Fatalf("axe-core: %v", err)
	}
	var list []string
	for _, violation := range found {
		list = append(list, fmt.Sprintf("%s (%s): %s", violation.Rule, violation.Help, strings.Join(violation.Nodes, "; ")))
	}
	return list
}

// TestPagesInBrowser looks at every page in both themes, on a phone and on a
// desktop: axe-core finds no violation, nothing is wider than the screen, and
// the content security policy stops nothing. With TENON_SCREENSHOTS set to a
// folder it leaves pictures there.
func TestPagesInBrowser(t *testing.T) {
	server := httptest.NewServer(gallery.New())
	defer server.Close()
	ctx := browser(t)
	complaints := listen(t, ctx)

	paths := gallery.Paths()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1280} {
			emulate(t, ctx, theme, width)
			for _, name := range slices.Sorted(maps.Keys(paths)) {
				do(t, ctx, chromedp.Navigate(server.URL+paths[name]))
				overflow := run(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`))
				where := fmt.Sprintf("%s, %s, %d px", name, theme, width)
				if overflow > 0 {
					t.Errorf("%s: the page is %d px too wide", where, overflow)
				}
				for _, violation := range violations(t, ctx) {
					t.Errorf("%s: %s", where, violation)
				}
				screenshot(t, ctx, fmt.Sprintf("%s-%s-%d", name, theme, width))
			}
		}
	}
	complaints.check(t)
}

// emulate makes the browser prefer a theme, on a screen of a width.
func emulate(t *testing.T, ctx context.Context, theme string, width int64) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		},
	}); err != nil {
		t.Fatalf("browser: %v", err)
	}
	do(t, ctx, chromedp.EmulateViewport(width, 844))
}

func screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("TENON_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture := run(t, ctx, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestViolationsAreFound keeps the check above honest.
func TestViolationsAreFound(t *testing.T) {
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(`data:text/html,<html><body><img src=x><input></body></html>`))
	if found := violations(t, ctx); len(found) < 2 {
		t.Errorf("axe-core finds %d violations on a page that has several: %v", len(found), found)
	}
}
