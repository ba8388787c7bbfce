package clerkdev_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/tenonhq/tenon/platform/clerkdev"
)

// instance is an emulator with the real SDK's clients.
type instance struct {
	*clerkdev.Emulator
	backend       string
	users         *user.Client
	organizations *organization.Client
	memberships   *organizationmembership.Client
	invitations   *organizationinvitation.Client
	sessions      *session.Client
	jwks          *jwks.Client
}

func start(t testing.TB, cfg clerkdev.Config) *instance {
	t.Helper()
	if cfg.PublicURL == "" {
		cfg.PublicURL = "http://localhost:3000"
	}
	cfg.Roles = append(cfg.Roles, clerkdev.Role{Key: "org:viewer", Name: "Viewer"})
	emulator, err := clerkdev.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(emulator.Backend())
	t.Cleanup(server.Close)
	config := &clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		URL: clerk.String(server.URL + "/v1"), Key: clerk.String(emulator.SecretKey()), HTTPClient: server.Client(),
	}}
	return &instance{
		emulator, server.URL, user.NewClient(config), organization.NewClient(config), organizationmembership.NewClient(config),
		organizationinvitation.NewClient(config), session.NewClient(config), jwks.NewClient(config),
	}
}

func (i *instance) user(t testing.TB, email string) *clerk.User {
	t.Helper()
	made, err := i.users.Create(t.Context(), &user.CreateParams{
		EmailAddresses: &[]string{email}, FirstName: clerk.String("Ada"), Password: clerk.String("long enough"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (i *instance) organization(t testing.TB, slug string, owner *clerk.User) *clerk.Organization {
	t.Helper()
	made, err := i.organizations.Create(t.Context(), &organization.CreateParams{Name: clerk.String("Name of " + slug), Slug: &slug, CreatedBy: &owner.ID})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// status is the HTTP status and the code that Clerk's error has.
func status(err error) (int, string) {
	if answer, ok := errors.AsType[*clerk.APIErrorResponse](err); ok && len(answer.Errors) > 0 {
		return answer.HTTPStatusCode, answer.Errors[0].Code
	}
	return 0, ""
}

func TestUsers(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada, bob := i.user(t, "ada@example.com"), i.user(t, "bob@example.com")
	if ada.PrimaryEmailAddressID == nil || ada.EmailAddresses[0].ID != *ada.PrimaryEmailAddressID || !ada.PasswordEnabled {
		t.Errorf("%+v", ada)
	}
	got, err := i.users.Get(t.Context(), ada.ID)
	if err != nil || got.ID != ada.ID {
		t.Errorf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		params *user.ListParams
		want   []string
	}{
		"everybody, the newest first": {&user.ListParams{}, []string{bob.ID, ada.ID}},
		"by address":                  {&user.ListParams{EmailAddresses: []string{"ADA@example.com"}}, []string{ada.ID}},
		"by text":                     {&user.ListParams{Query: clerk.String("bob")}, []string{bob.ID}},
		"nobody":                      {&user.ListParams{UserIDs: []string{"user_x"}}, nil},
	} {
		list, err := i.users.List(t.Context(), c.params)
		var ids []string
		for _, u := range list.Users {
			ids = append(ids, u.ID)
		}
		if err != nil || !slices.Equal(ids, c.want) || list.TotalCount != int64(len(c.want)) {
			t.Errorf("%s: %v of %d, %v", name, ids, list.TotalCount, err)
		}
	}
	changed, err := i.users.Update(t.Context(), ada.ID, &user.UpdateParams{FirstName: clerk.String("Augusta")})
	if err != nil || *changed.FirstName != "Augusta" || changed.UpdatedAt <= ada.UpdatedAt {
		t.Errorf("%+v, %v", changed, err)
	}
	metadata := json.RawMessage(`{"a":{"b":1,"c":2}}`)
	if _, err := i.users.UpdateMetadata(t.Context(), ada.ID, &user.UpdateMetadataParams{PublicMetadata: &metadata}); err != nil {
		t.Fatal(err)
	}
	patch := json.RawMessage(`{"a":{"b":null,"d":3}}`)
	if merged, err := i.users.UpdateMetadata(t.Context(), ada.ID, &user.UpdateMetadataParams{PublicMetadata: &patch}); err != nil || string(merged.PublicMetadata) != `{"a":{"c":2,"d":3}}` {
		t.Errorf("%s, %v", merged.PublicMetadata, err)
	}
	for name, email := range map[string]string{"taken": "ada@EXAMPLE.com", "malformed": "nobody"} {
		_, err := i.users.Create(t.Context(), &user.CreateParams{EmailAddresses: &[]string{email}})
		if code, _ := status(err); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := i.users.Delete(t.Context(), bob.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := i.users.Get(t.Context(), bob.ID); err == nil {
		t.Error("a deleted user is still there")
	}
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada, bob := i.user(t, "ada@example.com"), i.user(t, "bob@example.com")
	acme := i.organization(t, "acme", ada)
	for _, key := range []string{acme.ID, "acme"} {
		if got, err := i.organizations.Get(t.Context(), key); err != nil || got.ID != acme.ID || got.CreatedBy != ada.ID {
			t.Errorf("%s: %+v, %v", key, got, err)
		}
	}
	if _, err := i.organizations.Create(t.Context(), &organization.CreateParams{Name: clerk.String("x"), Slug: clerk.String("acme")}); err == nil {
		t.Error("a slug is given twice")
	}
	list, err := i.memberships.List(t.Context(), &organizationmembership.ListParams{OrganizationID: acme.ID})
	if err != nil || len(list.OrganizationMemberships) != 1 || list.OrganizationMemberships[0].Role != "org:admin" {
		t.Errorf("%+v, %v", list, err)
	}
	first, err := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: clerk.String("org:member")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: clerk.String("org:member")}); err == nil {
		t.Error("somebody is a member twice")
	}
	if changed, err := i.memberships.Update(t.Context(), &organizationmembership.UpdateParams{OrganizationID: acme.ID, UserID: bob.ID, Role: clerk.String("org:viewer")}); err != nil || changed.Role != "org:viewer" || changed.ID != first.ID {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := i.memberships.Delete(t.Context(), &organizationmembership.DeleteParams{OrganizationID: acme.ID, UserID: bob.ID}); err != nil {
		t.Fatal(err)
	}
	again, err := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: clerk.String("org:member")})
	if err != nil || again.ID == first.ID {
		t.Errorf("who is added again has the same membership: %+v, %v", again, err)
	}
	var types []string
	for _, event := range i.Events() {
		types = append(types, event.Type)
		if !json.Valid(event.Payload) || !strings.HasPrefix(event.ID, "msg_") {
			t.Errorf("%+v", event)
		}
	}
	want := []string{
		"user.created", "user.created", "organization.created", "organizationMembership.created", "organizationMembership.created",
		"organizationMembership.updated", "organizationMembership.deleted", "organizationMembership.created",
	}
	if !slices.Equal(types, want) {
		t.Errorf("the events are %v", types)
	}
	if _, err := i.organizations.Delete(t.Context(), acme.ID); err != nil {
		t.Fatal(err)
	}
	if code, name := status(errOf(i.organizations.Get(t.Context(), acme.ID))); code != http.StatusNotFound || name != "resource_not_found" {
		t.Errorf("a deleted organization: %d %s", code, name)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestInvitations(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	acme := i.organization(t, "acme", i.user(t, "ada@example.com"))
	invite := func(email string) (*clerk.OrganizationInvitation, error) {
		return i.invitations.Create(t.Context(), &organizationinvitation.CreateParams{OrganizationID: acme.ID, EmailAddress: &email, Role: clerk.String("org:member")})
	}
	made, err := invite("bob@example.com")
	if err != nil || made.Status != "pending" {
		t.Fatalf("%+v, %v", made, err)
	}
	for name, email := range map[string]string{"a second time": "bob@example.com", "a member": "ada@example.com", "nobody": "?"} {
		if _, err := invite(email); err == nil {
			t.Errorf("%s is invited", name)
		}
	}
	for n, want := range []bool{true, false} {
		_, err := i.invitations.Revoke(t.Context(), &organizationinvitation.RevokeParams{OrganizationID: acme.ID, ID: made.ID})
		if (err == nil) != want {
			t.Errorf("revoked %d times: %v", n+1, err)
		}
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada := i.user(t, "ada@example.com")
	acme := i.organization(t, "acme", ada)
	made, err := i.sessions.Create(t.Context(), &session.CreateParams{UserID: ada.ID})
	if err != nil {
		t.Fatal(err)
	}
	set, err := i.jwks.Get(t.Context(), &jwks.GetParams{})
	if err != nil || len(set.Keys) != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	for version, options := range map[string]clerkdev.TokenOptions{"1": {Version: 1, OrganizationID: acme.ID}, "2": {OrganizationID: acme.ID}} {
		token, err := i.SessionToken(made.ID, options)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := jwt.Verify(t.Context(), &jwt.VerifyParams{Token: token, JWK: set.Keys[0], ProxyURL: clerk.String(i.Issuer())})
		if err != nil || claims.Subject != ada.ID || claims.ActiveOrganizationID != acme.ID || claims.ActiveOrganizationSlug != "acme" {
			t.Errorf("version %s: %+v, %v", version, claims, err)
		}
	}
	if _, err := i.sessions.CreateToken(t.Context(), &session.CreateTokenParams{ID: made.ID}); err != nil {
		t.Error(err)
	}
	if _, err := i.sessions.Revoke(t.Context(), &session.RevokeParams{ID: made.ID}); err != nil {
		t.Error(err)
	}
	if _, err := i.sessions.CreateToken(t.Context(), &session.CreateTokenParams{ID: made.ID}); err == nil {
		t.Error("a revoked session has tokens")
	}
	if err := i.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if rotated, err := i.jwks.Get(t.Context(), &jwks.GetParams{}); err != nil || rotated.Keys[0].KeyID == set.Keys[0].KeyID {
		t.Errorf("%+v, %v", rotated, err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	call := func(method, path, key, body string) int {
		request, err := http.NewRequestWithContext(t.Context(), method, i.backend+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || !json.Valid(text) {
			t.Errorf("%s %s: %s", method, path, text)
		}
		return response.StatusCode
	}
	good := "Bearer " + i.SecretKey()
	for name, c := range map[string]struct {
		method, path, key, body string
		want                    int
	}{
		"no key":               {"GET", "/v1/users", "", "", 401},
		"another key":          {"GET", "/v1/users", "Bearer sk_live_x", "", 401},
		"an unknown path":      {"GET", "/v1/teams", good, "", 404},
		"an unknown parameter": {"GET", "/v1/users?colour=red", good, "", 422},
		"a limit out of range": {"GET", "/v1/users?limit=100000", good, "", 422},
		"an unknown property":  {"POST", "/v1/organizations", good, `{"name":"x","colour":"red"}`, 422},
		"a wrong type":         {"POST", "/v1/organizations", good, `{"name":1}`, 422},
		"no JSON":              {"POST", "/v1/organizations", good, `{`, 400},
		"no name":              {"POST", "/v1/organizations", good, `{}`, 422},
		"a slug that is none":  {"POST", "/v1/organizations", good, `{"name":"x","slug":"No Slug"}`, 422},
		"a body too large":     {"POST", "/v1/organizations", good, `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, 413},
		"dots in an id":        {"GET", "/v1/users/..%2Forganizations", good, "", 404},
	} {
		if got := call(c.method, c.path, c.key, c.body); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	for name, cfg := range map[string]clerkdev.Config{
		"an address of everybody's": {PublicURL: "http://0.0.0.0:3000"},
		"another machine":           {PublicURL: "https://app.example.com"},
		"a webhook elsewhere":       {PublicURL: "http://localhost:3000", WebhookURL: "https://example.com/hook"},
		"a path":                    {PublicURL: "http://localhost:3000/app"},
	} {
		if _, err := clerkdev.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// receiver is an application that takes webhooks, as unreliably as it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	refuse int
	ids    []string
	arrive chan struct{}
}

func receive(t *testing.T, secret func() string) *receiver {
	r := &receiver{arrive: make(chan struct{}, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		verifier, err := svix.NewWebhook(secret())
		if err == nil {
			err = verifier.Verify(body, request.Header)
		}
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse > 0 {
			r.refuse--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.ids = append(r.ids, request.Header.Get("svix-id"))
		r.arrive <- struct{}{}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) wait(t *testing.T, n int) []string {
	t.Helper()
	for range n {
		select {
		case <-r.arrive:
		case <-time.After(10 * time.Second):
			t.Fatal("an event does not arrive")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ids)
}

func runs(t *testing.T, e *clerkdev.Emulator) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	var i *instance
	r := receive(t, func() string { return i.WebhookSecret() })
	i = start(t, clerkdev.Config{WebhookURL: r.URL})
	r.refuse = 2
	runs(t, i.Emulator)
	i.user(t, "ada@example.com")
	ids := r.wait(t, 1)
	events := i.Events()
	if len(ids) != 1 || ids[0] != events[0].ID {
		t.Errorf("%v arrived of %+v", ids, events)
	}
	i.SetDelivery(clerkdev.Delivery{Duplicate: true})
	i.user(t, "bob@example.com")
	if ids := r.wait(t, 2); ids[1] != ids[2] || ids[1] == ids[0] {
		t.Errorf("twice: %v", ids)
	}
	i.SetDelivery(clerkdev.Delivery{Hold: true})
	for _, name := range []string{"c", "d", "e"} {
		i.user(t, name+"@example.com")
	}
	i.SetDelivery(clerkdev.Delivery{Shuffle: true})
	if ids := r.wait(t, 3); len(ids) != 6 {
		t.Errorf("after a hold: %v", ids)
	}
	if err := i.Resend(events[0].ID); err != nil {
		t.Fatal(err)
	}
	if ids := r.wait(t, 1); ids[6] != events[0].ID {
		t.Errorf("sent again: %v", ids)
	}
	if err := i.Resend("msg_unknown"); err == nil {
		t.Error("an unknown event is sent")
	}
}

// TestRestart holds that state and undelivered events outlive the process, and
// that a damaged file is left as it is.
func TestRestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clerk.json")
	first := start(t, clerkdev.Config{StateFile: file})
	acme := first.organization(t, "acme", first.user(t, "ada@example.com"))
	var second *instance
	r := receive(t, func() string { return second.WebhookSecret() })
	second = start(t, clerkdev.Config{StateFile: file, WebhookURL: r.URL})
	if second.SecretKey() != first.SecretKey() || second.PublishableKey() != first.PublishableKey() {
		t.Error("the keys are others")
	}
	if got, err := second.organizations.Get(t.Context(), "acme"); err != nil || got.ID != acme.ID {
		t.Errorf("%+v, %v", got, err)
	}
	runs(t, second.Emulator)
	r.wait(t, 3)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for name, content := range map[string]string{"cut off": `{"format":1`, "of tomorrow": `{"format":99}`, "empty": ``} {
		broken := filepath.Join(t.TempDir(), "broken.json")
		if err := os.WriteFile(broken, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := clerkdev.New(clerkdev.Config{PublicURL: "http://localhost:3000", StateFile: broken}); err == nil || !strings.Contains(err.Error(), "broken.json") {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadFile(broken); err != nil || string(left) != content {
			t.Errorf("%s: the file was touched", name)
		}
	}
}

// portal is a browser on the emulator's own pages.
type portal struct {
	*http.Client
	*instance
	url string
}

func openPortal(t *testing.T) *portal {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i := start(t, clerkdev.Config{PublicURL: server.URL})
	mux.Handle("/__clerk/", i.Frontend())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &portal{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, i, server.URL}
}

func (p *portal) visit(t *testing.T, method, path string, form url.Values, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", p.url)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := p.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func (p *portal) cookie(name string) string {
	address, _ := url.Parse(p.url)
	for _, cookie := range p.Jar.Cookies(address) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

func TestPortal(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	if response, body := p.visit(t, "GET", "/__clerk/sign-up", nil); response.StatusCode != 200 || !strings.Contains(body, "email_address") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	form := url.Values{"first_name": {"<b>Ada</b>"}, "email_address": {"ada@example.com"}, "password": {"short"}}
	response, body := p.visit(t, "POST", "/__clerk/sign-up", form)
	if response.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "8 to 72") || !strings.Contains(body, "&lt;b&gt;Ada") || strings.Contains(body, "<b>Ada") || strings.Contains(body, `value="short"`) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	form.Set("password", "long enough")
	response, _ = p.visit(t, "POST", "/__clerk/sign-up?redirect_url="+url.QueryEscape(p.url+"/welcome"), form)
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != p.url+"/welcome" || p.cookie("__session") == "" || p.cookie("__client_uat") == "0" {
		t.Errorf("%d to %s with %q", response.StatusCode, response.Header.Get("Location"), p.cookie("__client_uat"))
	}
	for slug, want := range map[string]int{"acme": http.StatusSeeOther, "No Slug": http.StatusUnprocessableEntity} {
		response, _ := p.visit(t, "POST", "/__clerk/create-organization", url.Values{"name": {"Acme"}, "slug": {slug}})
		if response.StatusCode != want {
			t.Errorf("slug %q: %d", slug, response.StatusCode)
		}
	}
	acme, err := p.organizations.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.Decode(t.Context(), &jwt.DecodeParams{Token: p.cookie("__session")})
	if err != nil || !strings.Contains(string(mustJSON(t, claims.Extra)), acme.ID) {
		t.Errorf("the new organization is not the active one: %+v, %v", claims, err)
	}
	// The handshake gives a browser whose cookies are gone the same session.
	response, _ = p.visit(t, "GET", "/__clerk/v1/client/handshake?format=nonce&redirect_url="+url.QueryEscape(p.url+"/x?a=b"), nil)
	back, err := url.Parse(response.Header.Get("Location"))
	if err != nil || back.Path != "/x" || back.Query().Get("a") != "b" || back.Query().Get("__clerk_handshake_nonce") == "" {
		t.Errorf("%d to %v", response.StatusCode, back)
	}
	nonce := back.Query().Get("__clerk_handshake_nonce")
	for n, want := range []int{200, 404} { // once
		request, _ := http.NewRequestWithContext(t.Context(), "GET", p.backend+"/v1/clients/handshake_payload?nonce="+nonce, nil)
		request.Header.Set("Authorization", "Bearer "+p.SecretKey())
		answer, err := http.DefaultClient.Do(request)
		if err != nil || answer.StatusCode != want {
			t.Errorf("the nonce, time %d: %v, %v", n+1, answer.Status, err)
		}
		answer.Body.Close()
	}
	for name, target := range map[string]string{"another origin": "https://evil.example/", "a trick": "//evil.example", "a script": "javascript:alert(1)"} {
		for _, page := range []string{"/__clerk/v1/client/handshake", "/__clerk/sign-in"} {
			response, _ := p.visit(t, "GET", page+"?redirect_url="+url.QueryEscape(target), nil)
			if location := response.Header.Get("Location"); response.StatusCode < 400 && !strings.HasPrefix(location, p.url) {
				t.Errorf("%s leads to %s: %d %s", page, name, response.StatusCode, location)
			}
		}
	}
	if response, _ := p.visit(t, "POST", "/__clerk/sign-out", nil, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); response.StatusCode != http.StatusForbidden {
		t.Errorf("another site signs people out: %d", response.StatusCode)
	}
	if response, _ := p.visit(t, "POST", "/__clerk/sign-out", nil); response.StatusCode != http.StatusSeeOther || p.cookie("__session") != "" || p.cookie("__client_uat") != "0" {
		t.Errorf("%d with %q", response.StatusCode, p.cookie("__client_uat"))
	}
	for password, want := range map[string]int{"wrong": http.StatusUnprocessableEntity, "long enough": http.StatusSeeOther} {
		response, _ := p.visit(t, "POST", "/__clerk/sign-in", url.Values{"email_address": {"ada@example.com"}, "password": {password}})
		if response.StatusCode != want {
			t.Errorf("password %q: %d", password, response.StatusCode)
		}
	}
}

func mustJSON(t testing.TB, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// TestInvitationIsAccepted goes the way of somebody who has no account yet.
func TestInvitationIsAccepted(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	acme := p.organization(t, "acme", p.user(t, "ada@example.com"))
	if _, err := p.invitations.Create(t.Context(), &organizationinvitation.CreateParams{
		OrganizationID: acme.ID, EmailAddress: clerk.String("bob@example.com"), Role: clerk.String("org:viewer"),
	}); err != nil {
		t.Fatal(err)
	}
	var link string
	for _, event := range p.Events() {
		var body struct{ Data struct{ URL string } }
		if event.Type == "organizationInvitation.created" && json.Unmarshal(event.Payload, &body) == nil {
			link = body.Data.URL
		}
	}
	address, err := url.Parse(link)
	if err != nil || link == "" {
		t.Fatalf("the invitation's link is %q: %v", link, err)
	}
	if response, _ := p.visit(t, "GET", address.RequestURI(), nil); !strings.Contains(response.Header.Get("Location"), "/__clerk/sign-up?email_address=bob%40example.com&redirect_url=") {
		t.Errorf("a stranger gets %d %s", response.StatusCode, response.Header.Get("Location"))
	}
	p.visit(t, "POST", "/__clerk/sign-up", url.Values{"email_address": {"bob@example.com"}, "password": {"long enough"}})
	if response, _ := p.visit(t, "POST", address.RequestURI(), nil); response.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", response.StatusCode)
	}
	list, err := p.memberships.List(t.Context(), &organizationmembership.ListParams{OrganizationID: acme.ID, Roles: []string{"org:viewer"}})
	if err != nil || len(list.OrganizationMemberships) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	before := len(p.Events())
	for method, want := range map[string]int{"POST": http.StatusSeeOther, "GET": http.StatusSeeOther} {
		if response, _ := p.visit(t, method, address.RequestURI(), nil); response.StatusCode != want || len(p.Events()) != before {
			t.Errorf("%s of one's own again: %d", method, response.StatusCode)
		}
	}
	p.visit(t, "POST", "/__clerk/sign-out", nil)
	p.visit(t, "POST", "/__clerk/sign-up", url.Values{"email_address": {"eve@example.com"}, "password": {"long enough"}})
	for _, method := range []string{"POST", "GET"} {
		if response, body := p.visit(t, method, address.RequestURI(), nil); response.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Ask for another one") {
			t.Errorf("%s of somebody else's: %d", method, response.StatusCode)
		}
	}
}
