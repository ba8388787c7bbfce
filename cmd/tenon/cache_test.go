package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/jackc/pgx/v5"
)

// TestAccessEndsEverywhere holds that what one process changes is known to the
// others, which keep in memory who may do what, and that they stop keeping it while
// they cannot hear.
func TestAccessEndsEverywhere(t *testing.T) {
	p := startProduct(t, "--no-seed")
	other := startInstance(t, p)
	eventually(t, "the instance", other.ready)
	ada, grace := p.newUser(t, "Ada"), p.newUser(t, "Grace")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	p.join(t, acme, grace, "org:member")
	// A person with another organization still has a session that is good.
	p.newOrganization(t, "Own", "own", grace)
	adas, graces := p.token(t, ada, acme), p.token(t, grace, acme)
	there := &product{readyLine: readyLine{URL: other.url}}
	status := func(at *product, token string) int {
		return at.call(t, http.MethodGet, "/api/tenants/acme/projects", token, nil).status
	}
	become := func(what string, at *product, token string, want int) {
		t.Helper()
		eventually(t, what, func() bool { return status(at, token) == want })
	}
	for _, at := range []*product{p, there} {
		become("Ada's access", at, adas, http.StatusOK)
		become("Grace's access", at, graces, http.StatusOK)
	}
	hits := func() int {
		match := regexp.MustCompile(`(?m)^tenon_cache_hits_total\{cache="access"\} (\d+)$`).FindStringSubmatch(p.scrape(t))
		if match == nil {
			t.Fatal("hits are not counted")
		}
		n, _ := strconv.Atoi(match[1]) // digits
		return n
	}
	eventually(t, "reading nothing", func() bool { // a process hears its own changes, too
		before := hits()
		for range 5 {
			status(p, adas)
		}
		return hits()-before == 5
	})

	// Removed by Clerk's own dashboard; the webhook goes to the first process.
	if _, err := p.memberships.Delete(t.Context(), &organizationmembership.DeleteParams{OrganizationID: acme.ID, UserID: grace.ID}); err != nil {
		t.Fatal(err)
	}
	become("Grace's removal, where the webhook came", p, graces, http.StatusNotFound)
	become("Grace's removal, elsewhere", there, graces, http.StatusNotFound)

	// Suspended by the command line, a third process.
	environ := []string{"DATABASE_URL=" + p.DatabaseURL}
	for _, step := range []struct {
		command string
		want    int
	}{{"suspend", http.StatusForbidden}, {"activate", http.StatusOK}, {"suspend", http.StatusForbidden}} {
		if code, _, stderr := execute(t, environ, "tenants", step.command, "acme"); code != 0 {
			t.Fatal(stderr)
		}
		become(step.command, p, adas, step.want)
		become(step.command+" elsewhere", there, adas, step.want)
	}

	// What nobody hears is not missed: without the connection every request reads.
	conn, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if code, _, stderr := execute(t, environ, "tenants", "activate", "acme"); code != 0 {
		t.Fatal(stderr)
	}
	become("access", there, adas, http.StatusOK)
	for n := range 4 {
		if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tenon changes' AND datname = current_database()`); err != nil {
			t.Fatal(err)
		}
		state, want := "suspend", http.StatusForbidden
		if n%2 == 1 {
			state, want = "activate", http.StatusOK
		}
		if code, _, stderr := execute(t, environ, "tenants", state, "acme"); code != 0 {
			t.Fatal(stderr)
		}
		become(fmt.Sprint(state, " unheard"), there, adas, want)
	}
}
