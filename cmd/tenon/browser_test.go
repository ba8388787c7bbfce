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
	v.at(t, "/__clerk/create-organization")
	v.look(t, "create-organization")
	v.fill(t, map[string]string{"name": organization, "slug": slug})
	v.click(t, `#create-organization button[type="submit"]`)
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

		ada.open(t, "/acme/projects/secret-plans/edit")
		ada.at(t, "/acme/projects/secret-plans/edit")
		ada.fill(t, map[string]string{"name": "Very secret plans"})
		ada.click(t, `main form button[type="submit"]`)
		ada.at(t, "/acme/projects/secret-plans")
		ada.says(t, "Very secret plans")
		ada.open(t, "/acme/projects")
		ada.says(t, "Very secret plans")
		ada.look(t, "projects")
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
