package web_test

import (
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

const newOrganization = "/organizations/new"

func TestFounding(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	s.tell(t, identity.Observation{Accounts: []identity.Account{{ID: alone, Email: "alone@example.com", CreatedAt: start, UpdatedAt: start}}})
	expect(t, s.send("", "GET", newOrganization, nil), 303, "/sign-in?redirect_url=%2Forganizations%2Fnew")
	expect(t, s.send("", "POST", newOrganization, url.Values{"name": {"Globex"}}), 401, "")
	for as, invited := range map[string]bool{alone: true, ada: false} {
		if body := expect(t, s.send(as, "GET", newOrganization, nil), 200, ""); strings.Contains(body, "invite you") != invited || strings.Contains(body, "Cancel") == invited {
			t.Errorf("%s gets %s", as, body)
		}
	}
	for name, test := range map[string]struct {
		form url.Values
		says []string
	}{
		"nothing":           {form: url.Values{}, says: []string{"Enter a name."}},
		"too long":          {form: url.Values{"name": {strings.Repeat("n", 101)}, "slug": {strings.Repeat("s", 64)}, "project": {strings.Repeat("p", 121)}}, says: []string{"at most 100", "2 to 63", "at most 120"}},
		"markup":            {form: url.Values{"name": {`"><script>alert(1)</script>`}, "slug": {`<script>`}, "project": {`<b>x</b>`}}, says: []string{"lower-case letters"}},
		"right to left":     {form: url.Values{"name": {"Acme\u202eevil"}, "slug": {"fine"}}, says: []string{"can be printed"}},
		"taken":             {form: url.Values{"name": {"Fine"}, "slug": {"acme"}, "project": {"Keep me"}}, says: []string{"“acme” is taken. “acme-2” is free."}},
		"reserved":          {form: url.Values{"name": {"Fine"}, "slug": {"admin"}}, says: []string{"reserved"}},
		"taken by the name": {form: url.Values{"name": {"Testcorp"}}, says: []string{"“testcorp” is taken"}},
	} {
		for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
			body := expect(t, s.send(alone, "POST", newOrganization, test.form, headers...), 422, "")
			for _, want := range test.says {
				if !strings.Contains(body, want) {
					t.Errorf("%s: it does not say %q: %s", name, want, body)
				}
			}
			for _, values := range test.form {
				if !strings.Contains(html.UnescapeString(body), `value="`+values[0]+`"`) || strings.Contains(body, "<script>alert") {
					t.Errorf("%s: it does not keep %q", name, values[0])
				}
			}
		}
	}

	form := url.Values{"name": {"Globex"}, "project": {"First"}}
	s.Provider.Fail(fault.New(fault.RateLimited, "Slow down."))
	if w := s.send(alone, "POST", newOrganization, form); w.Code != 429 || !strings.Contains(w.Body.String(), "Slow down.") || !strings.Contains(w.Body.String(), `value="Globex"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.Provider.Fail(nil)
	expect(t, s.send(alone, "POST", newOrganization, form), 303, "/globex/dashboard")
	expect(t, s.send(alone, "POST", newOrganization, form), 303, "/globex/dashboard") // once more
	if w := s.send(alone, "POST", newOrganization, form, "HX-Request", "true"); w.Code != 204 || w.Header().Get("HX-Redirect") != "/globex/dashboard" {
		t.Errorf("htmx gets %d %v", w.Code, w.Header())
	}
	if made := s.Projects.Made(); len(made) != 1 {
		t.Errorf("made %q", made)
	}
	s.Provider.Bar(alone)
	if body := expect(t, s.send(alone, "POST", newOrganization, url.Values{"name": {"More"}}), 403, ""); !strings.Contains(body, "may not make organizations") || !strings.Contains(body, `value="More"`) {
		t.Errorf("who may not gets %s", body)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	s := newCompany(t)
	path := newOrganization + "/address?"
	for query, want := range map[string]string{
		"slug=acme": "“acme” is taken.", "slug=acme&name=Fine": "“acme” is taken.", "name=Acme": "“acme” is taken.",
		"slug=admin": "reserved", "slug=free-one": "/free-one is free", "name=Free+One": "/free-one is free", "slug=%3Cscript%3E": "Use lower-case",
	} {
		if body := expect(t, s.send(eve, "GET", path+query, nil, "HX-Request", "true"), 200, ""); !strings.Contains(body, want) || strings.Contains(body, "<script") {
			t.Errorf("%s: %s", query, body)
		}
	}
	if body := expect(t, s.send(eve, "GET", path, nil, "HX-Request", "true"), 200, ""); strings.Contains(body, "<p") {
		t.Errorf("nothing was typed, and it says %s", body)
	}
	expect(t, s.send(eve, "GET", path+"slug=acme", nil), 303, newOrganization)
	expect(t, s.send("", "GET", path+"slug=acme", nil, "HX-Request", "true"), 401, "")
}
