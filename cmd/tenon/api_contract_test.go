package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// exchange is a request and the status that it gets.
type exchange struct {
	status int
	as     string // "" is nobody
	tenant string // "" is acme
	// path holds the other parameters of the path, by name and value in turn.
	path  []string
	query string
	// body is sent as application/json; "" is none.
	body string
	// header holds names and values in turn.
	header []string
	// undocumented requests break the document, which is why they are refused.
	undocumented bool
	// before is run first.
	before func(t *testing.T)
	// again sends it twice, the second time with the ETag of the first answer as
	// If-None-Match.
	again bool
	// etagOf sends the ETag that a GET of this path has, as the named header.
	etagOf, etagHeader string
}

var project = []string{"project", "open-house"}

// contract holds what is sent to every operation, by operation id: each status
// that the document names has to be among them.
func contract(execute func(t *testing.T, statement string)) map[string][]exchange {
	big := `{"name": "` + strings.Repeat("x", 1<<20) + `"}`
	const key = "Idempotency-Key"
	return map[string][]exchange{
		"list-projects": {
			{status: 200, as: "owner"},
			{status: 200, as: "viewer", query: "q=a&status=active&is_public=true&created_by=user_x&sort=-name&limit=1"},
			{status: 400, as: "owner", query: "q=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "owner", tenant: "frozen"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "limit=0", undocumented: true},
		},
		"create-project": {
			{status: 201, as: "member", body: `{"name": "A", "slug": "a", "description": "b", "is_public": true, "status": "archived"}`},
			{status: 201, as: "member", body: `{"name": "B"}`, header: []string{key, "k1"}},
			{status: 201, as: "member", body: `{"name": "B"}`, header: []string{key, "k1"}},
			{status: 204, as: "member", body: `{"name": "C"}`, header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "owner", body: `{`, undocumented: true},
			{status: 401, body: `{"name": "A"}`},
			{status: 403, as: "viewer", body: `{"name": "A"}`},
			{status: 404, as: "stranger", body: `{"name": "A"}`},
			{status: 409, as: "owner", body: `{"name": "A", "slug": "a"}`},
			{status: 413, as: "owner", body: big, undocumented: true},
			{status: 415, as: "owner", body: `{"name": "A"}`, header: []string{"Content-Type", "text/plain"}, undocumented: true},
			{status: 422, as: "owner", body: `{"name": ""}`, undocumented: true},
			{status: 422, as: "owner", body: `{"name": "A", "slug": "new"}`},
			{status: 422, as: "member", body: `{"name": "D"}`, header: []string{key, "k1"}},
		},
		"get-project": {
			{status: 200, as: "owner", path: project},
			{status: 400, as: "owner", path: project, query: "x=%00", undocumented: true},
			{status: 401, path: project},
			{status: 403, as: "owner", tenant: "frozen", path: project},
			{status: 404, as: "owner", path: []string{"project", "missing"}},
			{status: 422, as: "owner", path: project, query: "x=1", undocumented: true},
		},
		"update-project": {
			{status: 200, as: "owner", path: project, body: `{"description": null, "is_public": true, "status": "active"}`},
			{status: 200, as: "owner", path: project, body: `{"name": "Open house"}`, etagOf: "open-house", etagHeader: "If-Match", header: []string{"Content-Type", "application/merge-patch+json"}},
			{status: 204, as: "owner", path: project, body: `{}`, header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "owner", path: project, body: `{`, undocumented: true},
			{status: 401, path: project, body: `{}`},
			{status: 403, as: "member", path: project, body: `{}`},
			{status: 404, as: "stranger", path: project, body: `{}`},
			{status: 409, as: "owner", path: project, body: `{"slug": "b"}`},
			{status: 412, as: "owner", path: project, body: `{}`, header: []string{"If-Match", `"1-1"`}},
			{status: 413, as: "owner", path: project, body: big, undocumented: true},
			{status: 415, as: "owner", path: project, body: `{}`, header: []string{"Content-Type", "application/json-patch+json"}, undocumented: true},
			{status: 422, as: "owner", path: project, body: `{"name": ""}`, undocumented: true},
		},
		"delete-project": {
			{status: 400, as: "owner", path: project, query: "x=%00", undocumented: true},
			{status: 401, path: project},
			{status: 403, as: "member", path: project},
			{status: 404, as: "stranger", path: project},
			{status: 412, as: "owner", path: project, header: []string{"If-Match", `"1-1"`}},
			{status: 422, as: "owner", path: project, query: "x=1", undocumented: true},
			{status: 204, as: "owner", path: []string{"project", "a"}},
		},
		"complete-onboarding": {
			{status: 200, as: "member"},
			{status: 200, as: "member", body: `{"phone": "+1 555 0100"}`},
			{status: 204, as: "member", body: `{}`, header: []string{"Prefer", "return=minimal"}},
			{status: 400, as: "member", body: `{`, undocumented: true},
			{status: 401},
			{status: 403, as: "owner", tenant: "frozen"},
			{status: 404, as: "stranger"},
			{status: 200, as: "member", body: `{}`, header: []string{key, "k2"}},
			{status: 409, as: "member", body: `{}`, header: []string{key, "k2"}, before: func(t *testing.T) {
				execute(t, `UPDATE public.idempotency_keys SET status = 0 WHERE key = 'k2'`) // as while it runs
			}},
			{status: 413, as: "member", body: big, undocumented: true},
			{status: 415, as: "member", body: `{}`, header: []string{"Content-Type", "text/plain"}, undocumented: true},
			{status: 422, as: "member", body: `{"role": "owner"}`, undocumented: true},
		},
	}
}

// TestContract sends every operation's documented answers through the product and
// holds both directions against the document.
func TestContract(t *testing.T) {
	p := startProduct(t, "--no-seed")
	document := p.document(t)
	tokens, execute := p.contractTenants(t)
	// The document says what a problem's type is; the decoder goes by its JSON.
	openapi3filter.RegisterBodyDecoder("application/merge-patch+json", openapi3filter.JSONBodyDecoder)

	routes := map[string]*routers.Route{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			routes[operation.OperationID] = &routers.Route{Spec: document, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	exchanges := contract(execute)
	maps.Copy(exchanges, p.memberContract(t, tokens, execute))
	maps.Copy(exchanges, p.keyContract(t, tokens))
	maps.Copy(exchanges, p.auditContract())
	maps.Copy(exchanges, p.settingsContract(t, tokens))
	for _, id := range slices.Sorted(maps.Keys(exchanges)) {
		route, ok := routes[id]
		if !ok {
			t.Errorf("%s is no operation", id)
			continue
		}
		answered := slices.IndexFunc(exchanges[id], func(e exchange) bool { return e.status == http.StatusOK })
		if route.Operation.Responses.Status(http.StatusNotModified) != nil && answered >= 0 {
			known := exchanges[id][answered]
			known.status, known.again = http.StatusNotModified, true
			exchanges[id] = append(exchanges[id], known)
		}
		for i, sent := range exchanges[id] {
			t.Run(fmt.Sprintf("%s/%d/%d", id, i, sent.status), func(t *testing.T) { p.exchange(t, route, tokens, sent) })
		}
	}
	hurried := startCommand(t, []string{"DATABASE_URL=" + localpgtest.NewDatabase(t), "RATE_LIMIT_ADDRESS=1"}, "--no-seed")
	hurried.call(t, "GET", "/api/openapi.json", "", nil)
	for id, route := range routes {
		exchanges[id] = append(exchanges[id], exchange{status: 429, undocumented: true}) // before anybody looks at it
		t.Run(id+"/429", func(t *testing.T) { hurried.exchange(t, route, tokens, exchanges[id][len(exchanges[id])-1]) })
	}
	for id, route := range routes {
		for status := range route.Operation.Responses.Map() {
			sent := slices.ContainsFunc(exchanges[id], func(e exchange) bool { return fmt.Sprint(e.status) == status })
			if !sent && status != "default" { // what cannot be foreseen cannot be sent
				t.Errorf("%s: nothing is sent that gets the documented %s", id, status)
			}
		}
	}
}

// document returns the OpenAPI document that the product serves to anybody.
func (p *product) document(t *testing.T) *openapi3.T {
	t.Helper()
	served := p.call(t, "GET", "/api/openapi.json", "", nil)
	if served.status != http.StatusOK {
		t.Fatalf("%d %s", served.status, served.body)
	}
	document, err := openapi3.NewLoader().LoadFromData([]byte(served.body))
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not valid: %v", err)
	}
	return document
}

// contractTenants makes acme with everybody in it, testcorp of a stranger, and
// frozen, which is suspended. It returns tokens by role, and what runs a
// statement on the database.
func (p *product) contractTenants(t *testing.T) (tokens map[string]string, execute func(*testing.T, string)) {
	t.Helper()
	ada, eve := p.newUser(t, "Ada"), p.newUser(t, "Eve")
	acme, testcorp := p.newOrganization(t, "Acme", "acme", ada), p.newOrganization(t, "Testcorp", "testcorp", eve)
	frozen := p.newOrganization(t, "Frozen", "frozen", ada)
	grace, bob, vera := p.newUser(t, "Grace"), p.newUser(t, "Bob"), p.newUser(t, "Vera")
	p.join(t, acme, grace, "org:member")
	p.join(t, acme, bob, "org:admin")
	p.join(t, acme, vera, "org:viewer")
	tokens = map[string]string{
		"": "", "owner": p.token(t, ada, acme), "admin": p.token(t, bob, acme), "member": p.token(t, grace, acme),
		"viewer": p.token(t, vera, acme), "stranger": p.token(t, eve, testcorp),
	}
	for who, tenant := range map[string]string{"owner": "frozen", "admin": "acme", "member": "acme", "viewer": "acme", "stranger": "testcorp"} {
		eventually(t, who+" in "+tenant, func() bool {
			return p.call(t, "GET", "/api/tenants/"+tenant+"/projects", tokens[who], nil).status == http.StatusOK
		})
	}
	for tenant, who := range map[string]string{"acme": "owner", "frozen": "owner", "testcorp": "stranger"} {
		made := p.call(t, "POST", "/api/tenants/"+tenant+"/projects", tokens[who], map[string]any{"name": "Open house", "is_public": true})
		if made.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", tenant, made.status, made.body)
		}
	}
	db, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the database goes with it
	execute = func(t *testing.T, statement string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, `UPDATE public.tenants SET is_active = false, suspended_at = now() WHERE id = '`+frozen.ID+`'`)
	execute(t, `SELECT pg_notify('tenon_changes', schema_name) FROM public.tenants WHERE id = '`+frozen.ID+`'`) // as the product does
	eventually(t, "frozen is suspended", func() bool {
		return p.call(t, "GET", "/api/tenants/frozen/projects", tokens["owner"], nil).status == http.StatusForbidden
	})
	return tokens, execute
}

// exchange sends a request and validates it and its answer.
func (p *product) exchange(t *testing.T, route *routers.Route, tokens map[string]string, sent exchange) {
	t.Helper()
	if sent.before != nil {
		sent.before(t)
	}
	if sent.tenant == "" {
		sent.tenant = "acme"
	}
	parameters := map[string]string{"tenant": sent.tenant}
	for i := 0; i < len(sent.path); i += 2 {
		parameters[sent.path[i]] = sent.path[i+1]
	}
	path := route.Path
	for name, value := range parameters {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	if sent.query != "" {
		path += "?" + sent.query
	}
	if sent.etagOf != "" {
		current := p.call(t, "GET", "/api/tenants/acme/projects/"+sent.etagOf, tokens["owner"], nil)
		sent.header = append(sent.header, sent.etagHeader, current.header.Get("ETag"))
	}
	var body any
	if sent.body != "" {
		body = sent.body
	}
	if sent.again {
		first := p.call(t, route.Method, path, tokens[sent.as], body, sent.header...)
		sent.header = append(slices.Clone(sent.header), "If-None-Match", first.header.Get("ETag"))
	}
	got := p.call(t, route.Method, path, tokens[sent.as], body, sent.header...)
	if got.status != sent.status {
		t.Fatalf("%s %s: %d, want %d: %s", route.Method, path, got.status, sent.status, got.body)
	}
	if route.Operation.Responses.Status(got.status) == nil {
		t.Errorf("%d is not documented", got.status)
	}

	request, err := http.NewRequestWithContext(t.Context(), route.Method, p.URL+path, strings.NewReader(sent.body))
	if err != nil {
		t.Fatal(err)
	}
	if sent.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(sent.header); i += 2 {
		request.Header.Set(sent.header[i], sent.header[i+1])
	}
	asked := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateRequest(t.Context(), asked); err != nil && !sent.undocumented {
		t.Errorf("the request is not as documented: %v", err)
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: got.status, Header: got.header,
		Body: io.NopCloser(strings.NewReader(got.body)), Options: asked.Options,
	}); err != nil {
		t.Errorf("the answer is not as documented: %v", err)
	}
	if got.status >= 400 && got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a problem of type %q", got.header.Get("Content-Type"))
	}
}
