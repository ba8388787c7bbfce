package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

const (
	cleo = "user_cleo" // administers acme
	vic  = "user_vic"  // is a viewer of it
)

// newStaff is a server with acme, which has somebody in every role.
func newStaff(t *testing.T) server {
	t.Helper()
	s := newCompany(t)
	o := organization("acme", ada, bob, cleo, vic)
	for i := range o.Memberships {
		switch o.Memberships[i].AccountID {
		case cleo:
			o.Memberships[i].ProviderRole = "org:admin"
		case vic:
			o.Memberships[i].ProviderRole = "org:viewer"
		}
	}
	s.tell(t, o)
	return s
}

// contains fails the test unless the page shows all of the wanted and none of the
// unwanted, which have a minus in front.
func contains(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if text, unwanted := strings.CutPrefix(text, "-"); strings.Contains(page, text) == unwanted {
			t.Errorf("shows %q: %v, in\n%s", text, unwanted, page)
		}
	}
}

// TestMembersPage holds what each role sees of the list.
func TestMembersPage(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for _, as := range []string{ada, cleo} {
		page := expect(t, s.send(as, "GET", "/acme/members", nil), 200, "")
		contains(t, page, "Ada Example", "Vic Example", "bob@example.com", "/acme/members/invite", "No open invitations", "/acme/members/leave")
	}
	for _, as := range []string{bob, vic} {
		page := expect(t, s.send(as, "GET", "/acme/members", nil), 200, "")
		contains(t, page, "Ada Example", "Vic Example", "-/acme/members/invite", "-nvitation", "/acme/members/leave")
	}
	expect(t, s.send(eve, "GET", "/acme/members", nil), 404, "")
	expect(t, s.send(ada, "GET", "/acme/members?after=x", nil), 404, "")
}

// TestTwoFactorOnPages: the list shows it to those who manage members, a page to
// them and to whom it is about.
func TestTwoFactorOnPages(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for _, as := range []string{ada, cleo, bob, vic} {
		wanted := "-"
		if as == ada || as == cleo {
			wanted = ""
		}
		contains(t, expect(t, s.send(as, "GET", "/acme/members", nil), 200, ""), wanted+"Two-factor")
		contains(t, expect(t, s.send(as, "GET", "/acme/members/"+bob, nil), 200, ""), strings.TrimSuffix(wanted, map[bool]string{true: "-"}[as == bob])+"Two-factor")
	}
}

func TestMembersPageIsPaged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var many []string
	for n := range 30 {
		many = append(many, fmt.Sprintf("user_m%02d", n))
	}
	s.tell(t, organization("acme", ada, many...))
	first := expect(t, s.send(ada, "GET", "/acme/members", nil), 200, "")
	contains(t, first, "M18 Example", "-M19 Example", `rel="next"`, "Invitations")
	_, next, _ := strings.Cut(first, `href="/acme/members?after=`)
	next, _, _ = strings.Cut(next, `"`)
	second := expect(t, s.send(ada, "GET", "/acme/members?after="+next, nil), 200, "")
	contains(t, second, "-M18 Example", "M19 Example", "M29 Example", `-rel="next"`, "-Invitations")
}

func TestMembersAreSearched(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var many []string
	for n := range 30 {
		many = append(many, fmt.Sprintf("user_m%02d", n))
	}
	s.tell(t, organization("acme", ada, many...))
	for query, texts := range map[string][]string{
		"?q=m07":                {`value="m07"`, "M07 Example", "-M08 Example", "Invitations", ">1 member<"},
		"?q=+M07%40EXAMPLE.com": {`value=" M07@EXAMPLE.com"`, "M07 Example", "-M08 Example"},
		"?q=%3Cscript%3E":       {`value="&lt;script&gt;"`, "-M07 Example", "Nobody matches", ">No members<", "-<script>"},
		"?q=":                   {"Ada Example", "M18 Example"},
		"?q=%01":                {"-M07 Example", "-Nobody matches", "no control characters", "Show all members"},
	} {
		status := 200
		if query == "?q=%01" {
			status = 422
		}
		_, page, _ := strings.Cut(expect(t, s.send(ada, "GET", "/acme/members"+query, nil), status, ""), `role="search"`)
		contains(t, page, texts...)
	}
	first := expect(t, s.send(ada, "GET", "/acme/members?q=example.com", nil), 200, "")
	_, next, _ := strings.Cut(first, `href="/acme/members?after=`)
	next, _, _ = strings.Cut(next, `"`)
	if !strings.HasSuffix(next, "&amp;q=example.com") {
		t.Fatalf("the next page %q forgets the search", next)
	}
	second := expect(t, s.send(ada, "GET", "/acme/members?after="+strings.ReplaceAll(next, "&amp;", "&"), nil), 200, "")
	contains(t, second, "M29 Example", `href="/acme/members?q=example.com"`)

	// Letter by letter, the provider is not asked.
	s.Provider.Fail(fault.New(fault.Unavailable, "It is away."))
	part := expect(t, s.send(ada, "GET", "/acme/members?q=m07", nil, "HX-Request", "true", "HX-Target", "member-list"), 200, "")
	contains(t, part, "M07 Example", "-M08 Example", "-cannot be shown")
}

// TestMemberPage holds what each role may do to each other.
func TestMemberPage(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	const role, transfer, remove, leave = `id="role-form"`, "/transfer", "/remove", "/acme/members/leave"
	for _, test := range []struct {
		as, who string
		texts   []string
	}{
		{ada, bob, []string{role, `value="owner"`, transfer, remove, "-" + leave}},
		{ada, ada, []string{role, "-" + transfer, "-" + remove, leave}},
		{cleo, bob, []string{role, `-value="owner"`, "-" + transfer, remove, "-" + leave}},
		{cleo, ada, []string{"-" + role, "-" + transfer, "-" + remove, "-" + leave}},
		{cleo, cleo, []string{role, `-value="owner"`, "-" + transfer, "-" + remove, leave}},
		{bob, vic, []string{"-" + role, "-" + transfer, "-" + remove, "-" + leave}},
		{bob, bob, []string{"-" + role, "-" + transfer, "-" + remove, leave}},
		{vic, ada, []string{"ada@example.com", "-" + role, "-" + remove}},
	} {
		page := expect(t, s.send(test.as, "GET", "/acme/members/"+test.who, nil), 200, "")
		_, page, _ = strings.Cut(page, "<main")
		contains(t, page, test.texts...)
	}
	for _, path := range []string{"/acme/members/" + eve, "/acme/members/nobody", "/acme/members/..%2F..", "/acme/members/" + eve + "/remove"} {
		expect(t, s.send(ada, "GET", path, nil), 404, "")
	}
}

func TestRoleForm(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	expect(t, s.send(cleo, "POST", "/acme/members/"+bob, url.Values{"role": {"admin"}}), 303, "/acme/members/"+bob)
	contains(t, expect(t, s.send(bob, "GET", "/acme/members", nil), 200, ""), "/acme/members/invite")
	// What was sent is no reason to tell more than the role allows.
	expect(t, s.send(vic, "POST", "/acme/members/"+bob, url.Values{"role": {"nonsense"}}), 403, "")
	expect(t, s.send(cleo, "POST", "/acme/members/"+ada, url.Values{"role": {"nonsense"}}), 403, "")
	expect(t, s.send(cleo, "POST", "/acme/members/"+bob, url.Values{"role": {"owner"}}), 403, "")
	expect(t, s.send(cleo, "POST", "/acme/members/"+eve, url.Values{"role": {"member"}}), 404, "")
	page := expect(t, s.send(ada, "POST", "/acme/members/"+bob, url.Values{"role": {`<b>"`}}), 422, "")
	contains(t, page, "Use owner, admin, member or viewer.", "-<b>")
	page = expect(t, s.send(ada, "POST", "/acme/members/"+ada, url.Values{"role": {"viewer"}}), 422, "")
	contains(t, page, "An organization needs an owner.", `value="viewer" selected`)
	expect(t, s.send(ada, "POST", "/acme/members/"+bob, nil, "Content-Type", "text/plain"), 415, "")
	// htmx is led by a header.
	w := s.send(ada, "POST", "/acme/members/"+bob, url.Values{"role": {"member"}}, "HX-Request", "true")
	if w.Code != http.StatusNoContent || w.Header().Get("HX-Redirect") != "/acme/members/"+bob {
		t.Errorf("htmx gets %d %v", w.Code, w.Header())
	}
}

func TestRemoveLeaveAndHandOver(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for _, as := range []string{bob, vic} {
		expect(t, s.send(as, "GET", "/acme/members/"+cleo+"/remove", nil), 403, "")
		expect(t, s.send(as, "POST", "/acme/members/"+cleo+"/remove", url.Values{}), 403, "")
		expect(t, s.send(as, "GET", "/acme/members/"+cleo+"/transfer", nil), 403, "")
	}
	expect(t, s.send(cleo, "POST", "/acme/members/"+ada+"/remove", url.Values{}), 403, "")
	contains(t, expect(t, s.send(cleo, "GET", "/acme/members/"+vic+"/remove", nil), 200, ""), "Remove Vic Example from Acme?", `action="/acme/members/user_vic/remove"`)
	expect(t, s.send(cleo, "POST", "/acme/members/"+vic+"/remove", url.Values{}), 303, "/acme/members")
	expect(t, s.send(vic, "GET", "/acme/members", nil), 404, "")

	// The last owner is told why they stay.
	for _, path := range []string{"/acme/members/leave", "/acme/members/" + ada + "/remove"} {
		w := s.send(ada, "POST", path, url.Values{})
		expect(t, w, 303, "/acme/members")
		flash := w.Result().Cookies()[0]
		r := s.send(ada, "GET", "/acme/members", nil, "Cookie", "__session="+ada+"; flash="+flash.Value)
		contains(t, r.Body.String(), "An organization needs an owner.")
	}
	contains(t, expect(t, s.send(ada, "GET", "/acme/members/"+bob+"/transfer", nil), 200, ""), "Make Bob Example the owner in your place?")
	expect(t, s.send(ada, "POST", "/acme/members/"+bob+"/transfer", url.Values{}), 303, "/acme/members/"+bob)
	expect(t, s.send(ada, "POST", "/acme/members/"+cleo+"/transfer", url.Values{}), 403, "")
	contains(t, expect(t, s.send(ada, "GET", "/acme/members/"+ada+"/remove", nil), 200, ""), "Leave Acme?")
	expect(t, s.send(ada, "POST", "/acme/members/leave", url.Values{}), 303, "/")
	expect(t, s.send(ada, "GET", "/acme/members", nil), 404, "")
}

func TestInviteForm(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for _, as := range []string{bob, vic} {
		expect(t, s.send(as, "GET", "/acme/members/invite", nil), 403, "")
		expect(t, s.send(as, "POST", "/acme/members/invite", url.Values{"email": {"x"}}, "Content-Type", "text/plain"), 403, "")
	}
	contains(t, expect(t, s.send(cleo, "GET", "/acme/members/invite", nil), 200, ""), `value="member" selected`, `-value="owner"`)
	for _, test := range []struct{ email, role, says, keeps string }{
		{`nobody"<b>`, "admin", "Use an email address", `value="nobody&#34;&lt;b&gt;"`},
		{"bob@example.com", "viewer", "invited already", `value="viewer" selected`},
		{"new@example.com", "owner", "Nobody can be invited as an owner.", `value="new@example.com"`},
	} {
		page := expect(t, s.send(cleo, "POST", "/acme/members/invite", url.Values{"email": {test.email}, "role": {test.role}}), 422, "")
		contains(t, page, test.says, test.keeps)
	}
	expect(t, s.send(cleo, "POST", "/acme/members/invite", url.Values{"email": {"new@example.com"}, "role": {"viewer"}}), 303, "/acme/members")
	page := expect(t, s.send(ada, "GET", "/acme/members", nil), 200, "")
	contains(t, page, "new@example.com", "/acme/members/invitations/orginv_1/resend", "/acme/members/invitations/orginv_1/revoke")

	expect(t, s.send(bob, "POST", "/acme/members/invitations/orginv_1/resend", url.Values{}), 403, "")
	expect(t, s.send(ada, "POST", "/acme/members/invitations/orginv_1/resend", url.Values{}), 303, "/acme/members")
	expect(t, s.send(ada, "POST", "/acme/members/invitations/orginv_1/resend", url.Values{}), 404, "")
	expect(t, s.send(ada, "GET", "/acme/members/invitations/orginv_1/revoke", nil), 404, "")
	contains(t, expect(t, s.send(ada, "GET", "/acme/members/invitations/orginv_2/revoke", nil), 200, ""), "Revoke the invitation of new@example.com?")
	expect(t, s.send(ada, "POST", "/acme/members/invitations/orginv_2/revoke", url.Values{}), 303, "/acme/members")
	contains(t, expect(t, s.send(ada, "GET", "/acme/members", nil), 200, ""), "No open invitations")
}

// TestMembersWhileTheProviderIsAway: who is there is shown all the same, forms
// keep what was typed, and the status says what the matter is.
func TestMembersWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for kind, status := range map[fault.Kind]int{fault.RateLimited: 429, fault.Unavailable: 503} {
		s.Provider.Fail(fault.New(kind, "The provider wants a rest.").WithRetryAfter(3 * time.Second))
		contains(t, expect(t, s.send(ada, "GET", "/acme/members", nil), 200, ""), "Bob Example", "The invitations cannot be shown right now", "The provider wants a rest.")
		w := s.send(ada, "POST", "/acme/members/invite", url.Values{"email": {"new@example.com"}, "role": {"admin"}})
		contains(t, expect(t, w, status, ""), "The provider wants a rest.", `value="new@example.com"`, `value="admin" selected`)
		if w.Header().Get("Retry-After") != "3" {
			t.Errorf("to be tried after %q", w.Header().Get("Retry-After"))
		}
		contains(t, expect(t, s.send(ada, "POST", "/acme/members/"+bob, url.Values{"role": {"admin"}}), status, ""), "The provider wants a rest.", `value="admin" selected`)
		expect(t, s.send(ada, "POST", "/acme/members/"+bob+"/remove", url.Values{}), 303, "/acme/members/"+bob)
		expect(t, s.send(bob, "POST", "/acme/members/leave", url.Values{}), 303, "/acme/members")
		_, access, err := s.Service.Enter(t.Context(), identity.Session{AccountID: bob}, "acme")
		if err != nil || access.Member.Role != identity.RoleMember {
			t.Errorf("Bob is %+v, %v", access.Member, err)
		}
	}
}
