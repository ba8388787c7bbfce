package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestEventsCommands looks at what the webhooks of a product that runs brought.
func TestEventsCommands(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.newUser(t, "Ada")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	token := p.token(t, ada, acme)
	environ := []string{"DATABASE_URL=" + p.DatabaseURL}
	events := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := execute(t, environ, append([]string{"events"}, args...)...)
		if code != want {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
		return stdout, stderr
	}
	list := func(args ...string) []eventLine {
		t.Helper()
		stdout, _ := events(0, append([]string{"list", "--json"}, args...)...)
		var lines []eventLine
		for line := range strings.Lines(stdout) {
			var event eventLine
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			lines = append(lines, event)
		}
		return lines
	}
	eventually(t, "the organization's webhook", func() bool { return len(list("--type", "organization.created", "--state", "applied")) == 1 })
	eventually(t, "the session's webhook", func() bool { return len(list("--state", "ignored")) > 0 })
	created := list("--type", "organization.created")[0]
	if created.ReceivedAt.IsZero() || created.FinishedAt == nil || created.NextAttemptAt != nil || created.LastError != "" {
		t.Errorf("got %+v", created)
	}
	if len(list("--limit", "1")) != 1 || len(list("--limit", "0")) < 4 {
		t.Errorf("listed %d and %d", len(list("--limit", "1")), len(list("--limit", "0")))
	}
	if table, _ := events(0, "list"); !strings.Contains(table, created.ID) || strings.Contains(table, "ada") {
		t.Error(table)
	}
	if shown, _ := events(0, "show", created.ID); !strings.Contains(shown, `"state": "applied"`) || strings.Contains(shown, "payload") {
		t.Error(shown)
	}
	if shown, _ := events(0, "show", "--payload", created.ID); !strings.Contains(shown, acme.ID) {
		t.Error(shown)
	}

	// One that cannot be read is dead until somebody has mended what it needs.
	db, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the database goes with it
	if _, err := db.Exec(t.Context(), `UPDATE public.webhook_inbox SET state = 'dead', attempts = 20, last_error = 'x', finished_at = now() WHERE id = $1`, created.ID); err != nil {
		t.Fatal(err)
	}
	if dead := list("--state", "dead"); len(dead) != 1 || dead[0].Attempts != 20 {
		t.Errorf("dead are %+v", dead)
	}
	if stdout, stderr := events(0, "replay", "--dead"); strings.TrimSpace(stdout) != created.ID || !strings.Contains(stderr, "1 events") {
		t.Error(stdout, stderr)
	}
	eventually(t, "the replayed event", func() bool {
		shown, _ := events(0, "show", created.ID)
		return strings.Contains(shown, `"state": "applied"`)
	})
	events(0, "replay", created.ID)
	if got := p.call(t, http.MethodGet, "/api/tenants/acme/projects", token, nil).status; got != http.StatusOK {
		t.Errorf("afterwards acme answers %d", got)
	}
	for _, args := range [][]string{{"show", "msg_none"}, {"replay", "msg_none"}} {
		if _, said := events(exitFailed, args...); !strings.Contains(said, "events list") {
			t.Error(said)
		}
	}
	for _, args := range [][]string{{"show"}, {"replay"}, {"list", "x"}, {"list", "--state", "lost"}, {"list", "--limit", "-1"}} {
		events(exitUsage, args...)
	}
}

// TestOperatorsEvents walks the operators' page from a dead event to its repair.
func TestOperatorsEvents(t *testing.T) {
	p := startProduct(t, "--no-seed")
	email := demo[0].people[0].email
	operator, err := p.users.Create(t.Context(), &user.CreateParams{
		EmailAddresses: &[]string{email}, FirstName: clerk.String("Ada"), LastName: clerk.String("Lovelace"), Password: clerk.String(demoPassword),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.newOrganization(t, "Acme", "acme", operator)
	db, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the database goes with it
	eventually(t, "the organization's webhook", func() bool {
		tag, err := db.Exec(t.Context(), `UPDATE public.webhook_inbox SET state = 'dead', attempts = 20, last_error = 'went wrong <b>', finished_at = now()
			WHERE type = 'organization.created' AND state = 'applied'`)
		return err == nil && tag.RowsAffected() == 1
	})
	// Enough for a second page.
	if _, err := db.Exec(t.Context(), `INSERT INTO public.webhook_inbox (id, type, payload, state, occurred_at, received_at)
		SELECT 'msg_old_' || n, 'session.created', '{}', 'ignored', now(), now() - interval '1 day' FROM generate_series(1, 60) n`); err != nil {
		t.Fatal(err)
	}

	v := p.visitor(t)
	v.open(t, "/admin/events")
	v.at(t, "/__clerk/sign-in")
	v.click(t, `[aria-label="Sign in as `+email+`"]`)
	v.at(t, "/admin/events")
	v.look(t, "events")
	v.click(t, `a[rel="next"]`)
	browsertest.Eventually(t, v.ctx, `location.search.includes("after=") && document.querySelector("main table") !== null`)
	v.look(t, "events-next")
	v.open(t, "/admin/events?state=dead")
	v.says(t, "went wrong <b>")
	for _, width := range []int64{390, 1280} {
		browsertest.Emulate(t, v.ctx, "dark", width)
		v.look(t, fmt.Sprintf("events-dead-%d", width))
	}
	v.click(t, `main table a`)
	v.says(t, "The last attempt failed")
	v.look(t, "event")
	v.click(t, `form[action$="/replay"] button`)
	v.says(t, "The event is applied again.")
	eventually(t, "the replayed event", func() bool {
		var state string
		return db.QueryRow(t.Context(), `SELECT state FROM public.webhook_inbox WHERE type = 'organization.created'`).Scan(&state) == nil && state == "applied"
	})
	for _, path := range []string{"/admin/events/msg_none", "/admin/events?state=lost", "/admin/events?after=msg_none"} {
		v.open(t, path)
		if status := browsertest.Evaluate[string](t, v.ctx, `document.querySelector(".error-status").innerText`); status != "404" {
			t.Errorf("%s answers %s", path, status)
		}
	}
}
