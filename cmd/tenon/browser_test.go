package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// visitor is one person at a browser of their own.
type visitor struct {
	*product
	ctx        context.Context
	complaints *browsertest.Complaints
}

func (p *product) visitor(t *testing.T) *visitor {
	ctx := browsertest.Start(t)
	browsertest.Emulate(t, ctx, "light", 1280)
	return &visitor{p, ctx, browsertest.Listen(t, ctx)}
}

func (v *visitor) open(t *testing.T, path string) {
	t.Helper()
	browsertest.Do(t, v.ctx, chromedp.Navigate(v.URL+path))
}

// at waits until the page with path is there and its script has started.
func (v *visitor) at(t *testing.T, path string) {
	t.Helper()
	browsertest.Eventually(t, v.ctx, fmt.Sprintf(`location.pathname === %q && document.documentElement.classList.contains("js")`, path))
}

func (v *visitor) click(t *testing.T, selector string) {
	t.Helper()
	browsertest.Do(t, v.ctx, chromedp.Click(chromedp.CSS(selector)))
}

func (v *visitor) fill(t *testing.T, values map[string]string) {
	t.Helper()
	for name, value := range values {
		selector := `form [name="` + name + `"]`
		browsertest.Evaluate[chromedp.Void](t, v.ctx, `{ document.querySelector('`+selector+`').value = "" }`)
		browsertest.Do(t, v.ctx, chromedp.SendKeys(chromedp.CSS(selector), value))
	}
}

// text is what the page's main part says.
func (v *visitor) text(t *testing.T) string {
	t.Helper()
	return browsertest.Evaluate[string](t, v.ctx, `document.querySelector("main").innerText`)
}

// says waits until the page, toasts included, says something.
func (v *visitor) says(t *testing.T, text string) {
	t.Helper()
	browsertest.Eventually(t, v.ctx, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// look checks the open page for whoever cannot see it, and for violations of the
// content security policy, and leaves a picture.
func (v *visitor) look(t *testing.T, name string) {
	t.Helper()
	for _, violation := range browsertest.Violations(t, v.ctx) {
		t.Errorf("%s: %s", name, violation)
	}
	v.complaints.Check(t)
	browsertest.Screenshot(t, v.ctx, "product-"+name)
}

// fits holds that the open page does not scroll sideways.
func (v *visitor) fits(t *testing.T, name string) {
	t.Helper()
	if wide := browsertest.Evaluate[int](t, v.ctx, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("%s is %d px too wide", name, wide)
	}
}

// lookTwice looks at the open page on a phone in the dark theme, and then on a
// desktop in the light one, where it stays.
func (v *visitor) lookTwice(t *testing.T, name string) {
	t.Helper()
	browsertest.Emulate(t, v.ctx, "dark", 390)
	v.look(t, name+"-phone")
	v.fits(t, name)
	browsertest.Emulate(t, v.ctx, "light", 1280)
	v.look(t, name)
}

// meanwhile posts a form as the same person in another window would.
func (v *visitor) meanwhile(t *testing.T, path, form string) {
	t.Helper()
	browsertest.Evaluate[chromedp.Void](t, v.ctx, fmt.Sprintf(`{
		delete document.documentElement.dataset.posted;
		fetch(%q, {method: "POST", body: new URLSearchParams(%q)}).then((r) => document.documentElement.dataset.posted = r.ok);
	}`, path, form))
	browsertest.Eventually(t, v.ctx, `document.documentElement.dataset.posted === "true"`)
}

// signUp goes from the landing page to the dashboard of a new organization.
func (v *visitor) signUp(t *testing.T, first, organization, slug string) {
	t.Helper()
	v.open(t, "/")
	v.at(t, "/")
	v.look(t, "landing")
	v.click(t, `a[href="/sign-up"]`)
	v.at(t, "/__clerk/sign-up")
	v.look(t, "sign-up")
	v.fill(t, map[string]string{"first_name": first, "last_name": "Example", "email_address": strings.ToLower(first) + "@example.com", "password": "short"})
	v.click(t, `#sign-up button[type="submit"]`)
	v.says(t, "8 to 72 characters")
	if kept := browsertest.Evaluate[string](t, v.ctx, `document.querySelector('[name="first_name"]').value`); kept != first {
		t.Errorf("the form forgets what was typed: %q", kept)
	}
	v.look(t, "sign-up-refused")
	v.fill(t, map[string]string{"password": "long enough now"})
	v.click(t, `#sign-up button[type="submit"]`)
	v.at(t, "/organizations/new")
	v.fill(t, map[string]string{"name": organization})
	browsertest.Do(t, v.ctx, chromedp.SendKeys(chromedp.CSS(`#slug`), "admin"))
	browsertest.Eventually(t, v.ctx, `document.querySelector("#address[role=status]").innerText.includes("reserved")`)
	v.lookTwice(t, "create-organization")
	v.click(t, `#organization button[type="submit"]`)
	browsertest.Eventually(t, v.ctx, `document.activeElement.id === "slug" && document.querySelector("#slug-error") && document.querySelector("#name").value !== ""`)
	v.look(t, "create-organization-refused")
	v.fill(t, map[string]string{"slug": ""})
	browsertest.Do(t, v.ctx, chromedp.SendKeys(chromedp.CSS(`#slug`), slug))
	browsertest.Eventually(t, v.ctx, fmt.Sprintf(`document.querySelector("#address").innerText.includes(%q)`, "/"+slug+" is free."))
	v.click(t, `#organization button[type="submit"]`)
	v.at(t, "/"+slug+"/dashboard")
	v.says(t, organization+" is ready.")
	v.open(t, "/"+slug+"/onboarding")
	v.at(t, "/"+slug+"/onboarding")
	v.look(t, "onboarding")
	v.fill(t, map[string]string{"phone": "+1 555 0100"})
	v.click(t, `main form button[type="submit"]`)
	v.at(t, "/"+slug+"/dashboard")
	v.look(t, "dashboard-"+slug)
}

// TestBrowser walks the main job as a person does: from the landing page to a
// project, edited and deleted, and another organization that sees nothing of it.
func TestBrowser(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.visitor(t)
	ada.signUp(t, "Ada", "Acme", "acme")
	if text := ada.text(t); !strings.Contains(text, "Ada") {
		t.Errorf("the dashboard does not welcome her: %q", text)
	}

	t.Run("projects", func(t *testing.T) {
		ada.click(t, `nav a[href="/acme/projects"]`)
		ada.at(t, "/acme/projects")
		ada.look(t, "projects-empty")
		ada.open(t, "/acme/projects/new")
		ada.at(t, "/acme/projects/new")
		ada.fill(t, map[string]string{"name": "Secret plans", "description": "Nobody else may know."})
		ada.look(t, "project-new")
		ada.click(t, `main form button[type="submit"]`)
		ada.at(t, "/acme/projects/secret-plans")
		ada.says(t, "Nobody else may know.")
		ada.look(t, "project")

		// The form takes the place of the details; going back is going back.
		edit := func() {
			ada.click(t, `main a[href$="/edit"]`)
			browsertest.Eventually(t, ada.ctx, `location.pathname.endsWith("/edit") && document.activeElement.name === "name"`)
		}
		edit()
		browsertest.Evaluate[chromedp.Void](t, ada.ctx, `history.back()`)
		ada.at(t, "/acme/projects/secret-plans")
		browsertest.Eventually(t, ada.ctx, `!document.querySelector("main [name=name]")`)
		edit()
		ada.fill(t, map[string]string{"name": "Very secret plans"})
		ada.click(t, `#project button[type="submit"]`)
		ada.at(t, "/acme/projects/secret-plans")
		ada.says(t, "Very secret plans")
	})

	t.Run("two people change one project", func(t *testing.T) {
		ada.click(t, `main a[href$="/edit"]`)
		browsertest.Eventually(t, ada.ctx, `document.activeElement.name === "name"`)
		ada.meanwhile(t, "/acme/projects/secret-plans/visibility", "to=public")
		ada.fill(t, map[string]string{"description": "Mine, whatever they say."})
		ada.click(t, `#project button[type="submit"]`)
		browsertest.Eventually(t, ada.ctx, `document.activeElement.classList.contains("missed") && document.querySelector("#saved").innerText.includes("Public")`)
		if kept := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector("#description").value`); kept != "Mine, whatever they say." {
			t.Errorf("the form forgets what was typed: %q", kept)
		}
		ada.lookTwice(t, "project-conflict")
		ada.click(t, `#project button[type="submit"]`)
		ada.at(t, "/acme/projects/secret-plans")
		ada.says(t, "Mine, whatever they say.")
		ada.says(t, "Private")
	})

	t.Run("many projects", func(t *testing.T) {
		ada.meanwhile(t, "/acme/projects/new", "name=Open+house&is_public=on&description=Cake")
		ada.open(t, "/acme/projects?sort=name&view=cards")
		ada.at(t, "/acme/projects")
		ada.lookTwice(t, "projects-cards")
		ada.click(t, `.view-switch a[aria-label="Table"]`)
		browsertest.Eventually(t, ada.ctx, `location.search === "?sort=name" && document.querySelectorAll("main tbody tr").length === 2 && document.documentElement.classList.contains("js")`)
		browsertest.Do(t, ada.ctx, chromedp.SendKeys(chromedp.CSS(`main [name="q"]`), "cake"))
		browsertest.Eventually(t, ada.ctx, `document.querySelectorAll("main tbody tr").length === 1 && location.search === "?q=cake&sort=name"`)
		browsertest.Do(t, ada.ctx, chromedp.Reload())
		browsertest.Eventually(t, ada.ctx, `document.querySelectorAll("main tbody tr").length === 1 && document.querySelector("main [name=q]").value === "cake"`)
		ada.open(t, "/acme/projects?sort=name")
		ada.at(t, "/acme/projects")
		ada.click(t, `[data-check-all]`)
		browsertest.Eventually(t, ada.ctx, `document.querySelector("[data-checked-count]").innerText === "2 chosen"`)
		ada.look(t, "projects")
		ada.click(t, `main [value="archive"]`)
		ada.at(t, "/acme/projects/bulk")
		ada.lookTwice(t, "projects-bulk")
		ada.click(t, `main form button[type="submit"]`)
		browsertest.Eventually(t, ada.ctx, `location.pathname + location.search === "/acme/projects?sort=name"`)
		ada.says(t, "2 projects were archived.")
	})

	t.Run("from everywhere to a person", func(t *testing.T) {
		ada.open(t, "/acme/settings")
		ada.at(t, "/acme/settings")
		browsertest.Do(t, ada.ctx, chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
		browsertest.Eventually(t, ada.ctx, `document.activeElement.getAttribute("aria-activedescendant")`)
		for _, key := range "ada ex" {
			browsertest.Do(t, ada.ctx, chromedp.KeyEvent(string(key)))
		}
		browsertest.Eventually(t, ada.ctx, `document.querySelectorAll("#palette [role=option]").length === 1 && document.querySelector("#palette").innerText.includes("ada@example.com")`)
		ada.lookTwice(t, "palette")
		browsertest.Do(t, ada.ctx, chromedp.KeyEvent("\r"))
		browsertest.Eventually(t, ada.ctx, `location.pathname.startsWith("/acme/members/user_")`)
		ada.open(t, "/acme/search?q=secret")
		ada.at(t, "/acme/search")
		ada.says(t, "Very secret plans")
		ada.lookTwice(t, "search")
	})

	t.Run("another organization is blind to it", func(t *testing.T) {
		eve := p.visitor(t)
		eve.signUp(t, "Eve", "Testcorp", "testcorp")
		for _, path := range []string{"/testcorp/dashboard", "/testcorp/projects", "/acme/dashboard", "/acme/projects/secret-plans", "/acme/projects"} {
			eve.open(t, path)
			if text := browsertest.Evaluate[string](t, eve.ctx, `document.body.innerText`); strings.Contains(text, "ecret") || strings.Contains(text, "Ada") {
				t.Errorf("%s shows Eve: %q", path, text)
			}
		}
		eve.look(t, "not-found")
	})

	t.Run("a deletion is confirmed", func(t *testing.T) {
		ada.open(t, "/acme/projects/secret-plans/delete")
		ada.at(t, "/acme/projects/secret-plans/delete")
		ada.look(t, "project-delete")
		ada.fill(t, map[string]string{"confirmation": "secret-plans"})
		ada.click(t, `main form button[type="submit"]`)
		ada.at(t, "/acme/projects")
		ada.open(t, "/acme/projects/secret-plans")
		if status := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector(".error-status").innerText`); status != fmt.Sprint(http.StatusNotFound) {
			t.Errorf("the deleted project answers %s", status)
		}
	})

	t.Run("signed out, and back to where one was", func(t *testing.T) {
		ada.open(t, "/acme/projects")
		ada.at(t, "/acme/projects")
		browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ document.querySelector('form[action*="sign-out"]').requestSubmit() }`)
		ada.at(t, "/")
		ada.open(t, "/acme/projects?status=archived")
		ada.at(t, "/__clerk/sign-in")
		ada.look(t, "sign-in")
		ada.click(t, `[aria-label="Sign in as ada@example.com"]`)
		browsertest.Eventually(t, ada.ctx, `location.pathname + location.search === "/acme/projects?status=archived"`)
	})
}
