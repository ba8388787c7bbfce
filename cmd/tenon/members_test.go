package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// invitationLink returns the link in the mail that somebody was sent.
func (p *product) invitationLink(t *testing.T, organizationID, email string) string {
	t.Helper()
	client := organizationinvitation.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		URL: new(p.ClerkAPIURL + "/v1"), Key: new(p.ClerkSecretKey),
	}})
	list, err := client.List(t.Context(), &organizationinvitation.ListParams{OrganizationID: organizationID, Statuses: &[]string{"pending"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, invitation := range list.OrganizationInvitations {
		if invitation.EmailAddress == email {
			return invitation.URL
		}
	}
	t.Fatalf("nobody wrote to %s", email)
	return ""
}

// TestMembersInTheBrowser goes from an invitation to its end: one person
// invites, another accepts at a browser of their own, is promoted, handed the
// organization, and in the end the founder leaves.
func TestMembersInTheBrowser(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.visitor(t)
	ada.signUp(t, "Ada", "Acme", "acme")
	organizations, err := p.organizations.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	all := func(name string, v *visitor) {
		t.Helper()
		v.look(t, name)
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int64{390, 1280} {
				browsertest.Emulate(t, v.ctx, theme, width)
				if wide := browsertest.Evaluate[bool](t, v.ctx, `document.documentElement.scrollWidth > innerWidth`); wide {
					t.Errorf("%s scrolls sideways at %d", name, width)
				}
				v.look(t, fmt.Sprintf("%s-%s-%d", name, theme, width))
			}
		}
		browsertest.Emulate(t, v.ctx, "light", 1280)
	}

	ada.click(t, `nav a[href="/acme/members"]`)
	ada.at(t, "/acme/members")
	ada.says(t, "No open invitations")
	all("members-alone", ada)
	ada.click(t, `main a[href="/acme/members/invite"]`)
	ada.at(t, "/acme/members/invite")
	ada.fill(t, map[string]string{"email": "bob@example"})
	browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ document.querySelector('main form').noValidate = true; document.querySelector('[name="email"]').value = "bob at example" }`)
	ada.click(t, `#invite button[type="submit"]`)
	ada.says(t, "Use an email address")
	if kept := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector('[name="email"]').value`); kept != "bob at example" {
		t.Errorf("the form forgets what was typed: %q", kept)
	}
	all("members-invite-refused", ada)
	ada.fill(t, map[string]string{"email": "bob@example.com"})
	ada.click(t, `#invite button[type="submit"]`)
	ada.says(t, "An invitation was sent to bob@example.com")
	ada.at(t, "/acme/members")
	ada.click(t, `[aria-label="Resend the invitation of bob@example.com"]`)
	ada.says(t, "sent to bob@example.com again")
	all("members-invited", ada)

	bob := p.visitor(t)
	link := p.invitationLink(t, organizations.ID, "bob@example.com")
	bob.open(t, strings.TrimPrefix(link, p.URL))
	bob.at(t, "/__clerk/sign-up")
	bob.fill(t, map[string]string{"first_name": "Bob", "last_name": "Example", "password": "long enough now"})
	bob.click(t, `#sign-up button[type="submit"]`)
	bob.at(t, "/__clerk/accept-invitation")
	bob.look(t, "accept-invitation")
	bob.click(t, `main form button[type="submit"]`)
	bob.says(t, "Acme")
	browsertest.Eventually(t, bob.ctx, `location.pathname.startsWith("/acme/")`)
	bob.open(t, "/acme/members")
	bob.at(t, "/acme/members")
	if text := bob.text(t); strings.Contains(text, "Invite") || strings.Contains(text, "Resend") || !strings.Contains(text, "Ada Example") {
		t.Errorf("a member sees %q", text)
	}
	bob.look(t, "members-as-member")

	ada.open(t, "/acme/members")
	ada.says(t, "Bob Example")
	if text := ada.text(t); !strings.Contains(text, "No open invitations") {
		t.Errorf("the invitation is still open: %q", text)
	}
	all("members", ada)
	browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ [...document.querySelectorAll("main table a")].find(a => a.innerText === "Bob Example").click() }`)
	ada.says(t, "Transfer ownership")
	all("member", ada)
	browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ document.querySelector('#role-form [name="role"]').value = "admin" }`)
	ada.click(t, `#role-form button[type="submit"]`)
	ada.says(t, "Bob Example is an admin now.")
	bob.open(t, "/acme/members")
	bob.says(t, "Invite somebody") // at once, with the same token

	ada.click(t, `[data-dialog="transfer"]`)
	ada.says(t, "Make Bob Example the owner in your place?")
	ada.look(t, "member-transfer")
	ada.click(t, `#transfer button[type="submit"]`)
	ada.says(t, "Bob Example is an owner now, and you are an admin.")
	if text := ada.text(t); strings.Contains(text, "Remove member") || strings.Contains(text, "Transfer") {
		t.Errorf("an admin is offered to touch the owner: %q", text)
	}

	bob.open(t, "/acme/members/leave")
	bob.at(t, "/acme/members/leave")
	bob.look(t, "members-leave")
	bob.click(t, `main form button[type="submit"]`)
	bob.says(t, "An organization needs an owner.")
	ada.open(t, "/acme/members/leave")
	ada.at(t, "/acme/members/leave")
	ada.click(t, `main form button[type="submit"]`)
	browsertest.Eventually(t, ada.ctx, `!location.pathname.startsWith("/acme")`)
	ada.open(t, "/acme/dashboard")
	if status := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector(".error-status").innerText`); status != "404" {
		t.Errorf("who left gets %s", status)
	}
	bob.open(t, "/acme/members")
	if text := bob.text(t); strings.Contains(text, "Ada Example") {
		t.Errorf("who left is still there: %q", text)
	}
}
