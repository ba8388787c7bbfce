package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/jackc/pgx/v5"
	svixwebhooks "github.com/svix/svix-webhooks/go"
)

// TestMainJob drives the product through Clerk's public Backend API and its own
// REST API, as any program would.
func TestMainJob(t *testing.T) {
	p := startProduct(t, "--no-seed")

	// Two organizations of strangers, each with a project of the same name.
	ada, eve := p.newUser(t, "Ada"), p.newUser(t, "Eve")
	acme, testcorp := p.newOrganization(t, "Acme", "acme", ada), p.newOrganization(t, "Testcorp", "testcorp", eve)
	grace, vera := p.newUser(t, "Grace"), p.newUser(t, "Vera")
	p.join(t, acme, grace, "org:member")
	p.join(t, acme, vera, "org:viewer")
	tokens := map[string]string{
		"owner": p.token(t, ada, acme), "member": p.token(t, grace, acme), "viewer": p.token(t, vera, acme),
		"stranger": p.token(t, eve, testcorp), "nobody": "",
	}

	t.Run("the webhook alone provisions", func(t *testing.T) {
		db, err := pgx.Connect(t.Context(), p.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(context.Background())
		var schema, version string
		eventually(t, "the tenant", func() bool {
			return db.QueryRow(t.Context(), `SELECT schema_name, schema_version FROM public.tenants WHERE id = $1`, acme.ID).Scan(&schema, &version) == nil
		})
		if !strings.HasPrefix(schema, "tenant_acme_") || version == "" {
			t.Errorf("schema %q at version %q", schema, version)
		}
		var owners, migrations int
		query := fmt.Sprintf(`SELECT (SELECT count(*) FROM %[1]s.users WHERE id = $1 AND role = 'owner'), (SELECT count(*) FROM %[1]s._migrations)`, pgx.Identifier{schema}.Sanitize())
		if err := db.QueryRow(t.Context(), query, ada.ID).Scan(&owners, &migrations); err != nil || owners != 1 || migrations == 0 {
			t.Errorf("%d owners, %d migrations, %v", owners, migrations, err)
		}
		for _, who := range []*clerk.User{grace, vera} {
			eventually(t, "a membership", func() bool {
				var n int
				query := fmt.Sprintf(`SELECT count(*) FROM %s.users WHERE id = $1 AND is_active`, pgx.Identifier{schema}.Sanitize())
				return db.QueryRow(t.Context(), query, who.ID).Scan(&n) == nil && n == 1
			})
		}
	})

	t.Run("onboarding", func(t *testing.T) {
		for range 2 { // again is harmless
			var done struct {
				Success bool
				User    struct {
					FirstName, Role, Phone string
					Metadata               struct{ OnboardingComplete bool }
				}
			}
			got := p.call(t, "POST", "/api/tenants/acme/users/onboarding", tokens["member"], map[string]string{"phone": "+1 555 0100"})
			got.decode(t, &done)
			if got.status != http.StatusOK || !done.Success || done.User.Role != "member" || !done.User.Metadata.OnboardingComplete || done.User.Phone != "+1 555 0100" {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
		// Nobody chooses their own role.
		got := p.call(t, "POST", "/api/tenants/acme/users/onboarding", tokens["member"], map[string]string{"role": "owner"})
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("a role in the body: %d %s", got.status, got.body)
		}
	})

	t.Run("projects", func(t *testing.T) {
		for _, project := range []struct {
			by, tenant, name string
			public           bool
		}{
			{"owner", "acme", "Secret plans", false}, {"owner", "acme", "Open house", true},
			{"member", "acme", "My draft", false}, {"stranger", "testcorp", "Secret plans", true},
		} {
			got := p.call(t, "POST", "/api/tenants/"+project.tenant+"/projects", tokens[project.by], map[string]any{"name": project.name, "is_public": project.public})
			if got.status != http.StatusCreated {
				t.Fatalf("%s: %d %s", project.name, got.status, got.body)
			}
		}
		for who, want := range map[string][]string{
			"owner":  {"my-draft", "open-house", "secret-plans"},
			"member": {"my-draft", "open-house"},
			"viewer": {"open-house"},
		} {
			var list struct {
				Items []struct{ Slug string }
				Next  *string
			}
			p.call(t, "GET", "/api/tenants/acme/projects", tokens[who], nil).decode(t, &list)
			var slugs []string
			for _, item := range list.Items {
				slugs = append(slugs, item.Slug)
			}
			if slices.Sort(slugs); !slices.Equal(slugs, want) {
				t.Errorf("%s sees %v, want %v", who, slugs, want)
			}
		}
	})

	t.Run("order of checks", func(t *testing.T) {
		const (
			none    = http.StatusUnauthorized
			unknown = http.StatusNotFound
			not     = http.StatusForbidden
			invalid = http.StatusUnprocessableEntity
		)
		wrong := map[string]any{"name": "", "made_up": true}
		for _, c := range []struct {
			who, method, path string
			want              int
		}{
			{"nobody", "GET", "/api/tenants/acme/projects", none},
			{"nobody", "POST", "/api/tenants/no-such/projects", none},
			{"stranger", "GET", "/api/tenants/acme/projects", unknown},
			{"stranger", "POST", "/api/tenants/acme/projects", unknown},
			{"owner", "POST", "/api/tenants/no-such/projects", unknown},
			{"owner", "POST", "/api/tenants/testcorp/projects", unknown},
			{"viewer", "POST", "/api/tenants/acme/projects", not},
			{"viewer", "PATCH", "/api/tenants/acme/projects/open-house", not},
			{"viewer", "PATCH", "/api/tenants/acme/projects/secret-plans", unknown},
			{"member", "PATCH", "/api/tenants/acme/projects/open-house", not},
			{"member", "DELETE", "/api/tenants/acme/projects/open-house", not},
			{"member", "POST", "/api/tenants/acme/projects", invalid},
			{"owner", "PATCH", "/api/tenants/acme/projects/open-house", invalid},
			{"owner", "GET", "/api/tenants/ACME/projects", unknown},
			{"owner", "GET", "/api/tenants/acme%2F..%2Ftestcorp/projects", unknown},
		} {
			var body any = wrong
			if c.method == "GET" || c.method == "DELETE" {
				body = nil
			}
			got := p.call(t, c.method, c.path, tokens[c.who], body)
			var said problem
			got.decode(t, &said)
			if got.status != c.want || said.Status != c.want || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s by %s: %d %s, want %d", c.method, c.path, c.who, got.status, got.body, c.want)
			}
		}
		// A tenant one is no member of and one that does not exist answer alike.
		foreign := p.call(t, "GET", "/api/tenants/testcorp/projects", tokens["owner"], nil)
		missing := p.call(t, "GET", "/api/tenants/no-such-one/projects", tokens["owner"], nil)
		var a, b problem
		foreign.decode(t, &a)
		missing.decode(t, &b)
		if a.Type != b.Type || a.Title != b.Title || a.Detail != b.Detail {
			t.Errorf("they can be told apart: %+v and %+v", a, b)
		}
	})

	t.Run("bad input", func(t *testing.T) {
		long := strings.Repeat("é", 10_000)
		for name, c := range map[string]struct {
			body any
			want int
		}{
			"an empty name":         {map[string]any{"name": ""}, http.StatusUnprocessableEntity},
			"a name of spaces":      {map[string]any{"name": " \t "}, http.StatusUnprocessableEntity},
			"a name of 10,000":      {map[string]any{"name": long}, http.StatusUnprocessableEntity},
			"a taken slug":          {map[string]any{"name": "x", "slug": "open-house"}, http.StatusConflict},
			"a slug that is none":   {map[string]any{"name": "x", "slug": "Open House"}, http.StatusUnprocessableEntity},
			"no JSON":               {"{", http.StatusBadRequest},
			"a body over the limit": {`{"name":"` + strings.Repeat("x", 2<<20) + `"}`, http.StatusRequestEntityTooLarge},
		} {
			got := p.call(t, "POST", "/api/tenants/acme/projects", tokens["owner"], c.body)
			if got.status != c.want {
				t.Errorf("%s: %d %s, want %d", name, got.status, got.body, c.want)
			}
			if text, ok := c.body.(string); !ok && strings.Contains(got.body, long) || strings.Contains(got.body, "xxxxxxxx") {
				t.Errorf("%s: the answer repeats what was sent: %.80s (%.20s)", name, got.body, text)
			}
		}
		unicode := p.call(t, "POST", "/api/tenants/acme/projects", tokens["owner"], map[string]any{"name": "Überraschung für 東京 🎉"})
		if unicode.status != http.StatusCreated {
			t.Errorf("a name of all the world: %d %s", unicode.status, unicode.body)
		}
	})

	t.Run("tokens", func(t *testing.T) {
		good := tokens["owner"]
		parts := strings.Split(good, ".")
		for name, token := range map[string]string{
			"another's signature": parts[0] + "." + parts[1] + "." + strings.Split(tokens["member"], ".")[2],
			"truncated":           good[:len(good)-10],
			"no signature":        parts[0] + "." + parts[1] + ".",
			"algorithm none":      "eyJhbGciOiJub25lIn0." + parts[1] + ".",
			"nonsense":            "nonsense",
			"oversized":           strings.Repeat("a", 20_000),
		} {
			if got := p.call(t, "GET", "/api/tenants/acme/projects", token, nil); got.status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	})

	t.Run("a removed member is out at once", func(t *testing.T) {
		if got := p.call(t, "GET", "/api/tenants/acme/projects", tokens["viewer"], nil); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		_, err := p.memberships.Delete(t.Context(), &organizationmembership.DeleteParams{OrganizationID: acme.ID, UserID: vera.ID})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the removal", func() bool {
			return p.call(t, "GET", "/api/tenants/acme/projects", tokens["viewer"], nil).status == http.StatusNotFound
		})
	})

	t.Run("a taken and a reserved slug", func(t *testing.T) {
		dora := p.newUser(t, "Dora")
		reserved := p.newOrganization(t, "Api", "api", dora)
		if got := p.call(t, "GET", "/api/tenants/api/projects", p.token(t, dora, reserved), nil); got.status != http.StatusNotFound {
			t.Errorf("the reserved slug leads somewhere: %d %s", got.status, got.body)
		}
		// Clerk lets nobody take a slug twice; a rename may still meet a tenant
		// that had it first.
		other := p.newOrganization(t, "Other", "other", dora)
		if _, err := p.organizations.Update(t.Context(), other.ID, &organization.UpdateParams{Slug: clerk.String("acme")}); err == nil {
			t.Error("the emulator gives a taken slug away")
		}
		if got := p.call(t, "GET", "/api/tenants/acme/projects", p.token(t, dora, other), nil); got.status != http.StatusNotFound {
			t.Errorf("somebody else's slug was taken over: %d %s", got.status, got.body)
		}
	})

	t.Run("a tenant in the middle of a rollout", func(t *testing.T) {
		db, err := pgx.Connect(t.Context(), p.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(context.Background())
		var version string
		if err := db.QueryRow(t.Context(), `SELECT schema_version FROM public.tenants WHERE id = $1`, testcorp.ID).Scan(&version); err != nil {
			t.Fatal(err)
		}
		set := func(version string) {
			t.Helper()
			if _, err := db.Exec(t.Context(), `WITH moved AS (UPDATE public.tenants SET schema_version = $1 WHERE id = $2 RETURNING schema_name)
				SELECT pg_notify('tenon_changes', schema_name) FROM moved`, version, testcorp.ID); err != nil {
				t.Fatal(err)
			}
		}
		status := func(who string) int {
			return p.call(t, "GET", "/api/tenants/testcorp/projects", tokens[who], nil).status
		}
		set("20200101000000")
		eventually(t, "the news", func() bool { return status("stranger") == http.StatusServiceUnavailable })
		for who, want := range map[string]int{"stranger": http.StatusServiceUnavailable, "owner": http.StatusNotFound} {
			got := p.call(t, "GET", "/api/tenants/testcorp/projects", tokens[who], nil)
			if got.status != want || want == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %v %s, want %d", who, got.status, got.header, got.body, want)
			}
		}
		if got := p.call(t, "GET", "/api/tenants/acme/projects", tokens["owner"], nil); got.status != http.StatusOK {
			t.Errorf("another tenant: %d %s", got.status, got.body)
		}
		set(version)
		eventually(t, "service after the rollout", func() bool { return status("stranger") == http.StatusOK })
	})

	t.Run("a deleted organization", func(t *testing.T) {
		token := tokens["stranger"]
		if _, err := p.organizations.Delete(t.Context(), testcorp.ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the suspension", func() bool {
			return p.call(t, "GET", "/api/tenants/testcorp/projects", token, nil).status != http.StatusOK
		})
		// An event that was overtaken by the deletion brings nothing back.
		body := fmt.Sprintf(`{"type":"organization.updated","object":"event","timestamp":%d,"data":{"id":%q,"name":"Back","slug":"testcorp","created_at":1,"updated_at":2}}`, time.Now().UnixMilli(), testcorp.ID)
		if got := p.webhook(t, p.WebhookSecret, "msg_late", time.Now(), body); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		for range 3 {
			if got := p.call(t, "GET", "/api/tenants/testcorp/projects", token, nil); got.status == http.StatusOK {
				t.Error("the deleted organization is back")
			}
		}
	})
}

// webhook posts a body signed with secret, at a time.
func (p *product) webhook(t testing.TB, secret, id string, at time.Time, body string) answer {
	t.Helper()
	signer, err := svixwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return p.call(t, "POST", webhookPath, "", body, "svix-id", id, "svix-timestamp", fmt.Sprint(at.Unix()), "svix-signature", signature)
}

// TestWebhooksThatAreRefused holds that nothing of them is kept.
func TestWebhooksThatAreRefused(t *testing.T) {
	p := startProduct(t, "--no-seed")
	db, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	count := func(table string) (n int) {
		t.Helper()
		if err := db.QueryRow(t.Context(), "SELECT count(*) FROM public."+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const organizationCreated = `{"type":"organization.created","object":"event","timestamp":1700000000000,"data":{"id":"org_x","name":"X","slug":"x-corp","created_at":1,"updated_at":2}}`
	now := time.Now()
	for name, c := range map[string]struct {
		secret, body string
		at           time.Time
		want         int
	}{
		"another secret":   {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", organizationCreated, now, http.StatusUnauthorized},
		"a stale time":     {p.WebhookSecret, organizationCreated, now.Add(-10 * time.Minute), http.StatusUnauthorized},
		"a future time":    {p.WebhookSecret, organizationCreated, now.Add(10 * time.Minute), http.StatusUnauthorized},
		"over 1 MiB":       {p.WebhookSecret, `{"type":"x","data":"` + strings.Repeat("x", 1<<20) + `"}`, now, http.StatusRequestEntityTooLarge},
		"no JSON":          {p.WebhookSecret, `{"type":`, now, http.StatusUnprocessableEntity},
		"JSON of no event": {p.WebhookSecret, `[]`, now, http.StatusUnprocessableEntity},
	} {
		if got := p.webhook(t, c.secret, "msg_"+strings.ReplaceAll(name, " ", "_"), c.at, c.body); got.status != c.want {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.body, c.want)
		}
	}
	if n := count("webhook_inbox"); n != 0 {
		t.Errorf("%d refused events are kept", n)
	}
	for range 3 { // the second and third are replays
		if got := p.webhook(t, p.WebhookSecret, "msg_once", now, organizationCreated); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	eventually(t, "the tenant", func() bool { return count("tenants") == 1 })
	if n := count("webhook_inbox"); n != 1 {
		t.Errorf("a replay makes %d rows", n)
	}
}
