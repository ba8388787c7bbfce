package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/jackc/pgx/v5"
)

// deliver says how the emulator delivers webhooks from now on.
func (p *product) deliver(t testing.TB, how url.Values) {
	t.Helper()
	how.Set("delay", "0")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/__clerk/delivery", strings.NewReader(how.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", p.URL)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // nothing of it is wanted
	if response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("the emulator answers %d", response.StatusCode)
	}
}

// clerkEnviron is what commands need that ask Clerk.
func (p *product) clerkEnviron() []string {
	return []string{"DATABASE_URL=" + p.DatabaseURL, "CLERK_SECRET_KEY=" + p.ClerkSecretKey, "CLERK_API_URL=" + p.ClerkAPIURL}
}

// fleetState is every live tenant with its active users, as text.
func (p *product) fleetState(t testing.TB, db *pgx.Conn) string {
	t.Helper()
	rows, err := db.Query(t.Context(), `SELECT id, slug, name, schema_name FROM public.tenants WHERE deleted_at IS NULL ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (tenant [4]string, err error) {
		return tenant, row.Scan(&tenant[0], &tenant[1], &tenant[2], &tenant[3])
	})
	if err != nil {
		t.Fatal(err)
	}
	var state strings.Builder
	for _, tenant := range tenants {
		fmt.Fprintln(&state, tenant)
		rows, err := db.Query(t.Context(), fmt.Sprintf(`SELECT concat_ws(' ', ' ', id, email, first_name, last_name, role, joined_at) FROM %s.users WHERE is_active ORDER BY id`,
			pgx.Identifier{tenant[3]}.Sanitize()))
		if err != nil {
			t.Fatal(err)
		}
		users, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		state.WriteString(strings.Join(users, "\n") + "\n")
	}
	return state.String()
}

// TestReconcile changes much at Clerk while no webhook arrives, and holds that
// `tenon identity reconcile` leads to what the webhooks would have, and that they
// change nothing when they come after all. TENON_CHANGES makes it more.
func TestReconcile(t *testing.T) {
	changes := 250
	if text, ok := os.LookupEnv("TENON_CHANGES"); ok {
		var err error
		if changes, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	p := startProduct(t, "--no-seed")
	db, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the database goes with it
	reconcile := func(want int, args ...string) (drifts []driftLine, sum reconciliationLine) {
		t.Helper()
		code, stdout, stderr := execute(t, p.clerkEnviron(), append([]string{"identity", "reconcile", "--json", "--rate", "1000"}, args...)...)
		if code != want {
			t.Fatalf("%v: exit %d, want %d:\n%s%s", args, code, want, stdout, stderr)
		}
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		for _, line := range lines[:len(lines)-1] {
			var d driftLine
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			drifts = append(drifts, d)
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil {
			t.Fatal(err)
		}
		return drifts, sum
	}

	// Some of it arrives.
	random := rand.New(rand.NewPCG(1, 1))
	c := clerkChanges{p: p, random: random}
	c.make(t, changes/4)
	settle := func() {
		t.Helper()
		eventuallyWithin(t, 10*time.Second+time.Duration(changes)*50*time.Millisecond, "the last webhook", func() bool { return p.quiet(t, db) })
	}
	settle()
	if drifts, _ := reconcile(0); len(drifts) != 0 {
		t.Errorf("after webhooks there is drift: %+v", drifts)
	}
	p.deliver(t, url.Values{"hold": {"on"}})
	c.make(t, changes-changes/4)

	planned, sum := reconcile(exitDriftLeft, "--dry-run")
	if len(planned) == 0 || sum.Repaired != 0 || sum.Left != len(planned) {
		t.Errorf("a dry run: %d of %+v", len(planned), sum)
	}
	again, _ := reconcile(exitDriftLeft, "--dry-run")
	if len(again) != len(planned) {
		t.Errorf("a dry run changed something: %d, then %d", len(planned), len(again))
	}
	repaired, sum := reconcile(exitRepaired, "--allow-deletions")
	if sum.Left != 0 || !sum.Finished || slices.ContainsFunc(repaired, func(d driftLine) bool { return !d.Repaired || d.Reason != "" }) {
		t.Errorf("repaired: %+v", sum)
	}
	t.Logf("%d changes, %d drifts, of %d planned; %+v", changes, len(repaired), len(planned), sum)
	if drifts, _ := reconcile(0); len(drifts) != 0 {
		t.Errorf("a second time: %+v", drifts)
	}

	reconciled := p.fleetState(t, db)
	p.deliver(t, url.Values{"shuffle": {"on"}})
	settle()
	if late := p.fleetState(t, db); late != reconciled || !strings.Contains(late, "@example.com") {
		t.Errorf("reconciled:\n%s\nwith the webhooks after all:\n%s", reconciled, late)
	}
	if drifts, _ := reconcile(0); len(drifts) != 0 {
		t.Errorf("after late webhooks: %+v", drifts)
	}

	t.Run("one tenant", func(t *testing.T) {
		p.deliver(t, url.Values{"hold": {"on"}})
		ada, eve := p.newUser(t, "Ada"), p.newUser(t, "Eve")
		acme := p.newOrganization(t, "Acme", "acme", ada)
		p.newOrganization(t, "Other", "other", eve)
		drifts, sum := reconcile(exitRepaired, "--tenant", acme.ID)
		if len(drifts) == 0 || sum.Organizations != 1 || slices.ContainsFunc(drifts, func(d driftLine) bool { return d.OrganizationID != acme.ID }) {
			t.Errorf("got %+v, %+v", drifts, sum)
		}
		p.join(t, acme, eve, "org:member")
		if drifts, _ := reconcile(exitDriftLeft, "--tenant", "acme", "--dry-run"); len(drifts) != 1 || drifts[0].Kind != "membership missing" || drifts[0].AccountID != eve.ID {
			t.Errorf("got %+v", drifts)
		}
		reconcile(exitRepaired, "--tenant", "acme")
		if got := p.call(t, http.MethodGet, "/api/tenants/acme/projects", p.token(t, eve, nil), nil).status; got != http.StatusOK {
			t.Errorf("the member gets %d", got)
		}
		reconcile(0, "--tenant", "acme")
	})

	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		stop := writerFunc(func(line []byte) (int, error) { cancel(); return len(line), nil }) // at the first progress
		code := run(ctx, []string{"tenon", "identity", "reconcile"}, surroundings{environ: p.clerkEnviron(), stdout: &out, stderr: stop})
		if code != exitPaused {
			t.Errorf("exit %d: %s", code, &out)
		}
		var finished bool
		if err := db.QueryRow(t.Context(), `SELECT finished_at IS NOT NULL FROM public.directory_reconciliations ORDER BY id DESC LIMIT 1`).Scan(&finished); err != nil || finished {
			t.Errorf("finished: %v, %v", finished, err)
		}
		reconcile(exitRepaired) // the other organization
		if err := db.QueryRow(t.Context(), `SELECT finished_at IS NOT NULL FROM public.directory_reconciliations ORDER BY id DESC LIMIT 1`).Scan(&finished); err != nil || !finished {
			t.Errorf("finished: %v, %v", finished, err)
		}
	})

	for _, test := range []struct {
		want int
		args []string
	}{
		{exitFailed, []string{"--tenant", "nobody"}},
		{exitFailed, []string{"--tenant", "../users"}},
		{exitUsage, []string{"--rate", "0"}},
		{exitUsage, []string{"acme"}},
	} {
		if code, _, stderr := execute(t, p.clerkEnviron(), append([]string{"identity", "reconcile"}, test.args...)...); code != test.want || stderr == "" {
			t.Errorf("%v: exit %d: %s", test.args, code, stderr)
		}
	}
	if code, _, stderr := execute(t, p.clerkEnviron()[:1], "identity", "reconcile"); code != exitUsage || !strings.Contains(stderr, "CLERK_SECRET_KEY") {
		t.Errorf("without a key: exit %d: %s", code, stderr)
	}
	if code, _, stderr := execute(t, append(p.clerkEnviron(), "CLERK_SECRET_KEY=sk_test_wrong"), "identity", "reconcile"); code != exitFailed || strings.Contains(stderr, "sk_test") {
		t.Errorf("with a wrong key: exit %d: %s", code, stderr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// quiet reports whether everything that Clerk sent was applied.
func (p *product) quiet(t testing.TB, db *pgx.Conn) bool {
	t.Helper()
	response, err := http.Get(p.URL + "/__clerk/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page bytes.Buffer
	if _, err := page.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	var pending int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM public.webhook_inbox WHERE state = 'pending'`).Scan(&pending); err != nil {
		t.Fatal(err)
	}
	waiting := waitingEvents.FindStringSubmatch(page.String())
	if waiting == nil {
		t.Fatal("the emulator does not say how many events wait")
	}
	return pending == 0 && waiting[1] == "0"
}

var waitingEvents = regexp.MustCompile(`(?s)Waiting.*?>(\d+)<`)

// clerkChanges makes changes at Clerk at random.
type clerkChanges struct {
	p             *product
	random        *rand.Rand
	users         []*clerk.User
	organizations []*clerk.Organization
}

func (c *clerkChanges) make(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if len(c.users) < 4 || len(c.organizations) < 2 {
			c.users = append(c.users, c.p.newUser(t, "First"))
			owner := c.users[len(c.users)-1]
			c.organizations = append(c.organizations, c.p.newOrganization(t, fmt.Sprintf("Organization %d", i), "", owner))
			continue
		}
		who, where := c.random.IntN(len(c.users)), c.random.IntN(len(c.organizations))
		someone, somewhere := c.users[who], c.organizations[where]
		role := []string{"org:admin", "org:member", "org:viewer"}[c.random.IntN(3)]
		name := fmt.Sprintf("Renamed %d", c.random.IntN(1000))
		var err error
		switch c.random.IntN(12) {
		case 0, 1:
			c.users = append(c.users, c.p.newUser(t, "More"))
		case 2:
			c.organizations = append(c.organizations, c.p.newOrganization(t, "More", fmt.Sprintf("more-%d", c.random.IntN(1_000_000)), someone))
		case 3, 4, 5:
			_, err = c.p.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: somewhere.ID, UserID: &someone.ID, Role: &role})
		case 6:
			_, err = c.p.memberships.Update(t.Context(), &organizationmembership.UpdateParams{OrganizationID: somewhere.ID, UserID: someone.ID, Role: &role})
		case 7:
			_, err = c.p.memberships.Delete(t.Context(), &organizationmembership.DeleteParams{OrganizationID: somewhere.ID, UserID: someone.ID})
		case 8:
			_, err = c.p.users.Update(t.Context(), someone.ID, &user.UpdateParams{FirstName: &name})
		case 9:
			_, err = c.p.organizations.Update(t.Context(), somewhere.ID, &organization.UpdateParams{Name: &name})
		case 10:
			if _, err = c.p.users.Delete(t.Context(), someone.ID); err == nil {
				c.users = slices.Delete(c.users, who, who+1)
			}
		case 11:
			if c.random.IntN(3) == 0 {
				if _, err = c.p.organizations.Delete(t.Context(), somewhere.ID); err == nil {
					c.organizations = slices.Delete(c.organizations, where, where+1)
				}
			}
		}
		if err != nil && !isStatus(err, http.StatusNotFound) && !isStatus(err, http.StatusBadRequest) && !isStatus(err, http.StatusUnprocessableEntity) {
			t.Fatal(err)
		}
	}
}
