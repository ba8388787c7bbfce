// Package browsertest looks at pages in a real browser: Chromium, driven by
// chromedp, with axe-core for what people with disabilities would stumble over.
package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/testtool"
)

//go:embed axe.min.js
var axe string

// Start starts a browser, which ends with the test, and returns a context of its
// first tab. Without a browser on the machine the test is skipped, see
// [testtool.Path].
func Start(t testing.TB) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(testtool.Path(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")),
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
	Do(t, ctx) // starts the browser, whose life is that of this context
	ctx, cancelDeadline := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancelDeadline)
	return ctx
}

// Do runs steps one after another; the test ends with the first that fails.
func Do(t testing.TB, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("browser: %v", err)
	}
}

// Run runs one action for its value.
func Run[T any](t testing.TB, ctx context.Context, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("browser: %v", err)
	}
	return value
}

// Complaints collects what the browser says about pages: exceptions, and
// violations of the content security policy among its errors.
type Complaints struct {
	mu   sync.Mutex
	list []string
}

// Listen begins to collect what the browser of ctx complains about.
func Listen(t testing.TB, ctx context.Context) *Complaints {
	t.Helper()
	c := new(Complaints)
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

// Check reports what was collected since the last time as the test's errors.
func (c *Complaints) Check(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.list {
		t.Errorf("the browser complains: %s", text)
	}
	c.list = nil
}

// Forget drops what was collected: a test expects it.
func (c *Complaints) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

const reportViolations = `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({
	rule: v.id, help: v.help, nodes: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary),
}))))`

// Violations returns what axe-core finds wrong with the open page.
func Violations(t testing.TB, ctx context.Context) []string {
	t.Helper()
	// What is fading in has too little contrast for a moment.
	Eventually(t, ctx, `document.getAnimations().every((animation) => animation.playState !== "running")`)
	Do(t, ctx, chromedp.Evaluate[chromedp.Void](axe))
	report := Run(t, ctx, chromedp.Evaluate[string](reportViolations, chromedp.EvalAwaitPromise))
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

// Eventually waits until a JavaScript condition holds, across navigations, for
// as long as a busy machine may take.
func Eventually(t testing.TB, ctx context.Context, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		holds, err := ask[bool](ctx, `Boolean(`+condition+`)`)
		if err == nil && holds {
			return
		}
		select {
		case <-ctx.Done():
			page, _ := ask[string](context.WithoutCancel(ctx), `location.href + "\n" + document.body.innerText`)
			t.Fatalf("never true: %s (%v)\non %s", condition, err, page)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ask evaluates an expression. A page that is being left may never answer, so
// nobody waits for it for long.
func ask[T any](ctx context.Context, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// Evaluate returns the value of a JavaScript expression.
func Evaluate[T any](t testing.TB, ctx context.Context, expression string) T {
	t.Helper()
	return Run(t, ctx, chromedp.Evaluate[T](expression))
}

// Screenshot leaves a picture of the whole page, called name, in the folder that
// TENON_SCREENSHOTS names, and does nothing without one.
func Screenshot(t testing.TB, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("TENON_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture := Run(t, ctx, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Emulate makes the page as wide as a device of width pixels, and prefer a colour
// theme ("light" or "dark") and little motion.
func Emulate(t testing.TB, ctx context.Context, theme string, width int64) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		},
	}); err != nil {
		t.Fatalf("browser: %v", err)
	}
	Do(t, ctx, chromedp.EmulateViewport(width, 844))
}
