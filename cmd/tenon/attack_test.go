package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// attackers are the columns of the table: acme's people, the owner of another
// tenant, and somebody without a session.
var attackers = [...]string{"owner", "admin", "member", "viewer", "stranger", ""}

// statuses are what the attackers get, in their order.
type statuses [len(attackers)]int

// keyed is what API keys of acme's owner get in acme: the one with every
// permission, and the one that may see public projects alone.
type keyed struct{ every, narrow int }

// attacked is a row of the table: a route, and what everybody gets at it. A
// route of a tenant is asked about acme's and testcorp's, one of a project about
// a public and a private one of the owner's.
type attacked struct {
	method, pattern string
	// body is JSON for the API and a form elsewhere.
	body string
	// own is what is answered in acme, and for projects: about a public one.
	own statuses
	// private is what is answered about a private project.
	private statuses
	// foreign is what is answered in testcorp, the stranger's.
	foreign statuses
	// keys is what API keys get where they are good: at the operations of a tenant.
	// A private project is one that is not there for the narrow key.
	keys keyed
	// restore brings back what a request cost that one of acme's people was
	// let do; nil when it cost nothing.
	restore func(s *siege, t *testing.T, as string)
}

var (
	everybody  = statuses{200, 200, 200, 200, 200, 200}
	noOperator = statuses{404, 404, 404, 404, 404, 401}
	// outside is what a tenant looks like to those who are not in it.
	outside = func(stranger int) statuses { return statuses{404, 404, 404, 404, stranger, 401} }
)

const (
	apiProjects  = "/api/tenants/{tenant}/projects"
	pageProjects = "/{tenant}/projects"

	apiKeys  = "/api/tenants/{tenant}/api-keys"
	pageKeys = "/{tenant}/api-keys"

	apiMembers     = "/api/tenants/{tenant}/members"
	apiInvitations = "/api/tenants/{tenant}/invitations"
	pageMembers    = "/{tenant}/members"

	apiSettings = "/api/tenants/{tenant}/settings"
)

// attackTable has every route of the application; TestAttackTable fails for one
// that is missing.
var attackTable = []attacked{
	{method: "GET", pattern: "/", own: statuses{303, 303, 303, 303, 303, 200}},
	{method: "GET", pattern: "/api/docs", own: everybody},
	{method: "GET", pattern: "/api/docs/{script}", own: statuses{404, 404, 404, 404, 404, 404}},
	{method: "GET", pattern: "/api/openapi.json", own: everybody},
	{method: "GET", pattern: "/assets/*", own: statuses{404, 404, 404, 404, 404, 404}},
	{method: "GET", pattern: "/healthz", own: everybody},
	{method: "GET", pattern: "/readyz", own: everybody},
	{method: "GET", pattern: "/onboarding", own: statuses{303, 303, 303, 303, 303, 401}},
	{method: "GET", pattern: "/organizations/new", own: statuses{200, 200, 200, 200, 200, 401}},
	{method: "POST", pattern: "/organizations/new", body: "name=", own: statuses{422, 422, 422, 422, 422, 401}},
	{method: "GET", pattern: "/organizations/new/address", own: statuses{303, 303, 303, 303, 303, 401}},
	// Clerk's own pages, of which the emulator has none.
	{method: "GET", pattern: "/account", own: noOperator},
	{method: "GET", pattern: "/organizations", own: noOperator},
	{method: "GET", pattern: "/{tenant}/organization", own: noOperator, foreign: outside(404)},
	{method: "GET", pattern: "/sign-in", own: statuses{303, 303, 303, 303, 303, 303}},
	{method: "GET", pattern: "/sign-up", own: statuses{303, 303, 303, 303, 303, 303}},
	{method: "GET", pattern: "/sign-in/task", own: statuses{303, 303, 303, 303, 303, 303}},
	{method: "GET", pattern: "/sign-out", own: statuses{303, 303, 303, 303, 303, 303}},
	{method: "POST", pattern: "/theme", body: "theme=dark", own: statuses{303, 303, 303, 303, 303, 303}},
	{method: "POST", pattern: "/sidebar", body: "sidebar=folded", own: statuses{303, 303, 303, 303, 303, 303}},
	{method: "POST", pattern: "/api/webhooks/clerk", body: `{"type": "user.deleted", "data": {}}`, own: statuses{401, 401, 401, 401, 401, 401}},

	{method: "GET", pattern: "/admin/fleet", own: noOperator},
	{method: "GET", pattern: "/admin/fleet/drift", own: noOperator},
	{method: "GET", pattern: "/admin/fleet/runs/{run}", own: noOperator},
	{method: "POST", pattern: "/admin/fleet/runs/{run}/pause", own: noOperator},
	{method: "POST", pattern: "/admin/fleet/runs/{run}/resume", own: noOperator},
	{method: "POST", pattern: "/admin/fleet/runs/{run}/retry", own: noOperator},

	{method: "GET", pattern: "/admin/events", own: noOperator},
	{method: "GET", pattern: "/admin/events/{event}", own: noOperator},
	{method: "POST", pattern: "/admin/events/{event}/replay", own: noOperator},

	{method: "GET", pattern: apiProjects, keys: keyed{200, 200}, own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: apiProjects, body: `{"name": "x"}`, keys: keyed{201, 403}, own: statuses{201, 201, 201, 403, 404, 401}, foreign: outside(201)},
	{
		method: "GET", pattern: apiProjects + "/{project}",
		keys: keyed{200, 200}, own: statuses{200, 200, 200, 200, 404, 401}, private: statuses{200, 200, 404, 404, 404, 401}, foreign: outside(200),
	},
	{
		method: "PATCH", pattern: apiProjects + "/{project}", body: `{"description": "x"}`,
		keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, private: statuses{200, 200, 404, 404, 404, 401}, foreign: outside(200),
	},
	{
		method: "DELETE", pattern: apiProjects + "/{project}",
		keys: keyed{204, 403}, own: statuses{204, 204, 403, 403, 404, 401}, private: statuses{204, 204, 404, 404, 404, 401}, foreign: outside(204),
	},
	{method: "POST", pattern: "/api/tenants/{tenant}/users/onboarding", body: `{}`, keys: keyed{403, 403}, own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},

	{method: "GET", pattern: apiMembers, keys: keyed{200, 403}, own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: apiMembers + "/{user}", keys: keyed{200, 403}, own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "PATCH", pattern: apiMembers + "/{user}", body: `{"role": "member"}`, keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "DELETE", pattern: apiMembers + "/{user}", keys: keyed{204, 403}, own: statuses{204, 204, 403, 403, 404, 401}, foreign: outside(204)},
	{method: "POST", pattern: apiMembers + "/{user}/transfer-ownership", keys: keyed{403, 403}, own: statuses{409, 403, 403, 403, 404, 401}, foreign: outside(409)},
	{method: "GET", pattern: apiInvitations, keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: apiInvitations, body: `{"email": "{email}", "role": "viewer"}`, keys: keyed{201, 403}, own: statuses{201, 201, 403, 403, 404, 401}, foreign: outside(201)},
	{method: "GET", pattern: apiInvitations + "/{invitation}", keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "DELETE", pattern: apiInvitations + "/{invitation}", keys: keyed{204, 403}, own: statuses{204, 204, 403, 403, 404, 401}, foreign: outside(204)},
	{method: "POST", pattern: apiInvitations + "/{invitation}/resend", keys: keyed{201, 403}, own: statuses{201, 201, 403, 403, 404, 401}, foreign: outside(201)},

	{method: "GET", pattern: apiKeys, keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: apiKeys, body: `{"name": "x", "permissions": ["projects:view:all"]}`, keys: keyed{403, 403}, own: statuses{201, 201, 403, 403, 404, 401}, foreign: outside(201)},
	{method: "GET", pattern: apiKeys + "/{key}", keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "DELETE", pattern: apiKeys + "/{key}", keys: keyed{204, 403}, own: statuses{204, 204, 403, 403, 404, 401}, foreign: outside(204)},

	{method: "GET", pattern: "/api/tenants/{tenant}/audit-log", keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/api/tenants/{tenant}/audit-log/{entry}", keys: keyed{200, 403}, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: apiSettings, keys: keyed{200, 200}, own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "PATCH", pattern: apiSettings, body: `{"name": "Acme"}`, keys: keyed{200, 403}, own: statuses{200, 403, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/api/tenants/{tenant}/domains", keys: keyed{200, 403}, own: statuses{200, 403, 403, 403, 404, 401}, foreign: outside(200)},
	// Confirmed by nobody: only the owner is told so.
	{method: "DELETE", pattern: "/api/tenants/{tenant}", keys: keyed{403, 403}, own: statuses{422, 403, 403, 403, 404, 401}, foreign: outside(422)},

	{method: "GET", pattern: "/{tenant}/", own: statuses{303, 303, 303, 303, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: "/{tenant}/dashboard", own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/{tenant}/onboarding", own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: "/{tenant}/onboarding", body: "phone=110", own: statuses{303, 303, 303, 303, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: pageKeys, own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: pageKeys + "/new", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageKeys + "/new", body: "name=x&permissions=projects:view:all", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: pageKeys + "/{key}/revoke", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageKeys + "/{key}/revoke", own: statuses{303, 303, 403, 403, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: pageMembers, own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: pageMembers + "/invite", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageMembers + "/invite", body: "email={email}&role=viewer", own: statuses{303, 303, 403, 403, 404, 401}, foreign: outside(303)},
	{method: "POST", pattern: pageMembers + "/invitations/{invitation}/resend", own: statuses{303, 303, 403, 403, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: pageMembers + "/invitations/{invitation}/revoke", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageMembers + "/invitations/{invitation}/revoke", own: statuses{303, 303, 403, 403, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: pageMembers + "/leave", own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageMembers + "/leave", own: statuses{303, 303, 303, 303, 404, 401}, foreign: outside(303), restore: (*siege).rejoin},
	{method: "GET", pattern: pageMembers + "/{user}", own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageMembers + "/{user}", body: "role=member", own: statuses{303, 303, 403, 403, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: pageMembers + "/{user}/remove", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageMembers + "/{user}/remove", own: statuses{303, 303, 403, 403, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: pageMembers + "/{user}/transfer", own: statuses{409, 403, 403, 403, 404, 401}, foreign: outside(409)},
	{method: "POST", pattern: pageMembers + "/{user}/transfer", own: statuses{409, 403, 403, 403, 404, 401}, foreign: outside(409)},
	{method: "GET", pattern: "/{tenant}/audit-log", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/{tenant}/audit-log/export.csv", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/{tenant}/search", own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/{tenant}/profile", own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/{tenant}/activity", own: statuses{200, 200, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/{tenant}/settings", own: statuses{200, 403, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: "/{tenant}/settings", body: "name=&slug=", own: statuses{422, 403, 403, 403, 404, 401}, foreign: outside(422)},
	{method: "GET", pattern: "/{tenant}/settings/sign-in", own: statuses{200, 403, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: "/{tenant}/settings/delete", own: statuses{200, 403, 403, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: "/{tenant}/settings/delete", body: "confirmation=x", own: statuses{422, 403, 403, 403, 404, 401}, foreign: outside(422)},
	{method: "GET", pattern: pageProjects, own: statuses{200, 200, 200, 200, 404, 401}, foreign: outside(200)},
	{method: "GET", pattern: pageProjects + "/bulk", own: statuses{422, 422, 422, 403, 404, 401}, foreign: outside(422)},
	// Of each tenant's owner, and already as it is asked to be.
	{method: "POST", pattern: pageProjects + "/bulk", body: "action=restore&project=open-house", own: statuses{303, 303, 409, 403, 404, 401}, foreign: outside(303)},
	{method: "GET", pattern: pageProjects + "/new", own: statuses{200, 200, 200, 403, 404, 401}, foreign: outside(200)},
	{method: "POST", pattern: pageProjects + "/new", body: "name=x", own: statuses{303, 303, 303, 403, 404, 401}, foreign: outside(303)},
	{
		method: "GET", pattern: pageProjects + "/{project}",
		own: statuses{200, 200, 200, 200, 404, 401}, private: statuses{200, 200, 404, 404, 404, 401}, foreign: outside(200),
	},
	{
		method: "GET", pattern: pageProjects + "/{project}/edit",
		own: statuses{200, 200, 403, 403, 404, 401}, private: statuses{200, 200, 404, 404, 404, 401}, foreign: outside(200),
	},
	{
		method: "POST", pattern: pageProjects + "/{project}/edit", body: "name=x&slug={project}&description=&status=active",
		own: statuses{303, 303, 403, 403, 404, 401}, private: statuses{303, 303, 404, 404, 404, 401}, foreign: outside(303),
	},
	{
		method: "POST", pattern: pageProjects + "/{project}/status", body: "to=archived",
		own: statuses{303, 303, 403, 403, 404, 401}, private: statuses{303, 303, 404, 404, 404, 401}, foreign: outside(303),
	},
	{
		method: "POST", pattern: pageProjects + "/{project}/visibility", body: "to=private",
		own: statuses{303, 303, 403, 403, 404, 401}, private: statuses{303, 303, 404, 404, 404, 401}, foreign: outside(303),
	},
	{
		method: "GET", pattern: pageProjects + "/{project}/delete",
		own: statuses{200, 200, 403, 403, 404, 401}, private: statuses{200, 200, 404, 404, 404, 401}, foreign: outside(200),
	},
	{
		method: "POST", pattern: pageProjects + "/{project}/delete", body: "confirmation={project}",
		own: statuses{303, 303, 403, 403, 404, 401}, private: statuses{303, 303, 404, 404, 404, 401}, foreign: outside(303),
	},
}

// tricks are headers that other software believes. Nothing here does.
var tricks = []string{
	"X-HTTP-Method-Override", "DELETE", "X-HTTP-Method", "DELETE", "X-Method-Override", "DELETE",
	"X-Original-URL", "/testcorp/dashboard", "X-Rewrite-URL", "/testcorp/dashboard",
	"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/admin", "X-Forwarded-User", "admin", "Forwarded", "for=127.0.0.1;host=evil.example",
	"X-Current-Tenant", "testcorp", "X-Tenant", "testcorp", "X-Tenant-Id", "testcorp", "X-Organization", "testcorp",
	"X-User-Id", "user_1", "X-Role", "owner", "X-Forwarded-Email", "ada@acme.example", "X-Real-Ip", "127.0.0.1",
}

// routesOf returns the routes of the application as it is built for serving.
func routesOf(t *testing.T) []httpserver.Route { return routerOf(t).Routes() }

// routerOf returns the application as it is built for serving at an https address, behind
// a proxy that ends TLS, and connects to nothing.
func routerOf(t *testing.T) *httpserver.Router {
	t.Helper()
	c, err := config.Load([]string{
		"PUBLIC_URL=https://app.example.com", "DATABASE_URL=postgres://tenon@localhost/tenon",
		"CLERK_SECRET_KEY=sk_test_4uOm7kQm2vZ", "CLERK_PUBLISHABLE_KEY=pk_test_Y2xlcmsuZXhhbXBsZS5jb20k", "CLERK_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	})
	if err != nil {
		t.Fatal(err)
	}
	app, err := newApplication(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return app.router
}

func TestCookiesBehindAProxyAreSecure(t *testing.T) {
	t.Parallel()
	router := routerOf(t)
	for path, form := range map[string]string{"/theme": "theme=dark", "/sidebar": "sidebar=folded"} {
		r, w := httptest.NewRequest("POST", "http://app.example.com"+path, strings.NewReader(form)), httptest.NewRecorder()
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://app.example.com")
		router.ServeHTTP(w, r)
		if cookies := w.Result().Cookies(); w.Code != http.StatusSeeOther || len(cookies) != 1 || !cookies[0].Secure {
			t.Errorf("%s: %d %v", path, w.Code, cookies)
		}
	}
}

// siege is the product with tenants to attack.
type siege struct {
	*product
	tokens map[string]string
	made   int
	// bystanders are members of each tenant whom nothing happens to.
	bystanders map[string]string
	// keys are API keys of each tenant for rows to be about.
	keys map[string]string
}

// send sends a row's request as one of the attackers.
func (s *siege) send(t *testing.T, row attacked, as, tenant, project string, header ...string) answer {
	t.Helper()
	s.made++
	fill := strings.NewReplacer(
		"{tenant}", tenant, "{project}", project, "{run}", "1", "{event}", "msg_1", "{script}", "x.js", "*", "x.js",
		"{email}", fmt.Sprintf("new%d@example.com", s.made), "{user}", s.person(t, row, tenant), "{invitation}", s.invitation(t, row, tenant),
		"{key}", s.key(t, row, tenant), "{entry}", "1",
	)
	var body any
	if row.body != "" {
		body = fill.Replace(row.body)
		if !strings.HasPrefix(row.pattern, "/api/") {
			header = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)
		}
	} else if row.method == http.MethodPost {
		body = ""
		header = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)
	}
	path := fill.Replace(row.pattern)
	if path != "/" {
		path = strings.TrimSuffix(path, "/") // chi's way to write the address of a tenant itself
	}
	return s.call(t, row.method, path, s.tokens[as], body, header...)
}

// target makes a project for a request that may destroy it.
func (s *siege) target(t *testing.T, tenant string, public bool) string {
	t.Helper()
	s.made++
	owner := map[string]string{"acme": "owner", "testcorp": "stranger"}[tenant]
	slug := fmt.Sprintf("target-%d", s.made)
	made := s.call(t, "POST", "/api/tenants/"+tenant+"/projects", s.tokens[owner], map[string]any{"name": "Target", "slug": slug, "is_public": public})
	if made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.body)
	}
	return slug
}

// TestAttackTable sends everybody to every route, in their own tenant and in
// another, with and without headers that pretend to something.
func TestAttackTable(t *testing.T) {
	p := startProduct(t, "--no-seed")
	tokens, _ := p.contractTenants(t)
	s := &siege{product: p, tokens: tokens}
	s.makeKeys(t)

	t.Run("every route has a row", func(t *testing.T) {
		rows := map[httpserver.Route]int{}
		for _, row := range attackTable {
			rows[httpserver.Route{Method: row.method, Pattern: row.pattern}]++
		}
		routes := routesOf(t)
		for _, route := range routes {
			if rows[route] != 1 {
				t.Errorf("%s %s has %d rows in attackTable, want 1", route.Method, route.Pattern, rows[route])
			}
		}
		if len(rows) != len(routes) {
			t.Errorf("%d rows for %d routes", len(rows), len(routes))
		}
	})
	for name, header := range map[string][]string{"plain": nil, "with tricks": tricks} {
		t.Run(name, func(t *testing.T) {
			for _, row := range attackTable {
				s.attack(t, row, header)
			}
		})
	}
	t.Run("no change from another site", func(t *testing.T) {
		for _, row := range attackTable {
			if row.method == http.MethodGet || row.pattern == webhookPath {
				continue
			}
			for _, site := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
				header := append([]string{"Cookie", "__session=" + tokens["owner"]}, site...)
				if got := s.send(t, row, "owner", "acme", s.target(t, "acme", true), header...); got.status != http.StatusForbidden {
					t.Errorf("%s %s with %v: %d", row.method, row.pattern, site, got.status)
				}
			}
		}
	})
	t.Run("names of tenants", s.slugGames)
	t.Run("bodies", s.hostileBodies)
	t.Run("parameters", s.hostileParameters)
	t.Run("connections", s.smuggle)

	// Nothing of it cost anybody anything.
	for tenant, owner := range map[string]string{"acme": "owner", "testcorp": "stranger"} {
		if got := s.call(t, "GET", "/api/tenants/"+tenant+"/projects/open-house", tokens[owner], nil); got.status != http.StatusOK || !strings.Contains(got.body, `"description":""`) {
			t.Errorf("%s: %d %s", tenant, got.status, got.body)
		}
	}
	if log := p.log.String(); strings.Contains(log, "panic") {
		t.Errorf("something panicked:\n%s", log)
	}
}

// attack sends a row's request as everybody.
func (s *siege) attack(t *testing.T, row attacked, header []string) {
	t.Helper()
	hasTenant, hasProject := strings.Contains(row.pattern, "{tenant}"), strings.Contains(row.pattern, "{project}")
	check := func(as, what, tenant string, public bool, want int) {
		t.Helper()
		project := ""
		if hasProject {
			project = s.target(t, tenant, public)
		}
		got := s.send(t, row, as, tenant, project, header...)
		if row.restore != nil {
			row.restore(s, t, as)
		}
		if got.status != want {
			t.Errorf("%s %s, %s, as %q: %d, want %d: %.200s", row.method, row.pattern, what, as, got.status, want, got.body)
		}
		if got.status >= 400 && strings.HasPrefix(row.pattern, "/api/") && got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s as %q: %d of type %q", row.method, row.pattern, as, got.status, got.header.Get("Content-Type"))
		}
		if location := got.header.Get("Location"); strings.Contains(location, "evil.example") {
			t.Errorf("%s %s as %q leads to %s", row.method, row.pattern, as, location)
		}
	}
	for i, as := range attackers {
		check(as, "own", "acme", true, row.own[i])
		if hasProject {
			check(as, "private", "acme", false, row.private[i])
		}
		if hasTenant {
			check(as, "foreign", "testcorp", true, row.foreign[i])
		}
	}
	s.attackWithKeys(row, hasProject, check)
}

// slugGames holds that a tenant has one name, and that no spelling of it lets
// anybody in who has no business there.
func (s *siege) slugGames(t *testing.T) {
	for _, name := range []string{
		"ACME", "Acme", "acme.", "acme..", "acme%20", "%20acme", "acme%09", "acme%0a", "acme%00", "acme%2f", "acme%2Fprojects", "..%2facme", "%2e%2e/acme",
		"testcorp/../acme", "testcorp%2f..%2facme", "./acme", "acme;tenant=testcorp", "acme,testcorp", "acme%3btestcorp", "acme%c2%a0", "ａｃｍｅ", "аcme", "acme%e2%80%8b",
		"acme%ff", "acme%c0%ae", "tenant_acme", "public", "pg_catalog", "*", "%25", "_cme", "acm_", "%27%20OR%20%271%27%3d%271", "null", "undefined", "0", "",
	} {
		for _, pattern := range []string{"/api/tenants/%s/projects", "/%s/dashboard"} {
			for _, as := range []string{"owner", "stranger"} {
				path := fmt.Sprintf(pattern, name)
				status := s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+s.host()+"\r\nConnection: close\r\nAuthorization: Bearer "+s.tokens[as]+"\r\n\r\n")
				// 307 is of the mux that development has in front, which cleans paths.
				if !slices.Contains([]int{307, 400, 404}, status) {
					t.Errorf("%s as %s: %d", path, as, status)
				}
			}
		}
	}
	// One spelling that HTTP says is the same.
	for as, want := range map[string]int{"owner": 200, "stranger": 404} {
		if got := s.call(t, "GET", "/api/tenants/%61cme/projects", s.tokens[as], nil); got.status != want {
			t.Errorf("%%61cme as %s: %d, want %d", as, got.status, want)
		}
	}
}

func (s *siege) host() string { return strings.TrimPrefix(s.URL, "http://") }

// raw sends bytes and returns the status of the answer, 0 without one.
func (s *siege) raw(t *testing.T, request string) int {
	t.Helper()
	connection, err := net.Dial("tcp", s.host())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, request); err != nil {
		return 0
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

func (s *siege) hostileBodies(t *testing.T) {
	var bomb bytes.Buffer
	writer := gzip.NewWriter(&bomb)
	if _, err := writer.Write(append([]byte(`{"name": "x"`), bytes.Repeat([]byte(" "), 64<<20)...)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	many := new(strings.Builder)
	for i := range 50_000 {
		fmt.Fprintf(many, `"k%d":1,`, i)
	}
	path := "/api/tenants/acme/projects"
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
	}{
		"huge":                  {`{"name": "` + strings.Repeat("x", 8<<20) + `"}`, nil, 413},
		"deep arrays":           {strings.Repeat("[", 500_000), nil, 400},
		"deep arrays, closed":   {strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), nil, 400},
		"deep objects":          {strings.Repeat(`{"name":`, 100_000), nil, 400},
		"deep in a property":    {`{"name": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, nil, 400},
		"many properties":       {`{` + many.String() + `"name": "x"}`, nil, 422},
		"a property twice":      {`{"name": "x", "name": "y"}`, nil, 400},
		"a number of 1 MB":      {`{"name": ` + strings.Repeat("9", 1<<19) + `}`, nil, 400},
		"exponents":             {`{"is_public": 1e999999999}`, nil, 400},
		"not UTF-8":             {"{\"name\": \"\xff\xfe\"}", nil, 400},
		"a byte order mark":     {"\ufeff{\"name\": \"x\"}", nil, 400},
		"a gzip bomb":           {bomb.String(), []string{"Content-Encoding", "gzip"}, 415},
		"a bomb without a name": {bomb.String(), nil, 400},
		"a role":                {`{"name": "x", "role": "owner"}`, nil, 422},
		"an author":             {`{"name": "x", "created_by": "user_1"}`, nil, 422},
		"a tenant":              {`{"name": "x", "tenant_id": "org_1", "schema_name": "public"}`, nil, 422},
		"a prototype":           {`{"name": "x", "__proto__": {"role": "owner"}}`, nil, 422},
		"XML":                   {`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`, []string{"Content-Type", "application/xml"}, 415},
		"a form":                {`name=x`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
	} {
		got := s.call(t, "POST", path, s.tokens["owner"], test.body, test.header...)
		if got.status != test.status || len(got.body) > 8<<10 {
			t.Errorf("%s: %d, want %d: %.300s", name, got.status, test.status, got.body)
		}
	}
}

// hostileParameters puts SQL and HTML everywhere.
func (s *siege) hostileParameters(t *testing.T) {
	for _, hostile := range []string{
		`'; DROP TABLE projects; --`, `' OR '1'='1`, `\'; SELECT pg_sleep(5); --`, `"; DROP SCHEMA public CASCADE; --`, `$$; SELECT 1; $$`, `?0 ?name ?? {{.}} %s`,
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `{{constructor.constructor('alert(1)')()}}`, "a\r\nSet-Cookie: x=1", `../../etc/passwd`,
	} {
		escaped := url.QueryEscape(hostile)
		for _, parameter := range []string{"q", "status", "created_by", "sort", "limit", "after"} {
			got := s.call(t, "GET", "/api/tenants/acme/projects?"+parameter+"="+escaped, s.tokens["owner"], nil)
			if !slices.Contains([]int{200, 422}, got.status) || got.status == 422 && strings.Contains(got.body, hostile) {
				t.Errorf("%s=%s: %d %.200s", parameter, hostile, got.status, got.body)
			}
		}
		for _, path := range []string{"/api/tenants/acme/projects/", "/acme/projects/"} {
			if got := s.call(t, "GET", path+url.PathEscape(hostile), s.tokens["owner"], nil); got.status != http.StatusNotFound || strings.Contains(got.body, hostile) {
				t.Errorf("%s%s: %d %.200s", path, hostile, got.status, got.body)
			}
		}
		body := map[string]any{"name": strings.NewReplacer("\r", "", "\n", "").Replace(hostile), "description": hostile}
		made := s.call(t, "POST", "/api/tenants/acme/projects", s.tokens["owner"], body)
		if made.status != http.StatusCreated {
			t.Errorf("%s: %d %s", hostile, made.status, made.body)
			continue
		}
		slug := made.header.Get("Location")[strings.LastIndex(made.header.Get("Location"), "/")+1:]
		for _, path := range []string{"/acme/projects", "/acme/dashboard", "/acme/projects/" + slug, "/acme/projects/" + slug + "/edit", "/acme/projects?q=" + escaped} {
			page := s.call(t, "GET", path, s.tokens["owner"], nil)
			if page.status != http.StatusOK && !strings.Contains(path, "?") || strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img src=x") || page.header.Get("Set-Cookie") == "x=1" {
				t.Errorf("%s shows %s as it is: %d", path, hostile, page.status)
			}
		}
	}
	// Ids are no names.
	for _, id := range []string{"1", "2", "0", "-1", "9223372036854775808"} {
		if got := s.call(t, "GET", "/api/tenants/acme/projects/"+id, s.tokens["owner"], nil); got.status != http.StatusNotFound {
			t.Errorf("project %s: %d", id, got.status)
		}
	}
}

// smuggle sends what two servers in a row could read differently. Each has to be
// refused or cut off, never taken as two requests or as one without its body.
func (s *siege) smuggle(t *testing.T) {
	head := "POST /api/tenants/acme/projects HTTP/1.1\r\nHost: " + s.host() + "\r\nAuthorization: Bearer " + s.tokens["owner"] + "\r\nContent-Type: application/json\r\n"
	for name, request := range map[string]string{
		"two lengths":                 head + "Content-Length: 13\r\nContent-Length: 14\r\n\r\n{\"name\": \"x\"} ",
		"a length with a sign":        head + "Content-Length: +13\r\n\r\n{\"name\": \"x\"}",
		"an unknown coding":           head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a coding twice":              head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked, but not last":       head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"a space before the colon":    head + "Content-Length : 13\r\n\r\n{\"name\": \"x\"}",
		"a folded header":             head + "X-Fold: a\r\n b\r\nContent-Length : 13\r\n\r\n",
		"a chunk of no size":          head + "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
		"a chunk too long to be true": head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
		"two hosts":                   strings.Replace(head, "Host:", "Host: evil.example\r\nHost:", 1) + "Content-Length: 0\r\n\r\n",
		"no host":                     "GET / HTTP/1.1\r\n\r\n",
		"a header without end":        head + "X: " + strings.Repeat("x", 128<<10) + "\r\n\r\n",
		"no HTTP":                     "hello\r\n\r\n",
	} {
		if status := s.raw(t, request); status != 0 && status != 400 && status != 431 && status != 501 {
			t.Errorf("%s: %d", name, status)
		}
	}
}
