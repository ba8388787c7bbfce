package main

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/testtool"
	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestClerkJS walks through the pages that a Clerk instance in production has, with
// Clerk's own scripts from npm against the emulator's Frontend API: sign in, go to
// another organization, sign out.
func TestClerkJS(t *testing.T) {
	const folder = "testdata/clerkjs"
	testtool.Node(t, folder)
	scripts, err := filepath.Abs(filepath.Join(folder, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	p := startProduct(t, "--no-seed", "--clerk-js", scripts)
	ada := p.newUser(t, "Ada")
	p.newOrganization(t, "Acme", "acme", ada)
	p.newOrganization(t, "Globex", "globex", ada)

	v := p.visitor(t)
	v.open(t, "/acme/projects?status=archived")
	v.at(t, "/sign-in")
	v.fillClerk(t, "identifier", ada.EmailAddresses[0].EmailAddress)
	v.picture(t, "sign-in")
	v.fillClerk(t, "password", demoPassword)
	v.clickClerk(t, "formButtonPrimary")
	browsertest.Eventually(t, v.ctx, `location.pathname + location.search === "/acme/projects?status=archived"`)
	v.seesClerk(t, "organizationSwitcherTrigger")
	v.seesClerk(t, "userButtonTrigger")
	v.picture(t, "signed-in")
	v.clickClerk(t, "organizationSwitcherTrigger")
	v.seesClerk(t, "organizationSwitcherPopoverCard")
	v.picture(t, "switcher")
	v.clickClerk(t, "organizationSwitcherPreviewButton")
	v.at(t, "/globex/dashboard")
	v.seesClerk(t, "userButtonTrigger")
	v.open(t, "/globex/organization")
	v.saysClerk(t, "Manage your organization")
	v.picture(t, "organization")
	v.open(t, "/account")
	v.seesClerk(t, "userProfile-root")
	v.picture(t, "account")
	v.open(t, "/organizations")
	v.seesClerk(t, "organizationList-root")
	v.picture(t, "organizations")
	v.open(t, "/organizations/new")
	v.seesClerk(t, "userButtonTrigger")
	v.picture(t, "new")
	v.fill(t, map[string]string{"name": "Initech", "project": "First steps"})
	v.click(t, `#organization button[type="submit"]`)
	v.at(t, "/initech/dashboard")
	v.says(t, "First steps")
	v.seesClerk(t, "userButtonTrigger")
	v.clickClerk(t, "userButtonTrigger")
	v.seesClerk(t, "userButtonPopoverCard")
	v.picture(t, "user-button")
	v.clickClerk(t, "userButtonPopoverActionButton__signOut")
	v.at(t, "/")

	// Somebody who has to say where they work first, though they are signed in.
	response, err := http.PostForm(p.URL+"/__clerk/people/task", url.Values{"user_id": {ada.ID}, "task": {"choose-organization"}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	v.open(t, "/globex/projects?status=archived")
	v.at(t, "/sign-in")
	v.fillClerk(t, "identifier", ada.EmailAddresses[0].EmailAddress)
	v.fillClerk(t, "password", demoPassword)
	v.clickClerk(t, "formButtonPrimary")
	v.at(t, "/sign-in/task")
	v.seesClerk(t, "taskChooseOrganizationPreviewButton")
	v.picture(t, "task")
	v.clickClerk(t, "taskChooseOrganizationPreviewButton")
	browsertest.Eventually(t, v.ctx, `location.pathname + location.search === "/globex/projects?status=archived"`)
	v.seesClerk(t, "userButtonTrigger")
}

func (v *visitor) picture(t *testing.T, name string) {
	t.Helper()
	v.complaints.Check(t)
	browsertest.Screenshot(t, v.ctx, "clerkjs-"+name)
}

func (v *visitor) seesClerk(t *testing.T, name string) {
	t.Helper()
	browsertest.Eventually(t, v.ctx, fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, ".cl-"+name))
}

// saysClerk waits until a component says something.
func (v *visitor) saysClerk(t *testing.T, text string) {
	t.Helper()
	browsertest.Eventually(t, v.ctx, fmt.Sprintf(`[...document.querySelectorAll(".cl-rootBox")].some((box) => box.innerText.includes(%q))`, text))
}

// fillClerk enters a text into a field of a component, once it is there.
func (v *visitor) fillClerk(t *testing.T, name, text string) {
	t.Helper()
	selector := fmt.Sprintf(`.cl-rootBox input[name=%q]`, name)
	browsertest.Eventually(t, v.ctx, fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
	browsertest.Do(t, v.ctx, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// clickClerk clicks what a component calls name, once it is there and nothing that it
// is in moves any more: a click goes to a place on the screen.
func (v *visitor) clickClerk(t *testing.T, name string) {
	t.Helper()
	selector := ".cl-" + name
	browsertest.Eventually(t, v.ctx, fmt.Sprintf(`(() => {
		const wanted = document.querySelector(%q)
		const moves = a => a.playState === "running" && a.effect?.target?.contains(wanted)
		return wanted?.checkVisibility() && !document.getAnimations().some(moves)
	})()`, selector))
	v.click(t, selector)
}
