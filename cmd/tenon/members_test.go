package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"
	"github.com/clerk/clerk-sdk-go/v2/session"

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

	ada.click(t, `nav a[href="/acme/members"]`)
	ada.at(t, "/acme/members")
	ada.says(t, "No open invitations")
	ada.lookTwice(t, "members-alone")
	ada.click(t, `main a[href="/acme/members/invite"]`)
	ada.at(t, "/acme/members/invite")
	ada.fill(t, map[string]string{"email": "bob@example"})
	browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ document.querySelector('main form').noValidate = true; document.querySelector('[name="email"]').value = "bob at example" }`)
	ada.click(t, `#invite button[type="submit"]`)
	ada.says(t, "Use an email address")
	if kept := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector('[name="email"]').value`); kept != "bob at example" {
		t.Errorf("the form forgets what was typed: %q", kept)
	}
	ada.lookTwice(t, "members-invite-refused")
	ada.fill(t, map[string]string{"email": "bob@example.com"})
	ada.click(t, `#invite button[type="submit"]`)
	ada.says(t, "An invitation was sent to bob@example.com")
	ada.at(t, "/acme/members")
	ada.click(t, `[aria-label="Resend the invitation of bob@example.com"]`)
	ada.says(t, "sent to bob@example.com again")
	ada.lookTwice(t, "members-invited")

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
	ada.lookTwice(t, "members")
	browsertest.Do(t, ada.ctx, chromedp.SendKeys(chromedp.CSS(`main [name="q"]`), "zoe"))
	ada.says(t, "Nobody matches")
	browsertest.Eventually(t, ada.ctx, `document.querySelector("main > .stack > [role=status]").innerText === "No members" && location.search === "?q=zoe"`)
	ada.look(t, "members-nobody")
	browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ document.querySelector('main [name="q"]').value = "" }`)
	browsertest.Do(t, ada.ctx, chromedp.SendKeys(chromedp.CSS(`main [name="q"]`), "BOB"))
	browsertest.Eventually(t, ada.ctx, `document.querySelectorAll("#member-list tbody tr").length === 1 && document.activeElement.name === "q"`)
	browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ [...document.querySelectorAll("main table a")].find(a => a.innerText === "Bob Example").click() }`)
	ada.says(t, "Transfer ownership")
	ada.lookTwice(t, "member")
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

// TestARevokedSessionIsOver before its token is.
func TestARevokedSessionIsOver(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.newUser(t, "Ada")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	revoked, other := p.token(t, ada, acme), p.token(t, ada, acme)
	asks := func(token string) int { return p.call(t, "GET", "/api/tenants/acme/members", token, nil).status }
	eventually(t, "Ada is in acme", func() bool { return asks(revoked) == http.StatusOK })
	sessions := session.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{URL: new(p.ClerkAPIURL + "/v1"), Key: new(p.ClerkSecretKey)}})
	if _, err := sessions.Revoke(t.Context(), &session.RevokeParams{ID: claimsOf(t, revoked).SID}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the revoked session is refused", func() bool { return asks(revoked) == http.StatusUnauthorized })
	if status := asks(other); status != http.StatusOK {
		t.Errorf("another session of hers gets %d", status)
	}
}

// memberOf returns the id of a tenant's member whose role is given.
func (p *product) memberOf(t *testing.T, token, tenant, role string) string {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	p.call(t, "GET", "/api/tenants/"+tenant+"/members?role="+role, token, nil).decode(t, &list)
	if len(list.Items) == 0 {
		t.Fatalf("%s has no %s", tenant, role)
	}
	return list.Items[0].ID
}

// newMember makes somebody a member of a tenant, and waits until they are.
func (p *product) newMember(t *testing.T, token, tenant string) *clerk.User {
	t.Helper()
	organization, err := p.organizations.Get(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	made := p.newUser(t, "Target")
	p.join(t, organization, made, "org:member")
	eventually(t, made.ID+" in "+tenant, func() bool {
		return p.call(t, "GET", "/api/tenants/"+tenant+"/members/"+made.ID, token, nil).status == http.StatusOK
	})
	return made
}

// newInvitation invites somebody and returns the invitation's id.
func (p *product) newInvitation(t *testing.T, token, tenant string) string {
	t.Helper()
	email := fmt.Sprintf("invited%d@example.com", serial.Add(1))
	made := p.call(t, "POST", "/api/tenants/"+tenant+"/invitations", token, map[string]string{"email": email, "role": "member"})
	if made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.body)
	}
	var sent struct{ ID string }
	made.decode(t, &sent)
	return sent.ID
}

// ownerOf is the attacker who owns a tenant.
var ownerOf = map[string]string{"acme": "owner", "testcorp": "stranger"}

// person returns the id of somebody for a row to be about: the owner for a
// transfer, because that is refused, somebody new for a removal, and otherwise a
// member who stays.
func (s *siege) person(t *testing.T, row attacked, tenant string) string {
	t.Helper()
	token := s.tokens[ownerOf[tenant]]
	switch {
	case !strings.Contains(row.pattern, "{user}"):
		return ""
	case strings.Contains(row.pattern, "/transfer"):
		return s.memberOf(t, token, tenant, "owner")
	case row.method == http.MethodDelete, row.method == http.MethodPost && strings.HasSuffix(row.pattern, "/remove"):
		return s.newMember(t, token, tenant).ID
	}
	if s.bystanders[tenant] == "" {
		if s.bystanders == nil {
			s.bystanders = map[string]string{}
		}
		s.bystanders[tenant] = s.newMember(t, token, tenant).ID
	}
	return s.bystanders[tenant]
}

// invitation returns the id of an invitation for a row that is about one.
func (s *siege) invitation(t *testing.T, row attacked, tenant string) string {
	t.Helper()
	if !strings.Contains(row.pattern, "{invitation}") {
		return ""
	}
	return s.newInvitation(t, s.tokens[ownerOf[tenant]], tenant)
}

// rejoin brings back an attacker who left acme.
func (s *siege) rejoin(t *testing.T, as string) {
	t.Helper()
	role, left := map[string]string{"admin": "org:admin", "member": "org:member", "viewer": "org:viewer"}[as]
	if !left {
		return // the owner cannot, and the others never were in
	}
	inside := func() bool {
		return s.call(t, "GET", "/api/tenants/acme/members", s.tokens[as], nil).status == http.StatusOK
	}
	if inside() {
		return // it was another tenant that they were sent to
	}
	organization, err := s.organizations.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	s.join(t, organization, &clerk.User{ID: subjectOf(t, s.tokens[as])}, role)
	eventually(t, as+" is back", inside)
}

// tokenClaims are what a token says of whom it was made for.
type tokenClaims struct{ Sub, SID string }

// subjectOf returns whom a token was made for.
func subjectOf(t *testing.T, token string) string {
	t.Helper()
	return claimsOf(t, token).Sub
}

func claimsOf(t *testing.T, token string) (claims tokenClaims) {
	t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// memberContract is [contract] for members and invitations.
func (p *product) memberContract(t *testing.T, tokens map[string]string, execute func(*testing.T, string)) map[string][]exchange {
	t.Helper()
	owner := tokens["owner"]
	user := func(id string) []string { return []string{"user", id} }
	invitation := func() []string { return []string{"invitation", p.newInvitation(t, owner, "acme")} }
	stays, ada, bob := user(p.newMember(t, owner, "acme").ID), user(subjectOf(t, owner)), user(subjectOf(t, tokens["admin"]))
	nobody, none := user("user_none"), []string{"invitation", "orginv_none"}
	open, resent := invitation(), invitation()
	big := `{"role": "` + strings.Repeat("x", 1<<20) + `"}`
	draft := func(email string) string { return `{"email": "` + email + `", "role": "viewer"}` }
	const key = "Idempotency-Key"
	return map[string][]exchange{
		"list-members": {
			{status: 200, as: "viewer"},
			{status: 200, as: "owner", query: "role=member&limit=1"},
			{status: 400, as: "owner", query: "role=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "owner", tenant: "frozen"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "limit=0", undocumented: true},
		},
		"get-member": {
			{status: 200, as: "viewer", path: stays},
			{status: 400, as: "owner", path: stays, query: "x=%00", undocumented: true},
			{status: 401, path: stays},
			{status: 403, as: "owner", tenant: "frozen", path: ada},
			{status: 404, as: "owner", path: nobody},
			{status: 422, as: "owner", path: stays, query: "x=1", undocumented: true},
		},
		"update-member": {
			{status: 200, as: "admin", path: stays, body: `{"role": "viewer"}`},
			{status: 200, as: "owner", path: stays, body: `{"role": "member"}`, header: []string{"Content-Type", "application/merge-patch+json"}},
			{status: 204, as: "owner", path: stays, body: `{"role": "admin"}`, header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "owner", path: stays, body: `{`, undocumented: true},
			{status: 401, path: stays, body: `{"role": "member"}`},
			{status: 403, as: "member", path: stays, body: `{"role": "member"}`},
			{status: 404, as: "owner", path: nobody, body: `{"role": "member"}`},
			{status: 409, as: "owner", path: ada, body: `{"role": "member"}`},
			{status: 413, as: "owner", path: stays, body: big, undocumented: true},
			{status: 415, as: "owner", path: stays, body: `{"role": "member"}`, header: []string{"Content-Type", "text/plain"}, undocumented: true},
			{status: 422, as: "owner", path: stays, body: `{"role": "boss"}`, undocumented: true},
		},
		"remove-member": {
			{status: 204, as: "owner", path: user(p.newMember(t, owner, "acme").ID)},
			{status: 400, as: "owner", path: stays, query: "x=%00", undocumented: true},
			{status: 401, path: stays},
			{status: 403, as: "member", path: stays},
			{status: 404, as: "owner", path: nobody},
			{status: 409, as: "owner", path: ada},
			{status: 422, as: "owner", path: stays, query: "x=1", undocumented: true},
		},
		"transfer-ownership": {
			{status: 200, as: "owner", path: bob},
			{status: 204, as: "admin", path: ada, header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "owner", path: bob, query: "x=%00", undocumented: true},
			{status: 401, path: bob},
			{status: 403, as: "admin", path: bob},
			{status: 404, as: "owner", path: nobody},
			{status: 409, as: "owner", path: ada},
			{status: 422, as: "owner", path: bob, query: "x=1", undocumented: true},
		},
		"list-invitations": {
			{status: 200, as: "admin"},
			{status: 400, as: "owner", query: "x=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "member"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "x=1", undocumented: true},
		},
		"create-invitation": {
			{status: 201, as: "admin", body: draft("one@example.com"), header: []string{key, "i1"}},
			{status: 201, as: "admin", body: draft("one@example.com"), header: []string{key, "i1"}},
			{status: 204, as: "admin", body: draft("two@example.com"), header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "owner", body: `{`, undocumented: true},
			{status: 401, body: draft("x@example.com")},
			{status: 403, as: "member", body: draft("x@example.com")},
			{status: 404, as: "stranger", body: draft("x@example.com")},
			{status: 409, as: "owner", body: draft("one@example.com")},
			{status: 413, as: "owner", body: big, undocumented: true},
			{status: 415, as: "owner", body: draft("x@example.com"), header: []string{"Content-Type", "text/plain"}, undocumented: true},
			{status: 422, as: "owner", body: draft("nobody")},
		},
		"get-invitation": {
			{status: 200, as: "admin", path: open},
			{status: 400, as: "owner", path: open, query: "x=%00", undocumented: true},
			{status: 401, path: open},
			{status: 403, as: "viewer", path: open},
			{status: 404, as: "owner", path: none},
			{status: 422, as: "owner", path: open, query: "x=1", undocumented: true},
		},
		"resend-invitation": {
			{status: 201, as: "admin", path: resent, header: []string{key, "i2"}},
			{status: 201, as: "admin", path: resent, header: []string{key, "i2"}},
			{status: 204, as: "admin", path: invitation(), header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "owner", path: open, query: "x=%00", undocumented: true},
			{status: 401, path: open},
			{status: 403, as: "viewer", path: open},
			{status: 404, as: "owner", path: none},
			{status: 409, as: "admin", path: resent, header: []string{key, "i2"}, before: func(t *testing.T) {
				execute(t, `UPDATE public.idempotency_keys SET status = 0 WHERE key = 'i2'`) // as while it runs
			}},
			{status: 422, as: "owner", path: open, query: "x=1", undocumented: true},
		},
		"revoke-invitation": {
			{status: 204, as: "admin", path: invitation()},
			{status: 400, as: "owner", path: open, query: "x=%00", undocumented: true},
			{status: 401, path: open},
			{status: 403, as: "viewer", path: open},
			{status: 404, as: "owner", path: none},
			{status: 422, as: "owner", path: open, query: "x=1", undocumented: true},
		},
	}
}
