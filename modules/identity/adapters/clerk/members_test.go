package clerk_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/fault"
)

// TestProviderContract holds the provider to its contract over the emulator's
// Backend API.
func TestProviderContract(t *testing.T) {
	t.Parallel()
	identitytest.RunProvider(t, func(t *testing.T) identitytest.ProviderWorld {
		emulator, err := clerkdev.New(clerkdev.Config{
			PublicURL: "http://localhost:3000", Roles: []clerkdev.Role{{Key: "org:viewer", Name: "Viewer"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(emulator.Backend())
		t.Cleanup(server.Close)
		config := sdk.BackendConfig{HTTPClient: server.Client(), URL: new(server.URL + "/v1"), Key: new(emulator.SecretKey())}
		client := &sdk.ClientConfig{BackendConfig: config}
		w := identitytest.ProviderWorld{Provider: clerk.NewProvider(sdk.NewBackend(&config))}
		w.Bar = func(t *testing.T, id string) {
			if _, err := user.NewClient(client).Update(t.Context(), id, &user.UpdateParams{CreateOrganizationEnabled: new(false)}); err != nil {
				t.Fatal(err)
			}
		}
		for email, into := range map[string]*identitytest.ProviderAccount{
			"ada@example.com": &w.Admin, "bob@example.com": &w.Member, "eve@example.com": &w.Other,
		} {
			made, err := user.NewClient(client).Create(t.Context(), &user.CreateParams{EmailAddresses: &[]string{email}})
			if err != nil {
				t.Fatal(err)
			}
			*into = identitytest.ProviderAccount{ID: made.ID, Email: email}
		}
		made, err := organization.NewClient(client).Create(t.Context(), &organization.CreateParams{Name: new("Acme"), CreatedBy: &w.Admin.ID})
		if err != nil {
			t.Fatal(err)
		}
		w.OrganizationID = made.ID
		_, err = organizationmembership.NewClient(client).Create(t.Context(), &organizationmembership.CreateParams{
			OrganizationID: made.ID, UserID: &w.Member.ID, Role: new("org:member"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return w
	})
}

// TestInvitationsReadEveryPage: an organization may have more invitations than
// Clerk lists at once.
func TestInvitationsReadEveryPage(t *testing.T) {
	t.Parallel()
	one := `{"id":"orginv_1","email_address":"new@example.com","role":"org:member","status":"pending","inviter_id":null,"created_at":1700000000000,"expires_at":1700000001000}`
	provider, api := newProvider(t, map[string]http.HandlerFunc{
		"GET /organizations/org_1/invitations": func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("offset") == "0" {
				answer(list(3, one, one))(w, r)
				return
			}
			answer(list(3, one))(w, r)
		},
	})
	got, err := provider.Invitations(t.Context(), "org_1")
	want := identity.Invitation{
		ID: "orginv_1", Email: "new@example.com", Role: identity.RoleMember,
		CreatedAt: time.UnixMilli(1700000000000).UTC(), ExpiresAt: time.UnixMilli(1700000001000).UTC(),
	}
	if err != nil || len(got) != 3 || got[0] != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(api.requests) != 2 || !strings.Contains(api.requests[1], "offset=2") || !strings.Contains(api.requests[1], "status=pending") {
		t.Errorf("asked %q", api.requests)
	}
}

// TestDomainsReadEveryPage: in the order of their names, whatever Clerk's is, and
// with what is new to us told as the least.
func TestDomainsReadEveryPage(t *testing.T) {
	t.Parallel()
	provider, api := newProvider(t, map[string]http.HandlerFunc{
		"GET /organizations/org_1/domains": func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("offset") == "0" {
				answer(list(4, `{"name":"b.example","enrollment_mode":"automatic_suggestion","verification":null}`,
					`{"name":"a.example","enrollment_mode":"automatic_invitation","verification":{"status":"verified","strategy":"affiliation_email_code"}}`))(w, r)
				return
			}
			answer(list(4, `{"name":"d.example","enrollment_mode":"something_new","verification":{"status":"unverified"}}`, `{"name":"c.example","enrollment_mode":"manual_invitation","verification":{"status":"expired"}}`))(w, r)
		},
	})
	got, err := provider.Domains(t.Context(), "org_1")
	want := []identity.Domain{
		{Name: "a.example", Verified: true, Enrollment: identity.EnrollByInvitation}, {Name: "b.example", Enrollment: identity.EnrollBySuggestion},
		{Name: "c.example", Enrollment: identity.EnrollByHand}, {Name: "d.example", Enrollment: identity.EnrollByHand},
	}
	if err != nil || !slices.Equal(got, want) || len(api.requests) != 2 {
		t.Errorf("got %+v, %v by %q", got, err, api.requests)
	}
	if _, err := provider.Domains(t.Context(), "../org_1"); !fault.Is(err, fault.NotFound) || len(api.requests) != 2 {
		t.Errorf("no id: %v", err)
	}
}

// TestMembersFailuresHaveKinds has Clerk's codes and statuses as its reference
// lists them.
func TestMembersFailuresHaveKinds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		kind   fault.Kind
		field  string
		retry  time.Duration
	}{
		"invited already": {400, `{"errors":[{"code":"duplicate_record"}]}`, fault.Conflict, "email", 0},
		"a member":        {400, `{"errors":[{"code":"already_a_member_in_organization"}]}`, fault.Conflict, "email", 0},
		"full":            {403, `{"errors":[{"code":"organization_membership_quota_exceeded"}]}`, fault.Conflict, "", 0},
		"no address":      {422, `{"errors":[{"code":"form_param_format_invalid","meta":{"param_name":"email_address"}}]}`, fault.Invalid, "email", 0},
		"no such role":    {404, `{"errors":[{"code":"resource_not_found","meta":{"param_name":"role"}}]}`, fault.Invalid, "role", 0},
		"something else":  {422, `{"errors":[{"code":"form_param_invalid","meta":{"param_name":"private_metadata"}}]}`, fault.Invalid, "", 0},
		"odd meta":        {422, `{"errors":[{"code":"x","meta":[1]}]}`, fault.Invalid, "", 0},
		"not known":       {404, `{"errors":[{"code":"resource_not_found"}]}`, fault.NotFound, "", 0},
		"too many":        {429, `{"errors":[{"code":"too_many_requests"}]}`, fault.RateLimited, "", 7 * time.Second},
		"away":            {503, `{"errors":[]}`, fault.Unavailable, "", 0},
		"our key":         {401, `{"errors":[{"code":"authentication_invalid"}]}`, fault.Internal, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, _ := newProvider(t, map[string]http.HandlerFunc{"/organizations/": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if test.retry > 0 {
					w.Header().Set("Retry-After", "7")
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}})
			_, inviteErr := provider.Invite(t.Context(), "org_1", identity.Invitation{Email: "a@example.com", Role: identity.RoleMember})
			_, roleErr := provider.ChangeRole(t.Context(), "org_1", "user_1", "org:admin")
			_, removeErr := provider.RemoveMember(t.Context(), "org_1", "user_1")
			_, listErr := provider.Invitations(t.Context(), "org_1")
			revokeErr := provider.RevokeInvitation(t.Context(), "org_1", "orginv_1", "user_1")
			for _, err := range []error{inviteErr, roleErr, removeErr, listErr, revokeErr} {
				if !fault.Is(err, test.kind) || fault.As(err).RetryAfter != test.retry {
					t.Errorf("%v after %v: %v", fault.KindOf(err), fault.As(err).RetryAfter, err)
				}
				if fields := fault.As(err).Fields; len(fields) > 0 && fields[0].Name != test.field || len(fields) == 0 && test.field != "" {
					t.Errorf("fields %+v", fields)
				}
			}
		})
	}
}

// TestARoleThatTheInstanceDoesNotHave: the product's viewers are a role that
// somebody has to add at Clerk, and until then it is the role that is blamed and
// not the person or the organization.
func TestARoleThatTheInstanceDoesNotHave(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		roles http.HandlerFunc
		kind  fault.Kind
	}{
		"it is not there":          {answer(list(1, `{"key":"org:viewer_of_much"}`)), fault.Invalid},
		"it is there":              {answer(list(2, `{"key":"org:viewer_of_much"}`, `{"key":"org:viewer"}`)), fault.NotFound},
		"nobody can say":           {func(w http.ResponseWriter, _ *http.Request) { refuseCall(w, http.StatusTooManyRequests) }, fault.NotFound},
		"the key may not ask":      {func(w http.ResponseWriter, _ *http.Request) { refuseCall(w, http.StatusForbidden) }, fault.NotFound},
		"the answer is unheard of": {answer(`{"data":"none"}`), fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, api := newProvider(t, map[string]http.HandlerFunc{"GET /organization_roles": test.roles})
			_, inviteErr := provider.Invite(t.Context(), "org_1", identity.Invitation{Email: "a@example.com", Role: identity.RoleViewer})
			_, roleErr := provider.ChangeRole(t.Context(), "org_1", "user_1", "org:viewer")
			for _, err := range []error{inviteErr, roleErr} {
				if !fault.Is(err, test.kind) || test.kind == fault.Invalid && fault.As(err).Fields[0].Name != "role" {
					t.Errorf("%v: %v", fault.KindOf(err), err)
				}
			}
			if len(api.requests) != 4 || !strings.Contains(api.requests[1], "query=org%3Aviewer") {
				t.Errorf("asked %q", api.requests)
			}
		})
	}
}

// TestOnlyIDsReachAMembersPath: see [TestOnlyIDsReachAPath].
func TestOnlyIDsReachAMembersPath(t *testing.T) {
	t.Parallel()
	provider, api := newProvider(t, nil)
	for _, id := range []string{"", "..", "../organizations/org_1", "a/b", "a?b", "a%2Fb", "a\n", "ü"} {
		_, err1 := provider.ChangeRole(t.Context(), id, "user_1", "org:admin")
		_, err2 := provider.RemoveMember(t.Context(), "org_1", id)
		_, err3 := provider.Invitation(t.Context(), "org_1", id)
		_, err4 := provider.Invitations(t.Context(), id)
		_, err5 := provider.Invite(t.Context(), id, identity.Invitation{Email: "a@example.com"})
		err6 := provider.RevokeInvitation(t.Context(), "org_1", id, "user_1")
		for n, err := range []error{err1, err2, err3, err4, err5, err6} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%d for %q: %v", n, id, err)
			}
		}
	}
	if len(api.requests) != 0 {
		t.Errorf("asked for %q", api.requests)
	}
}
