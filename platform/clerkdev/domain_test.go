package clerkdev_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationdomain"

	"github.com/tenonhq/tenon/platform/clerkdev"
)

func TestDomains(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada := i.user(t, "ada@example.com")
	acme, globex := i.organization(t, "acme", ada), i.organization(t, "globex", ada)
	domains := organizationdomain.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{URL: new(i.backend + "/v1"), Key: new(i.SecretKey())}})
	create := func(organizationID, name, mode string, verified bool) (*clerk.OrganizationDomain, error) {
		return domains.Create(t.Context(), organizationID, &organizationdomain.CreateParams{Name: &name, EnrollmentMode: &mode, Verified: &verified})
	}
	before := len(i.Events())
	made, err := create(acme.ID, "acme.example", "automatic_suggestion", true)
	if err != nil || !strings.HasPrefix(made.ID, "orgdmn_") || made.Verification == nil || made.Verification.Status != "verified" || made.OrganizationID != acme.ID {
		t.Fatalf("%+v, %v", made, err)
	}
	other, err := create(acme.ID, "other.example", "manual_invitation", false)
	if err != nil || other.Verification != nil {
		t.Fatalf("%+v, %v", other, err)
	}
	if _, err := create(globex.ID, "other.example", "manual_invitation", false); err != nil {
		t.Errorf("what nobody has proved to be theirs: %v", err)
	}
	for verified, want := range map[bool]int64{true: 1, false: 1} {
		if list, err := domains.List(t.Context(), acme.ID, &organizationdomain.ListParams{Verified: &verified}); err != nil || list.TotalCount != want || (list.OrganizationDomains[0].Name == "acme.example") != verified {
			t.Errorf("verified %v: %+v, %v", verified, list, err)
		}
	}
	changed, err := domains.Update(t.Context(), &organizationdomain.UpdateParams{OrganizationID: acme.ID, DomainID: other.ID, Verified: new(true), EnrollmentMode: new("automatic_invitation")})
	if err != nil || changed.Verification == nil || changed.EnrollmentMode != "automatic_invitation" {
		t.Errorf("%+v, %v", changed, err)
	}
	for what, c := range map[string]struct {
		err  error
		want int
	}{
		"one that another has":   {errOf(create(globex.ID, "acme.example", "manual_invitation", false)), 422},
		"one twice":              {errOf(create(acme.ID, "acme.example", "manual_invitation", false)), 422},
		"no name":                {errOf(create(acme.ID, "", "manual_invitation", false)), 422},
		"no domain":              {errOf(create(acme.ID, "acme", "manual_invitation", false)), 422},
		"a path":                 {errOf(create(acme.ID, "../acme.example", "manual_invitation", false)), 422},
		"no way in":              {errOf(create(acme.ID, "x.example", "by_force", false)), 422},
		"no organization":        {errOf(create("org_none", "x.example", "manual_invitation", false)), 404},
		"another's":              {errOf(domains.Update(t.Context(), &organizationdomain.UpdateParams{OrganizationID: globex.ID, DomainID: made.ID, Verified: new(false)})), 404},
		"another's is deleted":   {errOf(domains.Delete(t.Context(), &organizationdomain.DeleteParams{OrganizationID: globex.ID, DomainID: made.ID})), 404},
		"changed to no way in":   {errOf(domains.Update(t.Context(), &organizationdomain.UpdateParams{OrganizationID: acme.ID, DomainID: made.ID, EnrollmentMode: new("by_force")})), 422},
		"of a lost organization": {errOf(domains.List(t.Context(), "org_none", &organizationdomain.ListParams{})), 404},
	} {
		if code, _ := status(c.err); code != c.want {
			t.Errorf("%s: %d %v", what, code, c.err)
		}
	}
	if _, err := domains.Delete(t.Context(), &organizationdomain.DeleteParams{OrganizationID: acme.ID, DomainID: other.ID}); err != nil {
		t.Error(err)
	}
	var types []string
	for _, event := range i.Events()[before:] {
		types = append(types, strings.TrimPrefix(event.Type, "organizationDomain."))
	}
	if got := strings.Join(types, " "); got != "created created created updated deleted" {
		t.Errorf("told are %s", got)
	}
	if _, err := i.organizations.Delete(t.Context(), acme.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := create(globex.ID, "acme.example", "manual_invitation", true); err != nil {
		t.Errorf("a domain outlives its organization: %v", err)
	}
}

func TestConsoleDomains(t *testing.T) {
	t.Parallel()
	p, _ := openConsole(t)
	acme := p.organization(t, "acme", p.user(t, "ada@example.com"))
	form := func(name, mode string) url.Values {
		return url.Values{"organization_id": {acme.ID}, "name": {name}, "enrollment_mode": {mode}, "verified": {"on"}}
	}
	if response, _ := p.visit(t, "POST", "/__clerk/organizations", form("Acme.example", "manual_invitation")); response.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", response.StatusCode)
	}
	if _, body := p.visit(t, "GET", "/__clerk/organizations", nil); !strings.Contains(body, "acme.example") {
		t.Error("the domain is not listed")
	}
	for name, sent := range map[string]url.Values{"twice": form("acme.example", "manual_invitation"), "no domain": form("acme", "manual_invitation"), "no way in": form("x.example", "by_force")} {
		response, body := p.visit(t, "POST", "/__clerk/organizations", sent)
		if response.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, `value="`+sent.Get("name")+`"`) || !strings.Contains(body, "aria-invalid") {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
	if response, _ := p.visit(t, "POST", "/__clerk/organizations", url.Values{"organization_id": {"org_none"}, "name": {"x.example"}}); response.StatusCode != http.StatusNotFound {
		t.Errorf("of nobody: %d", response.StatusCode)
	}
}
