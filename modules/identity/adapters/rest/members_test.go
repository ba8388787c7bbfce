package rest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

const (
	members     = "/api/tenants/acme/members"
	invitations = "/api/tenants/acme/invitations"
)

// newStaff is the API with Cleo, who administers acme, and Vic, a viewer of it,
// besides Ada, its owner, and Bob, a member.
func newStaff(t *testing.T) server {
	t.Helper()
	s := newServer(t)
	later := founded.Add(time.Minute)
	o := identity.Observation{
		Organizations: []identity.Organization{{ID: "org_1", Name: "Acme", Slug: "acme", CreatedBy: "user_ada", CreatedAt: founded, UpdatedAt: founded}},
		Memberships: []identity.Membership{
			{ID: "orgmem_2", OrganizationID: "org_1", AccountID: "user_ada", ProviderRole: "org:admin", CreatedAt: founded, UpdatedAt: founded},
			{ID: "orgmem_3", OrganizationID: "org_1", AccountID: "user_cleo", ProviderRole: "org:admin", CreatedAt: later, UpdatedAt: later},
			{ID: "orgmem_4", OrganizationID: "org_1", AccountID: "user_vic", ProviderRole: "org:viewer", CreatedAt: later, UpdatedAt: later},
		},
	}
	for _, id := range []string{"user_cleo", "user_vic"} {
		o.Accounts = append(o.Accounts, identity.Account{ID: id, FirstName: id[5:], Email: id[5:] + "@example.com", CreatedAt: founded, UpdatedAt: founded})
	}
	if err := s.world.Sync.Apply(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := s.world.Provider.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s server) expect(t *testing.T, status int, as, method, path, body string) answer {
	t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	a := s.send(t, "user_"+as, method, path, contentType, body)
	if a.status != status {
		t.Errorf("%s: %s %s %.60s: %d, want %d: %s", as, method, path, body, a.status, status, a.text)
	}
	return a
}

func (a answer) items() string {
	var ids []string
	for _, each := range a.body["items"].([]any) {
		ids = append(ids, each.(map[string]any)["id"].(string))
	}
	return strings.Join(ids, " ")
}

func TestListMembers(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for _, as := range []string{"ada", "vic"} {
		first := s.expect(t, 200, as, "GET", members+"?limit=3", "")
		if first.items() != "user_ada user_bob user_cleo" {
			t.Errorf("%s sees %s", as, first.items())
		}
		next, _ := first.body["next"].(string)
		if link := first.header.Get("Link"); !strings.Contains(link, members+"?limit=3>; rel=\"first\"") || !strings.Contains(link, "after="+next) {
			t.Errorf("Link: %s", link)
		}
		second := s.expect(t, 200, as, "GET", members+"?limit=3&after="+next, "")
		if second.items() != "user_vic" || second.body["next"] != nil {
			t.Errorf("%s sees %s", as, second.text)
		}
	}
	if got := s.expect(t, 200, "bob", "GET", members+"?role=admin", "").items(); got != "user_cleo" {
		t.Errorf("administrators are %s", got)
	}
	if one := s.expect(t, 200, "vic", "GET", members+"/user_bob", ""); one.body["role"] != "member" || len(one.body) != 14 {
		t.Errorf("got %s", one.text)
	}
	for query, field := range map[string]string{"?limit=0": "limit", "?role=boss": "role", "?after=x": "after", "?q=x": "query"} {
		if a := s.expect(t, 422, "vic", "GET", members+query, ""); a.fields() != field {
			t.Errorf("%s: %s", query, a.text)
		}
	}
}

// TestWhoSeesTwoFactor: those who manage users, and everybody of themselves.
func TestWhoSeesTwoFactor(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	vic := identity.Account{ID: "user_vic", FirstName: "vic", Email: "vic@example.com", TwoFactor: true, CreatedAt: founded, UpdatedAt: founded.Add(time.Hour)}
	if err := s.world.Sync.Apply(t.Context(), identity.Observation{Accounts: []identity.Account{vic}}); err != nil {
		t.Fatal(err)
	}
	for as, want := range map[string][2]any{"ada": {true, false}, "cleo": {true, false}, "vic": {true, nil}, "bob": {nil, false}} {
		for n, id := range []string{"user_vic", "user_bob"} {
			one := s.expect(t, 200, as, "GET", members+"/"+id, "")
			if got := one.body["two_factor_enabled"]; got != want[n] || strings.Contains(one.text, "twoFactor") {
				t.Errorf("%s sees of %s: %v, want %v, in %s", as, id, got, want[n], one.text)
			}
			for _, listed := range s.expect(t, 200, as, "GET", members, "").body["items"].([]any) {
				if listed := listed.(map[string]any); listed["id"] == id && listed["two_factor_enabled"] != want[n] {
					t.Errorf("%s is listed %v", as, listed)
				}
			}
		}
	}
}

func TestChangeMembers(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	changed := s.expect(t, 200, "cleo", "PATCH", members+"/user_bob", `{"role": "admin"}`)
	if changed.body["id"] != "user_bob" || changed.body["role"] != "admin" {
		t.Errorf("got %s", changed.text)
	}
	s.expect(t, 403, "cleo", "PATCH", members+"/user_bob", `{"role": "owner"}`)
	s.expect(t, 409, "ada", "PATCH", members+"/user_ada", `{"role": "admin"}`)
	s.expect(t, 409, "ada", "DELETE", members+"/user_ada", "")
	s.expect(t, 409, "ada", "POST", members+"/user_ada/transfer-ownership", "")
	if owner := s.expect(t, 200, "ada", "POST", members+"/user_bob/transfer-ownership", ""); owner.body["role"] != "owner" {
		t.Errorf("got %s", owner.text)
	}
	s.expect(t, 403, "ada", "POST", members+"/user_cleo/transfer-ownership", "")
	s.expect(t, 204, "ada", "DELETE", members+"/user_ada", "")
	s.expect(t, 404, "ada", "GET", members, "")
	s.expect(t, 204, "bob", "DELETE", members+"/user_vic", "")
	s.expect(t, 404, "bob", "GET", members+"/user_vic", "")
	s.expect(t, 404, "bob", "DELETE", members+"/user_vic", "")
	if got := s.expect(t, 200, "bob", "GET", members, "").items(); got != "user_bob user_cleo" {
		t.Errorf("left are %s", got)
	}
}

// TestAChangeThatEndsTheRightToIt is answered again to whoever lost the answer, under
// the same key and no other.
func TestAChangeThatEndsTheRightToIt(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	transfer := func(as, key string) answer {
		return s.send(t, as, "POST", members+"/user_bob/transfer-ownership", "", "", "Idempotency-Key", key)
	}
	if refused := transfer("user_cleo", "k1"); refused.status != 403 {
		t.Errorf("an administrator: %d %s", refused.status, refused.text)
	}
	first, again := transfer("user_ada", "k1"), transfer("user_ada", "k1")
	if first.status != 200 || again.status != 200 || again.text != first.text || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("first %d %s, again %d %s", first.status, first.text, again.status, again.text)
	}
	if other := transfer("user_ada", "k2"); other.status != 403 {
		t.Errorf("another request: %d %s", other.status, other.text)
	}
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	if none := s.expect(t, 200, "cleo", "GET", invitations, ""); !strings.Contains(none.text, `"items":[]`) {
		t.Errorf("got %s", none.text)
	}
	sent := s.expect(t, 201, "cleo", "POST", invitations, `{"email": "new@example.com", "role": "viewer"}`)
	id, _ := sent.body["id"].(string)
	if sent.header.Get("Location") != invitations+"/"+id || sent.body["email"] != "new@example.com" || sent.body["role"] != "viewer" || sent.body["invited_by"] != "user_cleo" || len(sent.body) != 6 {
		t.Errorf("got %v %s", sent.header, sent.text)
	}
	if one := s.expect(t, 200, "ada", "GET", invitations+"/"+id, ""); one.text != sent.text {
		t.Errorf("got %s", one.text)
	}
	for _, body := range []string{`{"email": "NEW@example.com", "role": "member"}`, `{"email": "bob@example.com", "role": "member"}`} {
		if a := s.expect(t, 409, "cleo", "POST", invitations, body); a.fields() != "email" {
			t.Errorf("%s: %s", body, a.text)
		}
	}
	again := s.expect(t, 201, "cleo", "POST", invitations+"/"+id+"/resend", "")
	s.expect(t, 404, "cleo", "POST", invitations+"/"+id+"/resend", "")
	s.expect(t, 404, "cleo", "DELETE", invitations+"/"+id, "")
	if got := s.expect(t, 200, "cleo", "GET", invitations, "").items(); got != again.body["id"] || got == id {
		t.Errorf("listed %s", got)
	}
	s.expect(t, 204, "cleo", "DELETE", again.header.Get("Location"), "")
	s.expect(t, 404, "cleo", "GET", again.header.Get("Location"), "")
}

// TestOrderOfMemberChecks sends every kind of mistake at once and fewer and fewer
// of them.
func TestOrderOfMemberChecks(t *testing.T) {
	t.Parallel()
	const bad, form = `{"role": 1, "x": "owner"`, "text/plain"
	s := newStaff(t)
	check := func(status int, as, method, path, contentType, body, fields string) {
		t.Helper()
		if a := s.send(t, as, method, path, contentType, body); a.status != status || a.fields() != fields {
			t.Errorf("%s %s %s %.60s: %d on %q, want %d on %q: %s", as, method, path, body, a.status, a.fields(), status, fields, a.text)
		}
	}
	for _, each := range []struct{ method, path string }{
		{"GET", "/members"}, {"GET", "/members/user_ada"}, {"PATCH", "/members/user_ada"}, {"DELETE", "/members/user_ada"}, {"POST", "/members/user_cleo/transfer-ownership"},
		{"GET", "/invitations"}, {"POST", "/invitations"}, {"GET", "/invitations/x"}, {"DELETE", "/invitations/x"}, {"POST", "/invitations/x/resend"},
	} {
		check(401, "", each.method, "/api/tenants/nowhere"+each.path, form, bad, "")
		check(401, "", each.method, "/api/tenants/acme"+each.path, form, bad, "")
		check(404, "user_ada", each.method, "/api/tenants/nowhere"+each.path, form, bad, "")
		check(404, "user_eve", each.method, "/api/tenants/acme"+each.path, form, bad, "")
		if each.method != "GET" || strings.HasPrefix(each.path, "/inv") {
			check(403, "user_bob", each.method, "/api/tenants/acme"+each.path, form, bad, "")
		}
	}
	check(404, "user_bob", "PATCH", members+"/user_eve", form, bad, "")
	check(404, "user_bob", "DELETE", members+"/user_none", form, bad, "")
	check(403, "user_cleo", "PATCH", members+"/user_ada", form, bad, "")
	check(415, "user_cleo", "PATCH", members+"/user_bob", form, bad, "")
	check(400, "user_cleo", "PATCH", members+"/user_bob", "application/json", bad, "")
	check(422, "user_cleo", "PATCH", members+"/user_bob", "application/json", bad+"}", "role body")
	check(422, "user_cleo", "PATCH", members+"/user_bob", "application/json", `{"role": "boss"}`, "role")
	check(422, "user_cleo", "PATCH", members+"/user_bob", "application/json", `{}`, "role")
	check(415, "user_cleo", "POST", invitations, form, bad, "")
	check(422, "user_cleo", "POST", invitations, "application/json", `{"email": "nobody", "role": "owner"}`, "role")
	check(422, "user_cleo", "POST", invitations, "application/json", `{"email": "nobody", "role": "admin"}`, "email")
	check(422, "user_cleo", "POST", invitations, "application/json", `{}`, "email role")
	check(404, "user_cleo", "POST", invitations+"/x/resend", "", "", "")
}

func TestTheProvidersTroubleWithMembersIsTold(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for kind, status := range map[fault.Kind]int{fault.Unavailable: 503, fault.RateLimited: 429, fault.Internal: 500} {
		s.world.Provider.Fail(fault.New(kind, "Slow down.").WithRetryAfter(3 * time.Second))
		for _, a := range []answer{
			s.expect(t, status, "ada", "PATCH", members+"/user_bob", `{"role": "admin"}`),
			s.expect(t, status, "ada", "DELETE", members+"/user_bob", ""),
			s.expect(t, status, "ada", "POST", members+"/user_bob/transfer-ownership", ""),
			s.expect(t, status, "ada", "GET", invitations, ""),
			s.expect(t, status, "ada", "POST", invitations, `{"email": "new@example.com", "role": "member"}`),
		} {
			if kind != fault.Internal && a.header.Get("Retry-After") != "3" {
				t.Errorf("%v: to be tried after %q", kind, a.header.Get("Retry-After"))
			}
		}
		// Who is there is known here.
		s.expect(t, http.StatusOK, "ada", "GET", members, "")
	}
}
