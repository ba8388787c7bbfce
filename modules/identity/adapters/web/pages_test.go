package web_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/modules/identity/adapters/web"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/tenant"
	platformweb "github.com/tenonhq/tenon/platform/web"
)

const origin = "http://localhost:3000"

// The cookie that signs in holds an account's id and, after a "@", the id of the
// active organization; these mean something else.
const (
	mustProveItself = "handshake"
	withoutKeys     = "no-keys"
	hasTaskLeft     = "pending"
)

func decide(r *http.Request) clerk.Decision {
	cookie, err := r.Cookie("__session")
	if err != nil {
		return clerk.Decision{State: clerk.SignedOut, Reason: clerk.SessionTokenAndUATMissing}
	}
	switch cookie.Value {
	case mustProveItself:
		return clerk.Decision{State: clerk.Handshake, Redirect: origin + "/__clerk/v1/client/handshake", Cookies: []string{"one=1", "two=2"}}
	case withoutKeys:
		return clerk.Decision{State: clerk.SignedOut, Err: fault.New(fault.Unavailable, "Nobody can sign in at the moment.")}
	}
	if cookie.Value == hasTaskLeft {
		return clerk.Decision{State: clerk.SignedOut, Reason: clerk.SessionPending}
	}
	account, organization, _ := strings.Cut(cookie.Value, "@")
	return clerk.Decision{State: clerk.SignedIn, Session: identity.Session{
		ID: "sess_1", AccountID: account,
		ActiveOrganization: identity.OrganizationClaim{ID: organization, Slug: strings.TrimPrefix(organization, "org_")},
	}}
}

// server is the edge with the module's pages, and pages of a tenant that say who
// was let in.
type server struct {
	http.Handler
	*identitytest.World
	ended *identity.EndedSessions
}

func newServer(t *testing.T) server {
	t.Helper()
	return newServerOf(t, clerk.InstanceConfig{
		PublishableKey: "pk_test_" + base64.StdEncoding.EncodeToString([]byte("clerk.localhost:3000$")),
		FrontendAPI:    origin + "/__clerk", PublicURL: origin,
	})
}

func newServerOf(t *testing.T, of clerk.InstanceConfig) server {
	t.Helper()
	world := identitytest.NewWorld()
	instance, err := clerk.NewInstance(of)
	if err != nil {
		t.Fatal(err)
	}
	errors := &httpserver.ErrorWriter{Logger: slog.New(slog.DiscardHandler), Page: platformweb.ErrorPage}
	ended := identity.NewEndedSessions(world.Inbox, clerk.SessionEndTypes, clerk.EndedSession, slog.New(slog.DiscardHandler))
	gate := web.NewGateDeciding(decide, ended, instance, world.Service, errors)
	pages := web.NewPages(gate, world.Service, errors)
	shell := gate.Shell([]platformweb.NavigationItem{{Label: "Dashboard", Icon: "home", Path: "/dashboard"}, {Label: "Projects", Icon: "folder", Path: "/projects"}})
	publicURL, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	router, err := httpserver.New(httpserver.Config{
		PublicURL:             publicURL,
		Errors:                errors,
		ContentSecurityPolicy: platformweb.ContentSecurityPolicy(),
		SignedIn:              func(next http.Handler) http.Handler { return gate.Authenticate(gate.RequireSession(shell(next))) },
		Tenant:                func(next http.Handler) http.Handler { return gate.Enter(shell(next)) },
	},
		httpserver.Mount{Surface: httpserver.Public, Routes: pages.Public},
		httpserver.Mount{Surface: httpserver.SignedIn, Routes: pages.SignedIn},
		httpserver.Mount{Surface: httpserver.SignedIn, Routes: web.NewFoundingPages(gate, world.Service, world.Founding, errors).SignedIn},
		httpserver.Mount{Surface: httpserver.TenantPages, Routes: pages.Tenant},
		httpserver.Mount{Surface: httpserver.TenantPages, Routes: web.NewMemberPages(world.Roster, errors).Mount},
		httpserver.Mount{Surface: httpserver.TenantPages, Routes: web.NewSettingsPages(world.Settings, instance, errors).Mount},
		httpserver.Mount{Surface: httpserver.TenantPages, Routes: func(r chi.Router) {
			r.Get("/projects/{project}", errors.Handle(showAccess))
			r.Post("/projects/{project}", errors.Handle(showAccess))
		}},
		httpserver.Mount{Surface: httpserver.SignedIn, Routes: func(r chi.Router) { r.Get("/api/me", errors.Handle(showAccess)) }},
	)
	if err != nil {
		t.Fatal(err)
	}
	return server{router, world, ended}
}

func showAccess(w http.ResponseWriter, r *http.Request) error {
	access := identity.AccessOf(r.Context())
	schema, _ := tenant.FromContext(r.Context())
	return platformweb.Render(w, r, http.StatusOK, fmt.Sprintf("%s is %s in %s", access.Member.ID, access.Member.Role, schema), platformweb.Centered("", ""))
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// organization is an organization that its founder made, with members.
func organization(slug, founder string, members ...string) identity.Observation {
	id := "org_" + slug
	o := identity.Observation{Organizations: []identity.Organization{{
		ID: id, Name: strings.ToUpper(slug[:1]) + slug[1:], Slug: slug, CreatedBy: founder, CreatedAt: start, UpdatedAt: start,
	}}}
	for _, account := range append([]string{founder}, members...) {
		role := "org:member"
		if account == founder {
			role = "org:admin"
		}
		name := strings.TrimPrefix(account, "user_")
		o.Accounts = append(o.Accounts, identity.Account{
			ID: account, Email: name + "@example.com", FirstName: strings.ToUpper(name[:1]) + name[1:], LastName: "Example", CreatedAt: start, UpdatedAt: start,
		})
		o.Memberships = append(o.Memberships, identity.Membership{
			ID: "orgmem_" + slug + "_" + name, OrganizationID: id, AccountID: account, ProviderRole: role, CreatedAt: start, UpdatedAt: start,
		})
	}
	return o
}

const (
	ada   = "user_ada"
	bob   = "user_bob"
	eve   = "user_eve"
	alone = "user_alone"
)

// tell lets the provider know of an observation, and have said so to us.
func (s server) tell(t *testing.T, o identity.Observation) {
	t.Helper()
	if err := s.Provider.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync.Apply(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// newCompany is a server with acme (Ada's, with Bob) and testcorp (Eve's).
func newCompany(t *testing.T) server {
	s := newServer(t)
	s.tell(t, organization("acme", ada, bob))
	s.tell(t, organization("testcorp", eve))
	return s
}

func (s server) send(as, method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if as != "" {
		r.AddCookie(&http.Cookie{Name: "__session", Value: as})
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// expect fails the test unless the answer has the status and, in its Location,
// leads to target; "" expects it to lead nowhere.
func expect(t *testing.T, w *httptest.ResponseRecorder, status int, target string) string {
	t.Helper()
	if got := w.Header().Get("Location"); w.Code != status || got != target {
		t.Errorf("%d to %q, want %d to %q", w.Code, got, status, target)
	}
	return w.Body.String()
}

// TestAnEndedSession: its token would be good for some seconds more.
func TestAnEndedSession(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	expect(t, s.send(ada, "GET", "/acme/members", nil), 200, "")
	_, err := s.Inbox.Add(t.Context(), identity.InboxEvent{
		ID: "msg_1", Type: "session.revoked", ReceivedAt: time.Now(), Payload: []byte(`{"type": "session.revoked", "data": {"id": "sess_1"}, "timestamp": 1700000000}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ended.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, s.send(ada, "GET", "/acme/members", nil), 303, "/sign-in?redirect_url=%2Facme%2Fmembers")
	expect(t, s.send(ada, "GET", "/api/me", nil, "Accept", "application/json"), 401, "")
}

func TestSignedOut(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	back := "/sign-in?redirect_url=" + url.QueryEscape("/acme/projects/x?a=b&c=%22")
	expect(t, s.send("", "GET", "/acme/projects/x?a=b&c=%22", nil), 303, back)
	expect(t, s.send("", "HEAD", "/acme/projects/x?a=b&c=%22", nil), 303, back)
	expect(t, s.send("", "GET", "/acme/projects/x?a=b&c=%22", nil, "Sec-Fetch-Mode", "navigate", "Accept", "*/*"), 303, back)
	expect(t, s.send("", "GET", "/onboarding", nil), 303, "/sign-in?redirect_url=%2Fonboarding")
	// A tenant that does not exist is no other: nothing is to be learned.
	expect(t, s.send("", "GET", "/nobody", nil), 303, "/sign-in?redirect_url=%2Fnobody")

	for name, w := range map[string]*httptest.ResponseRecorder{
		"htmx":   s.send("", "GET", "/acme/projects/x", nil, "HX-Request", "true"),
		"script": s.send("", "GET", "/acme/projects/x", nil, "Sec-Fetch-Mode", "cors"),
		"form":   s.send("", "POST", "/acme/projects/x", url.Values{"name": {"x"}}),
		"API":    s.send("", "GET", "/api/me", nil),
		"client": s.send("", "GET", "/acme/projects/x", nil, "Accept", "application/json"),
	} {
		body := expect(t, w, 401, "")
		if name == "form" && !strings.Contains(body, `href="/sign-in?redirect_url=`) {
			t.Errorf("%s: no way to sign in: %s", name, body)
		}
		if name == "htmx" && w.Header().Get("HX-Retarget") != "#toasts" {
			t.Errorf("%s: answered by a page", name)
		}
		if wantsProblem := name == "API" || name == "client"; wantsProblem != strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: answered by %s", name, w.Header().Get("Content-Type"))
		}
	}
}

func TestWaysToTheProvider(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, page := range []string{"/sign-in", "/sign-up", "/sign-out"} {
		for given, want := range map[string]string{
			"":                                    "/",
			"?redirect_url=/acme%3Fa=b":           "/acme?a=b",
			"?redirect_url=//evil.example":        "/",
			"?redirect_url=/%5Cevil.example":      "/",
			"?redirect_url=https://evil.example/": "/",
		} {
			if page == "/sign-up" && given == "" {
				want = "/onboarding"
			}
			expect(t, s.send("", "GET", page+given, nil), 303, origin+"/__clerk"+page+"?"+url.Values{"redirect_url": {origin + want}}.Encode())
		}
	}
}

// TestPendingSession: who has something left to do after signing in is led there
// and back; a program is told that this is what is missing.
func TestPendingSession(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tell(t, organization("acme", ada))
	way := "/sign-in/task?" + url.Values{"redirect_url": {"/acme/projects/x?q=1"}}.Encode()
	expect(t, s.send(hasTaskLeft, "GET", "/acme/projects/x?q=1", nil), 303, way)
	expect(t, s.send("", "GET", way, nil), 303, origin+"/__clerk/tasks?"+url.Values{"redirect_url": {origin + "/acme/projects/x?q=1"}}.Encode())
	expect(t, s.send("", "GET", "/sign-in/task?redirect_url=//evil.example", nil), 303, origin+"/__clerk/tasks?"+url.Values{"redirect_url": {origin + "/"}}.Encode())
	contains(t, expect(t, s.send(hasTaskLeft, "GET", "/acme/projects/x", nil, "HX-Request", "true"), 401, ""), "something is left to do first")
	contains(t, expect(t, s.send("", "GET", "/acme/projects/x", nil, "HX-Request", "true"), 401, ""), "-something is left to do first")
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	for _, path := range []string{"/", "/acme/projects/x"} {
		w := s.send(mustProveItself, "GET", path, nil)
		expect(t, w, 307, origin+"/__clerk/v1/client/handshake")
		if cookies := w.Header().Values("Set-Cookie"); len(cookies) != 2 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: cookies %q, headers %v", path, cookies, w.Header())
		}
		if body := expect(t, s.send(withoutKeys, "GET", path, nil), 503, ""); !strings.Contains(body, "Nothing of yours is lost") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestEnter(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	w := s.send(ada, "GET", "/acme/projects/x", nil)
	body := expect(t, w, 200, "")
	schema := tenancy.SchemaName("org_acme", "acme").String()
	if !strings.Contains(body, "user_ada is owner in "+schema) {
		t.Errorf("Ada gets %s", body)
	}
	if vary := strings.Join(w.Header().Values("Vary"), ", "); w.Header().Get("Cache-Control") != "private, no-store" || !strings.Contains(vary, "Cookie") {
		t.Errorf("a page of a tenant may be kept: %v", w.Header())
	}
	if body := expect(t, s.send(bob, "GET", "/acme/projects/x", nil), 200, ""); !strings.Contains(body, "user_bob is member in "+schema) {
		t.Errorf("Bob gets %s", body)
	}

	// What is not there and what is not theirs is the same to everybody, whatever
	// organization they say is active.
	for _, as := range []string{eve, eve + "@org_testcorp", eve + "@org_acme", alone} {
		for _, path := range []string{"/acme/projects/x", "/acme/onboarding", "/acme", "/nobody/projects/x", "/ACME/projects/x"} {
			for _, method := range []string{"GET", "POST"} {
				if path != "/acme/projects/x" && method == "POST" {
					continue
				}
				w := s.send(as, method, path, nil)
				body := expect(t, w, 404, "")
				if strings.Contains(body, "Acme") || !strings.Contains(body, "Sign out") || strings.HasPrefix(as, eve) != strings.Contains(body, "Eve Example") {
					t.Errorf("%s %s as %s: %s", method, path, as, body)
				}
			}
		}
	}

	if _, err := s.Tenants.Suspend(t.Context(), "org_acme"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/acme/projects/x", "/acme/onboarding"} {
		if body := expect(t, s.send(ada, "GET", path, nil), 403, ""); !strings.Contains(body, "This organization is suspended") {
			t.Errorf("Ada gets %s", body)
		}
		expect(t, s.send(eve, "GET", path, nil), 404, "")
	}
}

func TestEnterBeforeTheWebhook(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if err := s.Provider.Put(t.Context(), organization("acme", ada)); err != nil {
		t.Fatal(err)
	}
	expect(t, s.send(ada, "GET", "/acme/onboarding", nil), 404, "")
	if body := expect(t, s.send(ada+"@org_acme", "GET", "/acme/onboarding", nil), 200, ""); !strings.Contains(body, "Welcome to Acme") || !strings.Contains(body, "an owner") {
		t.Errorf("Ada gets %s", body)
	}
}

func TestLanding(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	s.tell(t, organization("zebra", ada))
	if body := expect(t, s.send("", "GET", "/", nil), 200, ""); !strings.Contains(body, `href="/sign-up"`) || !strings.Contains(body, `href="/sign-in"`) {
		t.Errorf("a visitor gets %s", body)
	}
	const create = "/organizations/new"
	for _, test := range []struct{ as, path, target string }{
		{ada, "/", "/acme/dashboard"},
		{ada + "@org_zebra", "/", "/zebra/dashboard"},
		{eve + "@org_acme", "/", "/testcorp/dashboard"},
		{alone, "/", create},
		{ada, "/onboarding", "/acme/onboarding"},
		{ada + "@org_zebra", "/onboarding", "/zebra/onboarding"},
		{alone, "/onboarding", create},
		{ada, "/acme", "/acme/dashboard"},
	} {
		w := s.send(test.as, "GET", test.path, nil)
		expect(t, w, 303, test.target)
		if w.Header().Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s as %s may be kept", test.path, test.as)
		}
	}
}

func TestANewOrganizationIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"/", "/onboarding"} {
		w := s.send(ada+"@org_acme", "GET", path, nil)
		if body := expect(t, w, 202, ""); w.Header().Get("Refresh") == "" || !strings.Contains(body, "being set up") {
			t.Errorf("%s: %v %s", path, w.Header(), body)
		}
	}
	s.Provider.Fail(fault.New(fault.Unavailable, ""))
	expect(t, s.send(ada+"@org_acme", "GET", "/onboarding", nil), 503, "")
	s.Provider.Fail(nil)
	if err := s.Provider.Put(t.Context(), organization("acme", ada)); err != nil {
		t.Fatal(err)
	}
	expect(t, s.send(ada+"@org_acme", "GET", "/onboarding", nil), 303, "/acme/onboarding")
}

func TestOnboarding(t *testing.T) {
	t.Parallel()
	for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
		s := newCompany(t)
		if body := expect(t, s.send(bob, "GET", "/acme/onboarding", nil, headers...), 200, ""); !strings.Contains(body, `value="Bob"`) || !strings.Contains(body, "a member") {
			t.Errorf("Bob gets %s", body)
		}
		long := strings.Repeat("界", 10_000)
		for name, test := range map[string]struct {
			entered url.Values
			wrong   string
		}{
			"long":    {url.Values{"first_name": {"kept"}, "last_name": {long}, "phone": {"kept too"}}, "last_name phone"},
			"hostile": {url.Values{"first_name": {"\"><script>alert(1)</script>\x01"}, "last_name": {"\u202e"}, "phone": {"<b>"}}, "first_name last_name phone"},
			"phone":   {url.Values{"first_name": {"Rob"}, "last_name": {""}, "phone": {"12"}}, "phone"},
		} {
			w := s.send(bob, "POST", "/acme/onboarding", test.entered, headers...)
			body := expect(t, w, 422, "")
			if strings.Contains(body, "<!doctype html>") != (headers == nil) || strings.Contains(body, "<script>alert") {
				t.Errorf("%s: %s", name, body)
			}
			for _, field := range []string{"first_name", "last_name", "phone"} {
				if wrong := strings.Contains(test.wrong, field); strings.Contains(body, `id="`+field+`-error"`) != wrong {
					t.Errorf("%s: %s is wrong %v", name, field, !wrong)
				}
			}
			if kept := test.entered.Get("first_name"); name != "hostile" && !strings.Contains(body, `value="`+kept+`"`) {
				t.Errorf("%s: forgets %q", name, kept)
			}
		}
		for range 2 {
			w := s.send(bob, "POST", "/acme/onboarding", url.Values{"first_name": {" Robert "}, "last_name": {"Øster"}, "phone": {"+1 555 0100"}}, headers...)
			if headers == nil {
				expect(t, w, 303, "/acme/dashboard")
			} else if w.Code != 204 || w.Header().Get("HX-Redirect") != "/acme/dashboard" {
				t.Errorf("htmx: %d %v", w.Code, w.Header())
			}
			acme := tenant.NewContext(t.Context(), tenancy.SchemaName("org_acme", "acme"))
			stored, err := s.Members.ByID(acme, bob)
			if err != nil || stored.Name() != "Robert Øster" || stored.Metadata.Phone != "+1 555 0100" || !stored.Metadata.OnboardingComplete || stored.Role != identity.RoleMember {
				t.Errorf("stored is %+v, %v", stored, err)
			}
		}
		// The role is nobody's to choose.
		expect(t, s.send(bob, "POST", "/acme/onboarding", url.Values{"role": {"owner"}, "first_name": {"Bob"}}, headers...), map[bool]int{true: 303, false: 204}[headers == nil],
			map[bool]string{true: "/acme/dashboard"}[headers == nil])
		if body := expect(t, s.send(bob, "GET", "/acme/onboarding", nil, headers...), 200, ""); !strings.Contains(body, "a member") {
			t.Errorf("Bob became something else: %s", body)
		}
		for status, body := range map[int]string{400: "first_name=%ff", 413: "first_name=" + strings.Repeat("x", 1<<20)} {
			r := httptest.NewRequest("POST", "/acme/onboarding", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.AddCookie(&http.Cookie{Name: "__session", Value: bob})
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if page := expect(t, w, status, ""); !strings.Contains(page, `id="sidebar"`) {
				t.Errorf("%d is answered outside of the layout", status)
			}
		}
	}
}

func TestOnboardingWhenTheProviderIsAway(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	s.Provider.Fail(fault.New(fault.RateLimited, "").WithRetryAfter(3 * time.Second))
	w := s.send(bob, "POST", "/acme/onboarding", url.Values{"first_name": {"Robert"}})
	if body := expect(t, w, 429, ""); w.Header().Get("Retry-After") != "3" || !strings.Contains(body, "Wait 3 seconds") {
		t.Errorf("%v %s", w.Header(), body)
	}
	expect(t, s.send(bob, "POST", "/acme/onboarding", url.Values{"phone": {"+1 555 0100"}}), 303, "/acme/dashboard")
}

func TestAnotherSlugThanTheOneAskedFor(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	taken := organization("acme", eve, bob)
	taken.Organizations[0].ID, taken.Organizations[0].Name = "org_second", "Second"
	for i := range taken.Memberships {
		taken.Memberships[i].ID, taken.Memberships[i].OrganizationID = fmt.Sprint("orgmem_second_", i), "org_second"
	}
	s.tell(t, taken)
	second, err := s.Tenants.Get(t.Context(), "org_second")
	if err != nil || second.Slug.String() == "acme" {
		t.Fatalf("%+v, %v", second, err)
	}
	w := s.send(eve+"@org_second", "GET", "/onboarding", nil)
	expect(t, w, 303, "/"+second.Slug.String()+"/onboarding")
	for as, told := range map[string]bool{eve: true, bob: false} {
		body := expect(t, s.send(as, "GET", w.Header().Get("Location"), nil), 200, "")
		if strings.Contains(body, "Your organization is at /"+second.Slug.String()) != told {
			t.Errorf("%s is told %v", as, !told)
		}
	}
}

func TestShell(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	s.tell(t, organization("zebra", ada, eve))
	body := expect(t, s.send(ada, "GET", "/zebra/projects/x", nil), 200, "")
	for _, want := range []string{
		`href="/acme/dashboard"`, `href="/zebra/dashboard"`, "ada@example.com", "Owner", "/__clerk/sign-out", `href="/organizations/new"`,
		"/__clerk/v1/client/sessions/sess_1/tokens", `href="/zebra/projects" title="Projects" aria-current="page"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the layout lacks %q", want)
		}
	}
	if strings.Contains(body, "testcorp") {
		t.Error("the switcher shows somebody else's organization")
	}
	if fragment := expect(t, s.send(ada, "GET", "/zebra/projects/x", nil, "HX-Request", "true"), 200, ""); strings.Contains(fragment, "sidebar") {
		t.Errorf("htmx gets the layout: %s", fragment)
	}
}

// TestComponents: the pages of a Clerk instance load its scripts, under a policy
// that lets them, and say what to do without JavaScript.
func TestComponents(t *testing.T) {
	t.Parallel()
	key := "pk_live_" + base64.StdEncoding.EncodeToString([]byte("clerk.example.com$"))
	s := newServerOf(t, clerk.InstanceConfig{PublishableKey: key, PublicURL: origin})
	s.tell(t, organization("acme", ada))
	for path, test := range map[string]struct{ who, component string }{
		"/sign-in?redirect_url=%2Facme%2Fprojects": {"", `data-component="sign-in" data-return-to="/acme/projects"`},
		"/sign-in?redirect_url=%2F%2Fevil.example": {"", `data-component="sign-in" data-return-to="/"`},
		"/sign-up":                {"", `data-component="sign-up" data-return-to="/onboarding"`},
		"/sign-in/task":           {"", `data-component="session-task" data-return-to="/"`},
		"/sign-out":               {ada, `data-component="sign-out"`},
		"/account":                {ada, `data-component="user-profile"`},
		"/organizations":          {ada, `data-component="organization-list"`},
		"/organizations/new":      {ada, `data-create-organization="/organizations/new"`},
		"/acme/organization":      {ada, `data-component="organization-profile"`},
		"/acme/projects/x":        {ada, `data-component="organization-switcher"`},
		"/acme/projects/x?again=": {ada, `data-component="user-button"`},
		"/nothing/here":           {ada, `data-component="user-button"`},
	} {
		r := httptest.NewRequest("GET", origin+path, nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		if test.who != "" {
			r.AddCookie(&http.Cookie{Name: "__session", Value: test.who})
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		for _, want := range []string{
			test.component, `src="https://clerk.example.com/npm/@clerk/clerk-js@6/dist/clerk.browser.js"`, `data-clerk-publishable-key="` + key + `"`,
			`src="https://clerk.example.com/npm/@clerk/ui@1/dist/ui.browser.js"`, `src="` + platformweb.AssetPath("components.js") + `"`,
		} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: the page lacks %s", path, want)
			}
		}
		if policy := w.Header().Get("Content-Security-Policy"); policy != platformweb.ComponentsPolicy(nil, "https://clerk.example.com", "https://clerk.example.com") {
			t.Errorf("%s runs under %s", path, policy)
		}
		if test.who == "" && !strings.Contains(w.Body.String(), "<noscript>") {
			t.Errorf("%s says nothing without JavaScript", path)
		}
	}
	// Who is signed out has no session to keep alive, and the strict policy.
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", origin+"/", nil))
	if policy := w.Header().Get("Content-Security-Policy"); policy != platformweb.ContentSecurityPolicy() || strings.Contains(w.Body.String(), "clerk.browser.js") {
		t.Errorf("the landing page runs under %s", policy)
	}
}
