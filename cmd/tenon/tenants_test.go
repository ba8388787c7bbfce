package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestTenantsCommands switches tenants of a product that runs.
func TestTenantsCommands(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.newUser(t, "Ada")
	acme, gone := p.newOrganization(t, "Acme \u202e", "acme", ada), p.newOrganization(t, "Gone", "gone", ada)
	token := p.token(t, ada, acme)
	status := func() int { return p.call(t, http.MethodGet, "/api/tenants/acme/projects", token, nil).status }
	if got := status(); got != http.StatusOK {
		t.Fatalf("%d", got)
	}
	environ := []string{"DATABASE_URL=" + p.DatabaseURL}
	tenants := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := execute(t, environ, append([]string{"tenants"}, args...)...)
		if code != want {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
		return stdout + stderr
	}
	eventually(t, "both tenants", func() bool { return strings.Contains(tenants(0, "list"), gone.ID) })
	if list := tenants(0, "list"); !strings.Contains(list, "acme") || strings.Contains(list, "\u202e") {
		t.Errorf("%q", list)
	}
	if shown := tenants(0, "show", acme.ID); !strings.Contains(shown, `"state": "active"`) {
		t.Error(shown)
	}
	tenants(0, "suspend", "acme")
	eventually(t, "the suspension", func() bool { return status() == http.StatusForbidden }) // heard of from another process
	if list := tenants(0, "list", "--state", "suspended", "--json"); strings.Count(list, "\n") != 1 || !strings.Contains(list, acme.ID) {
		t.Error(list)
	}
	tenants(0, "activate", "acme")
	eventually(t, "the activation", func() bool { return status() == http.StatusOK })
	if _, err := p.organizations.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion", func() bool { return strings.Contains(tenants(0, "show", gone.ID), `"deleted"`) })
	if said := tenants(exitFailed, "activate", gone.ID); !strings.Contains(said, "deleted") {
		t.Error(said)
	}
	if said := tenants(exitUsage, "purge", "--after", "0s"); !strings.Contains(said, "--yes") {
		t.Error(said)
	}
	if said := tenants(0, "purge", "--yes"); !strings.Contains(said, "0 tenants") {
		t.Error(said)
	}
	if said := tenants(0, "purge", "--yes", "--after", "0s"); !strings.Contains(said, gone.ID) {
		t.Error(said)
	}
	for _, args := range [][]string{{"show", "nobody"}, {"show", "no such slug"}} {
		if said := tenants(exitFailed, args...); !strings.Contains(said, "tenants list") {
			t.Error(said)
		}
	}
	tenants(exitUsage, "suspend")
	tenants(exitUsage, "list", "--state", "asleep")

	// Organizations are made and deleted at Clerk.
	tenants(exitUsage, "create", "--name", "New", "--owner", ada.EmailAddresses[0].EmailAddress)
	environ = append(environ, "CLERK_SECRET_KEY="+p.ClerkSecretKey, "CLERK_API_URL="+p.ClerkAPIURL)
	if said := tenants(0, "create", "--name", "New", "--slug", "brand-new", "--owner", ada.EmailAddresses[0].EmailAddress); !strings.Contains(said, `"brand-new"`) {
		t.Error(said)
	}
	tenants(exitFailed, "create", "--name", "Again", "--slug", "brand-new", "--owner", ada.EmailAddresses[0].EmailAddress)
	tenants(exitFailed, "create", "--name", "Nobody's", "--owner", "nobody@example.com")
	tenants(exitUsage, "delete", "brand-new")
	if said := tenants(0, "delete", "brand-new", "--yes"); !strings.Contains(said, `"deleted"`) {
		t.Error(said)
	}
	if _, err := p.organizations.Get(t.Context(), "brand-new"); err == nil {
		t.Error("the organization is still at Clerk")
	}
}
