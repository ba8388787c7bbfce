package main

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestTroubleInTheBrowser is what comes between a person and what they typed: the
// network, somebody else, and their own impatience.
func TestTroubleInTheBrowser(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.visitor(t)
	ada.signUp(t, "Ada", "Acme", "acme")

	t.Run("the network is gone when a form is sent", func(t *testing.T) {
		ada.open(t, "/acme/projects/new")
		ada.at(t, "/acme/projects/new")
		ada.fill(t, map[string]string{"name": "Voyager", "description": "Far away."})
		ada.offline(t, true)
		ada.click(t, `#project button[type="submit"]`)
		ada.says(t, "That did not reach the server.")
		if kept := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector("#description").value`); kept != "Far away." {
			t.Errorf("the form forgets what was typed: %q", kept)
		}
		ada.offline(t, false)
		ada.complaints.Forget() // that nothing was reached
		ada.lookTwice(t, "project-offline")
		browsertest.Eventually(t, ada.ctx, `!document.querySelector('#project button[type="submit"]').disabled`)
		ada.submits(t, `#project`)
		ada.at(t, "/acme/projects/voyager")
	})

	t.Run("a form is sent twice", func(t *testing.T) {
		ada.open(t, "/acme/projects/new")
		ada.at(t, "/acme/projects/new")
		ada.fill(t, map[string]string{"name": "Once"})
		// As a browser does without scripts, and one whose answer was lost.
		browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{
			const form = document.querySelector("#project");
			const send = () => fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form))}).then((answer) => answer.url);
			Promise.all([send(), send(), send()]).then((urls) => document.documentElement.dataset.led = [...new Set(urls)].join(" "), (error) => document.documentElement.dataset.led = error);
		}`)
		browsertest.Eventually(t, ada.ctx, `document.documentElement.dataset.led`)
		if led := browsertest.Evaluate[string](t, ada.ctx, `document.documentElement.dataset.led`); led != p.URL+"/acme/projects/once" {
			t.Errorf("they are led to %s", led)
		}
		ada.submits(t, `#project`)
		ada.at(t, "/acme/projects/once")
		ada.open(t, "/acme/projects?q=once")
		ada.at(t, "/acme/projects")
		if n := browsertest.Evaluate[int](t, ada.ctx, `document.querySelectorAll("main tbody tr").length`); n != 1 {
			t.Errorf("%d projects were made", n)
		}
	})

	t.Run("somebody else deletes what is edited", func(t *testing.T) {
		ada.open(t, "/acme/projects/once/edit")
		ada.at(t, "/acme/projects/once/edit")
		ada.fill(t, map[string]string{"description": "Worth keeping."})
		ada.meanwhile(t, "/acme/projects/once/delete", "confirmation=once")
		ada.submits(t, `#project`)
		ada.says(t, "The project is not there any more")
		browsertest.Eventually(t, ada.ctx, `document.activeElement.classList.contains("missed")`)
		ada.lookTwice(t, "project-gone")
		ada.submits(t, `#project`)
		ada.at(t, "/acme/projects/once")
		ada.says(t, "Worth keeping.")
	})
}

// offline takes the visitor's network away, or gives it back.
func (v *visitor) offline(t *testing.T, is bool) {
	t.Helper()
	if _, err := chromedp.Call(v.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(v.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: is, DownloadThroughput: -1, UploadThroughput: -1}},
	}); err != nil {
		t.Fatal(err)
	}
}

// TestWithoutScripts founds an organization, works in it and invites somebody with a
// browser that runs no script.
func TestWithoutScripts(t *testing.T) {
	p := startProduct(t, "--no-seed")
	v := p.visitor(t)
	if _, err := chromedp.Call(v.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	arrives := func(t *testing.T, path string) {
		t.Helper()
		browsertest.Eventually(t, v.ctx, `location.pathname + location.search === "`+path+`" && document.readyState === "complete"`)
		v.fits(t, path)
	}
	for _, width := range []int64{1280, 390} {
		browsertest.Emulate(t, v.ctx, "light", width)
		if width == 1280 {
			v.open(t, "/sign-up")
			browsertest.Eventually(t, v.ctx, `location.pathname === "/__clerk/sign-up" && document.readyState === "complete"`)
			v.fill(t, map[string]string{"first_name": "Ada", "last_name": "Example", "email_address": "ada@example.com", "password": "long enough now"})
			v.click(t, `#sign-up button[type="submit"]`)
			arrives(t, "/organizations/new")
			v.fill(t, map[string]string{"name": "Acme", "slug": "admin"})
			v.click(t, `#organization button[type="submit"]`)
			v.says(t, "This word is reserved.")
			browsertest.Screenshot(t, v.ctx, "product-without-scripts-refused")
			v.fill(t, map[string]string{"slug": "acme"})
			v.click(t, `#organization button[type="submit"]`)
			arrives(t, "/acme/dashboard")
			v.says(t, "Acme is ready.")
		}
		v.open(t, "/acme/projects")
		arrives(t, "/acme/projects")
		v.click(t, `main a[href="/acme/projects/new"]`)
		arrives(t, "/acme/projects/new")
		v.fill(t, map[string]string{"name": "Plain"})
		v.click(t, `#project button[type="submit"]`)
		arrives(t, "/acme/projects/plain")
		v.click(t, `main a[href$="/edit"]`)
		arrives(t, "/acme/projects/plain/edit")
		v.fill(t, map[string]string{"name": "Very plain", "description": "No script ran."})
		v.click(t, `#project button[type="submit"]`)
		arrives(t, "/acme/projects/plain")
		v.says(t, "No script ran.")
		v.click(t, `form[action$="/status"] button`)
		browsertest.Eventually(t, v.ctx, `document.querySelector('form[action$="/status"] [value="active"]') && document.readyState === "complete"`)
		v.open(t, "/acme/projects")
		arrives(t, "/acme/projects")
		v.fill(t, map[string]string{"q": "plain"})
		v.click(t, `form[role="search"] button:not([hidden])`)
		browsertest.Eventually(t, v.ctx, `new URLSearchParams(location.search).get("q") === "plain" && document.readyState === "complete" && document.querySelectorAll("main tbody tr").length === 1`)
		browsertest.Screenshot(t, v.ctx, "product-without-scripts-projects")
		v.open(t, "/acme/projects/plain")
		arrives(t, "/acme/projects/plain")
		v.click(t, `[data-dialog="delete-project"]`)
		arrives(t, "/acme/projects/plain/delete")
		v.fill(t, map[string]string{"confirmation": "plain"})
		v.click(t, `main form button[type="submit"]`)
		arrives(t, "/acme/projects")
		v.open(t, "/acme/members/invite")
		arrives(t, "/acme/members/invite")
		v.fill(t, map[string]string{"email": map[int64]string{1280: "bob@example.com", 390: "eve@example.com"}[width]})
		v.click(t, `#invite button[type="submit"]`)
		arrives(t, "/acme/members")
		v.says(t, "An invitation was sent to")
		browsertest.Screenshot(t, v.ctx, "product-without-scripts-members")
	}
}
