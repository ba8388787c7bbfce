package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestOperatorsPages holds that operators see the fleet, and that to everybody
// else there is no such page.
func TestOperatorsPages(t *testing.T) {
	p := startProduct(t, "--no-seed")
	operator, err := p.users.Create(t.Context(), &user.CreateParams{
		EmailAddresses: &[]string{demo[0].people[0].email}, FirstName: clerk.String("Ada"), LastName: clerk.String("Lovelace"), Password: clerk.String(demoPassword),
	})
	if err != nil {
		t.Fatal(err)
	}
	stranger := p.newUser(t, "Eve")
	acme := p.newOrganization(t, "Acme", "acme", operator)
	page := func(who *clerk.User, method, path string) answer {
		t.Helper()
		token := ""
		if who != nil {
			token = p.token(t, who, nil)
		}
		return p.call(t, method, path, token, nil, "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	}
	// An operator by address is known once their account is.
	eventually(t, "the operator's page", func() bool { return page(operator, http.MethodGet, "/admin/fleet").status == http.StatusOK })
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/admin/fleet"}, {http.MethodGet, "/admin/fleet/drift"}, {http.MethodGet, "/admin/fleet/runs/1"},
		{http.MethodPost, "/admin/fleet/runs/1/pause"}, {http.MethodPost, "/admin/fleet/runs/1/resume"}, {http.MethodPost, "/admin/fleet/runs/1/retry"},
	} {
		if got := page(stranger, c.method, c.path); got.status != http.StatusNotFound {
			t.Errorf("%s %s by a stranger: %d", c.method, c.path, got.status)
		}
		if got := page(nil, c.method, c.path); got.status != http.StatusSeeOther && got.status != http.StatusUnauthorized {
			t.Errorf("%s %s by nobody: %d", c.method, c.path, got.status)
		}
		if strings.Contains(c.path, "/runs/") {
			if got := page(operator, c.method, c.path); got.status != http.StatusNotFound {
				t.Errorf("%s %s of a run that is not there: %d", c.method, c.path, got.status)
			}
		}
	}
	for _, path := range []string{"/admin/fleet/runs/x", "/admin/fleet/runs/-1", "/admin/fleet/runs/99999999999999999999"} {
		if got := page(operator, http.MethodGet, path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}

	// A tenant that is behind makes a run, whose migration cannot be applied.
	db, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	var schema string
	eventually(t, "the tenant", func() bool {
		return db.QueryRow(t.Context(), `SELECT schema_name FROM public.tenants WHERE id = $1`, acme.ID).Scan(&schema) == nil
	})
	if _, err := db.Exec(t.Context(), `UPDATE public.tenants SET schema_version = '20200101000000'`); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := execute(t, []string{"DATABASE_URL=" + p.DatabaseURL}, "migrate", "up"); code != exitFailed {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if got := page(operator, http.MethodGet, "/admin/fleet"); !strings.Contains(got.body, "Finished with failures") || !strings.Contains(got.body, "acme") {
		t.Errorf("the failed run does not show: %s", got.body)
	}
	if got := page(operator, http.MethodGet, "/admin/fleet/runs/1"); got.status != http.StatusOK || !strings.Contains(got.body, "20200101000000") {
		t.Errorf("%d %s", got.status, got.body)
	}

	// Buttons may have been on a page that was loaded before the run came to its end.
	said := func(action string) string {
		t.Helper()
		got := page(operator, http.MethodPost, "/admin/fleet/runs/1/"+action)
		if cookie := got.header.Get("Set-Cookie"); got.status == http.StatusSeeOther && strings.HasPrefix(cookie, "flash=") {
			kind, _, _ := strings.Cut(strings.TrimPrefix(cookie, "flash="), ".")
			return kind
		}
		return got.body
	}
	for _, action := range []string{"pause", "resume"} {
		if got := said(action); got != "error" && got != "info" {
			t.Errorf("%s of a run that is finished: %s", action, got)
		}
	}
	change := func(statement string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change(`UPDATE public.migration_runs SET state = 'superseded'`)
	if got := page(operator, http.MethodGet, "/admin/fleet/runs/1"); strings.Contains(got.body, "Retry failed") {
		t.Error("what a later run took over is offered to be tried again")
	}
	if got := said("retry"); got != "info" {
		t.Errorf("retry of a run that was taken over: %s", got)
	}
	change(`UPDATE public.migration_runs SET state = 'finished'`)
	change(`ALTER TABLE public.migration_runs RENAME TO migration_runs_away`)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		path := "/admin/fleet/runs/1" + map[string]string{http.MethodPost: "/pause"}[method]
		if got := page(operator, method, path); got.status != http.StatusInternalServerError {
			t.Errorf("%s %s while the database cannot tell: %d", method, path, got.status)
		}
	}
	change(`ALTER TABLE public.migration_runs_away RENAME TO migration_runs`)

	t.Run("in a browser", func(t *testing.T) {
		v := p.visitor(t)
		v.open(t, "/admin/fleet")
		v.at(t, "/__clerk/sign-in")
		v.click(t, `[aria-label="Sign in as `+demo[0].people[0].email+`"]`)
		v.at(t, "/admin/fleet")
		v.look(t, "fleet")
		if _, err := db.Exec(t.Context(), `ALTER TABLE `+pgx.Identifier{schema, "projects"}.Sanitize()+` ALTER COLUMN description DROP DEFAULT`); err != nil {
			t.Fatal(err)
		}
		v.click(t, `a[href="/admin/fleet/drift"]`)
		v.at(t, "/admin/fleet/drift")
		v.says(t, "Different: 1")
		v.look(t, "fleet-drift")
		v.open(t, "/admin/fleet")
		v.at(t, "/admin/fleet")
		v.click(t, `a[href="/admin/fleet/runs/1"]`)
		v.at(t, "/admin/fleet/runs/1")
		v.look(t, "fleet-run")
		browsertest.Emulate(t, v.ctx, "dark", 390)
		v.look(t, "fleet-run-phone")
		browsertest.Emulate(t, v.ctx, "light", 1280)
		// Mended, it is tried again from the page.
		if _, err := db.Exec(t.Context(), `UPDATE public.tenants SET schema_version = (SELECT left(max(filename), 14) FROM `+pgx.Identifier{schema}.Sanitize()+`._migrations)`); err != nil {
			t.Fatal(err)
		}
		v.click(t, `form[action$="/retry"] button`)
		v.says(t, "tried again")
		eventually(t, "the retry", func() bool {
			return !strings.Contains(page(operator, http.MethodGet, "/admin/fleet/runs/1").body, "Retry failed")
		})
	})
}
