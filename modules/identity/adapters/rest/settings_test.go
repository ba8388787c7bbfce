package rest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

const settings = "/api/tenants/acme/settings"

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	seen := s.expect(t, 200, "vic", "GET", settings, "")
	for name, want := range map[string]any{"id": "org_1", "name": "Acme", "slug": "acme", "image_url": "", "projects_public": false, "created_at": "2026-01-02T03:04:05Z"} {
		if seen.body[name] != want {
			t.Errorf("%s is %v, want %v", name, seen.body[name], want)
		}
	}
	moved := s.expect(t, 200, "ada", "PATCH", settings, `{"name": "Acme <Sons>", "slug": "acme-sons"}`)
	if moved.body["name"] != "Acme <Sons>" || moved.header.Get("Content-Location") != "/api/tenants/acme-sons/settings" || moved.header.Get("ETag") == seen.header.Get("ETag") {
		t.Errorf("%v %s", moved.header, moved.text)
	}
	again := s.expect(t, 200, "ada", "GET", "/api/tenants/acme-sons/settings", "")
	if again.text != moved.text || again.header.Get("ETag") != moved.header.Get("ETag") {
		t.Errorf("%s, and then %s", moved.text, again.text)
	}
}

// TestSettingsOrderOfChecks sends every kind of mistake at once and fewer and fewer
// of them.
func TestSettingsOrderOfChecks(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	check := func(status int, as, body, fields string) {
		t.Helper()
		if a := s.expect(t, status, as, http.MethodPatch, settings, body); a.fields() != fields {
			t.Errorf("%s %.60s: %q, want %q: %s", as, body, a.fields(), fields, a.text)
		}
	}
	for as, status := range map[string]int{"eve": 404, "vic": 403, "bob": 403, "cleo": 403} {
		check(status, as, `{"slug": 1`, "")
	}
	check(400, "ada", `{"slug": 1`, "")
	check(422, "ada", `{"slug": 1, "name": "", "image_url": "https://evil.example/x.png", "id": "org_2"}`, "name slug body")
	check(422, "ada", `{"name": null, "slug": null}`, "name slug")
	check(422, "ada", `{"slug": "admin"}`, "slug")
	check(422, "ada", `{"name": "a\u202eb"}`, "name")
	check(422, "ada", `{"name": "`+strings.Repeat("x", 10_000)+`"}`, "name")
	s.world.Provider.Fail(fault.New(fault.RateLimited, "Slow down.").WithRetryAfter(3 * time.Second))
	check(429, "ada", `{"name": "Other"}`, "")
	if a := s.expect(t, 200, "ada", "GET", settings, ""); a.body["name"] != "Acme" {
		t.Errorf("something was kept: %s", a.text)
	}
}

func TestDomains(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	const domains = "/api/tenants/acme/domains"
	if a := s.expect(t, 200, "ada", "GET", domains, ""); strings.TrimSpace(a.text) != `{"items":[]}` {
		t.Errorf("none are %s", a.text)
	}
	s.world.Provider.PutDomains("org_1",
		identity.Domain{Name: "acme.example", Verified: true, Enrollment: identity.EnrollBySuggestion},
		identity.Domain{Name: "acme.test", Enrollment: identity.EnrollByInvitation}, identity.Domain{Name: "b.example", Enrollment: "by magic"})
	const want = `{"items":[{"name":"acme.example","verified":true,"enrollment":"suggestion"},` +
		`{"name":"acme.test","verified":false,"enrollment":"invitation"},{"name":"b.example","verified":false,"enrollment":"manual"}]}`
	if a := s.expect(t, 200, "ada", "GET", domains, ""); strings.TrimSpace(a.text) != want {
		t.Errorf("got %s", a.text)
	}
	for as, status := range map[string]int{"cleo": 403, "bob": 403, "vic": 403, "eve": 404} {
		s.expect(t, status, as, "GET", domains, "")
	}
	s.world.Provider.Fail(fault.New(fault.RateLimited, "Slow down.").WithRetryAfter(3 * time.Second))
	s.expect(t, 429, "ada", "GET", domains, "")
}

func TestDeleteOrganization(t *testing.T) {
	t.Parallel()
	s := newStaff(t)
	const acme = "/api/tenants/acme"
	for query, as := range map[string]string{"": "ada", "?confirmation=": "ada", "?confirmation=Acme": "ada", "?confirmation=org_1": "ada"} {
		if a := s.expect(t, 422, as, "DELETE", acme+query, ""); a.fields() != "confirmation" {
			t.Errorf("%q: %s", query, a.text)
		}
	}
	for as, status := range map[string]int{"cleo": 403, "bob": 403, "vic": 403, "eve": 404} {
		s.expect(t, status, as, "DELETE", acme+"?confirmation=acme", "")
	}
	s.expect(t, 200, "ada", "GET", settings, "")
	s.expect(t, 204, "ada", "DELETE", acme+"?confirmation=acme", "")
	s.expect(t, 404, "eve", "GET", settings, "")
	if there, err := s.world.Tenants.Get(t.Context(), "org_1"); err != nil || !there.Deleted() {
		t.Errorf("%+v, %v", there, err)
	}
}
