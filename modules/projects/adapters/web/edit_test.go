package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/projects/projectstest"
)

// opened returns what the form of a project holds when it is opened.
func (s server) opened(t *testing.T, as, path string) url.Values {
	t.Helper()
	p := s.expect(t, 200, as, "GET", path, nil)
	form := url.Values{}
	for _, name := range []string{"version", "name", "slug", "description", "status"} {
		form.Set(name, p.value(t, name))
	}
	if p.value(t, "is_public") == "true" {
		form.Set("is_public", "on")
	}
	return form
}

func TestConflictOffersBoth(t *testing.T) {
	t.Parallel()
	const path = "/acme/projects/apollo/edit"
	for _, renamed := range []bool{false, true} {
		for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
			s := newServer(t)
			s.seed(t)
			mine, theirs := s.opened(t, ada, path), s.opened(t, owner, path)
			theirs.Set("description", "Theirs <b>")
			theirs.Set("status", "archived")
			now := path
			if renamed {
				theirs.Set("slug", "artemis")
				now = "/acme/projects/artemis/edit"
			}
			s.expect(t, 303, owner, "POST", path, theirs)

			mine.Set("name", "Mine & only")
			p := s.expect(t, 409, ada, "POST", path, mine, headers...)
			if p.has("<!doctype html>") != (headers == nil) || p.Header().Get("HX-Retarget") != "#project-details" || p.find("id", "project-details") == nil {
				t.Error("htmx does not get the form in its place")
			}
			for _, name := range []string{"name", "slug", "description", "status"} {
				if got := p.value(t, name); got != mine.Get(name) {
					t.Errorf("%s shows %q, want what was typed, %q", name, got, mine.Get(name))
				}
			}
			for _, want := range []string{"Somebody else changed the project", "Theirs &lt;b&gt;", "Archived", "Overwrite with mine", "Take theirs", "Differs"} {
				if !p.has(want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			theirPage := now[:len(now)-len("/edit")]
			if p.find("method", "post", "action", now) == nil || p.find("href", theirPage) == nil {
				t.Error("the two offers lead nowhere")
			}
			// A third change is a conflict again; then mine goes over it.
			mine.Set("version", p.value(t, "version"))
			s.expect(t, 303, owner, "POST", theirPage+"/visibility", url.Values{"to": {"public"}})
			again := s.expect(t, 409, ada, "POST", now, mine)
			mine.Set("version", again.value(t, "version"))
			s.expect(t, 303, ada, "POST", now, mine)
			if p := s.expect(t, 200, ada, "GET", "/acme/projects/apollo", nil); !p.has("Mine &amp; only") || !p.has("Private") || !p.has("Active") || p.has("Theirs") {
				t.Error("mine did not go over theirs")
			}
		}
	}
}

func TestTheSameChangeTwiceIsNoConflict(t *testing.T) {
	t.Parallel()
	for _, description := range []string{"same", "Two\r\nlines"} {
		s := newServer(t)
		s.seed(t)
		form := s.opened(t, ada, "/acme/projects/apollo/edit")
		form.Set("description", description)
		for range 2 {
			s.expect(t, 303, ada, "POST", "/acme/projects/apollo/edit", form)
		}
	}
}

// TestAConflictMarksWhatDiffersAlone sends line breaks as browsers do.
func TestAConflictMarksWhatDiffersAlone(t *testing.T) {
	t.Parallel()
	const path = "/acme/projects/apollo/edit"
	s := newServer(t)
	s.seed(t)
	mine, theirs := s.opened(t, ada, path), s.opened(t, owner, path)
	theirs.Set("status", "archived")
	s.expect(t, 303, owner, "POST", path, theirs)
	mine.Set("description", strings.ReplaceAll(mine.Get("description"), "\n", "\r\n"))
	p := s.expect(t, 409, ada, "POST", path, mine)
	if got := strings.Count(p.text, "Differs"); got != 1 {
		t.Errorf("%d fields are said to differ, want the status alone", got)
	}
}

func TestEditOfADeletedProject(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	const path = "/acme/projects/apollo/edit"
	form := s.opened(t, ada, path)
	form.Set("description", "Long thoughts\non this")
	s.expect(t, 303, owner, "POST", "/acme/projects/apollo/delete", url.Values{"confirmation": {"apollo"}})
	for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
		p := s.expect(t, 404, ada, "POST", path, form, headers...)
		if !p.has("not there any more") || p.find("method", "post", "action", "/acme/projects/new") == nil || p.Header().Get("HX-Retarget") != "#project-details" {
			t.Error("no offer to create it anew")
		}
		for _, name := range []string{"name", "slug", "description"} {
			if got := p.value(t, name); got != form.Get(name) {
				t.Errorf("%s shows %q, want %q", name, got, form.Get(name))
			}
		}
	}
	s.expect(t, 303, ada, "POST", "/acme/projects/new", form)

	// Nobody learns of a project by a version of it, and a forged one loses nothing.
	for version, status := range map[string]int{form.Get("version"): 404, "1-1": 404, "": 404, "<script>": 404} {
		form.Set("version", version)
		if p := s.expect(t, status, bob, "POST", path, form); p.has("Ada Example") {
			t.Errorf("version %q tells something", version)
		}
	}
	forged := s.opened(t, ada, path)
	forged.Set("version", "zzz")
	forged.Set("name", "Mine")
	if p := s.expect(t, 409, ada, "POST", path, forged); p.value(t, "name") != "Mine" {
		t.Error("a form with a version that is none loses what was typed")
	}
	s.expect(t, 403, viewer, "POST", "/acme/projects/shared/edit", forged)
	s.expect(t, 404, projectstest.Stranger, "POST", path, forged)
}

func TestSwitches(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.seed(t)
	for _, test := range []struct {
		status       int
		as, path, to string
		shows        string
	}{
		{303, ada, "/acme/projects/apollo/status", "archived", "Archived"},
		{303, ada, "/acme/projects/apollo/status", "archived", "Archived"},
		{303, ada, "/acme/projects/apollo/status", "active", "Active"},
		{303, owner, "/acme/projects/apollo/visibility", "public", "Public"},
		{303, owner, "/acme/projects/apollo/visibility", "private", "Private"},
		{422, ada, "/acme/projects/apollo/status", "gone", "Active"},
		{422, ada, "/acme/projects/apollo/status", "", "Active"},
		{422, ada, "/acme/projects/apollo/visibility", "on", "Private"},
		{403, bob, "/acme/projects/shared/status", "nonsense", "Active"},
		{403, viewer, "/acme/projects/shared/visibility", "private", "Public"},
		{404, bob, "/acme/projects/apollo/status", "archived", ""},
		{404, projectstest.Stranger, "/acme/projects/shared/visibility", "private", ""},
		{401, nobody, "/acme/projects/shared/visibility", "private", ""},
	} {
		s.expect(t, test.status, test.as, "POST", test.path, url.Values{"to": {test.to}})
		if test.shows == "" {
			continue
		}
		page := test.path[:len("/acme/projects/apollo")]
		if p := s.expect(t, 200, owner, "GET", page, nil); !p.has(test.shows) {
			t.Errorf("%s to %q by %s: not shown as %s", test.path, test.to, test.as, test.shows)
		}
	}
	if p := s.expect(t, 200, viewer, "GET", "/acme/projects/shared", nil); p.find("action", "/acme/projects/shared/status") != nil {
		t.Error("a viewer gets buttons")
	}
}
