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
	"github.com/chromedp/chromedp/kb"

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
	// What is fading in has too little contrast for a moment.
	eventually(t, ctx, `document.getAnimations().every((animation) => animation.playState !== "running")`)
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

// eventually waits until a JavaScript condition holds, across navigations.
func eventually(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(`+condition+`)`))
		if err == nil && holds {
			return
		}
		select {
		case <-ctx.Done():
			page, _ := chromedp.Run(context.WithoutCancel(ctx), chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
			t.Fatalf("never true: %s (%v)\non %s", condition, err, page)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	return run(t, ctx, chromedp.Evaluate[T](expression))
}

// TestInteraction goes through what the script adds to pages.
func TestInteraction(t *testing.T) {
	gallery := gallery.New()
	server := httptest.NewServer(gallery)
	defer server.Close()
	ctx := browser(t)
	complaints := listen(t, ctx)
	open := func(t *testing.T, path string) {
		t.Helper()
		do(t, ctx, chromedp.Navigate(server.URL+path))
		eventually(t, ctx, `document.documentElement.classList.contains("js")`)
	}
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(selector)) }
	keys := func(selector, text string) chromedp.Action[chromedp.Void] {
		return chromedp.SendKeys(chromedp.CSS(selector), text)
	}
	step := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			emulate(t, ctx, "light", 1280)
			test(t)
			complaints.check(t)
		})
	}

	step("a refused form keeps what was typed and says what is wrong", func(t *testing.T) {
		open(t, "/acme/form")
		eventually(t, ctx, `document.activeElement.id === "name"`)
		do(t, ctx, keys("#name", "taken"), keys("#description", "Line one"), click("#project button"))
		eventually(t, ctx, `document.activeElement.id === "name" && document.activeElement.ariaInvalid === "true"`)
		if got := evaluate[string](t, ctx, `document.querySelector("#name").value + "|" + document.querySelector("#description").value`); got != "taken|Line one" {
			t.Errorf("the fields hold %q", got)
		}
		if got := evaluate[string](t, ctx, `document.getElementById(document.querySelector("#name").getAttribute("aria-describedby")).innerText`); !strings.Contains(got, "Choose another one") {
			t.Errorf("the field is described by %q", got)
		}
		for _, violation := range violations(t, ctx) {
			t.Error(violation)
		}
		screenshot(t, ctx, "interaction-refused")
	})

	step("an accepted form leads on and says so once", func(t *testing.T) {
		open(t, "/acme/form")
		do(t, ctx, keys("#name", "Apollo"), click("#project button"))
		eventually(t, ctx, `location.pathname === "/acme/dashboard" && document.querySelector("#toasts .toast")?.innerText.includes("Apollo")`)
		screenshot(t, ctx, "interaction-toast")
		do(t, ctx, click("#toasts [data-dismiss]"))
		eventually(t, ctx, `!document.querySelector("#toasts .toast")`)
		open(t, "/acme/dashboard")
		eventually(t, ctx, `!document.querySelector("#toasts .toast")`)
	})

	for name, form := range map[string]string{"htmx": "#project", "plain": "#plain"} {
		step("a double click sends a "+name+" form once", func(t *testing.T) {
			before := gallery.Posts.Load()
			release := gallery.Hold()
			defer release()
			open(t, "/acme/form")
			do(t, ctx, keys(form+" input[name=name]", "Gemini"))
			evaluate[chromedp.Void](t, ctx, `{ const b = document.querySelector("`+form+` button[type=submit]"); b.click(); b.click(); setTimeout(() => b.click()); }`)
			eventually(t, ctx, `document.querySelector("`+form+` button[type=submit]")?.getAttribute("aria-busy") === "true"`)
			release()
			eventually(t, ctx, `location.pathname === "/acme/dashboard"`)
			if got := gallery.Posts.Load() - before; got != 1 {
				t.Errorf("the form was sent %d times", got)
			}
		})

		step("a stale session is renewed before a "+name+" form is sent", func(t *testing.T) {
			before := gallery.Refreshes.Load()
			open(t, "/acme/form")
			do(t, ctx, keys(form+" input[name=name]", "Mercury"))
			evaluate[chromedp.Void](t, ctx, `{ const now = Date.now(); Date.now = () => now + 50_000; }`)
			do(t, ctx, click(form+" button[type=submit]"))
			eventually(t, ctx, `location.pathname === "/acme/dashboard"`)
			if gallery.Refreshes.Load() == before {
				t.Error("the session was not renewed")
			}
		})

		step("an ended session brings a "+name+" form back after sign-in", func(t *testing.T) {
			gallery.SessionEnded.Store(true)
			defer gallery.SessionEnded.Store(false)
			open(t, "/acme/form?from=here")
			do(t, ctx, keys(form+" input[name=name]", "Voyager"))
			if name == "plain" { // of the other one the request itself finds out
				evaluate[chromedp.Void](t, ctx, `{ const now = Date.now(); Date.now = () => now + 50_000; }`)
			}
			do(t, ctx, click(form+" button[type=submit]"))
			eventually(t, ctx, `location.pathname === "/sign-in"`)
			back := evaluate[string](t, ctx, `new URLSearchParams(location.search).get("redirect_url")`)
			if back != "/acme/form?from=here" {
				t.Errorf("sign-in leads back to %q", back)
			}
			gallery.SessionEnded.Store(false)
			open(t, back)
			eventually(t, ctx, `document.querySelector("`+form+` input[name=name]").value === "Voyager" && document.querySelector("#toasts .toast")`)
			open(t, back)
			if got := evaluate[string](t, ctx, `document.querySelector("`+form+` input[name=name]").value`); got != "" {
				t.Errorf("the draft came back twice: %q", got)
			}
		})
	}

	step("fragments swap rows, and bring title and toast", func(t *testing.T) {
		open(t, "/acme/gallery")
		do(t, ctx, click("#load-rows"))
		eventually(t, ctx, `document.querySelectorAll("#rows tr").length === 2 && document.title.startsWith("Rows") && document.querySelector("#toasts .toast")?.innerText.includes("A row was added.")`)
		if got := evaluate[string](t, ctx, `document.querySelector("#rows").innerText.replace(/\s+/g, " ").trim()`); got != "one two" {
			t.Errorf("the rows are %q", got)
		}
	})

	step("errors of fragments are toasts, and the page stays", func(t *testing.T) {
		open(t, "/acme/gallery")
		do(t, ctx, click("#load-error"))
		eventually(t, ctx, `document.querySelector("#toasts .toast")?.innerText.includes("right back")`)
		do(t, ctx, click("#load-proxy-error"))
		eventually(t, ctx, `document.querySelectorAll("#toasts .toast").length === 2`)
		if got := evaluate[string](t, ctx, `document.querySelector("#rows").innerText.trim() + document.querySelector("#toasts").innerText`); !strings.HasPrefix(got, "before") || strings.Contains(got, "proxy") {
			t.Errorf("the page shows %q", got)
		}
	})

	step("a dialog asks for a typed confirmation", func(t *testing.T) {
		open(t, "/acme/gallery")
		do(t, ctx, click(`[data-dialog="delete-project"]`))
		eventually(t, ctx, `document.querySelector("#delete-project").matches(":modal") && document.querySelector("#delete-project").contains(document.activeElement)`)
		if !evaluate[bool](t, ctx, `document.querySelector("#delete-project [type=submit]").disabled`) {
			t.Error("the button does not wait for the confirmation")
		}
		do(t, ctx, keys("#delete-project-confirmation", "apollo"))
		eventually(t, ctx, `!document.querySelector("#delete-project [type=submit]").disabled`)
		screenshot(t, ctx, "interaction-dialog")
		for _, violation := range violations(t, ctx) {
			t.Error(violation)
		}
		do(t, ctx, chromedp.KeyEvent(kb.Escape))
		eventually(t, ctx, `!document.querySelector("#delete-project").open && document.activeElement.dataset.dialog === "delete-project"`)
	})

	step("menus work by keyboard", func(t *testing.T) {
		open(t, "/acme/gallery")
		do(t, ctx, chromedp.Focus(chromedp.CSS("main details.menu summary")), chromedp.KeyEvent(kb.ArrowDown))
		eventually(t, ctx, `document.activeElement.innerText.includes("Edit")`)
		do(t, ctx, chromedp.KeyEvent(kb.ArrowUp))
		eventually(t, ctx, `document.activeElement.innerText.includes("Delete")`)
		do(t, ctx, chromedp.KeyEvent(kb.Escape))
		eventually(t, ctx, `!document.querySelector("main details.menu").open && document.activeElement.tagName === "SUMMARY"`)
		do(t, ctx, click(".sidebar-header summary"))
		screenshot(t, ctx, "interaction-organizations")
		do(t, ctx, click(".sidebar-footer summary"))
		eventually(t, ctx, `document.querySelectorAll("details.menu[open]").length === 1`)
		for _, violation := range violations(t, ctx) {
			t.Error(violation)
		}
		screenshot(t, ctx, "interaction-user")
		do(t, ctx, click("main h1"))
		eventually(t, ctx, `!document.querySelector("details.menu[open]")`)
	})

	step("the navigation is a drawer on a phone", func(t *testing.T) {
		emulate(t, ctx, "dark", 390)
		open(t, "/acme/dashboard")
		if evaluate[bool](t, ctx, `document.querySelector("#sidebar").checkVisibility()`) {
			t.Error("the drawer is open from the start")
		}
		do(t, ctx, click("[popovertarget=sidebar]"))
		eventually(t, ctx, `document.querySelector("#sidebar").checkVisibility()`)
		for _, violation := range violations(t, ctx) {
			t.Error(violation)
		}
		screenshot(t, ctx, "interaction-drawer")
		do(t, ctx, chromedp.KeyEvent(kb.Escape))
		eventually(t, ctx, `!document.querySelector("#sidebar").checkVisibility() && document.activeElement.hasAttribute("popovertarget")`)
	})

	step("the theme is kept", func(t *testing.T) {
		open(t, "/")
		do(t, ctx, click(`[data-theme-control] [value="dark"]`))
		eventually(t, ctx, `document.documentElement.dataset.theme === "dark" && document.querySelector('[value="dark"]').ariaPressed === "true"`)
		eventually(t, ctx, `fetch("/").then(r => r.text()).then(html => window.kept = html.includes('data-theme="dark"')) && window.kept`)
		open(t, "/acme/dashboard")
		if got := evaluate[string](t, ctx, `document.documentElement.dataset.theme + getComputedStyle(document.documentElement).colorScheme`); got != "darkdark" {
			t.Errorf("the next page is %q", got)
		}
	})
}

// TestWithoutScript goes the same ways in a browser that runs no script.
func TestWithoutScript(t *testing.T) {
	gallery := gallery.New()
	server := httptest.NewServer(gallery)
	defer server.Close()
	ctx := browser(t)
	emulate(t, ctx, "light", 1280)
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(selector)) }

	do(t, ctx, chromedp.Navigate(server.URL+"/acme/form"), chromedp.SendKeys(chromedp.CSS("#name"), "taken"))
	do(t, ctx, click("#project button"))
	eventually(t, ctx, `document.querySelector("#name").value === "taken" && document.querySelector("#name-error")`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#name"), " no more"), click("#project button"))
	eventually(t, ctx, `location.pathname === "/acme/dashboard" && document.querySelector("#toasts .toast")`)

	do(t, ctx, chromedp.Navigate(server.URL+"/acme/gallery"), click(`[data-dialog="delete-project"]`))
	eventually(t, ctx, `location.pathname === "/acme/confirm"`)

	do(t, ctx, click(".sidebar-footer summary"), click(`.sidebar-footer [value="dark"]`))
	eventually(t, ctx, `location.pathname === "/acme/confirm" && document.documentElement.dataset.theme === "dark"`)
}
