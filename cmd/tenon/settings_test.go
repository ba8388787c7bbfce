package main

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestSettingsInTheBrowser is an owner who renames, moves and ends an
// organization, with the mistakes on the way.
func TestSettingsInTheBrowser(t *testing.T) {
	p := startProduct(t)
	ada := p.visitor(t)
	ada.open(t, "/acme/settings")
	ada.at(t, "/__clerk/sign-in")
	ada.click(t, `[aria-label="Sign in as `+demo[0].people[0].email+`"]`)
	ada.at(t, "/acme/settings")
	ada.look(t, "settings")

	ada.fill(t, map[string]string{"name": "Acme <b>Sons</b>", "slug": demo[1].slug})
	ada.click(t, `#settings button[type="submit"]`)
	ada.says(t, "Another organization has this address.")
	if kept := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector('#settings [name="name"]').value`); kept != "Acme <b>Sons</b>" {
		t.Errorf("the form forgets what was typed: %q", kept)
	}
	ada.look(t, "settings-taken")
	ada.fill(t, map[string]string{"slug": "acme-sons"})
	ada.click(t, `#settings button[type="submit"]`)
	ada.at(t, "/acme-sons/settings")
	ada.says(t, "The settings were saved.")
	browsertest.Emulate(t, ada.ctx, "dark", 390)
	ada.look(t, "settings-phone")

	ada.open(t, "/acme-sons/settings/delete")
	ada.at(t, "/acme-sons/settings/delete")
	ada.look(t, "settings-delete")
	browsertest.Do(t, ada.ctx, chromedp.SendKeys(chromedp.CSS(`main [name="confirmation"]`), "acme-sons"))
	ada.click(t, `main form button[type="submit"]`)
	browsertest.Eventually(t, ada.ctx, `!location.pathname.startsWith("/acme-sons")`)
	ada.open(t, "/acme-sons/settings")
	browsertest.Eventually(t, ada.ctx, `document.querySelector(".error-status") !== null`)
}
