package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// outage lets the emulated provider fail.
func (p *product) outage(t testing.TB, o clerkdev.Outage) {
	t.Helper()
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.ClerkAPIURL+"/outage", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.ClerkSecretKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("an outage is refused: %d", response.StatusCode)
	}
}

// roster is what the product says of a tenant's people: roles and open
// invitations.
func (p *product) roster(t testing.TB, token string) string {
	t.Helper()
	var members struct{ Items []struct{ ID, Role string } }
	p.call(t, "GET", "/api/tenants/acme/members", token, nil).decode(t, &members)
	var invitations struct {
		Items []struct{ ID, Email, Role string }
	}
	p.call(t, "GET", "/api/tenants/acme/invitations", token, nil).decode(t, &invitations)
	return fmt.Sprint(members.Items, invitations.Items)
}

// TestProviderInTrouble has the identity provider busy, broken, silent and
// forgetful in the middle of everything that asks it.
func TestProviderInTrouble(t *testing.T) {
	const patience = 2 * time.Second
	database := localpgtest.NewDatabase(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := startCommand(t, []string{"DATABASE_URL=" + database, "REQUEST_TIMEOUT=" + patience.String()}, "--no-seed")
	ada, bob := p.newUser(t, "Ada"), p.newUser(t, "Bob")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	p.join(t, acme, bob, "org:member")
	owner := p.token(t, ada, acme)
	eventually(t, "two members", func() bool {
		return strings.Count(p.call(t, "GET", "/api/tenants/acme/members", owner, nil).body, `"joined_at"`) == 2
	})
	if _, err := p.users.Update(t.Context(), bob.ID, &user.UpdateParams{TOTPSecret: new("JBSWY3DPEHPK3PXP")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second factor", func() bool {
		return strings.Contains(p.call(t, "GET", "/api/tenants/acme/members/"+bob.ID, owner, nil).body, `"two_factor_enabled":true`)
	})
	open := p.newInvitation(t, owner, "acme")
	before := p.roster(t, owner)

	const members, invitations = "/api/tenants/acme/members/", "/api/tenants/acme/invitations"
	changes := map[string][3]string{
		"a role":            {"PATCH", members + bob.ID, `{"role": "admin"}`},
		"an ownership":      {"POST", members + bob.ID + "/transfer-ownership", ""},
		"a removal":         {"DELETE", members + bob.ID, ""},
		"a departure":       {"DELETE", members + ada.ID, ""}, // of the last owner
		"an invitation":     {"POST", invitations, `{"email": "new@example.com", "role": "viewer"}`},
		"one sent again":    {"POST", invitations + "/" + open + "/resend", ""},
		"one that is void":  {"DELETE", invitations + "/" + open, ""},
		"the invitations":   {"GET", invitations, ""},
		"one of them":       {"GET", invitations + "/" + open, ""},
		"who belongs there": {"GET", "/api/tenants/acme/members", ""}, // needs nobody
	}
	want := func(name string, inTrouble int) int {
		switch name {
		case "who belongs there":
			return http.StatusOK
		case "a departure":
			return http.StatusConflict
		}
		return inTrouble
	}
	for _, trouble := range []struct {
		name   string
		outage clerkdev.Outage
		status int
		retry  string // Retry-After, "" for any
	}{
		{"busy", clerkdev.Outage{Status: 429, RetryAfter: 7}, http.StatusTooManyRequests, "7"},
		{"away", clerkdev.Outage{Status: 503}, http.StatusServiceUnavailable, ""},
		{"broken", clerkdev.Outage{Status: 500}, http.StatusServiceUnavailable, ""},
		{"silent", clerkdev.Outage{Silent: true}, http.StatusServiceUnavailable, ""},
	} {
		p.outage(t, trouble.outage)
		var group sync.WaitGroup
		for name, change := range changes {
			if name == "a departure" && trouble.outage.Silent {
				continue // it may have to wait for the other changes of the tenant, and may not
			}
			group.Go(func() {
				var body any
				if change[2] != "" {
					body = change[2]
				}
				began := time.Now()
				got := p.call(t, change[0], change[1], owner, body)
				expected := want(name, trouble.status)
				retry := got.header.Get("Retry-After")
				if got.status != expected || expected == trouble.status && (retry == "" || trouble.retry != "" && retry != trouble.retry) {
					t.Errorf("%s, while it is %s: %d, Retry-After %q, %s", name, trouble.name, got.status, retry, got.body)
				}
				if took := time.Since(began); took > 2*patience {
					t.Errorf("%s, while it is %s, takes %v", name, trouble.name, took)
				}
			})
		}
		group.Wait()
		p.outage(t, clerkdev.Outage{})
		if after := p.roster(t, owner); after != before {
			t.Errorf("while it was %s something was done: %s, want %s", trouble.name, after, before)
		}
	}

	t.Run("pages", func(t *testing.T) { p.pagesInTrouble(t, owner, bob.ID) })

	// What the provider did although it said it could not: its webhook tells, and
	// who tries again meanwhile finds it done.
	late := clerkdev.Outage{Status: 500, Late: true, Calls: 1, Path: "/v1/organizations/"}
	refused := func(what, method, path, body string) {
		t.Helper()
		p.outage(t, late)
		var sent any
		if body != "" {
			sent = body
		}
		if got := p.call(t, method, path, owner, sent); got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	refused("a role", "PATCH", members+bob.ID, `{"role": "admin"}`)
	eventually(t, "the role", func() bool {
		return strings.Contains(p.call(t, "GET", members+bob.ID, owner, nil).body, `"role":"admin"`)
	})
	refused("an invitation", "POST", invitations, `{"email": "new@example.com", "role": "viewer"}`)
	if got := p.call(t, "POST", invitations, owner, `{"email": "new@example.com", "role": "viewer"}`); got.status != http.StatusConflict {
		t.Errorf("an invitation that was sent after all: %d %s", got.status, got.body)
	}
	refused("a removal", "DELETE", members+bob.ID, "")
	eventually(t, "the removal", func() bool {
		return p.call(t, "GET", members+bob.ID, owner, nil).status == http.StatusNotFound
	})

	// Keys that are known serve on; a server that knows none lets nobody in.
	p.outage(t, clerkdev.Outage{Status: 503, Path: "/v1/jwks"})
	fresh := p.token(t, ada, acme)
	if got := p.call(t, "GET", "/api/tenants/acme/members", fresh, nil); got.status != http.StatusOK {
		t.Errorf("a session by a known key: %d %s", got.status, got.body)
	}
	i := startInstance(t, p)
	ask := func() *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+"/api/tenants/acme/members", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+fresh)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	if got := ask(); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("a session by a key that nobody can tell: %d, Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
	}
	p.outage(t, clerkdev.Outage{})
	eventually(t, "a session by a key that can be had", func() bool { return ask().StatusCode == http.StatusOK })
}

// pagesInTrouble: a form that the provider has no time for comes back with what
// was typed, and the members are shown without what only the provider knows.
func (p *product) pagesInTrouble(t *testing.T, owner, member string) {
	p.outage(t, clerkdev.Outage{Status: 429, RetryAfter: 7})
	defer p.outage(t, clerkdev.Outage{})
	send := func(path string, form url.Values) answer {
		return p.call(t, "POST", path, owner, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	if got := p.call(t, "GET", "/acme/members", owner, nil); got.status != http.StatusOK ||
		!strings.Contains(got.body, "cannot be shown right now") || !strings.Contains(got.body, "slow down") || !strings.Contains(got.body, "Bob Example") {
		t.Errorf("the list: %d %s", got.status, got.body)
	}
	for path, form := range map[string]url.Values{
		"/acme/members/invite":    {"email": {"new@example.com"}, "role": {"viewer"}},
		"/acme/members/" + member: {"role": {"admin"}},
		"/acme/settings":          {"name": {"Acme & Sons"}, "slug": {"acme"}},
	} {
		got := send(path, form)
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "7" || !strings.Contains(got.body, "slow down") {
			t.Errorf("%s: %d, Retry-After %q", path, got.status, got.header.Get("Retry-After"))
		}
		for name, typed := range form {
			if kept := strings.ReplaceAll(typed[0], "&", "&amp;"); !strings.Contains(got.body, `value="`+kept+`"`) {
				t.Errorf("%s forgets what was typed as %s", path, name)
			}
		}
	}
	if got := send("/acme/members/"+member+"/remove", nil); got.status != http.StatusSeeOther || got.header.Get("Location") != "/acme/members/"+member {
		t.Errorf("a removal: %d to %s", got.status, got.header.Get("Location"))
	}
}
