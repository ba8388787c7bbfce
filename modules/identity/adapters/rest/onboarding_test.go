package rest_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/rest"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/idempotency"
)

const onboarding = "/api/tenants/acme/users/onboarding"

var founded = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type server struct {
	*httpserver.Router

	world *identitytest.World
}

// newServer returns the API over a world in which Ada founded acme, Bob is a
// member of it and Eve is somebody. A bearer token is an account's id.
func newServer(t *testing.T) server {
	t.Helper()
	w := identitytest.NewWorld()
	known := identity.Observation{
		Accounts: []identity.Account{
			{ID: "user_ada", FirstName: "Ada", Email: "ada@example.com", CreatedAt: founded, UpdatedAt: founded},
			{ID: "user_bob", FirstName: "Bob", Email: "bob@example.com", Phone: "+1 555", CreatedAt: founded, UpdatedAt: founded},
			{ID: "user_eve", FirstName: "Eve", Email: "eve@example.com", CreatedAt: founded, UpdatedAt: founded},
		},
		Organizations: []identity.Organization{{ID: "org_1", Name: "Acme", Slug: "acme", CreatedBy: "user_ada", CreatedAt: founded, UpdatedAt: founded}},
		Memberships: []identity.Membership{
			{ID: "orgmem_1", OrganizationID: "org_1", AccountID: "user_bob", ProviderRole: "org:member", CreatedAt: founded, UpdatedAt: founded},
		},
	}
	if err := w.Sync.Apply(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	if err := w.Provider.Put(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	errs := &httpserver.ErrorWriter{Logger: slog.New(slog.DiscardHandler)}
	router, err := httpserver.New(httpserver.Config{
		PublicURL: &url.URL{Scheme: "https", Host: "example.com"},
		Errors:    errs,
		Caller: func(ctx context.Context) httpserver.Caller {
			access := identity.AccessOf(ctx)
			return httpserver.Caller{Account: access.Member.ID, Tenant: access.Tenant.ID}
		},
		Idempotency: idempotency.NewMemory(),
		SignedIn: func(next http.Handler) http.Handler {
			return errs.Handle(func(w http.ResponseWriter, r *http.Request) error {
				account, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
				if !ok {
					return fault.New(fault.Unauthenticated, "Sign in to go on.")
				}
				next.ServeHTTP(w, r.WithContext(identity.NewSessionContext(r.Context(), identity.Session{ID: "sess_1", AccountID: account})))
				return nil
			})
		},
		Tenant: func(next http.Handler) http.Handler {
			return errs.Handle(func(rw http.ResponseWriter, r *http.Request) error {
				session, _ := identity.SessionFromContext(r.Context())
				ctx, _, err := w.Service.Enter(r.Context(), session, httpserver.PathParam(r, httpserver.TenantParam))
				if err != nil {
					return err
				}
				next.ServeHTTP(rw, r.WithContext(ctx))
				return nil
			})
		},
	}, httpserver.Mount{Surface: httpserver.TenantAPI, Operations: func(api huma.API) { rest.Register(api, w.Service, w.Roster, w.Settings) }})
	if err != nil {
		t.Fatal(err)
	}
	return server{router, w}
}

type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (s server) post(t *testing.T, as, path, contentType, body string) answer {
	t.Helper()
	return s.send(t, as, http.MethodPost, path, contentType, body)
}

func (s server) send(t *testing.T, as, method, path, contentType, body string, header ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+as)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	if w.Code == http.StatusNoContent {
		return a
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
		t.Fatalf("%v in %s", err, a.text)
	}
	if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a problem of type %q", w.Header().Get("Content-Type"))
	}
	return a
}

func (a answer) fields() string {
	var names []string
	list, _ := a.body["errors"].([]any)
	for _, each := range list {
		names = append(names, each.(map[string]any)["field"].(string))
	}
	return strings.Join(names, " ")
}

func TestOnboarding(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, step := range []struct {
		contentType, body  string
		first, last, phone string
	}{
		{"", "", "Bob", "", "+1 555"},
		{"application/json", "{}", "Bob", "", "+1 555"},
		{"application/json", `{"phone": " 110 "}`, "Bob", "", "110"},
		{"application/json", `{"first_name": "Röbert", "last_name": "界"}`, "Röbert", "界", "110"},
		{"application/json", `{"first_name": "Röbert", "last_name": "界"}`, "Röbert", "界", "110"},
		{"application/json", `{"first_name": "", "phone": ""}`, "Röbert", "界", "110"},
	} {
		a := s.post(t, "user_bob", onboarding, step.contentType, step.body)
		user, _ := a.body["user"].(map[string]any)
		if a.status != http.StatusOK || a.body["success"] != true || len(a.body) != 2 || user == nil {
			t.Fatalf("%s: %d %s", step.body, a.status, a.text)
		}
		for name, want := range map[string]any{
			"id": "user_bob", "email": "bob@example.com", "role": "member", "is_active": true, "joined_at": "2026-01-02T03:04:05Z",
			"first_name": step.first, "last_name": step.last, "phone": step.phone, "avatar_url": "",
		} {
			if user[name] != want {
				t.Errorf("%s: %s is %v, want %v", step.body, name, user[name], want)
			}
		}
		if metadata, _ := user["metadata"].(map[string]any); metadata["onboardingComplete"] != true {
			t.Errorf("%s: metadata %v", step.body, user["metadata"])
		}
		if len(user) != 14 {
			t.Errorf("a user has the properties %v", user)
		}
	}
}

// TestOrderOfChecks sends every kind of mistake at once and fewer and fewer of
// them.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	const bad, form = `{"phone": 1, "role": "owner"`, "text/plain"
	s := newServer(t)
	check := func(status int, as, path, contentType, body, fields string) {
		t.Helper()
		if a := s.post(t, as, path, contentType, body); a.status != status || a.fields() != fields {
			t.Errorf("%s %.60s: %d on %q, want %d on %q: %s", as, body, a.status, a.fields(), status, fields, a.text)
		}
	}
	check(401, "", "/api/tenants/nowhere/users/onboarding", form, bad, "")
	check(401, "", onboarding, form, bad, "")
	check(404, "user_bob", "/api/tenants/nowhere/users/onboarding", form, bad, "")
	check(404, "user_eve", onboarding, form, bad, "")
	check(404, "user_nobody", onboarding, form, bad, "")
	check(415, "user_bob", onboarding, form, bad, "")
	check(400, "user_bob", onboarding, "application/json", bad, "")
	check(422, "user_bob", onboarding, "application/json", bad+"}", "phone body")
	check(422, "user_bob", onboarding, "application/json", `{"phone": "x", "first_name": "`+strings.Repeat("x", 10_000)+`"}`, "first_name phone")
	check(422, "user_bob", onboarding, "application/json", `{"last_name": "a\u0007b"}`, "last_name")
	check(400, "user_bob", onboarding, "application/json", `{"last_name": "a\u0000b"}`, "")
	check(422, "user_bob", onboarding+"?x=1", "application/json", "{}", "query")
	check(413, "user_bob", onboarding, "application/json", `{"phone": "`+strings.Repeat("1", 1<<20)+`"}`, "")

	if _, err := s.world.Tenants.Suspend(t.Context(), "org_1"); err != nil {
		t.Fatal(err)
	}
	check(403, "user_bob", onboarding, form, bad, "")
	check(404, "user_eve", onboarding, form, bad, "")

	unknown, foreign := s.post(t, "user_eve", "/api/tenants/nowhere/users/onboarding", "", ""), s.post(t, "user_eve", onboarding, "", "")
	for _, a := range []answer{unknown, foreign} {
		delete(a.body, "request_id")
	}
	if unknown.body["detail"] != foreign.body["detail"] || len(unknown.body) != len(foreign.body) {
		t.Errorf("a tenant of others is told from one that is not there:\n%s\n%s", unknown.text, foreign.text)
	}
}

// TestNobodyChangesWhatIsNotTheirs: not the role, not the address, not others.
func TestNobodyChangesWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, property := range []string{"role", "id", "email", "is_active", "metadata", "First_Name"} {
		a := s.post(t, "user_bob", onboarding, "application/json", `{"phone": "110", "`+property+`": "owner"}`)
		if a.status != http.StatusUnprocessableEntity || a.fields() != "body" {
			t.Errorf("%s: %d %s", property, a.status, a.text)
		}
	}
	a := s.post(t, "user_bob", onboarding, "", "")
	if user := a.body["user"].(map[string]any); user["role"] != "member" || user["phone"] != "+1 555" {
		t.Errorf("something was kept: %s", a.text)
	}
	ada := s.post(t, "user_ada", onboarding, "", "").body["user"].(map[string]any)
	if ada["role"] != "owner" || ada["first_name"] != "Ada" {
		t.Errorf("Ada is %v", ada)
	}
}

func TestTheProvidersTroubleIsTold(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for kind, status := range map[fault.Kind]int{fault.Unavailable: 503, fault.RateLimited: 429, fault.Internal: 500} {
		s.world.Provider.Fail(fault.New(kind, "Slow down.").WithRetryAfter(3 * time.Second))
		if a := s.post(t, "user_bob", onboarding, "application/json", `{"first_name": "Robert", "phone": "110"}`); a.status != status {
			t.Errorf("%v: %d %s", kind, a.status, a.text)
		}
		// What the provider is not needed for still works.
		if a := s.post(t, "user_bob", onboarding, "application/json", `{"first_name": "Bob"}`); a.status != http.StatusOK {
			t.Errorf("%v: %d %s", kind, a.status, a.text)
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	item := newServer(t).OpenAPI().Paths["/api/tenants/{tenant}/users/onboarding"]
	if item == nil || item.Post == nil || item.Post.RequestBody.Required || len(item.Post.Security) != 3 {
		t.Fatalf("documented as %+v", item.Post)
	}
	tenants := slices.DeleteFunc(slices.Clone(item.Post.Parameters), func(p *huma.Param) bool { return p.Name != "tenant" })
	if len(tenants) != 1 {
		t.Errorf("the tenant is documented %d times", len(tenants))
	}
}
