package web_test

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenonhq/tenon/platform/web/browsertest"
	"github.com/tenonhq/tenon/platform/web/internal/gallery"
)

// TestPagesInBrowser looks at every page in both themes, on a phone and on a
// desktop: axe-core finds no violation, nothing is wider than the screen, and
// the content security policy stops nothing. With TENON_SCREENSHOTS set to a
// folder it leaves pictures there.
func TestPagesInBrowser(t *testing.T) {
	server := httptest.NewServer(gallery.New())
	defer server.Close()
	ctx := browsertest.Start(t)
	complaints := browsertest.Listen(t, ctx)

	paths := gallery.Paths()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1280} {
			browsertest.Emulate(t, ctx, theme, width)
			for _, name := range slices.Sorted(maps.Keys(paths)) {
				browsertest.Do(t, ctx, chromedp.Navigate(server.URL+paths[name]))
				overflow := browsertest.Run(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`))
				where := fmt.Sprintf("%s, %s, %d px", name, theme, width)
				if overflow > 0 {
					t.Errorf("%s: the page is %d px too wide", where, overflow)
				}
				for _, violation := range browsertest.Violations(t, ctx) {
					t.Errorf("%s: %s", where, violation)
				}
				browsertest.Screenshot(t, ctx, fmt.Sprintf("%s-%s-%d", name, theme, width))
			}
		}
	}
	complaints.Check(t)
}

// TestViolationsAreFound keeps the check above honest.
func TestViolationsAreFound(t *testing.T) {
	ctx := browsertest.Start(t)
	browsertest.Do(t, ctx, chromedp.Navigate(`data:text/html,<html><body><img src=x><input></body></html>`))
	if found := browsertest.Violations(t, ctx); len(found) < 2 {
		t.Errorf("axe-core finds %d violations on a page that has several: %v", len(found), found)
	}
}

// TestInteraction goes through what the script adds to pages.
func TestInteraction(t *testing.T) {
	gallery := gallery.New()
	server := httptest.NewServer(gallery)
	defer server.Close()
	ctx := browsertest.Start(t)
	complaints := browsertest.Listen(t, ctx)
	open := func(t *testing.T, path string) {
		t.Helper()
		browsertest.Do(t, ctx, chromedp.Navigate(server.URL+path))
		browsertest.Eventually(t, ctx, `document.documentElement.classList.contains("js")`)
	}
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(selector)) }
	keys := func(selector, text string) chromedp.Action[chromedp.Void] {
		return chromedp.SendKeys(chromedp.CSS(selector), text)
	}
	step := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			browsertest.Emulate(t, ctx, "light", 1280)
			test(t)
			complaints.Check(t)
		})
	}

	step("a refused form keeps what was typed and says what is wrong", func(t *testing.T) {
		open(t, "/acme/form")
		browsertest.Eventually(t, ctx, `document.activeElement.id === "name"`)
		browsertest.Do(t, ctx, keys("#name", "taken"), keys("#description", "Line one"), click("#project button"))
		browsertest.Eventually(t, ctx, `document.activeElement.id === "name" && document.activeElement.ariaInvalid === "true"`)
		if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("#name").value + "|" + document.querySelector("#description").value`); got != "taken|Line one" {
			t.Errorf("the fields hold %q", got)
		}
		if got := browsertest.Evaluate[string](t, ctx, `document.getElementById(document.querySelector("#name").getAttribute("aria-describedby")).innerText`); !strings.Contains(got, "Choose another one") {
			t.Errorf("the field is described by %q", got)
		}
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		browsertest.Screenshot(t, ctx, "interaction-refused")
	})

	step("an accepted form leads on and says so once", func(t *testing.T) {
		open(t, "/acme/form")
		browsertest.Do(t, ctx, keys("#name", "Apollo"), click("#project button"))
		browsertest.Eventually(t, ctx, `location.pathname === "/acme/dashboard" && document.querySelector("#toasts .toast")?.innerText.includes("Apollo")`)
		browsertest.Screenshot(t, ctx, "interaction-toast")
		browsertest.Do(t, ctx, click("#toasts [data-dismiss]"))
		browsertest.Eventually(t, ctx, `!document.querySelector("#toasts .toast")`)
		open(t, "/acme/dashboard")
		browsertest.Eventually(t, ctx, `!document.querySelector("#toasts .toast")`)
	})

	for name, form := range map[string]string{"htmx": "#project", "plain": "#plain"} {
		step("a double click sends a "+name+" form once", func(t *testing.T) {
			before := gallery.Posts.Load()
			release := gallery.Hold()
			defer release()
			open(t, "/acme/form")
			browsertest.Do(t, ctx, keys(form+" input[name=name]", "Gemini"))
			// A page that waits for its successor may answer nothing more, so the
			// button's state is read in the same breath.
			busy := browsertest.Evaluate[bool](t, ctx, `(() => {
				const b = document.querySelector("`+form+` button[type=submit]");
				b.click(); b.click(); setTimeout(() => b.click());
				return b.getAttribute("aria-busy") === "true";
			})()`)
			if !busy {
				t.Error("the button does not show that it works")
			}
			release()
			browsertest.Eventually(t, ctx, `location.pathname === "/acme/dashboard"`)
			if got := gallery.Posts.Load() - before; got != 1 {
				t.Errorf("the form was sent %d times", got)
			}
		})

		step("a stale session is renewed before a "+name+" form is sent", func(t *testing.T) {
			before := gallery.Refreshes.Load()
			open(t, "/acme/form")
			browsertest.Do(t, ctx, keys(form+" input[name=name]", "Mercury"))
			browsertest.Evaluate[chromedp.Void](t, ctx, `{ const now = Date.now(); Date.now = () => now + 50_000; }`)
			browsertest.Do(t, ctx, click(form+" button[type=submit]"))
			browsertest.Eventually(t, ctx, `location.pathname === "/acme/dashboard"`)
			if gallery.Refreshes.Load() == before {
				t.Error("the session was not renewed")
			}
		})

		step("an ended session brings a "+name+" form back after sign-in", func(t *testing.T) {
			gallery.SessionEnded.Store(true)
			defer gallery.SessionEnded.Store(false)
			open(t, "/acme/form?from=here")
			browsertest.Do(t, ctx, keys(form+" input[name=name]", "Voyager"))
			version := browsertest.Evaluate[string](t, ctx, `document.querySelector("`+form+` [name=version]")?.value ?? ""`)
			if name == "plain" { // of the other one the request itself finds out
				browsertest.Evaluate[chromedp.Void](t, ctx, `{ const now = Date.now(); Date.now = () => now + 50_000; }`)
			}
			browsertest.Do(t, ctx, click(form+" button[type=submit]"))
			browsertest.Eventually(t, ctx, `location.pathname === "/sign-in"`)
			back := browsertest.Evaluate[string](t, ctx, `new URLSearchParams(location.search).get("redirect_url")`)
			if back != "/acme/form?from=here" {
				t.Errorf("sign-in leads back to %q", back)
			}
			gallery.SessionEnded.Store(false)
			open(t, back)
			browsertest.Eventually(t, ctx, `document.querySelector("`+form+` input[name=name]").value === "Voyager" && document.querySelector("#toasts .toast")`)
			if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("`+form+` [name=version]")?.value ?? ""`); got != version {
				t.Error("the form forgets what it was filled from")
			}
			open(t, back)
			if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("`+form+` input[name=name]").value`); got != "" {
				t.Errorf("the draft came back twice: %q", got)
			}
		})
	}

	step("an ended session keeps what was refused before", func(t *testing.T) {
		open(t, "/acme/form")
		browsertest.Do(t, ctx, keys("#name", "taken"), keys("#description", "Long thoughts"), click("#project button"))
		browsertest.Eventually(t, ctx, `document.querySelector("#name-error")`)
		gallery.SessionEnded.Store(true)
		defer gallery.SessionEnded.Store(false)
		browsertest.Do(t, ctx, click("#project button"))
		browsertest.Eventually(t, ctx, `location.pathname === "/sign-in"`)
		open(t, "/acme/form")
		if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("#name").value + "|" + document.querySelector("#description").value`); got != "taken|Long thoughts" {
			t.Errorf("the fields hold %q", got)
		}
	})

	step("an ended session brings back the page, not what it asked for by itself", func(t *testing.T) {
		open(t, "/acme/dashboard?from=here")
		browsertest.Evaluate[chromedp.Void](t, ctx, `{
			const part = document.createElement("div");
			part.setAttribute("hx-get", "/acme/error/401");
			part.setAttribute("hx-push-url", "false");
			part.setAttribute("hx-trigger", "load");
			document.querySelector("main").append(part);
			htmx.process(part);
		}`)
		browsertest.Eventually(t, ctx, `location.pathname === "/sign-in"`)
		if back := browsertest.Evaluate[string](t, ctx, `new URLSearchParams(location.search).get("redirect_url")`); back != "/acme/dashboard?from=here" {
			t.Errorf("sign-in leads back to %q", back)
		}
	})

	step("a connection that is cut loses nothing", func(t *testing.T) {
		gallery.Cut.Store(true)
		defer gallery.Cut.Store(false)
		open(t, "/acme/form")
		browsertest.Do(t, ctx, keys("#name", "Skylab"), click("#project button"))
		browsertest.Eventually(t, ctx, `document.querySelector("#toasts .toast")?.innerText.includes("No connection") && !document.querySelector("#project [aria-busy]")`)
		gallery.Cut.Store(false)
		if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("#name").value`); got != "Skylab" {
			t.Errorf("the field holds %q", got)
		}
		browsertest.Do(t, ctx, click("#project button"))
		browsertest.Eventually(t, ctx, `location.pathname === "/acme/dashboard"`)
	})

	step("fragments swap rows, and bring title and toast", func(t *testing.T) {
		open(t, "/acme/gallery")
		browsertest.Do(t, ctx, click("#load-rows"))
		browsertest.Eventually(t, ctx, `document.querySelectorAll("#rows tr").length === 2 && document.title.startsWith("Rows") && document.querySelector("#toasts .toast")?.innerText.includes("A row was added.")`)
		if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("#rows").innerText.replace(/\s+/g, " ").trim()`); got != "one two" {
			t.Errorf("the rows are %q", got)
		}
	})

	step("a page that asks again by itself takes no focus and piles up no toasts", func(t *testing.T) {
		poll := func(path string) {
			open(t, "/acme/form")
			browsertest.Evaluate[chromedp.Void](t, ctx, `{
				window.polls = 0;
				document.addEventListener("htmx:afterOnLoad", () => polls++);
				document.addEventListener("htmx:sendError", () => polls++);
				document.querySelector("main").innerHTML = '<div hx-get="`+path+`" hx-trigger="every 50ms" hx-target="#main"></div>';
				htmx.process(document.querySelector("main"));
				document.querySelector(".sidebar-search").focus();
			}`)
		}
		poll("/acme/poll")
		browsertest.Eventually(t, ctx, `polls > 2`)
		if got := browsertest.Evaluate[string](t, ctx, `document.activeElement.className`); got != "sidebar-search" {
			t.Errorf("the focus went to %q", got)
		}
		browsertest.Evaluate[chromedp.Void](t, ctx, `{ document.querySelector("#stay").focus(); polls = 0; }`)
		browsertest.Eventually(t, ctx, `polls > 2`)
		if got := browsertest.Evaluate[string](t, ctx, `document.activeElement.id`); got != "stay" {
			t.Errorf("the focus went from the button to %q", got)
		}
		for _, path := range []string{"/proxy-error", "/acme/error/503", "/cut"} {
			poll(path)
			browsertest.Eventually(t, ctx, `polls > 2`)
			if got := browsertest.Evaluate[int](t, ctx, `document.querySelectorAll("#toasts .toast").length`); got != 0 {
				t.Errorf("%s: %d toasts that nobody asked for", path, got)
			}
		}
	})

	step("errors of fragments are toasts, and the page stays", func(t *testing.T) {
		open(t, "/acme/gallery")
		browsertest.Do(t, ctx, click("#load-error"))
		browsertest.Eventually(t, ctx, `document.querySelector("#toasts .toast")?.innerText.includes("right back")`)
		browsertest.Do(t, ctx, click("#load-proxy-error"))
		browsertest.Eventually(t, ctx, `document.querySelectorAll("#toasts .toast").length === 2`)
		if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("#rows").innerText.trim() + document.querySelector("#toasts").innerText`); !strings.HasPrefix(got, "before") || strings.Contains(got, "proxy") {
			t.Errorf("the page shows %q", got)
		}
	})

	step("a dialog asks for a typed confirmation", func(t *testing.T) {
		open(t, "/acme/gallery")
		browsertest.Do(t, ctx, click(`[data-dialog="delete-project"]`))
		browsertest.Eventually(t, ctx, `document.querySelector("#delete-project").matches(":modal") && document.querySelector("#delete-project").contains(document.activeElement)`)
		if !browsertest.Evaluate[bool](t, ctx, `document.querySelector("#delete-project [type=submit]").disabled`) {
			t.Error("the button does not wait for the confirmation")
		}
		browsertest.Do(t, ctx, keys("#delete-project-confirmation", "apollo"))
		browsertest.Eventually(t, ctx, `!document.querySelector("#delete-project [type=submit]").disabled`)
		browsertest.Screenshot(t, ctx, "interaction-dialog")
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		browsertest.Do(t, ctx, chromedp.KeyEvent(kb.Escape))
		browsertest.Eventually(t, ctx, `!document.querySelector("#delete-project").open && document.activeElement.dataset.dialog === "delete-project"`)
	})

	step("menus work by keyboard", func(t *testing.T) {
		open(t, "/acme/gallery")
		browsertest.Do(t, ctx, chromedp.Focus(chromedp.CSS("main details.menu summary")), chromedp.KeyEvent(kb.ArrowDown))
		browsertest.Eventually(t, ctx, `document.activeElement.innerText.includes("Edit")`)
		browsertest.Do(t, ctx, chromedp.KeyEvent(kb.ArrowUp))
		browsertest.Eventually(t, ctx, `document.activeElement.innerText.includes("Delete")`)
		browsertest.Do(t, ctx, chromedp.KeyEvent(kb.Escape))
		browsertest.Eventually(t, ctx, `!document.querySelector("main details.menu").open && document.activeElement.tagName === "SUMMARY"`)
		browsertest.Do(t, ctx, click(".sidebar-header summary"))
		browsertest.Screenshot(t, ctx, "interaction-organizations")
		browsertest.Do(t, ctx, click(".sidebar-footer summary"))
		browsertest.Eventually(t, ctx, `document.querySelectorAll("details.menu[open]").length === 1`)
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		browsertest.Screenshot(t, ctx, "interaction-user")
		browsertest.Do(t, ctx, click("main h1"))
		browsertest.Eventually(t, ctx, `!document.querySelector("details.menu[open]")`)
	})

	step("the navigation is a drawer on a phone", func(t *testing.T) {
		browsertest.Emulate(t, ctx, "dark", 390)
		open(t, "/acme/dashboard")
		if browsertest.Evaluate[bool](t, ctx, `document.querySelector("#sidebar").checkVisibility()`) {
			t.Error("the drawer is open from the start")
		}
		browsertest.Do(t, ctx, click("[popovertarget=sidebar]"))
		browsertest.Eventually(t, ctx, `document.querySelector("#sidebar").checkVisibility()`)
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		browsertest.Screenshot(t, ctx, "interaction-drawer")
		browsertest.Do(t, ctx, chromedp.KeyEvent(kb.Escape))
		browsertest.Eventually(t, ctx, `!document.querySelector("#sidebar").checkVisibility() && document.activeElement.hasAttribute("popovertarget")`)
	})

	step("the palette finds things by keyboard alone", func(t *testing.T) {
		open(t, "/acme/dashboard")
		press := func(keys ...string) {
			for _, key := range keys {
				browsertest.Do(t, ctx, chromedp.KeyEvent(key))
			}
		}
		active := func(name string) {
			t.Helper()
			browsertest.Eventually(t, ctx, `(() => {
				const input = document.activeElement, option = document.getElementById(input.getAttribute("aria-activedescendant"));
				return input.id === "palette-input" && input.ariaExpanded === "true" && option.ariaSelected === "true" && option.innerText === "`+name+`";
			})()`)
		}
		browsertest.Do(t, ctx, chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
		active("dashboard")
		press(kb.ArrowDown)
		active("projects")
		press(kb.ArrowUp, kb.ArrowUp)
		active("form")
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		browsertest.Screenshot(t, ctx, "interaction-palette")
		press("n", "o", "t", "h", "i", "n", "g")
		browsertest.Eventually(t, ctx, `document.activeElement.ariaExpanded === "false" && document.querySelector("#palette-status").innerText === "No results"`)
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		press(kb.Escape)
		browsertest.Eventually(t, ctx, `!document.querySelector("#palette").open && document.title.startsWith("Dashboard")`)
		browsertest.Do(t, ctx, click(".sidebar-search"))
		press("f", "o", "r")
		browsertest.Eventually(t, ctx, `document.querySelectorAll("#palette [role=option]").length === 1`)
		press(kb.Enter)
		browsertest.Eventually(t, ctx, `location.pathname === "/acme/form"`)
	})

	step("the palette never opens what was found for other words", func(t *testing.T) {
		open(t, "/acme/dashboard")
		browsertest.Do(t, ctx, click(".sidebar-search"))
		browsertest.Eventually(t, ctx, `document.querySelector("#palette [role=option][aria-selected=true]")?.innerText === "dashboard"`)
		// Enter follows so fast that nothing was asked for yet.
		browsertest.Evaluate[chromedp.Void](t, ctx, `{
			const input = document.querySelector("#palette-input");
			input.value = "form";
			input.dispatchEvent(new InputEvent("input", {bubbles: true}));
			input.form.requestSubmit();
		}`)
		browsertest.Eventually(t, ctx, `location.pathname + location.search === "/acme/search?q=form"`)

		open(t, "/acme/dashboard")
		browsertest.Do(t, ctx, click(".sidebar-search"))
		browsertest.Eventually(t, ctx, `document.querySelector("#palette [role=option][aria-selected=true]")?.innerText === "dashboard"`)
		// The answer comes while somebody types on.
		browsertest.Evaluate[chromedp.Void](t, ctx, `{
			const input = document.querySelector("#palette-input");
			document.addEventListener("htmx:beforeSwap", () => { input.value = "form"; }, {once: true});
			document.addEventListener("htmx:afterSwap", () => input.form.requestSubmit());
			input.value = "pro";
			input.dispatchEvent(new InputEvent("input", {bubbles: true}));
		}`)
		browsertest.Eventually(t, ctx, `location.pathname + location.search === "/acme/search?q=form"`)
	})

	step("keys lead to pages, but not while somebody types", func(t *testing.T) {
		open(t, "/acme/form")
		browsertest.Eventually(t, ctx, `document.activeElement.id === "name"`)
		browsertest.Do(t, ctx, chromedp.KeyEvent("g"), chromedp.KeyEvent("d"), chromedp.KeyEvent("?"), chromedp.KeyEvent("["))
		if got := browsertest.Evaluate[string](t, ctx, `document.querySelector("#name").value + document.querySelectorAll("dialog[open]").length + location.pathname`); got != "gd?[0/acme/form" {
			t.Errorf("typing leads to %q", got)
		}
		blur := func() { browsertest.Evaluate[chromedp.Void](t, ctx, `document.activeElement.blur()`) }
		blur()
		browsertest.Do(t, ctx, chromedp.KeyEvent("?"))
		browsertest.Eventually(t, ctx, `document.querySelector("#shortcuts").matches(":modal")`)
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		browsertest.Screenshot(t, ctx, "interaction-shortcuts")
		browsertest.Do(t, ctx, click("#shortcuts-switch"), chromedp.KeyEvent(kb.Escape))
		blur()
		browsertest.Do(t, ctx, chromedp.KeyEvent("g"), chromedp.KeyEvent("d"))
		if got := browsertest.Evaluate[string](t, ctx, `location.pathname`); got != "/acme/form" {
			t.Errorf("keys that are turned off lead to %s", got)
		}
		browsertest.Do(t, ctx, click("[data-dialog=shortcuts]"), click("#shortcuts-switch"), click("#shortcuts [data-close]"))
		blur()
		browsertest.Do(t, ctx, chromedp.KeyEvent("g"), chromedp.KeyEvent("d"))
		browsertest.Eventually(t, ctx, `location.pathname === "/acme/dashboard" && document.documentElement.classList.contains("js")`)
		browsertest.Do(t, ctx, chromedp.KeyEvent("n"))
		browsertest.Eventually(t, ctx, `location.pathname === "/acme/form"`)
	})

	step("the sidebar folds, and stays so", func(t *testing.T) {
		open(t, "/acme/dashboard")
		width := `Math.round(document.querySelector("#sidebar").getBoundingClientRect().width)`
		wide := browsertest.Evaluate[int](t, ctx, width)
		browsertest.Do(t, ctx, click("[data-sidebar-control] button"))
		browsertest.Eventually(t, ctx, width+` < 80 && document.querySelector("[data-sidebar-control] button").ariaExpanded === "false"`)
		for _, violation := range browsertest.Violations(t, ctx) {
			t.Error(violation)
		}
		browsertest.Do(t, ctx, click(".sidebar-header summary"))
		browsertest.Eventually(t, ctx, `(() => {
			const last = [...document.querySelectorAll(".sidebar-header .menu-item")].at(-1), at = last.getBoundingClientRect();
			return last.contains(document.elementFromPoint(at.right - 9, at.top + 9));
		})()`)
		browsertest.Screenshot(t, ctx, "interaction-folded")
		browsertest.Do(t, ctx, click(".sidebar-header summary"))
		browsertest.Eventually(t, ctx, `fetch("/acme/dashboard").then(r => r.text()).then(html => window.kept = html.includes('data-sidebar="folded"')) && window.kept`)
		browsertest.Evaluate[chromedp.Void](t, ctx, `document.activeElement.blur()`)
		browsertest.Do(t, ctx, chromedp.KeyEvent("["))
		browsertest.Eventually(t, ctx, fmt.Sprintf(`%s === %d`, width, wide))
	})

	step("how the page looks changes without a reload, whatever the session is like", func(t *testing.T) {
		open(t, "/acme/form")
		browsertest.Do(t, ctx, keys("#name", "Viking"))
		// With ClerkJS every form is held until the session was asked after.
		browsertest.Evaluate[chromedp.Void](t, ctx, `{
			window.asked = 0;
			window.Clerk = {loaded: true, session: {getToken: async () => { asked++; return "token"; }}};
		}`)
		kept := func(attribute string, is bool) {
			t.Helper()
			browsertest.Eventually(t, ctx, fmt.Sprintf(`fetch("/acme/dashboard").then(r => r.text()).then(html => window.kept = html.includes('%s') === %t) && window.kept`, attribute, is))
			browsertest.Evaluate[chromedp.Void](t, ctx, `window.kept = false`)
		}
		for _, is := range []bool{true, false} {
			browsertest.Do(t, ctx, click("[data-sidebar-control] button"))
			kept(`data-sidebar="folded"`, is)
			browsertest.Evaluate[chromedp.Void](t, ctx, fmt.Sprintf(`document.querySelector('[data-theme-control] [value="%s"]').click()`, map[bool]string{true: "dark"}[is]))
			kept(`data-theme="dark"`, is)
		}
		if got := browsertest.Evaluate[string](t, ctx, `asked + document.querySelector("#name").value`); got != "0Viking" {
			t.Errorf("the session was asked after, or the form was lost: %q", got)
		}
	})

	step("the theme is kept", func(t *testing.T) {
		open(t, "/")
		browsertest.Do(t, ctx, click(`[data-theme-control] [value="dark"]`))
		browsertest.Eventually(t, ctx, `document.documentElement.dataset.theme === "dark" && document.querySelector('[value="dark"]').ariaPressed === "true"`)
		browsertest.Eventually(t, ctx, `fetch("/").then(r => r.text()).then(html => window.kept = html.includes('data-theme="dark"')) && window.kept`)
		open(t, "/acme/dashboard")
		if got := browsertest.Evaluate[string](t, ctx, `document.documentElement.dataset.theme + getComputedStyle(document.documentElement).colorScheme`); got != "darkdark" {
			t.Errorf("the next page is %q", got)
		}
	})
}

// TestWithoutScript goes the same ways in a browser that runs no script.
func TestWithoutScript(t *testing.T) {
	gallery := gallery.New()
	server := httptest.NewServer(gallery)
	defer server.Close()
	ctx := browsertest.Start(t)
	browsertest.Emulate(t, ctx, "light", 1280)
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(selector)) }

	browsertest.Do(t, ctx, chromedp.Navigate(server.URL+"/acme/form"), chromedp.SendKeys(chromedp.CSS("#name"), "taken"))
	browsertest.Do(t, ctx, click("#project button"))
	browsertest.Eventually(t, ctx, `document.querySelector("#name").value === "taken" && document.querySelector("#name-error")`)
	browsertest.Do(t, ctx, chromedp.SendKeys(chromedp.CSS("#name"), " no more"), click("#project button"))
	browsertest.Eventually(t, ctx, `location.pathname === "/acme/dashboard" && document.querySelector("#toasts .toast")`)

	browsertest.Do(t, ctx, chromedp.Navigate(server.URL+"/acme/gallery"), click(`[data-dialog="delete-project"]`))
	browsertest.Eventually(t, ctx, `location.pathname === "/acme/confirm"`)

	browsertest.Do(t, ctx, click("[data-sidebar-control] button"))
	browsertest.Eventually(t, ctx, `location.pathname === "/acme/confirm" && document.documentElement.dataset.sidebar === "folded"`)
	browsertest.Do(t, ctx, click(".sidebar-search"))
	browsertest.Eventually(t, ctx, `location.pathname === "/acme/search"`)
	browsertest.Do(t, ctx, chromedp.Navigate(server.URL+"/acme/confirm"))
	browsertest.Do(t, ctx, click(".sidebar-footer summary"), click(`.sidebar-footer [value="dark"]`))
	browsertest.Eventually(t, ctx, `location.pathname === "/acme/confirm" && document.documentElement.dataset.theme === "dark"`)
}
