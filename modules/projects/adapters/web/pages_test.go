package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects/adapters/web"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/tenant"
)

const (
	nobody = ""
	owner  = projectstest.Owner
	ada    = projectstest.AdaToken
	bob    = projectstest.BobToken
	viewer = projectstest.Viewer
)

type server struct {
	http.Handler
	service *projects.Service
}

func newServer(t *testing.T, options ...projectstest.RouterOption) server {
	t.Helper()
	service := projects.NewService(memory.NewRepository())
	members := func(ctx context.Context, ids ...string) (map[string]identity.Member, error) {
		if _, ok := tenant.FromContext(ctx); !ok {
			return nil, errors.New("no tenant in the context")
		}
		return map[string]identity.Member{
			projectstest.Ada: projectstest.MemberOf(ada), projectstest.Bob: projectstest.MemberOf(bob),
		}, nil
	}
	pages := web.NewPages(service, members, projectstest.Errors)
	return server{projectstest.NewRouter(t, []httpserver.Mount{{Surface: httpserver.TenantPages, Routes: pages.Mount}}, options...), service}
}

// seed makes a private and a public project of Ada's.
func (s server) seed(t *testing.T) {
	t.Helper()
	s.expect(t, 303, ada, "POST", "/acme/projects/new", url.Values{"name": {"Apollo"}, "description": {"a\nb <script>"}})
	s.expect(t, 303, ada, "POST", "/acme/projects/new", url.Values{"name": {"Shared"}, "is_public": {"on"}})
}

type page struct {
	*httptest.ResponseRecorder
	text string
	root *html.Node
}

func (s server) send(t *testing.T, as, method, path string, form url.Values, headers ...string) page {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if as != nobody {
		request.AddCookie(&http.Cookie{Name: "__session", Value: as})
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response := httptest.NewRecorder()
	s.ServeHTTP(response, request)
	text := response.Body.String()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return page{response, text, root}
}

func (s server) expect(t *testing.T, status int, as, method, path string, form url.Values, headers ...string) page {
	t.Helper()
	p := s.send(t, as, method, path, form, headers...)
	if p.Code != status {
		t.Errorf("%s: %s %s: %d, want %d", as, method, path, p.Code, status)
	}
	return p
}

// find returns the first element with all attributes, given as name and value
// in turn, or nil.
func (p page) find(attributes ...string) *html.Node {
	for node := range p.root.Descendants() {
		matches := node.Type == html.ElementNode
		for i := 0; matches && i < len(attributes); i += 2 {
			value, ok := attribute(node, attributes[i])
			matches = ok && value == attributes[i+1]
		}
		if matches {
			return node
		}
	}
	return nil
}

func attribute(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func textOf(node *html.Node) string {
	var text strings.Builder
	for each := range node.Descendants() {
		if each.Type == html.TextNode {
			text.WriteString(each.Data)
		}
	}
	return text.String()
}

// value is what the control called name shows.
func (p page) value(t *testing.T, name string) string {
	t.Helper()
	control := p.find("name", name)
	if control == nil {
		t.Fatalf("no control %q", name)
	}
	switch control.Data {
	case "textarea":
		return textOf(control)
	case "select":
		for option := range control.Descendants() {
			if _, selected := attribute(option, "selected"); selected {
				value, _ := attribute(option, "value")
				return value
			}
		}
		return ""
	}
	if kind, _ := attribute(control, "type"); kind == "checkbox" {
		_, checked := attribute(control, "checked")
		return fmt.Sprint(checked)
	}
	value, _ := attribute(control, "value")
	return value
}

// errorOf is what stands at the control called name as its error.
func (p page) errorOf(t *testing.T, name string) string {
	t.Helper()
	control := p.find("name", name)
	if control == nil {
		t.Fatalf("no control %q", name)
	}
	if invalid, _ := attribute(control, "aria-invalid"); invalid != "true" {
		return ""
	}
	described, _ := attribute(control, "aria-describedby")
	note := p.find("id", name+"-error")
	if note == nil || !strings.Contains(described, name+"-error") {
		t.Errorf("the error of %q is not tied to it", name)
		return ""
	}
	return strings.TrimSpace(textOf(note))
}

func (p page) has(text string) bool { return strings.Contains(p.text, text) }

func TestLifeOfAProject(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if empty := s.expect(t, 200, ada, "GET", "/acme/projects", nil); !empty.has("No projects yet") || empty.find("href", "/acme/projects/new") == nil {
		t.Error("an empty list does not lead to the first project")
	}
	s.expect(t, 200, ada, "GET", "/acme/projects/new", nil)
	created := s.expect(t, 303, ada, "POST", "/acme/projects/new", url.Values{
		"name": {"Äpollo 🚀"}, "slug": {""}, "description": {"first\r\nsecond <b>"}, "is_public": {"on"},
	})
	if got := created.Header().Get("Location"); got != "/acme/projects/apollo" {
		t.Fatalf("leads to %q", got)
	}
	shown := s.expect(t, 200, ada, "GET", "/acme/projects/apollo", nil, "Cookie", "__session=ada; "+created.Header().Get("Set-Cookie"))
	for _, want := range []string{"<title>Äpollo 🚀 · Acme · Tenon</title>", "<br>", "second &lt;b&gt;", "Ada Example", "Public", "Active", "was created"} {
		if !shown.has(want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	edit := s.expect(t, 200, ada, "GET", "/acme/projects/apollo/edit", nil)
	for name, want := range map[string]string{"name": "Äpollo 🚀", "slug": "apollo", "description": "first\nsecond <b>", "status": "active", "is_public": "true"} {
		if got := edit.value(t, name); got != want {
			t.Errorf("%s shows %q, want %q", name, got, want)
		}
	}
	saved := s.expect(t, 303, ada, "POST", "/acme/projects/apollo/edit", url.Values{
		"name": {"Gemini"}, "slug": {"gemini"}, "description": {""}, "status": {"archived"},
	})
	if got := saved.Header().Get("Location"); got != "/acme/projects/gemini" {
		t.Errorf("leads to %q", got)
	}
	shown = s.expect(t, 200, ada, "GET", "/acme/projects/gemini", nil)
	if !shown.has("Private") || !shown.has("Archived") || !shown.has("Nothing is written here yet") {
		t.Error("not every change was saved")
	}
	// The dialog and the page without JavaScript post to the same place.
	question := s.expect(t, 200, ada, "GET", "/acme/projects/gemini/delete", nil)
	for _, p := range []page{shown, question} {
		if p.find("method", "post", "action", "/acme/projects/gemini/delete") == nil {
			t.Error("no form deletes the project")
		}
	}
	for _, typed := range []string{"", "Gemini", "gemin"} {
		refused := s.expect(t, 422, ada, "POST", "/acme/projects/gemini/delete", url.Values{"confirmation": {typed}})
		if !refused.has("exactly as it is shown") {
			t.Errorf("%q is refused without a word", typed)
		}
	}
	confirmed := url.Values{"confirmation": {" gemini "}}
	gone := s.expect(t, 303, ada, "POST", "/acme/projects/gemini/delete", confirmed)
	if got := gone.Header().Get("Location"); got != "/acme/projects" {
		t.Errorf("leads to %q", got)
	}
	s.expect(t, 404, ada, "POST", "/acme/projects/gemini/delete", confirmed)
	s.expect(t, 404, ada, "GET", "/acme/projects/gemini", nil)
}

func TestRefusedFormsKeepWhatWasTyped(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	long := strings.Repeat("界", 10_000)
	for _, path := range []string{"/acme/projects/new", "/acme/projects/apollo/edit"} {
		for name, test := range map[string]struct {
			entered url.Values
			invalid []string
		}{
			"empty name":      {url.Values{"name": {""}, "slug": {"x"}, "description": {"kept"}}, []string{"name"}},
			"blank name":      {url.Values{"name": {"  \u200b"}, "slug": {"x"}}, []string{"name"}},
			"long name":       {url.Values{"name": {long}, "slug": {"x"}, "is_public": {"on"}}, []string{"name"}},
			"hostile name":    {url.Values{"name": {"\"><script>alert(1)</script>\x01"}, "slug": {"x"}}, []string{"name"}},
			"everything":      {url.Values{"name": {"a\x07b"}, "slug": {"A b"}, "description": {long}}, []string{"name", "slug", "description"}},
			"taken slug":      {url.Values{"name": {"ok"}, "slug": {"shared"}, "description": {"\n\nkept"}}, []string{"slug"}},
			"reserved slug":   {url.Values{"name": {"ok"}, "slug": {"new"}}, []string{"slug"}},
			"slug with tags":  {url.Values{"name": {"ok"}, "slug": {"<b>"}}, []string{"slug"}},
			"bidi overridden": {url.Values{"name": {"\u202eevil"}, "slug": {"x"}}, []string{"name"}},
		} {
			test.entered.Set("status", "archived")
			for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
				p := s.expect(t, 422, ada, "POST", path, test.entered, headers...)
				if isDocument := p.has("<!doctype html>"); isDocument != (headers == nil) {
					t.Errorf("%s %s: document %v", path, name, isDocument)
				}
				for _, field := range []string{"name", "slug", "description"} {
					if got, want := p.value(t, field), test.entered.Get(field); got != want {
						t.Errorf("%s %s: %s shows %.40q, want %.40q", path, name, field, got, want)
					}
					wrong := strings.Contains(" "+strings.Join(test.invalid, " ")+" ", " "+field+" ")
					if message := p.errorOf(t, field); (message != "") != wrong {
						t.Errorf("%s %s: error of %s is %q", path, name, field, message)
					}
				}
				if got, want := p.value(t, "is_public"), fmt.Sprint(test.entered.Has("is_public")); got != want {
					t.Errorf("%s %s: public shows %s, want %s", path, name, got, want)
				}
				if p.has("<script>alert") {
					t.Errorf("%s %s: what was typed is markup", path, name)
				}
			}
		}
	}
	edit := s.expect(t, 422, ada, "POST", "/acme/projects/apollo/edit", url.Values{"name": {""}, "slug": {"x"}, "status": {"archived"}})
	if got := edit.value(t, "status"); got != "archived" {
		t.Errorf("status shows %q", got)
	}
	odd := s.expect(t, 422, ada, "POST", "/acme/projects/apollo/edit", url.Values{"name": {"x"}, "slug": {"x"}, "status": {"gone"}})
	if odd.errorOf(t, "status") == "" {
		t.Error("a status that does not exist has no error")
	}
	if p := s.expect(t, 200, ada, "GET", "/acme/projects/apollo", nil); !p.has("b &lt;script&gt;") {
		t.Error("a refused form changed the project")
	}
	for status, body := range map[int]string{400: "name=%ff", 413: "name=" + strings.Repeat("x", 1<<20), 415: ""} {
		request := httptest.NewRequest("POST", "/acme/projects/new", strings.NewReader(body))
		request.AddCookie(&http.Cookie{Name: "__session", Value: ada})
		if status != 415 {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		response := httptest.NewRecorder()
		s.ServeHTTP(response, request)
		if response.Code != status {
			t.Errorf("a body of %d bytes: %d, want %d", len(body), response.Code, status)
		}
	}
}

// TestWhoSeesAndDoesWhat holds every page and control against the roles.
func TestWhoSeesAndDoesWhat(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	bad := url.Values{"name": {""}}
	for _, test := range []struct {
		status           int
		as, method, path string
		form             url.Values
	}{
		{401, nobody, "GET", "/acme/projects", nil},
		{401, nobody, "POST", "/acme/projects/new", bad},
		{404, projectstest.Stranger, "GET", "/acme/dashboard", nil},
		{404, projectstest.Stranger, "POST", "/acme/projects/shared/edit", bad},
		{404, owner, "GET", "/testcorp/projects/shared", nil},
		{404, owner, "POST", "/testcorp/projects/shared/delete", url.Values{}},
		{404, viewer, "GET", "/acme/projects/apollo", nil},
		{404, viewer, "POST", "/acme/projects/apollo/edit", bad},
		{404, bob, "GET", "/acme/projects/apollo", nil},
		{404, bob, "GET", "/acme/projects/apollo/edit", nil},
		{404, bob, "POST", "/acme/projects/apollo/delete", url.Values{}},
		{404, ada, "GET", "/acme/projects/SHARED", nil},
		{403, viewer, "GET", "/acme/projects/new", nil},
		{403, viewer, "POST", "/acme/projects/new", bad},
		{403, viewer, "GET", "/acme/projects/shared/edit", nil},
		{403, viewer, "POST", "/acme/projects/shared/edit", bad},
		{403, viewer, "GET", "/acme/projects/shared/delete", nil},
		{403, viewer, "POST", "/acme/projects/shared/delete", url.Values{}},
		{403, bob, "GET", "/acme/projects/shared/edit", nil},
		{403, bob, "POST", "/acme/projects/shared/delete", url.Values{}},
		{422, owner, "POST", "/acme/projects/shared/edit", bad},
	} {
		p := s.expect(t, test.status, test.as, test.method, test.path, test.form)
		if test.status == 404 && (p.has("Apollo") || p.has("Shared")) {
			t.Errorf("%s: %s %s names what is not there", test.as, test.method, test.path)
		}
	}
	for as, sees := range map[string]struct{ apollo, create, change bool }{
		owner: {true, true, true}, projectstest.Admin: {true, true, true}, ada: {true, true, true}, bob: {false, true, false}, viewer: {},
	} {
		shown := s.expect(t, 200, as, "GET", "/acme/projects/shared", nil)
		for _, control := range []string{"/acme/projects/shared/edit", "/acme/projects/shared/delete"} {
			if visible := shown.find("href", control) != nil; visible != sees.change {
				t.Errorf("%s: %s shown %v", as, control, visible)
			}
		}
		if dialog := shown.find("id", "delete-project") != nil; dialog != sees.change {
			t.Errorf("%s: dialog %v", as, dialog)
		}
		for _, path := range []string{"/acme/dashboard", "/acme/projects"} {
			p := s.expect(t, 200, as, "GET", path, nil)
			if visible := p.find("href", "/acme/projects/new") != nil; visible != sees.create {
				t.Errorf("%s: %s offers a new project %v", as, path, visible)
			}
			if visible := p.has("Apollo"); visible != sees.apollo || !p.has("Shared") {
				t.Errorf("%s: %s shows the private project %v", as, path, visible)
			}
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	s.expect(t, 303, bob, "POST", "/acme/projects/new", url.Values{"name": {"Zed & Sons"}, "is_public": {"on"}})
	for query, want := range map[string]string{
		"":                              "Zed Shared Apollo",
		"?q=APOLLO":                     "Apollo",
		"?q=script":                     "Apollo",
		"?by=me":                        "Shared Apollo",
		"?by=me&q=shared&status=active": "Shared",
		"?status=archived":              "",
		"?q=%3Cscript%3Ealert(1)%3E":    "",
		"?status=&by=&nonsense=":        "Zed Shared Apollo",
		"?by=somebody":                  "",
		"?by=" + projectstest.Bob:       "Zed",
		"?by=" + projectstest.Ada:       "Shared Apollo",
		"?visibility=public":            "Zed Shared",
		"?visibility=private":           "Apollo",
		"?visibility=public&by=me":      "Shared",
		"?view=cards":                   "Zed Shared Apollo",
		"?view=cards&q=apollo":          "Apollo",
	} {
		p := s.expect(t, 200, ada, "GET", "/acme/projects"+query, nil)
		for _, name := range []string{"Zed", "Shared", "Apollo"} {
			if p.has(">"+name) != strings.Contains(want, name) {
				t.Errorf("%q: shows %s %v", query, name, p.has(">"+name))
			}
		}
		if want == "" && !p.has("No project matches") {
			t.Errorf("%q: does not say that nothing matches", query)
		}
		values, _ := url.ParseQuery(strings.TrimPrefix(query, "?"))
		if got := p.value(t, "q"); got != values.Get("q") {
			t.Errorf("%q: the search shows %q", query, got)
		}
		for _, name := range []string{"status", "visibility", "sort"} {
			if got := p.value(t, name); got != values.Get(name) {
				t.Errorf("%q: the %s shows %q", query, name, got)
			}
		}
		by := values.Get("by")
		if by == projectstest.Ada {
			by = "me"
		}
		if got := p.value(t, "by"); got != by {
			t.Errorf("%q: made by shows %q", query, got)
		}
		if p.has("<script>alert") {
			t.Errorf("%q: the search is markup", query)
		}
	}
	for query, want := range map[string]string{
		"": "Zed Shared Apollo", "?sort=created_at": "Apollo Shared Zed", "?sort=name": "Apollo Shared Zed", "?sort=-name&view=cards": "Zed Shared Apollo",
	} {
		p := s.expect(t, 200, ada, "GET", "/acme/projects"+query, nil)
		var order []string
		for node := range p.root.Descendants() {
			if node.Type == html.ElementNode && node.Data == "bdi" {
				for _, name := range []string{"Zed", "Shared", "Apollo"} {
					if strings.HasPrefix(textOf(node), name) {
						order = append(order, name)
					}
				}
			}
		}
		if got := strings.Join(order, " "); got != want {
			t.Errorf("%q: sorted %q, want %q", query, got, want)
		}
	}
	cards := s.expect(t, 200, ada, "GET", "/acme/projects?view=cards&by=me&sort=name", nil)
	if cards.find("role", "region") != nil || cards.find("class", "project-cards") == nil || cards.find("href", "/acme/projects?by=me&sort=name") == nil {
		t.Error("cards are a table, or do not lead to it")
	}
	if as := s.expect(t, 200, viewer, "GET", "/acme/projects", nil); as.has(`value="me"`) || !as.has("Ada Example") || as.find("name", "project") != nil {
		t.Error("the filter of a viewer")
	}
	for _, query := range []string{"?after=nonsense", "?status=gone", "?visibility=secret", "?sort=size", "?by=%01", "?q=" + strings.Repeat("x", 121)} {
		if p := s.expect(t, 422, ada, "GET", "/acme/projects"+query, nil); p.find("role", "search") == nil || !p.has("Show all projects") {
			t.Errorf("%q: no way on", query)
		}
	}
	if p := s.expect(t, 422, ada, "GET", "/acme/projects?after=nonsense", nil); p.has("cursor") {
		t.Error("the page speaks to programs")
	}
	fragment := s.expect(t, 200, ada, "GET", "/acme/projects?q=apollo", nil, "HX-Request", "true")
	if fragment.has("<!doctype html>") || fragment.find("id", "project-list") == nil || fragment.find("id", "sidebar") != nil {
		t.Error("htmx does not get the page alone")
	}
}

func TestPagesOfTheList(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i := range 45 {
		s.expect(t, 303, ada, "POST", "/acme/projects/new", url.Values{"name": {fmt.Sprintf("Project %02d", i)}})
	}
	seen, path := map[string]bool{}, "/acme/projects?q=project&by=me"
	for pages := 1; ; pages++ {
		p := s.expect(t, 200, ada, "GET", path, nil)
		for i := range 45 {
			if name := fmt.Sprintf("Project %02d", i); p.has(name) {
				if seen[name] {
					t.Errorf("%s is on two pages", name)
				}
				seen[name] = true
			}
		}
		next := p.find("rel", "next")
		if next == nil {
			if pages != 3 || len(seen) != 45 {
				t.Errorf("%d pages with %d projects", pages, len(seen))
			}
			break
		}
		if path, _ = attribute(next, "href"); !strings.Contains(path, "q=project") || !strings.Contains(path, "by=me") {
			t.Errorf("the next page %q forgets the filter", path)
		}
	}
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	empty := s.expect(t, 200, viewer, "GET", "/acme/dashboard", nil)
	if !empty.has("Welcome, Viewer") || !empty.has("No projects yet") || empty.has("Finish your profile") || empty.has("Your organization is at") {
		t.Error("the first look of a viewer")
	}
	s.seed(t)
	if full := s.expect(t, 200, owner, "GET", "/acme/dashboard", nil); !full.has("Owner") || !full.has("Recent projects") || !full.has("Apollo") || !full.has("Ada Example") {
		t.Error("the dashboard of an owner lacks something")
	}

	moved := newServer(t, func(access *identity.Access) {
		access.Tenant.RequestedSlug = "<taken>"
		access.Member.Metadata.OnboardingComplete = false
	})
	for as, told := range map[string]bool{owner: true, projectstest.Admin: true, ada: false, viewer: false} {
		p := moved.expect(t, 200, as, "GET", "/acme/dashboard", nil)
		if p.has("&lt;taken&gt;") != told {
			t.Errorf("%s is told of the slug %v", as, !told)
		}
		if p.find("href", "/acme/onboarding") == nil {
			t.Errorf("%s is not asked to finish the profile", as)
		}
	}
}

func TestHTMXIsLedOn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := s.expect(t, 204, ada, "POST", "/acme/projects/new", url.Values{"name": {"Apollo"}}, "HX-Request", "true")
	if got := p.Header().Get("HX-Redirect"); got != "/acme/projects/apollo" {
		t.Errorf("leads to %q", got)
	}
}
