package web_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/fault"
)

func TestSettingsPage(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	page := expect(t, s.send(ada, "GET", "/acme/settings", nil), 200, "")
	contains(t, page, `name="name"`, `value="acme"`, "/acme/settings/delete")
	for _, as := range []string{cleo, bob, vic} {
		expect(t, s.send(as, "GET", "/acme/settings", nil), 403, "")
		expect(t, s.send(as, "POST", "/acme/settings", url.Values{}), 403, "")
		expect(t, s.send(as, "POST", "/acme/settings/delete", url.Values{"confirmation": {"acme"}}), 403, "")
	}
	expect(t, s.send(eve, "GET", "/acme/settings", nil), 404, "")

	page = expect(t, s.send(ada, "POST", "/acme/settings", url.Values{"name": {"<script>x\u202e"}, "slug": {"admin"}}), 422, "")
	contains(t, page, "Use letters that can be printed.", "This word is reserved.", "&lt;script&gt;x", `value="admin"`, "-<script>x")
	s.Provider.Fail(fault.New(fault.Unavailable, "The provider is away."))
	page = expect(t, s.send(ada, "POST", "/acme/settings", url.Values{"name": {"Acme Sons"}, "slug": {"acme"}}), 503, "")
	contains(t, page, "The provider is away.", `value="Acme Sons"`)
	s.Provider.Fail(nil)
	expect(t, s.send(ada, "POST", "/acme/settings", url.Values{"name": {"Acme Sons"}, "slug": {"acme-sons"}}), 303, "/acme-sons/settings")
	contains(t, expect(t, s.send(ada, "GET", "/acme-sons/settings", nil), 200, ""), `value="Acme Sons"`, `value="acme-sons"`)
}

// TestSettingsThatSomebodyElseChanged are not overwritten by a form that was filled in
// before: who sent it sees both, and decides.
func TestSettingsThatSomebodyElseChanged(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	version := func(page string) string {
		return regexp.MustCompile(`name="version" value="([^"]*)"`).FindStringSubmatch(page)[1]
	}
	filled := version(expect(t, s.send(ada, "GET", "/acme/settings", nil), 200, ""))
	theirs := url.Values{"version": {filled}, "name": {"Acme <Sons>"}, "slug": {"acme-sons"}}
	expect(t, s.send(ada, "POST", "/acme/settings", theirs), 303, "/acme-sons/settings")

	mine := url.Values{"version": {filled}, "name": {"Acme"}, "slug": {"acme"}, "projects_public": {"on"}}
	answer := s.send(ada, "POST", "/acme-sons/settings", mine)
	page := expect(t, answer, 409, "")
	contains(t, page, "in the meantime", "Acme &lt;Sons&gt;", "/acme-sons", `value="Acme"`, `value="acme"`)
	if answer.Header().Get("HX-Retarget") != "#main" {
		t.Errorf("htmx does not show it: %v", answer.Header())
	}
	found, err := s.Tenants.Get(t.Context(), "org_acme")
	if err != nil || found.Name != "Acme <Sons>" || found.Slug.String() != "acme-sons" || found.ProjectsPublic {
		t.Errorf("the tenant is %+v, %v", found, err)
	}
	mine.Set("version", version(page))
	expect(t, s.send(ada, "POST", "/acme-sons/settings", mine), 303, "/acme/settings")
	// What is so already is no conflict.
	mine.Set("version", filled)
	expect(t, s.send(ada, "POST", "/acme/settings", mine), 303, "/acme/settings")
	mine.Set("name", "")
	contains(t, expect(t, s.send(ada, "POST", "/acme/settings", mine), 422, ""), `name="version" value="`+filled+`"`)
}

// TestImageOfAnOrganization is shown where it is set and on every page, or initials
// instead.
func TestImageOfAnOrganization(t *testing.T) {
	t.Parallel()
	s := newServerOf(t, clerk.InstanceConfig{PublishableKey: "pk_live_" + base64.StdEncoding.EncodeToString([]byte("clerk.example.com$")), PublicURL: origin})
	pictured := organization("acme", ada)
	pictured.Organizations[0].ImageURL = "https://img.clerk.com/a?width=1&x=2"
	s.tell(t, pictured)
	w := s.send(ada, "GET", "/acme/settings", nil)
	page := expect(t, w, 200, "")
	contains(t, page, `src="https://img.clerk.com/a?width=1&amp;x=2"`, "Change image", "-initials stand in")
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self' data: https:") {
		t.Errorf("the browser may not load it: %s", policy)
	}
	s = newStaff(t)
	contains(t, expect(t, s.send(ada, "GET", "/acme/settings", nil), 200, ""), "-<img", "initials stand in", "-Change image")
}

// TestFormerAddresses moves acme and asks for it where it was.
func TestFormerAddresses(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	for _, slug := range []string{"acme-two", "acme-sons"} {
		at := map[string]string{"acme-two": "acme", "acme-sons": "acme-two"}[slug]
		expect(t, s.send(ada, "POST", "/"+at+"/settings", url.Values{"name": {"Acme"}, "slug": {slug}}), 303, "/"+slug+"/settings")
	}
	for former, now := range map[string]string{
		"/acme":                                 "/acme-sons",
		"/acme/projects/x%2Fy?q=a%20b&u=//evil": "/acme-sons/projects/x%2Fy?q=a%20b&u=//evil",
		"/acme-two/settings":                    "/acme-sons/settings",
		"/%61cme/settings":                      "/acme-sons/settings",
		"/acme/nowhere":                         "/acme-sons/nowhere",
	} {
		for _, as := range []string{ada, vic} {
			answer := s.send(as, "GET", former, nil)
			expect(t, answer, 308, now)
			if kept := answer.Header().Get("Cache-Control"); kept != "no-store" {
				t.Errorf("%s may be remembered: %q", former, kept)
			}
		}
	}
	// A form that was open keeps its method and with it what was typed.
	expect(t, s.send(ada, "POST", "/acme/settings", url.Values{"name": {"x"}, "slug": {"y"}}), 308, "/acme-sons/settings")
	// Nobody else learns that there ever was something.
	requestID := regexp.MustCompile(`[A-Z2-7]{26}`)
	plain := func(path string) string {
		answer := s.send(eve, "GET", path, nil)
		return fmt.Sprint(answer.Code) + requestID.ReplaceAllString(strings.ReplaceAll(answer.Body.String(), path, "/"), "")
	}
	if former, unknown := plain("/acme/settings"), plain("/none/settings"); former != unknown || !strings.HasPrefix(former, "404") {
		t.Errorf("a former address is answered\n%s\nand one of nothing\n%s", former, unknown)
	}
	expect(t, s.send("", "GET", "/acme/settings", nil), 303, "/sign-in?redirect_url=%2Facme%2Fsettings")

	// Another organization that takes the address has it at once.
	taken := identity.Observation{
		Organizations: []identity.Organization{{ID: "org_new", Name: "New", Slug: "acme", CreatedBy: "user_eve", CreatedAt: time.Now(), UpdatedAt: time.Now()}},
		Memberships:   []identity.Membership{{ID: "orgmem_new", OrganizationID: "org_new", AccountID: "user_eve", ProviderRole: "org:admin", CreatedAt: time.Now(), UpdatedAt: time.Now()}},
	}
	if err := s.Sync.Apply(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	expect(t, s.send(ada, "GET", "/acme/settings", nil), 404, "")
	expect(t, s.send(ada, "GET", "/acme-two/settings", nil), 308, "/acme-sons/settings")

	// Who may not enter at the moment is told so where the tenant is.
	if _, err := s.Tenants.Suspend(t.Context(), "org_acme"); err != nil {
		t.Fatal(err)
	}
	expect(t, s.send(ada, "GET", "/acme-two/settings", nil), 308, "/acme-sons/settings")
	expect(t, s.send(ada, "GET", "/acme-sons/settings", nil), 403, "")
	expect(t, s.send(eve, "GET", "/acme-two/settings", nil), 404, "")
}

func TestDeletionOfAnOrganization(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	contains(t, expect(t, s.send(ada, "GET", "/acme/settings/delete", nil), 200, ""), `name="confirmation"`)
	page := expect(t, s.send(ada, "POST", "/acme/settings/delete", url.Values{"confirmation": {"acm"}}), 422, "")
	contains(t, page, "exactly as it is shown")
	s.Provider.Fail(fault.New(fault.Unavailable, "The provider is away."))
	expect(t, s.send(ada, "POST", "/acme/settings/delete", url.Values{"confirmation": {"acme"}}), 303, "/acme/settings")
	s.Provider.Fail(nil)
	expect(t, s.send(ada, "POST", "/acme/settings/delete", url.Values{"confirmation": {"acme"}}), 303, "/")
	if found, err := s.Tenants.Get(t.Context(), "org_acme"); err != nil || !found.Deleted() {
		t.Errorf("the tenant is %+v, %v", found, err)
	}
}

// TestSignInSettings shows the domains that the provider has, or why nobody can say,
// and leads to where single sign-on is set up if there is such a place.
func TestSignInSettings(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	const path = "/acme/settings/sign-in"
	contains(t, expect(t, s.send(ada, "GET", path, nil), 200, ""), "No domains", "local emulator", "-/acme/organization#/")
	s.Provider.PutDomains("org_acme",
		identity.Domain{Name: "acme.example", Verified: true, Enrollment: identity.EnrollBySuggestion}, identity.Domain{Name: "<b>.example", Enrollment: identity.EnrollByHand})
	contains(t, expect(t, s.send(ada, "GET", path, nil), 200, ""), "acme.example", "May ask to join", "Unverified", "&lt;b&gt;.example", "-<b>.example")
	for _, as := range []string{cleo, bob, vic} {
		expect(t, s.send(as, "GET", path, nil), 403, "")
	}
	s.Provider.Fail(fault.New(fault.RateLimited, "The identity provider asks us to slow down."))
	contains(t, expect(t, s.send(ada, "GET", path, nil), 200, ""), "cannot be shown right now", "slow down", "-acme.example")
	contains(t, expect(t, s.send(ada, "GET", "/acme/settings", nil), 200, ""), path)

	s = newServerOf(t, clerk.InstanceConfig{PublishableKey: "pk_live_" + base64.StdEncoding.EncodeToString([]byte("clerk.example.com$")), PublicURL: origin})
	s.tell(t, organization("acme", ada))
	contains(t, expect(t, s.send(ada, "GET", path, nil), 200, ""), "/acme/organization#/organization-security", "Add a domain", "-local emulator")
}
