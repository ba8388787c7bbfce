package clerkdev_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/tenonhq/tenon/platform/clerkdev"
)

// call sends one request with the secret key, for what the SDK has no method.
func (i *instance) call(t testing.TB, method, path, body string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, i.backend+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+i.SecretKey())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, answer
}

func raw(text string) *json.RawMessage { return new(json.RawMessage(text)) }

// TestMetadata goes both ways of the SDK: ReplaceMetadata, which its Update uses
// for metadata too, and UpdateMetadata, which merges.
func TestMetadata(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada := i.user(t, "ada@example.com")
	acme := i.organization(t, "acme", ada)

	replaced, err := i.users.ReplaceMetadata(t.Context(), ada.ID, &user.ReplaceMetadataParams{PublicMetadata: raw(`{"plan":{"seats":12345678901234567890}}`)})
	if err != nil || string(replaced.PublicMetadata) != `{"plan":{"seats":12345678901234567890}}` {
		t.Errorf("%s, %v", replaced.PublicMetadata, err)
	}
	merged, err := i.users.UpdateMetadata(t.Context(), ada.ID, &user.UpdateMetadataParams{PublicMetadata: raw(`{"plan":{"name":"pro"},"new":{"a":1,"gone":null}}`), UnsafeMetadata: raw(`{"u":1}`)})
	if err != nil || string(merged.PublicMetadata) != `{"new":{"a":1},"plan":{"name":"pro","seats":12345678901234567890}}` || string(merged.UnsafeMetadata) != `{"u":1}` {
		t.Errorf("%s, %v", merged.PublicMetadata, err)
	}
	o, err := i.organizations.ReplaceMetadata(t.Context(), acme.ID, &organization.ReplaceMetadataParams{PublicMetadata: raw(`{"a":1}`), PrivateMetadata: raw(`{"b":2}`)})
	if err != nil || string(o.PublicMetadata) != `{"a":1}` || string(o.PrivateMetadata) != `{"b":2}` {
		t.Errorf("%s %s, %v", o.PublicMetadata, o.PrivateMetadata, err)
	}
	o, err = i.organizations.UpdateMetadata(t.Context(), "acme", &organization.UpdateMetadataParams{PrivateMetadata: raw(`{"b":null,"c":3}`)})
	if err != nil || string(o.PublicMetadata) != `{"a":1}` || string(o.PrivateMetadata) != `{"c":3}` {
		t.Errorf("%s %s, %v", o.PublicMetadata, o.PrivateMetadata, err)
	}
	for _, bad := range []string{`[]`, `"text"`, `1`} {
		if code, _ := status(errOf(i.users.UpdateMetadata(t.Context(), ada.ID, &user.UpdateMetadataParams{PublicMetadata: raw(bad)}))); code != http.StatusUnprocessableEntity {
			t.Errorf("metadata %s: %d", bad, code)
		}
	}
	code, answer := i.call(t, "PATCH", "/v1/organizations/acme/memberships/"+ada.ID+"/metadata", `{"public_metadata":{"team":"red"}}`)
	if code != http.StatusOK || fmt.Sprint(answer["public_metadata"]) != "map[team:red]" {
		t.Errorf("%d %v", code, answer)
	}
}

// TestUserFilters looks for the same three people by everything that the SDK
// can ask for.
func TestUserFilters(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	make := func(name, phone string) *clerk.User {
		made, err := i.users.Create(t.Context(), &user.CreateParams{
			EmailAddresses: &[]string{name + "@example.com"}, PhoneNumbers: &[]string{phone}, FirstName: clerk.String(strings.ToUpper(name)), LastName: clerk.String("Example"),
			Username: clerk.String(name + "_1"), ExternalID: clerk.String("crm-" + name),
		})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	ada, bob, eve := make("ada", "+12025550101"), make("bob", "+12025550102"), make("eve", "+12025550103")
	acme, other := i.organization(t, "acme", ada), i.organization(t, "other", bob)
	if _, err := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: other.ID, UserID: &ada.ID, Role: clerk.String("org:member")}); err != nil {
		t.Fatal(err)
	}
	if _, err := i.sessions.Create(t.Context(), &session.CreateParams{UserID: eve.ID}); err != nil {
		t.Fatal(err)
	}
	if banned, err := i.users.Ban(t.Context(), bob.ID); err != nil || !banned.Banned {
		t.Errorf("%+v, %v", banned, err)
	}
	for name, c := range map[string]struct {
		params user.ListParams
		want   []string
	}{
		"the oldest first":         {user.ListParams{OrderBy: clerk.String("+created_at")}, []string{"ada", "bob", "eve"}},
		"a page":                   {user.ListParams{ListParams: clerk.ListParams{Limit: clerk.Int64(1), Offset: clerk.Int64(1)}}, []string{"bob"}},
		"past the end":             {user.ListParams{ListParams: clerk.ListParams{Offset: clerk.Int64(9)}}, nil},
		"part of an address":       {user.ListParams{EmailAddressQuery: clerk.String("ADA@")}, []string{"ada"}},
		"part of a number":         {user.ListParams{PhoneNumberQuery: clerk.String("0102")}, []string{"bob"}},
		"part of a username":       {user.ListParams{UsernameQuery: clerk.String("eve_")}, []string{"eve"}},
		"part of a name":           {user.ListParams{NameQuery: clerk.String("bob ex")}, []string{"bob"}},
		"an external id":           {user.ListParams{ExternalIDs: []string{"crm-ada", "crm-eve"}}, []string{"eve", "ada"}},
		"a phone number":           {user.ListParams{PhoneNumbers: []string{"+12025550103"}}, []string{"eve"}},
		"a username":               {user.ListParams{Usernames: []string{"bob_1"}}, []string{"bob"}},
		"in one of two":            {user.ListParams{OrganizationIDs: []string{acme.ID, "+" + other.ID}}, []string{"bob", "ada"}},
		"in one but not another":   {user.ListParams{OrganizationIDs: []string{other.ID, "-" + acme.ID}}, []string{"bob"}},
		"in none of one":           {user.ListParams{OrganizationIDs: []string{"-" + acme.ID}}, []string{"eve", "bob"}},
		"banned":                   {user.ListParams{Banned: clerk.Bool(true)}, []string{"bob"}},
		"made later":               {user.ListParams{CreatedAtAfter: &bob.CreatedAt}, []string{"eve"}},
		"made earlier":             {user.ListParams{CreatedAtBefore: &bob.CreatedAt}, []string{"ada"}},
		"ever signed in":           {user.ListParams{LastSignInAtAfter: clerk.Int64(0)}, []string{"eve"}},
		"everything asked at once": {user.ListParams{Query: clerk.String("example"), Banned: clerk.Bool(false), Usernames: []string{"ada_1"}}, []string{"ada"}},
	} {
		list, err := i.users.List(t.Context(), &c.params)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, u := range list.Users {
			got = append(got, strings.TrimSuffix(*u.Username, "_1"))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if code, answer := i.call(t, "GET", "/v1/users/count?last_active_at_since=0", ""); code != http.StatusOK || answer["total_count"] != 1.0 {
		t.Errorf("%d %v", code, answer) // an older name of last_active_at_after
	}
	if count, err := i.users.Count(t.Context(), &user.ListParams{NameQuery: clerk.String("example")}); err != nil || count.TotalCount != 3 {
		t.Errorf("%+v, %v", count, err)
	}
	mine, err := i.users.ListOrganizationMemberships(t.Context(), ada.ID, &user.ListOrganizationMembershipsParams{})
	if err != nil || mine.TotalCount != 2 {
		t.Errorf("%+v, %v", mine, err)
	}
	for name, params := range map[string]user.CreateParams{
		"a taken username":      {Username: clerk.String("ADA_1")},
		"a taken external id":   {ExternalID: clerk.String("crm-ada")},
		"a taken number":        {PhoneNumbers: &[]string{"+12025550101"}},
		"a number that is none": {PhoneNumbers: &[]string{"0101"}},
		"a name of two lines":   {FirstName: clerk.String("Ada\nAdmin")},
		"a name with a NUL":     {LastName: clerk.String("x\x00y")},
		"a name without end":    {FirstName: clerk.String(strings.Repeat("x", 10_000))},
		"a short password":      {Password: clerk.String("short")},
		"a longer password":     {Password: clerk.String(strings.Repeat("x", 73))},
	} {
		params.EmailAddresses = &[]string{"new@example.com"}
		if code, _ := status(errOf(i.users.Create(t.Context(), &params))); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, code)
		}
	}
	if count, err := i.users.Count(t.Context(), &user.ListParams{}); err != nil || count.TotalCount != 3 {
		t.Errorf("what was refused left something behind: %+v, %v", count, err)
	}
}

// TestBan holds that somebody who is locked out has no session, old or new.
func TestBan(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada := i.user(t, "ada@example.com")
	made, err := i.sessions.Create(t.Context(), &session.CreateParams{UserID: ada.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.users.Ban(t.Context(), ada.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := i.sessions.Get(t.Context(), made.ID); err != nil || got.Status != "revoked" {
		t.Errorf("%+v, %v", got, err)
	}
	if code, name := status(errOf(i.sessions.Create(t.Context(), &session.CreateParams{UserID: ada.ID}))); code != http.StatusForbidden || name != "user_banned" {
		t.Errorf("%d %s", code, name)
	}
	if _, err := i.users.Unban(t.Context(), ada.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := i.sessions.Create(t.Context(), &session.CreateParams{UserID: ada.ID}); err != nil {
		t.Error(err)
	}
}

// TestTwoFactor: what turns it on and off is the Backend API's, or the console.
func TestTwoFactor(t *testing.T) {
	t.Parallel()
	p, _ := openConsole(t)
	ada := p.user(t, "ada@example.com")
	is := func(want bool, what string) {
		t.Helper()
		got, err := p.users.Get(t.Context(), ada.ID)
		if err != nil || got.TwoFactorEnabled != want || got.TOTPEnabled != want {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	is(false, "a new account")
	if changed, err := p.users.Update(t.Context(), ada.ID, &user.UpdateParams{TOTPSecret: new("JBSWY3DPEHPK3PXP")}); err != nil || !changed.TwoFactorEnabled {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := p.users.DeleteMFA(t.Context(), &user.DeleteMFAParams{ID: ada.ID}); err != nil {
		t.Error(err)
	}
	is(false, "without a factor")
	for _, want := range []bool{true, false} {
		if response, _ := p.visit(t, "POST", "/__clerk/people/totp", url.Values{"user_id": {ada.ID}}); response.StatusCode != http.StatusSeeOther {
			t.Errorf("%d", response.StatusCode)
		}
		is(want, "by the console")
	}
	if response, _ := p.visit(t, "POST", "/__clerk/people/totp", url.Values{"user_id": {"user_none"}}); response.StatusCode != http.StatusNotFound {
		t.Errorf("nobody: %d", response.StatusCode)
	}
	if events := p.Events(); len(events) != 5 || events[4].Type != "user.updated" || !strings.Contains(string(events[1].Payload), `"two_factor_enabled":true`) {
		t.Errorf("%+v", events)
	}
}

// TestTokens holds what a session's tokens say, however they were asked for.
func TestTokens(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	if err := i.DefineRole("org:editor", "Editor", "org:projects:create", "org:projects:read", "org:invoices:read"); err != nil {
		t.Fatal(err)
	}
	ada, bob := i.user(t, "ada@example.com"), i.user(t, "bob@example.com")
	acme := i.organization(t, "acme", ada)
	if _, err := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: clerk.String("org:editor")}); err != nil {
		t.Fatal(err)
	}
	code, made := i.call(t, "POST", "/v1/sessions", fmt.Sprintf(`{"user_id":%q,"active_organization_id":%q}`, bob.ID, acme.ID))
	id, _ := made["id"].(string)
	if code != http.StatusOK || made["last_active_organization_id"] != acme.ID {
		t.Fatalf("%d %v", code, made)
	}
	token, err := i.sessions.CreateToken(t.Context(), &session.CreateTokenParams{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwt.GetJSONWebKey(t.Context(), &jwt.GetJSONWebKeyParams{KeyID: keyID(t, token.JWT), JWKSClient: i.jwks})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.Verify(t.Context(), &jwt.VerifyParams{Token: token.JWT, JWK: key, ProxyURL: clerk.String(i.Issuer())})
	if err != nil {
		t.Fatal(err)
	}
	if claims.ActiveOrganizationRole != "org:editor" || *claims.Expiry-*claims.IssuedAt != 60 || claims.SessionID != id {
		t.Errorf("%+v", claims)
	}
	for permission, want := range map[string]bool{
		"org:projects:create": true, "org:projects:read": true, "org:invoices:read": true, "org:invoices:create": false, "org:sys_memberships:read": false,
	} {
		if claims.HasPermission(permission) != want {
			t.Errorf("%s: %v", permission, !want)
		}
	}
	long, err := i.sessions.CreateToken(t.Context(), &session.CreateTokenParams{ID: id, ExpiresInSeconds: clerk.Int64(3600)})
	if err != nil {
		t.Fatal(err)
	}
	if decoded := decodeClaims(t, long.JWT); decoded["exp"].(float64)-decoded["iat"].(float64) != 3600 {
		t.Errorf("%v", decoded)
	}
	if _, err := i.sessions.CreateToken(t.Context(), &session.CreateTokenParams{ID: id, TemplateName: "supabase"}); err != nil {
		t.Error(err)
	}
	expired, err := i.SessionToken(id, clerkdev.TokenOptions{Lifetime: -time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := start(t, clerkdev.Config{}).users.Count(t.Context(), &user.ListParams{})
	if err != nil || foreign.TotalCount != 0 {
		t.Errorf("two emulators share their users: %+v, %v", foreign, err)
	}
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"a token":                  {fmt.Sprintf(`{"expired_token":%q,"refresh_token":"x","request_origin":"http://localhost:3000","request_headers":{"accept":["x"]}}`, expired), 200},
		"a cookie":                 {fmt.Sprintf(`{"expired_token":%q,"format":"cookie"}`, expired), 200},
		"what goes into the query": {fmt.Sprintf(`{"expired_token":%q,"suffixed_cookies":true}`, expired), 422},
		"no token":                 {`{}`, 422},
		"another's token":          {`{"expired_token":"a.b.c"}`, 422},
		"an unknown format":        {fmt.Sprintf(`{"expired_token":%q,"format":"xml"}`, expired), 422},
	} {
		if code, answer := i.call(t, "POST", "/v1/sessions/"+id+"/refresh", c.body); code != c.want {
			t.Errorf("refresh by %s: %d %v", name, code, answer)
		}
	}
	// Who leaves the organization has tokens without it from then on.
	if _, err := i.memberships.Delete(t.Context(), &organizationmembership.DeleteParams{OrganizationID: acme.ID, UserID: bob.ID}); err != nil {
		t.Fatal(err)
	}
	token, err = i.sessions.CreateToken(t.Context(), &session.CreateTokenParams{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if decoded := decodeClaims(t, token.JWT); decoded["o"] != nil {
		t.Errorf("%v", decoded)
	}
}

func keyID(t testing.TB, token string) string {
	t.Helper()
	decoded, err := jwt.Decode(t.Context(), &jwt.DecodeParams{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return decoded.KeyID
}

func decodeClaims(t testing.TB, token string) map[string]any {
	t.Helper()
	decoded, err := jwt.Decode(t.Context(), &jwt.DecodeParams{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	for _, part := range []any{decoded.RegisteredClaims, decoded.Extra} {
		if err := json.Unmarshal(mustJSON(t, part), &claims); err != nil {
			t.Fatal(err)
		}
	}
	return claims
}

func TestInvitationLists(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada := i.user(t, "ada@example.com")
	acme, other := i.organization(t, "acme", ada), i.organization(t, "other", ada)
	invite := func(o *clerk.Organization, email string, redirect *string) (*clerk.OrganizationInvitation, error) {
		return i.invitations.Create(t.Context(), &organizationinvitation.CreateParams{
			OrganizationID: o.ID, EmailAddress: &email, Role: clerk.String("org:member"), InviterUserID: &ada.ID, RedirectURL: redirect, ExpiresInDays: clerk.Int64(3),
		})
	}
	for _, email := range []string{"b@example.com", "c@example.com"} {
		if _, err := invite(acme, email, clerk.String("http://localhost:3000/welcome")); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere, err := invite(other, "b@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.invitations.Revoke(t.Context(), &organizationinvitation.RevokeParams{OrganizationID: other.ID, ID: elsewhere.ID, RequestingUserID: &ada.ID}); err != nil {
		t.Fatal(err)
	}
	if code, _ := status(errOf(invite(acme, "d@example.com", clerk.String("https://evil.example/")))); code != http.StatusUnprocessableEntity {
		t.Errorf("an invitation leads elsewhere: %d", code)
	}
	pending, err := i.invitations.List(t.Context(), &organizationinvitation.ListParams{OrganizationID: acme.ID, Statuses: &[]string{"pending"}, EmailAddress: clerk.String("B@example.com")})
	if err != nil || pending.TotalCount != 1 || pending.OrganizationInvitations[0].EmailAddress != "b@example.com" {
		t.Errorf("%+v, %v", pending, err)
	}
	all, err := i.invitations.ListFromInstance(t.Context(), &organizationinvitation.ListFromInstanceParams{Statuses: &[]string{"revoked"}})
	if err != nil || all.TotalCount != 1 || all.OrganizationInvitations[0].ID != elsewhere.ID {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := i.invitations.Get(t.Context(), &organizationinvitation.GetParams{OrganizationID: acme.ID, ID: elsewhere.ID}); err == nil {
		t.Error("an organization shows another's invitation")
	}
	code, list := i.call(t, "GET", "/v1/organization_memberships?role=org:admin&user_id="+ada.ID, "")
	if code != http.StatusOK || list["total_count"] != 2.0 {
		t.Errorf("%d %v", code, list)
	}
}

// TestLimits holds the limits that somebody can set.
func TestLimits(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada, bob := i.user(t, "ada@example.com"), i.user(t, "bob@example.com")
	if _, err := i.users.Update(t.Context(), ada.ID, &user.UpdateParams{CreateOrganizationsLimit: new(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := i.users.Update(t.Context(), bob.ID, &user.UpdateParams{CreateOrganizationEnabled: clerk.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	acme := i.organization(t, "acme", ada)
	for name, by := range map[string]*clerk.User{"one too many": ada, "not allowed": bob} {
		if code, _ := status(errOf(i.organizations.Create(t.Context(), &organization.CreateParams{Name: clerk.String("x"), CreatedBy: &by.ID}))); code != http.StatusForbidden {
			t.Errorf("%s: %d", name, code)
		}
	}
	if _, err := i.organizations.Update(t.Context(), acme.ID, &organization.UpdateParams{MaxAllowedMemberships: clerk.Int64(1)}); err != nil {
		t.Fatal(err)
	}
	if code, _ := status(errOf(i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: clerk.String("org:member")}))); code != http.StatusForbidden {
		t.Errorf("one member too many: %d", code)
	}
}

// TestManyInvitationsAreMadeOrNone holds one that cannot be made against others
// that can.
func TestManyInvitationsAreMadeOrNone(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	acme := i.organization(t, "acme", i.user(t, "ada@example.com"))
	path := "/v1/organizations/" + acme.ID + "/invitations/bulk"
	one := func(address string) string {
		return fmt.Sprintf(`{"email_address":%q,"role":"org:member"}`, address)
	}
	events := len(i.Events())
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"none":                   {`[]`, http.StatusBadRequest},
		"no list":                {one("a@example.com"), http.StatusBadRequest},
		"too many":               {"[" + strings.Repeat(one("a@example.com")+",", 10) + one("b@example.com") + "]", http.StatusBadRequest},
		"somebody twice":         {"[" + one("a@example.com") + "," + one("A@example.com") + "]", http.StatusBadRequest},
		"a member":               {"[" + one("a@example.com") + "," + one("ada@example.com") + "]", http.StatusBadRequest},
		"an unknown parameter":   {`[{"email_address":"a@example.com","role":"org:member","x":1}]`, http.StatusUnprocessableEntity},
		"one without a role":     {`[` + one("a@example.com") + `,{"email_address":"b@example.com"}]`, http.StatusUnprocessableEntity},
		"one without an address": {`[` + one("a@example.com") + `,{"role":"org:member"}]`, http.StatusUnprocessableEntity},
	} {
		if code, answer := i.call(t, "POST", path, c.body); code != c.want {
			t.Errorf("%s: %d %v", name, code, answer)
		}
	}
	if code, answer := i.call(t, "GET", "/v1/organizations/"+acme.ID+"/invitations", ""); code != http.StatusOK || answer["total_count"] != 0.0 || len(i.Events()) != events {
		t.Errorf("%d %v and %d events", code, answer, len(i.Events())-events)
	}
	if code, answer := i.call(t, "POST", path, "["+one("a@example.com")+","+one("b@example.com")+"]"); code != http.StatusOK || answer["total_count"] != 2.0 {
		t.Errorf("%d %v", code, answer)
	}
}

func TestALockedUserStaysWhereTheyAre(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada := i.user(t, "ada@example.com")
	signedIn, err := i.sessions.Create(t.Context(), &session.CreateParams{UserID: ada.ID})
	if err != nil {
		t.Fatal(err)
	}
	if code, answer := i.call(t, "POST", "/v1/users/"+ada.ID+"/lock", ""); code != http.StatusOK || answer["locked"] != true {
		t.Errorf("%d %v", code, answer)
	}
	if code, name := status(errOf(i.sessions.Create(t.Context(), &session.CreateParams{UserID: ada.ID}))); code != http.StatusForbidden || name != "user_locked" {
		t.Errorf("locked: %d %s", code, name)
	}
	if _, err := i.sessions.CreateToken(t.Context(), &session.CreateTokenParams{ID: signedIn.ID}); err != nil {
		t.Errorf("the session from before: %v", err)
	}
	if code, _ := i.call(t, "POST", "/v1/users/"+ada.ID+"/unlock", ""); code != http.StatusOK {
		t.Error(code)
	}
	if _, err := i.sessions.Create(t.Context(), &session.CreateParams{UserID: ada.ID}); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

// FuzzBackend sends bodies to every endpoint that takes one. Whatever comes, the
// answer is JSON, nothing panics, and only a well-formed request changes
// something.
func FuzzBackend(f *testing.F) {
	emulator, err := clerkdev.New(clerkdev.Config{PublicURL: "http://localhost:3000"})
	if err != nil {
		f.Fatal(err)
	}
	handler := emulator.Backend()
	for _, seed := range []string{
		`{"email_address":["a@example.com"],"password":"long enough"}`, `{"name":"Acme","slug":"acme"}`, `{"role":"org:admin"}`,
		`{"public_metadata":{"a":null}}`, `{"user_id":"user_1"}`, `{"expired_token":"a.b.c"}`, `{`, `[]`, `null`, `{"name":1}`, "\xff", `{"name":"\u0000"}`,
	} {
		f.Add("POST", "/v1/users", seed)
		f.Add("PATCH", "/v1/organizations/acme", seed)
		f.Add("PUT", "/v1/users/x/metadata?limit=-1", seed)
		f.Add("POST", "/v1/sessions/x/refresh", seed)
		f.Add("POST", "/v1/organizations/x/invitations/bulk", "["+seed+"]")
		f.Add("POST", "/v1/users/x/verify_password", seed)
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+target, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(request.URL.Path, "/v1/") {
			t.Skip("no request that a server would get")
		}
		request.Header.Set("Authorization", "Bearer "+emulator.SecretKey())
		before := len(emulator.Events())
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		answer, err := io.ReadAll(w.Result().Body)
		if err != nil || w.Code >= 500 {
			t.Fatalf("%s %s %q: %d %s, %v", method, target, body, w.Code, answer, err)
		}
		if w.Code == http.StatusMethodNotAllowed || w.Code == http.StatusTemporaryRedirect { // the ServeMux answers these
			return
		}
		if !json.Valid(bytes.TrimSpace(answer)) {
			t.Errorf("%s %s %q: %d %s", method, target, body, w.Code, answer)
		}
		if w.Code != http.StatusOK && len(emulator.Events()) != before {
			t.Errorf("%s %s %q is refused and changed something", method, target, body)
		}
	})
}
