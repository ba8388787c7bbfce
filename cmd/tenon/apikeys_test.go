package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// madeKey is what the API answers to whoever makes a key.
type madeKey struct {
	ID, Name, Key, Hint string
	Permissions         []string
}

// newKey makes an API key with permissions, every one that there is by default.
func (p *product) newKey(t *testing.T, token, tenant string, permissions ...identity.Permission) (made madeKey) {
	t.Helper()
	if len(permissions) == 0 {
		permissions = identity.Permissions()
	}
	answered := p.call(t, "POST", "/api/tenants/"+tenant+"/api-keys", token, map[string]any{"name": "A key", "permissions": permissions})
	if answered.status != http.StatusCreated {
		t.Fatalf("%d %s", answered.status, answered.body)
	}
	answered.decode(t, &made)
	return made
}

// The API keys that attack, beside the people.
const (
	everyKey   = "key"         // of acme's owner, with every permission
	narrowKey  = "narrow key"  // of acme's owner, for public projects
	foreignKey = "foreign key" // of testcorp's owner, with every permission
	revokedKey = "revoked key"
	forgedKey  = "forged key" // the id of one and the secret of another
)

func (s *siege) makeKeys(t *testing.T) {
	t.Helper()
	every, revoked := s.newKey(t, s.tokens["owner"], "acme"), s.newKey(t, s.tokens["owner"], "acme")
	s.tokens[everyKey] = every.Key
	s.tokens[narrowKey] = s.newKey(t, s.tokens["owner"], "acme", identity.ProjectsViewPublic).Key
	s.tokens[foreignKey] = s.newKey(t, s.tokens["stranger"], "testcorp").Key
	s.tokens[revokedKey] = revoked.Key
	s.tokens[forgedKey] = "tenon_" + every.ID + strings.TrimPrefix(s.tokens[foreignKey], "tenon_")[len(every.ID):]
	if got := s.call(t, "DELETE", "/api/tenants/acme/api-keys/"+revoked.ID, s.tokens["owner"], nil); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	s.keys = map[string]string{}
}

// key returns the id of an API key for a row that is about one.
func (s *siege) key(t *testing.T, row attacked, tenant string) string {
	t.Helper()
	if !strings.Contains(row.pattern, "{key}") {
		return ""
	}
	token := s.tokens[ownerOf[tenant]]
	if id := s.keys[tenant]; id == "" || s.call(t, "GET", "/api/tenants/"+tenant+"/api-keys/"+id, token, nil).status != http.StatusOK {
		s.keys[tenant] = s.newKey(t, token, tenant, identity.ProjectsViewPublic).ID
	}
	return s.keys[tenant]
}

// attackWithKeys sends a row's request with every API key. Away from the
// operations of tenants a key is nobody.
func (s *siege) attackWithKeys(row attacked, hasProject bool, check func(as, what, tenant string, public bool, want int)) {
	nobody := row.own[slices.Index(attackers[:], "")]
	if !strings.HasPrefix(row.pattern, "/api/tenants/") {
		for _, as := range []string{everyKey, narrowKey, foreignKey, revokedKey, forgedKey} {
			check(as, "own", "acme", true, nobody)
		}
		return
	}
	check(everyKey, "own", "acme", true, row.keys.every)
	check(narrowKey, "own", "acme", true, row.keys.narrow)
	if hasProject {
		check(everyKey, "private", "acme", false, row.keys.every)
		check(narrowKey, "private", "acme", false, http.StatusNotFound)
	}
	check(everyKey, "foreign", "testcorp", true, http.StatusNotFound)
	check(foreignKey, "own", "acme", true, http.StatusNotFound)
	check(revokedKey, "own", "acme", true, http.StatusUnauthorized)
	check(forgedKey, "own", "acme", true, http.StatusUnauthorized)
}

// TestAKeyIsItsMakersAtMost follows a key through what happens to whoever made it.
func TestAKeyIsItsMakersAtMost(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada, bob := p.newUser(t, "Ada"), p.newUser(t, "Bob")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	p.join(t, acme, bob, "org:admin")
	owner, admin := p.token(t, ada, acme), p.token(t, bob, acme)
	const projects = "/api/tenants/acme/projects"
	asks := func(method, path, token string, body any) int { return p.call(t, method, path, token, body).status }
	eventually(t, "Bob is an admin", func() bool { return asks("GET", "/api/tenants/acme/api-keys", admin, nil) == http.StatusOK })
	if got := asks("POST", projects, owner, map[string]any{"name": "Secret"}); got != http.StatusCreated {
		t.Fatal(got)
	}

	key := p.newKey(t, admin, "acme", slices.DeleteFunc(identity.Permissions(), func(p identity.Permission) bool { return p == identity.OrganizationManage })...)
	expect := func(what string, method, path string, body any, want int) {
		t.Helper()
		if got := p.call(t, method, path, key.Key, body); got.status != want {
			t.Errorf("%s: %s %s: %d, want %d: %s", what, method, path, got.status, want, got.body)
		}
	}
	expect("of an admin", "GET", projects+"/secret", nil, 200)
	expect("of an admin", "GET", "/api/tenants/acme/api-keys", nil, 200)
	// An owner is not an admin's to change, whatever the key was given.
	expect("of an admin", "PATCH", "/api/tenants/acme/members/"+ada.ID, map[string]any{"role": "viewer"}, 403)
	expect("of an admin", "DELETE", "/api/tenants/acme/members/"+ada.ID, nil, 403)
	// What it makes is its maker's, and a browser's cookies are none of its business.
	made := p.call(t, "POST", projects, key.Key, map[string]any{"name": "By a key"}, "Cookie", "__session=x", "Idempotency-Key", "once")
	if made.status != http.StatusCreated || !strings.Contains(made.body, bob.ID) {
		t.Errorf("%d %s", made.status, made.body)
	}
	// The person's keys for idempotency are their own.
	if got := p.call(t, "POST", projects, admin, map[string]any{"name": "Another"}, "Idempotency-Key", "once"); got.status != http.StatusCreated || got.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%d %s", got.status, got.body)
	}

	if got := asks("PATCH", "/api/tenants/acme/members/"+bob.ID, owner, map[string]any{"role": "viewer"}); got != http.StatusOK {
		t.Fatal(got)
	}
	expect("of a viewer", "GET", projects+"/secret", nil, 404)
	expect("of a viewer", "GET", projects, nil, 200)
	expect("of a viewer", "POST", projects, map[string]any{"name": "x"}, 403)
	expect("of a viewer", "GET", "/api/tenants/acme/api-keys", nil, 403)

	if got := asks("DELETE", "/api/tenants/acme/members/"+bob.ID, owner, nil); got != http.StatusNoContent {
		t.Fatal(got)
	}
	expect("of nobody", "GET", projects, nil, 401)
	expect("of nobody", "GET", "/api/tenants/testcorp/projects", nil, 404)
	listed := p.call(t, "GET", "/api/tenants/acme/api-keys", owner, nil)
	if !strings.Contains(listed.body, key.ID) || strings.Contains(listed.body, key.Key) {
		t.Errorf("%s", listed.body)
	}

	// Secrets are nowhere in the log, nor in what is remembered of requests.
	expect("typed wrong", "GET", projects+"/"+key.Key, nil, 401)
	once := map[string]any{"name": "Once", "permissions": []string{"projects:view:all"}}
	first := p.call(t, "POST", "/api/tenants/acme/api-keys", owner, once, "Idempotency-Key", "key-once")
	again := p.call(t, "POST", "/api/tenants/acme/api-keys", owner, once, "Idempotency-Key", "key-once")
	var one, two struct {
		ID  string
		Key *string
	}
	first.decode(t, &one)
	again.decode(t, &two)
	if one.Key == nil || two.Key != nil || one.ID != two.ID || again.status != http.StatusCreated {
		t.Errorf("first %s, again %s", first.body, again.body)
	}
	if got := asks("GET", projects, *one.Key, nil); got != http.StatusOK {
		t.Errorf("%d", got)
	}
	for _, secret := range []string{key.Key, *one.Key} {
		if strings.Contains(p.log.String(), secret[len("tenon_")+16:]) {
			t.Error("a secret is in the log")
		}
	}
}

// TestAPIKeysInTheBrowser makes a key, uses it, and revokes it.
func TestAPIKeysInTheBrowser(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.visitor(t)
	ada.signUp(t, "Ada", "Acme", "acme")
	ada.click(t, `nav a[href="/acme/api-keys"]`)
	ada.at(t, "/acme/api-keys")
	ada.says(t, "No API keys")
	ada.look(t, "api-keys-none")
	ada.click(t, `main a[href="/acme/api-keys/new"]`)
	ada.at(t, "/acme/api-keys/new")
	ada.fill(t, map[string]string{"name": "Nightly export"})
	ada.click(t, `#api-key button[type="submit"]`)
	ada.says(t, "A key needs at least one permission.")
	ada.look(t, "api-keys-refused")
	if kept := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector('[name="name"]').value`); kept != "Nightly export" {
		t.Errorf("the form forgets what was typed: %q", kept)
	}
	ada.click(t, `[value="projects:view:all"]`)
	ada.click(t, `#api-key button[type="submit"]`)
	ada.says(t, "The key is made")
	ada.lookTwice(t, "api-keys-made")
	key := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector("#key").value`)
	if got := p.call(t, "GET", "/api/tenants/acme/projects", key, nil); got.status != http.StatusOK {
		t.Errorf("%q gets %d %s", key, got.status, got.body)
	}
	ada.click(t, `main .form-actions a`)
	ada.at(t, "/acme/api-keys")
	ada.says(t, "just now")
	ada.lookTwice(t, "api-keys")
	if text := ada.text(t); strings.Contains(text, key) {
		t.Error("the list shows the key")
	}
	ada.click(t, `[aria-label="Revoke Nightly export"]`)
	ada.says(t, "lose access at once")
	browsertest.Evaluate[chromedp.Void](t, ada.ctx, `{ document.querySelector('main form').requestSubmit() }`)
	ada.says(t, "was revoked")
	if got := p.call(t, "GET", "/api/tenants/acme/projects", key, nil); got.status != http.StatusUnauthorized {
		t.Errorf("a revoked key gets %d", got.status)
	}
}

// keyContract is [contract] for API keys.
func (p *product) keyContract(t *testing.T, tokens map[string]string) map[string][]exchange {
	t.Helper()
	owner := tokens["owner"]
	key := []string{"key", p.newKey(t, owner, "acme").ID}
	none := []string{"key", "NONE"}
	body, err := json.Marshal(map[string]any{"name": "x", "permissions": []string{"projects:view:all"}, "expires_in_days": 1})
	if err != nil {
		t.Fatal(err)
	}
	draft, big := string(body), `{"name": "`+strings.Repeat("x", 1<<20)+`"}`
	tokens[everyKey] = p.newKey(t, owner, "acme").Key
	const once = "Idempotency-Key"
	return map[string][]exchange{
		"list-api-keys": {
			{status: 200, as: "admin"},
			{status: 200, as: everyKey},
			{status: 400, as: "owner", query: "x=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "member"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "x=1", undocumented: true},
		},
		"create-api-key": {
			{status: 201, as: "admin", body: draft, header: []string{once, "a1"}},
			{status: 201, as: "admin", body: draft, header: []string{once, "a1"}},
			{status: 204, as: "admin", body: draft, header: []string{"Prefer", "return=minimal", once, "a2"}},
			{status: 400, as: "owner", body: `{`, undocumented: true},
			{status: 401, body: draft},
			{status: 403, as: everyKey, body: draft},
			{status: 404, as: "stranger", body: draft},
			{status: 413, as: "owner", body: big, undocumented: true},
			{status: 415, as: "owner", body: draft, header: []string{"Content-Type", "text/plain"}, undocumented: true},
			{status: 422, as: "admin", body: `{"name": "x", "permissions": ["organization:manage"]}`},
			{status: 409, as: "owner", body: draft, before: func(t *testing.T) {
				eventually(t, "there are too many keys", func() bool {
					return p.call(t, "POST", "/api/tenants/acme/api-keys", owner, draft).status == http.StatusConflict
				})
			}},
		},
		"get-api-key": {
			{status: 200, as: "admin", path: key},
			{status: 400, as: "owner", path: key, query: "x=%00", undocumented: true},
			{status: 401, path: key},
			{status: 403, as: "viewer", path: key},
			{status: 404, as: "owner", path: none},
			{status: 422, as: "owner", path: key, query: "x=1", undocumented: true},
		},
		"revoke-api-key": {
			{status: 400, as: "owner", path: key, query: "x=%00", undocumented: true},
			{status: 401, path: key},
			{status: 403, as: "viewer", path: key},
			{status: 404, as: "owner", path: none},
			{status: 422, as: "owner", path: key, query: "x=1", undocumented: true},
			{status: 204, as: "admin", path: key},
		},
	}
}
