package web_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/tenonhq/tenon/modules/projects/projectstest"
)

// hidden returns the values of the page's hidden controls called name.
func (p page) hidden(name string) []string {
	var values []string
	for node := range p.root.Descendants() {
		kind, _ := attribute(node, "type")
		called, _ := attribute(node, "name")
		if node.Type == html.ElementNode && kind == "hidden" && called == name {
			value, _ := attribute(node, "value")
			values = append(values, value)
		}
	}
	return values
}

func TestBulk(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	s.expect(t, 303, bob, "POST", "/acme/projects/new", url.Values{"name": {"Bobs <secret>"}})
	s.expect(t, 303, bob, "POST", "/acme/projects/new", url.Values{"name": {"Bobs open"}, "is_public": {"on"}})

	// Boxes stand before what one may change, and nowhere else.
	for as, want := range map[string][]string{
		owner: {"bobs-open", "bobs-secret", "shared", "apollo"}, ada: {"shared", "apollo"}, bob: {"bobs-open", "bobs-secret"}, viewer: nil,
	} {
		for _, view := range []string{"", "?view=cards"} {
			var boxes []string
			for node := range s.expect(t, 200, as, "GET", "/acme/projects"+view, nil).root.Descendants() {
				if name, _ := attribute(node, "name"); node.Type == html.ElementNode && name == "project" {
					value, _ := attribute(node, "value")
					boxes = append(boxes, value)
				}
			}
			if !slices.Equal(boxes, want) {
				t.Errorf("%s may choose %q, want %q", as, boxes, want)
			}
		}
	}

	const chosen = "project=apollo&project=bobs-open&project=bobs-secret&project=no-such&project=%3Cb%3E"
	for _, action := range []string{"archive", "restore", "delete"} {
		question := s.expect(t, 200, ada, "GET", "/acme/projects/bulk?action="+action+"&"+chosen+"&list=%3Fstatus%3Dactive%26evil%3Dx", nil)
		if got := question.hidden("project"); !slices.Equal(got, []string{"apollo"}) {
			t.Errorf("%s asks about %q", action, got)
		}
		for _, want := range []string{" 1 project?", "Apollo", "Bobs open", "Your role does not allow that", "bobs-secret", "no-such", "&lt;b&gt;", `href="/acme/projects?status=active"`} {
			if !question.has(want) {
				t.Errorf("the question before %s lacks %q", action, want)
			}
		}
		if question.has("secret&gt;") || !slices.Equal(question.hidden("list"), []string{"?status=active"}) {
			t.Errorf("the question before %s says too much", action)
		}
		if asks := question.find("name", "confirmation") != nil; asks != (action == "delete") {
			t.Errorf("%s asks for a word: %v", action, asks)
		}
	}
	form := url.Values{"action": {"archive"}, "project": {"apollo", "shared"}, "list": {"?status=active"}}
	done := s.expect(t, 303, ada, "POST", "/acme/projects/bulk", form)
	if got := done.Header().Get("Location"); got != "/acme/projects?status=active" {
		t.Errorf("leads to %q", got)
	}
	form.Set("action", "restore")
	s.expect(t, 303, ada, "POST", "/acme/projects/bulk", form)

	// Some of it done, the rest told by name.
	form = url.Values{"action": {"delete"}, "project": {"apollo", "bobs-open", "bobs-secret", "no-such"}}
	for _, typed := range []string{"", "Delete", "apollo"} {
		form.Set("confirmation", typed)
		if p := s.expect(t, 422, ada, "POST", "/acme/projects/bulk", form); !p.has("exactly as it is shown") || !slices.Equal(p.hidden("project"), []string{"apollo"}) {
			t.Errorf("%q as the word: the question is not asked again", typed)
		}
	}
	form.Set("confirmation", "delete")
	partly := s.expect(t, 200, ada, "POST", "/acme/projects/bulk", form)
	for _, want := range []string{"1 project was deleted", "Apollo", "3 projects stayed", "Bobs open", "bobs-secret", "no-such"} {
		if !partly.has(want) {
			t.Errorf("the answer lacks %q", want)
		}
	}
	s.expect(t, 404, ada, "GET", "/acme/projects/apollo", nil)
	for _, slug := range []string{"bobs-open", "bobs-secret"} {
		s.expect(t, 200, owner, "GET", "/acme/projects/"+slug, nil)
	}
	if p := s.expect(t, 409, ada, "POST", "/acme/projects/bulk", form); !p.has("Nothing was deleted") {
		t.Error("nothing done, and nothing said")
	}
}

func TestBulkIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	many := ""
	for i := range 101 {
		many += fmt.Sprintf("&project=p%d", i)
	}
	for query, want := range map[string]string{
		"": "Use archive, restore or delete", "action=archive": "Choose at least one", "action=drop&project=apollo": "Use archive, restore or delete",
		"action=delete" + many: "Choose at most 100", "action=%3Cscript%3Ealert(1)%3C/script%3E&project=x": "Use archive",
	} {
		form, _ := url.ParseQuery(query)
		form.Set("confirmation", "delete")
		for _, p := range []page{s.expect(t, 422, ada, "GET", "/acme/projects/bulk?"+query, nil), s.expect(t, 422, ada, "POST", "/acme/projects/bulk", form)} {
			if !p.has(want) || p.find("href", "/acme/projects") == nil || p.has("<script>alert") {
				t.Errorf("%q: no word of why, or no way on", query)
			}
		}
	}
	bad := url.Values{"action": {"nonsense"}}
	for _, method := range []string{"GET", "POST"} {
		s.expect(t, 401, nobody, method, "/acme/projects/bulk", bad)
		s.expect(t, 403, viewer, method, "/acme/projects/bulk", bad)
		s.expect(t, 404, projectstest.Stranger, method, "/acme/projects/bulk", bad)
	}
	p := s.expect(t, 409, owner, "POST", "/testcorp/projects/bulk", url.Values{"action": {"archive"}, "project": {"shared"}})
	if strings.Contains(p.text, "Shared") {
		t.Error("another tenant's project is named")
	}
}
