package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/clerk/clerk-sdk-go/v2"

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
	organization, err := p.organizations.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.PostForm(p.URL+"/__clerk/organizations", url.Values{
		"organization_id": {organization.ID}, "name": {"acme.example"}, "enrollment_mode": {"automatic_suggestion"}, "verified": {"on"},
	})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	ada.click(t, `main a[href="/acme/settings/sign-in"]`)
	ada.says(t, "acme.example")
	ada.lookTwice(t, "settings-sign-in")
	ada.open(t, "/acme/settings")

	ada.fill(t, map[string]string{"name": "Acme <b>Sons</b>", "slug": demo[1].slug})
	ada.click(t, `#settings button[type="submit"]`)
	ada.says(t, "Another organization has this address.")
	if kept := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector('#settings [name="name"]').value`); kept != "Acme <b>Sons</b>" {
		t.Errorf("the form forgets what was typed: %q", kept)
	}
	ada.look(t, "settings-taken")
	ada.fill(t, map[string]string{"slug": "acme-sons"})
	ada.click(t, `#settings [name="projects_public"]`)
	ada.click(t, `#settings button[type="submit"]`)
	ada.at(t, "/acme-sons/settings")
	ada.says(t, "The settings were saved.")
	ada.open(t, "/acme/members?role=owner") // where it was
	ada.at(t, "/acme-sons/members")
	ada.open(t, "/acme-sons/settings")
	ada.at(t, "/acme-sons/settings")
	browsertest.Emulate(t, ada.ctx, "dark", 390)
	ada.look(t, "settings-phone")
	ada.open(t, "/acme-sons/projects/new")
	ada.at(t, "/acme-sons/projects/new")
	if !browsertest.Evaluate[bool](t, ada.ctx, `document.querySelector('main [name="is_public"]').checked`) {
		t.Error("a new project does not begin as the settings say")
	}

	ada.open(t, "/acme-sons/settings/delete")
	ada.at(t, "/acme-sons/settings/delete")
	ada.look(t, "settings-delete")
	browsertest.Do(t, ada.ctx, chromedp.SendKeys(chromedp.CSS(`main [name="confirmation"]`), "acme-sons"))
	ada.click(t, `main form button[type="submit"]`)
	browsertest.Eventually(t, ada.ctx, `!location.pathname.startsWith("/acme-sons")`)
	ada.open(t, "/acme-sons/settings")
	browsertest.Eventually(t, ada.ctx, `document.querySelector(".error-status") !== null`)
}

// settingsContract is [contract] for what an organization is called, and its end.
func (p *product) settingsContract(t *testing.T, tokens map[string]string) map[string][]exchange {
	t.Helper()
	const path = "/api/tenants/acme/settings"
	owner, big := tokens["owner"], `{"name": "`+strings.Repeat("x", 1<<20)+`"}`
	p.newOrganization(t, "Doomed", "doomed", &clerk.User{ID: subjectOf(t, owner)})
	eventually(t, "doomed is there", func() bool {
		return p.call(t, "GET", "/api/tenants/doomed/settings", owner, nil).status == http.StatusOK
	})
	known, unseen := []string{"If-None-Match", ""}, []string{"If-Match", ""}
	tag := func(header []string) func(*testing.T) {
		return func(t *testing.T) { header[1] = p.call(t, "GET", path, owner, nil).header.Get("ETag") }
	}
	return map[string][]exchange{
		"get-settings": {
			{status: 200, as: "viewer"},
			{status: 304, as: "viewer", header: known, before: tag(known)},
			{status: 400, as: "owner", query: "x=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "owner", tenant: "frozen"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "x=1", undocumented: true},
		},
		"update-settings": {
			{status: 200, as: "owner", body: `{"name": "Acme & Sons"}`, header: unseen, before: tag(unseen)},
			{status: 200, as: "owner", body: `{"name": "Acme", "slug": "acme", "projects_public": false}`, header: []string{"Content-Type", "application/merge-patch+json"}},
			{status: 204, as: "owner", body: `{}`, header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "owner", body: `{`, undocumented: true},
			{status: 401, body: `{}`},
			{status: 403, as: "admin", body: `{}`},
			{status: 404, as: "stranger", body: `{}`},
			{status: 409, as: "owner", body: `{"slug": "testcorp"}`},
			{status: 412, as: "owner", body: `{}`, header: []string{"If-Match", `"another"`}},
			{status: 413, as: "owner", body: big, undocumented: true},
			{status: 415, as: "owner", body: `{}`, header: []string{"Content-Type", "text/plain"}, undocumented: true},
			{status: 422, as: "owner", body: `{"image_url": "https://evil.example/x.png"}`, undocumented: true},
			{status: 422, as: "owner", body: `{"slug": "admin"}`},
			{status: 200, as: "owner", body: `{"projects_public": null}`},
			{status: 422, as: "owner", body: `{"name": null, "slug": null}`, undocumented: true},
			{status: 422, as: "owner", body: `{"projects_public": "yes"}`, undocumented: true},
		},
		"list-domains": {
			{status: 200, as: "owner"},
			{status: 400, as: "owner", query: "x=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "admin"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "x=1", undocumented: true},
		},
		"delete-organization": {
			{status: 400, as: "owner", query: "confirmation=%00", undocumented: true},
			{status: 401, query: "confirmation=acme"},
			{status: 403, as: "admin", query: "confirmation=acme"},
			{status: 403, as: everyKey, query: "confirmation=acme"},
			{status: 404, as: "stranger", query: "confirmation=acme"},
			{status: 422, as: "owner", undocumented: true},
			{status: 422, as: "owner", query: "confirmation=doomed"},
			{status: 204, as: "owner", tenant: "doomed", query: "confirmation=doomed"},
			{status: 404, as: "stranger", tenant: "doomed", query: "confirmation=doomed"},
		},
	}
}
