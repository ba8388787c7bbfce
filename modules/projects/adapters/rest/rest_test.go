package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects/adapters/rest"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/platform/httpserver"
)

const (
	acme    = "/api/tenants/acme/projects"
	nobody  = ""
	owner   = projectstest.Owner
	admin   = projectstest.Admin
	ada     = projectstest.AdaToken
	bob     = projectstest.BobToken
	viewer  = projectstest.Viewer
	strange = projectstest.Stranger
)

type server struct{ *httpserver.Router }

func newServer(t *testing.T) server {
	t.Helper()
	service := projects.NewService(memory.NewRepository())
	return server{projectstest.NewRouter(t, []httpserver.Mount{{
		Surface:    httpserver.TenantAPI,
		Operations: func(api huma.API) { rest.Register(api, service) },
	}})}
}

type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (s server) send(t *testing.T, as, method, path, body string, header ...string) answer {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if as != nobody {
		request.Header.Set("Authorization", "Bearer "+as)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header[http.CanonicalHeaderKey(header[i])] = []string{header[i+1]}
	}
	response := httptest.NewRecorder()
	s.ServeHTTP(response, request)
	a := answer{status: response.Code, header: response.Header(), text: response.Body.String()}
	if a.text != "" {
		if err := json.Unmarshal(response.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.text)
		}
	}
	return a
}

// seed creates a private and a public project of Ada's.
func (s server) seed(t *testing.T) {
	t.Helper()
	s.expect(t, 201, ada, "POST", acme, `{"name": "Apollo"}`)
	s.expect(t, 201, ada, "POST", acme, `{"name": "Public", "is_public": true}`)
}

func (s server) expect(t *testing.T, status int, as, method, path, body string, header ...string) answer {
	t.Helper()
	a := s.send(t, as, method, path, body, header...)
	if a.status != status {
		t.Errorf("%s: %s %s %.60s: %d, want %d: %s", as, method, path, body, a.status, status, a.text)
	}
	if status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: a problem of type %q", method, path, a.header.Get("Content-Type"))
	}
	return a
}

// fields are the names of what a problem asks to mend.
func (a answer) fields() string {
	var names []string
	list, _ := a.body["errors"].([]any)
	for _, each := range list {
		names = append(names, each.(map[string]any)["field"].(string))
	}
	return strings.Join(names, " ")
}

func TestLifeOfAProject(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	empty := s.expect(t, 200, ada, "GET", acme, "")
	if !strings.Contains(empty.text, `"items":[]`) || !strings.Contains(empty.text, `"next":null`) {
		t.Errorf("an empty list is %s", empty.text)
	}

	created := s.expect(t, 201, ada, "POST", acme, `{"name": "  Äpollo 🚀 项目 "}`)
	if got := created.header.Get("Location"); got != acme+"/apollo" {
		t.Errorf("Location %q", got)
	}
	for name, want := range map[string]any{
		"id": 1.0, "name": "Äpollo 🚀 项目", "slug": "apollo", "description": "", "created_by": projectstest.Ada,
		"is_public": false, "status": "active", "updated_at": created.body["created_at"],
	} {
		if created.body[name] != want {
			t.Errorf("%s is %v, want %v", name, created.body[name], want)
		}
	}
	if len(created.body) != 9 {
		t.Errorf("a project has the properties %v", created.body)
	}

	if got := s.expect(t, 200, ada, "GET", acme+"/apollo", ""); got.text != created.text {
		t.Errorf("get answers %s, create %s", got.text, created.text)
	}
	patched := s.expect(t, 200, ada, "PATCH", acme+"/apollo", `{"name": "Gemini", "slug": "gemini", "description": "a\nb", "is_public": true, "status": "archived"}`)
	for name, want := range map[string]any{
		"id": 1.0, "name": "Gemini", "slug": "gemini", "description": "a\nb", "is_public": true, "status": "archived", "created_at": created.body["created_at"],
	} {
		if patched.body[name] != want {
			t.Errorf("%s is %v, want %v", name, patched.body[name], want)
		}
	}
	s.expect(t, 404, ada, "GET", acme+"/apollo", "")
	reset := s.expect(t, 200, ada, "PATCH", acme+"/gemini", `{"description": null, "is_public": null}`)
	if reset.body["description"] != "" || reset.body["is_public"] != false || reset.body["status"] != "archived" {
		t.Errorf("null makes of it %s", reset.text)
	}
	if same := s.expect(t, 200, ada, "PATCH", acme+"/gemini", `{}`); same.text != reset.text {
		t.Errorf("an empty patch makes of it %s", same.text)
	}
	listed := s.expect(t, 200, ada, "GET", acme, "")
	if !strings.Contains(listed.text, `"items":[`+strings.TrimSpace(reset.text)+`]`) {
		t.Errorf("listed as %s", listed.text)
	}
	if gone := s.expect(t, 204, ada, "DELETE", acme+"/gemini", ""); gone.text != "" {
		t.Errorf("delete answers %q", gone.text)
	}
	s.expect(t, 404, ada, "DELETE", acme+"/gemini", "")
	s.expect(t, 404, ada, "GET", acme+"/gemini", "")
}

// TestOrderOfChecks sends every kind of mistake at once and fewer and fewer of
// them.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	bad := `{"name": "", "nonsense": 1}`
	for _, test := range []struct {
		status                 int
		as, method, path, body string
	}{
		{401, nobody, "GET", "/api/tenants/nowhere/projects", ""},
		{401, nobody, "POST", acme, bad},
		{401, nobody, "PATCH", acme + "/apollo", bad},
		{401, nobody, "DELETE", acme + "/apollo", ""},
		{401, nobody, "GET", acme + "/apollo", ""},
		{404, ada, "POST", "/api/tenants/nowhere/projects", bad},
		{404, strange, "POST", acme, bad},
		{404, strange, "GET", acme + "?limit=0", ""},
		{404, strange, "GET", acme + "/public", ""},
		{404, strange, "PATCH", acme + "/public", bad},
		{404, strange, "DELETE", acme + "/public", ""},
		{404, owner, "GET", "/api/tenants/testcorp/projects/apollo", ""},
		{404, viewer, "GET", acme + "/apollo?x=1", ""},
		{404, viewer, "PATCH", acme + "/apollo", bad},
		{404, bob, "PATCH", acme + "/apollo", bad},
		{404, bob, "PATCH", acme + "/apollo", "{"},
		{404, bob, "DELETE", acme + "/apollo?x=1", ""},
		{404, ada, "PATCH", acme + "/missing", bad},
		{404, ada, "PATCH", acme + "/MISSING", bad},
		{404, ada, "GET", acme + "/new", ""},
		{403, viewer, "POST", acme, bad},
		{403, viewer, "POST", acme, "{"},
		{403, viewer, "POST", acme, `{"name": "x"}`},
		{403, viewer, "PATCH", acme + "/public", bad},
		{403, bob, "PATCH", acme + "/public", bad},
		{403, bob, "PATCH", acme + "/public", "{"},
		{403, bob, "PATCH", acme + "/public", `{}`},
		{403, bob, "DELETE", acme + "/public?x=1", ""},
		{403, viewer, "DELETE", acme + "/public", ""},
		{422, ada, "PATCH", acme + "/public", bad},
		{422, admin, "PATCH", acme + "/apollo", bad},
		{422, ada, "GET", acme + "/public?x=1", ""},
		{200, admin, "PATCH", acme + "/apollo", `{"description": "x"}`},
		{200, bob, "GET", acme + "/public", ""},
		{200, viewer, "GET", acme + "/public", ""},
		{204, owner, "DELETE", acme + "/apollo", ""},
	} {
		s.expect(t, test.status, test.as, test.method, test.path, test.body)
	}
	missing, unseen := s.send(t, viewer, "GET", acme+"/missing", ""), s.send(t, viewer, "GET", acme+"/apollo", "")
	for _, a := range []answer{missing, unseen} {
		delete(a.body, "request_id")
	}
	if fmt.Sprint(missing.body) != fmt.Sprint(unseen.body) {
		t.Errorf("a project one may not see is told from one that is not there:\n%v\n%v", missing.body, unseen.body)
	}
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	project := acme + "/apollo"
	before := s.send(t, ada, "GET", project, "").text
	secret := strings.Repeat("界", 10_000)
	for _, test := range []struct {
		status             int
		method, path, body string
		fields             string
	}{
		{400, "POST", acme, "", ""},
		{400, "POST", acme, "{", ""},
		{400, "POST", acme, `{"name": "x"} trailing`, ""},
		{422, "POST", acme, "null", "body"},
		{422, "POST", acme, "[]", "body"},
		{422, "POST", acme, "{}", "name"},
		{422, "POST", acme, `{"name": null}`, "name"},
		{422, "POST", acme, `{"name": 1}`, "name"},
		{422, "POST", acme, `{"name": ""}`, "name"},
		{422, "POST", acme, `{"name": "   "}`, "name"},
		{400, "POST", acme, `{"name": "a\u0000b"}`, ""},
		{422, "POST", acme, `{"name": "a\u0007b"}`, "name"},
		{422, "POST", acme, `{"name": "` + secret + `"}`, "name"},
		{422, "POST", acme, `{"name": "x", "description": "` + secret + `"}`, "description"},
		{422, "POST", acme, `{"name": "x", "slug": "A b"}`, "slug"},
		{422, "POST", acme, `{"name": "x", "slug": ""}`, "slug"},
		{422, "POST", acme, `{"name": "x", "slug": "new"}`, "slug"},
		{422, "POST", acme, `{"name": "x", "status": "deleted"}`, "status"},
		{422, "POST", acme, `{"name": "x", "is_public": "yes"}`, "is_public"},
		{422, "POST", acme, `{"name": "x", "role": "owner"}`, "body"},
		{422, "POST", acme, `{"name": "x", "created_by": "user_Bob"}`, "body"},
		{422, "POST", acme, `{"name": "x", "id": 7}`, "body"},
		{422, "POST", acme, `{"name": "x", "NAME": "y"}`, "body"},
		{409, "POST", acme, `{"name": "x", "slug": "apollo"}`, "slug"},
		{413, "POST", acme, `{"name": "` + strings.Repeat("x", 1<<20) + `"}`, ""},
		{400, "PATCH", project, "", ""},
		{400, "PATCH", project, "{", ""},
		{422, "PATCH", project, "[]", "body"},
		{422, "PATCH", project, `{"name": null}`, "name"},
		{422, "PATCH", project, `{"slug": null}`, "slug"},
		{422, "PATCH", project, `{"status": null}`, "status"},
		{422, "PATCH", project, `{"name": ""}`, "name"},
		{422, "PATCH", project, `{"name": "\u202e"}`, "name"},
		{422, "PATCH", project, `{"name": "` + secret + `"}`, "name"},
		{422, "PATCH", project, `{"created_by": "user_Bob"}`, "body"},
		{422, "PATCH", project, `{"id": 7}`, "body"},
		{422, "PATCH", project, `{"role": "owner"}`, "body"},
		{422, "PATCH", project, `{"is_public": 1}`, "is_public"},
		{409, "PATCH", project, `{"slug": "public"}`, "slug"},
		{413, "PATCH", project, `{"name": "` + strings.Repeat("x", 1<<20) + `"}`, ""},
		{422, "GET", acme + "?limit=0", "", "limit"},
		{422, "GET", acme + "?limit=101", "", "limit"},
		{422, "GET", acme + "?limit=many", "", "limit"},
		{422, "GET", acme + "?after=nonsense", "", "after"},
		{422, "GET", acme + "?status=gone", "", "status"},
		{422, "GET", acme + "?q=" + strings.Repeat("x", 121), "", "q"},
		{422, "GET", acme + "?q=a%0Ab", "", "q"},
		{422, "GET", acme + "?sort=id", "", "sort"},
		{422, "GET", acme + "?order=name", "", "query"},
		{400, "GET", acme + "?q=%00", "", ""},
	} {
		a := s.expect(t, test.status, ada, test.method, test.path, test.body)
		if got := a.fields(); got != test.fields {
			t.Errorf("%s %.60s: fields %q, want %q in %s", test.method, test.body, got, test.fields, a.text)
		}
		if strings.Contains(a.text, "界") || strings.Contains(a.text, "nonsense") {
			t.Errorf("%s %.60s: the answer repeats what was submitted", test.method, test.body)
		}
	}
	if after := s.send(t, ada, "GET", project, "").text; after != before {
		t.Errorf("refused requests left %s, want %s", after, before)
	}
	if list := s.send(t, ada, "GET", acme, ""); strings.Count(list.text, `"id"`) != 2 {
		t.Errorf("refused requests left %s", list.text)
	}
}

func TestListsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i := range 25 {
		s.expect(t, 201, ada, "POST", acme, fmt.Sprintf(`{"name": "Project %02d", "status": "%s"}`, i, map[bool]string{true: "active", false: "archived"}[i%5 != 0]))
	}
	s.expect(t, 201, bob, "POST", acme, `{"name": "Bob’s 100%", "is_public": true}`)
	seen := map[string]bool{}
	path := acme + "?limit=10"
	for range 5 {
		page := s.expect(t, 200, owner, "GET", path, "")
		for _, item := range page.body["items"].([]any) {
			seen[item.(map[string]any)["slug"].(string)] = true
		}
		next, ok := page.body["next"].(string)
		if !ok {
			break
		}
		path = acme + "?limit=10&after=" + next
	}
	if len(seen) != 26 {
		t.Errorf("the pages hold %d projects, want 26", len(seen))
	}
	for query, want := range map[string]int{
		"": 20, "?limit=100": 26, "?limit=100&status=archived": 5, "?q=PROJECT+0": 10, "?q=100%25": 1, "?created_by=" + projectstest.Bob: 1, "?q=nothing": 0,
		"?is_public=true": 1, "?limit=100&is_public=false": 25,
	} {
		if page := s.expect(t, 200, owner, "GET", acme+query, ""); len(page.body["items"].([]any)) != want {
			t.Errorf("%q lists %d, want %d", query, len(page.body["items"].([]any)), want)
		}
	}
	for as, want := range map[string]int{viewer: 1, bob: 1, ada: 26, admin: 26} {
		if page := s.expect(t, 200, as, "GET", acme+"?limit=100", ""); len(page.body["items"].([]any)) != want {
			t.Errorf("%s sees %d, want %d", as, len(page.body["items"].([]any)), want)
		}
	}
	if other := s.expect(t, 200, strange, "GET", "/api/tenants/testcorp/projects", ""); len(other.body["items"].([]any)) != 0 {
		t.Errorf("another tenant sees %s", other.text)
	}
}

// TestListsAreSortedAndLinked follows the Link headers through every order.
func TestListsAreSortedAndLinked(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, name := range []string{"beta", "Alpha", "gamma"} {
		s.expect(t, 201, ada, "POST", acme, `{"name": "`+name+`"}`)
	}
	s.expect(t, 200, ada, "PATCH", acme+"/alpha", `{"description": "x"}`)
	for sort, want := range map[string]string{
		"": "gamma alpha beta", "&sort=-created_at": "gamma alpha beta", "&sort=created_at": "beta alpha gamma",
		"&sort=name": "alpha beta gamma", "&sort=-name": "gamma beta alpha", "&sort=-updated_at": "alpha gamma beta", "&sort=updated_at": "beta gamma alpha",
	} {
		path, got := acme+"?limit=1&q=a&status=active&is_public=false&created_by="+projectstest.Ada+sort, []string{}
		for path != "" && len(got) < 5 {
			page := s.expect(t, 200, ada, "GET", path, "")
			for _, item := range page.body["items"].([]any) {
				got = append(got, item.(map[string]any)["slug"].(string))
			}
			links := linksOf(page.header)
			if links["first"] == "" || strings.Contains(links["first"], "after=") {
				t.Errorf("%s: first is %q", path, links["first"])
			}
			if next, _ := page.body["next"].(string); next != "" != (links["next"] != "") || !strings.Contains(links["next"], next) {
				t.Errorf("%s: next is %q in the header, %q in the body", path, links["next"], next)
			}
			path = links["next"]
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", sort, got, want)
		}
	}
	next := s.expect(t, 200, ada, "GET", acme+"?limit=1&sort=name", "").body["next"].(string)
	if other := s.expect(t, 422, ada, "GET", acme+"?limit=1&after="+next, ""); other.fields() != "after" {
		t.Errorf("a cursor of another order: %s", other.text)
	}
	hostile := s.expect(t, 200, ada, "GET", acme+"?q=%3E%22%2C%3Cx&limit=2", "")
	if link := hostile.header.Get("Link"); strings.Count(link, "<") != 1 || strings.Count(link, ">") != 1 {
		t.Errorf("a search gets into the link: %s", link)
	}
}

// linksOf returns the targets of a Link header by their relation.
func linksOf(header http.Header) map[string]string {
	links := map[string]string{}
	for link := range strings.SplitSeq(header.Get("Link"), ", ") {
		target, rel, _ := strings.Cut(link, ">; rel=")
		links[strings.Trim(rel, `"`)] = strings.TrimPrefix(target, "<")
	}
	return links
}

func TestLostUpdatesAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	project := acme + "/apollo"
	first := s.expect(t, 200, ada, "GET", project, "").header.Get("ETag")
	if !strings.HasPrefix(first, `"`) || first == s.expect(t, 200, ada, "GET", acme+"/public", "").header.Get("ETag") {
		t.Fatalf("ETag %s", first)
	}
	patched := s.expect(t, 200, ada, "PATCH", project, `{"description": "mine"}`, "If-Match", first)
	second := patched.header.Get("ETag")
	if second == first || s.expect(t, 200, ada, "GET", project, "").header.Get("ETag") != second {
		t.Errorf("ETags %s, %s", first, second)
	}
	for _, stale := range []string{first, "W/" + second, strings.Trim(second, `"`), `"x"`, `""`, `"`, ",", first + `, "y"`} {
		for _, body := range []string{`{"description": "theirs"}`, `{}`, `{"slug": "public"}`} {
			a := s.expect(t, 412, owner, "PATCH", project, body, "If-Match", stale)
			if a.body["type"] != "urn:tenon:problem:precondition-failed" {
				t.Errorf("%s", a.text)
			}
		}
		s.expect(t, 412, owner, "DELETE", project, "", "If-Match", stale)
		// What is wrong with the request comes first.
		s.expect(t, 422, owner, "PATCH", project, `{"name": ""}`, "If-Match", stale)
		s.expect(t, 404, bob, "PATCH", project, `{}`, "If-Match", stale)
		s.expect(t, 403, bob, "DELETE", acme+"/public", "", "If-Match", stale)
		s.expect(t, 404, ada, "DELETE", acme+"/missing", "", "If-Match", stale)
	}
	if now := s.expect(t, 200, ada, "GET", project, ""); now.body["description"] != "mine" {
		t.Errorf("a refused change left %s", now.text)
	}
	third := s.expect(t, 200, ada, "PATCH", project, `{"name": "Gemini"}`, "If-Match", `"x", `+second).header.Get("ETag")
	s.expect(t, 200, ada, "PATCH", project, `{}`, "If-Match", third)
	s.expect(t, 200, ada, "PATCH", project, `{}`, "If-Match", "*")
	s.expect(t, 204, ada, "DELETE", project, "", "If-Match", third)
	created := s.expect(t, 201, ada, "POST", acme, `{"name": "Apollo", "slug": "apollo"}`)
	s.expect(t, 412, ada, "DELETE", project, "", "If-Match", third)
	s.expect(t, 204, ada, "DELETE", project, "", "If-Match", created.header.Get("ETag"))
}

func TestUnchangedProjectsAreNotSentAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	got := s.expect(t, 200, ada, "GET", acme+"/apollo", "")
	tag := got.header.Get("ETag")
	if got.header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("%v", got.header)
	}
	for _, known := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if a := s.expect(t, 304, ada, "GET", acme+"/apollo", "", "If-None-Match", known); a.text != "" || a.header.Get("ETag") != tag || a.header.Get("Content-Type") != "" {
			t.Errorf("%s: %v %q", known, a.header, a.text)
		}
		s.expect(t, 404, bob, "GET", acme+"/apollo", "", "If-None-Match", known)
	}
	s.expect(t, 200, ada, "GET", acme+"/apollo", "", "If-None-Match", `"x"`)
	s.expect(t, 200, ada, "PATCH", acme+"/apollo", `{"description": "x"}`, "If-None-Match", tag)
	s.expect(t, 200, ada, "GET", acme+"/apollo", "", "If-None-Match", tag)
}

func TestMinimalAnswers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, prefer := range []string{"return=minimal", "respond-async, Return = \"minimal\"; x=1"} {
		created := s.expect(t, 204, ada, "POST", acme, `{"name": "Apollo", "slug": "apollo"}`, "Prefer", prefer)
		if created.text != "" || created.header.Get("Location") != acme+"/apollo" || created.header.Get("ETag") == "" || created.header.Get("Content-Type") != "" {
			t.Errorf("%s: %v %q", prefer, created.header, created.text)
		}
		patched := s.expect(t, 204, ada, "PATCH", acme+"/apollo", `{"name": "x"}`, "Prefer", prefer)
		if patched.text != "" || patched.header.Get("Preference-Applied") != "return=minimal" || patched.header.Get("ETag") == created.header.Get("ETag") {
			t.Errorf("%s: %v %q", prefer, patched.header, patched.text)
		}
		if refused := s.expect(t, 422, ada, "PATCH", acme+"/apollo", `{"name": ""}`, "Prefer", prefer); refused.fields() != "name" || refused.header.Get("Preference-Applied") != "" {
			t.Errorf("%s: %v %q", prefer, refused.header, refused.text)
		}
		if got := s.expect(t, 200, ada, "GET", acme+"/apollo", "", "Prefer", prefer); got.text == "" {
			t.Error("what was asked for is not answered")
		}
		s.expect(t, 204, ada, "DELETE", acme+"/apollo", "", "Prefer", prefer)
	}
	if a := s.expect(t, 201, ada, "POST", acme, `{"name": "x"}`, "Prefer", "return=representation"); a.text == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %q", a.header, a.text)
	}
}

func TestARequestUnderAKeyHappensOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const key = "Idempotency-Key"
	first := s.expect(t, 201, ada, "POST", acme, `{"name": "Apollo"}`, key, "k1")
	again := s.expect(t, 201, ada, "POST", acme, `{"name": "Apollo"}`, key, "k1")
	if again.text != first.text || again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("first %s\nagain %s", first.text, again.text)
	}
	for _, name := range []string{"Location", "ETag", "Content-Type", "Cache-Control"} {
		if got, want := again.header.Get(name), first.header.Get(name); got != want || got == "" {
			t.Errorf("%s: %q again, %q first", name, got, want)
		}
	}
	// Another request under the key.
	for _, body := range []string{`{"name": "Gemini"}`, `{"name": "Apollo" }`, `{`, ``} {
		if a := s.expect(t, 422, ada, "POST", acme, body, key, "k1"); a.fields() != key {
			t.Errorf("%s: %s", body, a.text)
		}
	}
	// The same key of others, and of the same person elsewhere.
	s.expect(t, 201, bob, "POST", acme, `{"name": "Bob"}`, key, "k1")
	s.expect(t, 201, owner, "POST", acme, `{"name": "Owner"}`, key, "k1")
	s.expect(t, 201, owner, "POST", "/api/tenants/testcorp/projects", `{"name": "Owner"}`, key, "k1")
	// Who may not do it gets no answer of the time when they could.
	s.expect(t, 403, viewer, "POST", acme, `{"name": "Apollo"}`, key, "k1")
	s.expect(t, 404, strange, "POST", acme, `{"name": "Apollo"}`, key, "k1")
	s.expect(t, 401, nobody, "POST", acme, `{"name": "Apollo"}`, key, "k1")
	// What failed is free to be mended.
	s.expect(t, 422, ada, "POST", acme, `{"name": ""}`, key, "k2")
	s.expect(t, 409, ada, "POST", acme, `{"name": "x", "slug": "apollo"}`, key, "k2")
	s.expect(t, 415, ada, "POST", acme, `{"name": "x"}`, key, "k2", "Content-Type", "text/plain")
	s.expect(t, 413, ada, "POST", acme, `{"name": "`+strings.Repeat("x", 1<<20)+`"}`, key, "k2")
	minimal := s.expect(t, 204, ada, "POST", acme, `{"name": "x"}`, key, "k2", "Prefer", "return=minimal")
	if a := s.expect(t, 204, ada, "POST", acme, `{"name": "x"}`, key, "k2"); minimal.text != "" || a.text != "" || a.header.Get("Location") != acme+"/x" {
		t.Errorf("%v %s", a.header, a.text)
	}
	for _, bad := range []string{strings.Repeat("x", 256), "a b", "ä", "a\x7f"} {
		if a := s.expect(t, 422, ada, "POST", acme, `{"name": "y"}`, key, bad); a.fields() != key {
			t.Errorf("%q: %s", bad, a.text)
		}
	}
	if list := s.expect(t, 200, owner, "GET", acme+"?limit=100", ""); strings.Count(list.text, `"id"`) != 4 {
		t.Errorf("%s", list.text)
	}
}

func TestMergePatchMediaType(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	for contentType, want := range map[string]int{
		"application/merge-patch+json": 200, "application/json; charset=utf-8": 200, "text/plain": 415, "application/json-patch+json": 415,
	} {
		request := httptest.NewRequest("PATCH", acme+"/apollo", strings.NewReader(`{"name": "x"}`))
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("Authorization", "Bearer "+ada)
		response := httptest.NewRecorder()
		s.ServeHTTP(response, request)
		if response.Code != want {
			t.Errorf("%s: %d, want %d: %s", contentType, response.Code, want, response.Body)
		}
	}
}

// TestTheDocumentSaysWhatTheDomainDoes keeps the limits in struct tags and
// those of the domain the same.
func TestTheDocumentSaysWhatTheDomainDoes(t *testing.T) {
	t.Parallel()
	document := newServer(t).OpenAPI()
	for _, name := range []string{"ProjectDraft", "ProjectPatch"} {
		schema := document.Components.Schemas.Map()[name]
		if schema == nil {
			t.Fatalf("no schema %s", name)
		}
		for property, want := range map[string]int{
			"name": projects.MaxNameLength, "slug": projects.MaxSlugLength, "description": projects.MaxDescriptionLength,
		} {
			if got := schema.Properties[property].MaxLength; got == nil || *got != want {
				t.Errorf("%s.%s: maxLength %v, want %d", name, property, got, want)
			}
		}
		if got := len(schema.Properties["status"].Enum); got != len(projects.Statuses()) {
			t.Errorf("%s.status: %d values", name, got)
		}
		if schema.Properties["is_public"].Type != "boolean" {
			t.Errorf("%s.is_public: %s", name, schema.Properties["is_public"].Type)
		}
	}
	operations := 0
	for path, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete} {
			if op != nil {
				operations++
				for _, status := range []string{"401", "403", "404", "422"} {
					if op.Responses[status] == nil {
						t.Errorf("%s %s does not document %s", op.Method, path, status)
					}
				}
			}
		}
	}
	if operations != 5 {
		t.Errorf("%d operations, want 5", operations)
	}
}
