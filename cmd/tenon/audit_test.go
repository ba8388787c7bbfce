package main

import (
	"encoding/csv"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// recorded is an entry as the API shows it.
type recorded struct {
	Seq   int64
	Actor struct {
		Kind, ID, IP string
		APIKey       string `json:"api_key"`
		RequestID    string `json:"request_id"`
	}
	Action, Subject, Label string
	Changes                map[string]struct{ Before, After any }
}

// TestAuditLog changes a tenant in every way there is, finds who it was, and then
// somebody tampers with the record.
func TestAuditLog(t *testing.T) {
	p := startProduct(t)
	token := p.owner(t, "acme")
	environ := []string{"DATABASE_URL=" + p.DatabaseURL}
	tenon := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := execute(t, environ, args...)
		if code != want {
			t.Errorf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
		return stdout + stderr
	}
	latest := func(query string) (entry recorded) {
		t.Helper()
		eventually(t, query, func() bool {
			var page struct{ Items []recorded }
			p.call(t, "GET", "/api/tenants/acme/audit-log?limit=1&"+query, token, nil).decode(t, &page)
			if len(page.Items) == 1 {
				entry = page.Items[0]
			}
			return len(page.Items) == 1
		})
		return entry
	}

	key := p.newKey(t, token, "acme")
	made := p.call(t, "POST", "/api/tenants/acme/projects", key.Key, map[string]any{"name": "Audited"})
	entry := latest("action=project.created")
	if entry.Actor.Kind != "key" || entry.Actor.APIKey != key.ID || entry.Actor.RequestID != made.header.Get("X-Request-Id") || entry.Actor.IP == "" ||
		entry.Label != "Audited" || entry.Changes["slug"].After != "audited" {
		t.Errorf("by key: %+v", entry)
	}
	owner := entry.Actor.ID
	p.call(t, "PATCH", "/api/tenants/acme/projects/audited", token, map[string]any{"status": "archived"})
	entry = latest("action=project.updated&subject=" + entry.Subject)
	if entry.Actor.Kind != "person" || entry.Actor.ID != owner || entry.Changes["status"].Before != "active" || len(entry.Changes) != 1 {
		t.Errorf("by a person: %+v", entry)
	}
	p.newInvitation(t, token, "acme")
	if entry = latest("action=invitation.created"); entry.Actor.Kind != "person" || !strings.Contains(entry.Changes["email"].After.(string), "…@") {
		t.Errorf("an invitation: %+v", entry)
	}
	acme, err := p.organizations.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.organizations.Update(t.Context(), acme.ID, &organization.UpdateParams{Name: clerk.String("Acme & Sons")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the webhook", func() bool {
		entry = latest("action=organization.updated")
		return entry.Label == "Acme & Sons"
	})
	if entry.Actor.Kind != "webhook" || entry.Actor.ID == "" || entry.Changes["name"].Before != "Acme" || len(entry.Changes) != 1 {
		t.Errorf("by a webhook: %+v", entry)
	}
	tenon(0, "tenants", "suspend", "acme")
	tenon(0, "tenants", "activate", "acme")
	eventually(t, "the activation", func() bool {
		return p.call(t, "GET", "/api/tenants/acme/audit-log", token, nil).status == http.StatusOK
	})
	if entry = latest("action=organization.updated"); entry.Actor.Kind != "command" || !strings.Contains(entry.Actor.ID, "@") || entry.Changes["is_active"].After != true || len(entry.Changes) != 1 {
		t.Errorf("by a command: %+v", entry)
	}

	exported := p.call(t, "GET", "/acme/audit-log/export.csv?action=project", token, nil)
	lines, err := csv.NewReader(strings.NewReader(exported.body)).ReadAll()
	if err != nil || len(lines) < 3 || lines[0][0] != "seq" || !strings.HasPrefix(exported.header.Get("Content-Type"), "text/csv") {
		t.Errorf("exported %d lines, %v, %v", len(lines), err, exported.header)
	}

	p.seeAuditLog(t)
	p.askLittle(t, token)

	if said := tenon(0, "audit", "verify"); !strings.Contains(said, "0 not whole") {
		t.Error(said)
	}
	heads := filepath.Join(t.TempDir(), "heads")
	_, whole, _ := execute(t, environ, "audit", "verify", "--json")
	if err := os.WriteFile(heads, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := tenon(exitUsage, "audit", "cut", "--older-than", "0s"); !strings.Contains(said, "AUDIT_SIGNING_KEY is not set") {
		t.Error(said)
	}
	_, signing := audit.NewKey()
	environ = append(environ, "AUDIT_SIGNING_KEY="+signing)
	if said := tenon(0, "audit", "cut", "--older-than", "0s", "--tenant", "testcorp"); strings.Contains(said, ", 0 entries cut off") || !strings.Contains(said, "1 tenant looked at") {
		t.Error(said)
	}
	tenon(0, "audit", "verify", "--heads", heads)

	conn, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var schema string
	if err := conn.QueryRow(t.Context(), `SELECT schema_name FROM tenants WHERE slug = 'acme'`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	tamper := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), "SET search_path TO "+schema+"; ALTER TABLE audit_log DISABLE TRIGGER USER; "+sql+"; ALTER TABLE audit_log ENABLE TRIGGER USER"); err != nil {
			t.Fatal(err)
		}
	}
	tamper("DELETE FROM audit_log WHERE seq = (SELECT max(seq) FROM audit_log)")
	tenon(0, "audit", "verify")
	if said := tenon(exitTampered, "audit", "verify", "--heads", heads); !strings.Contains(said, "acme") || !strings.Contains(said, "the record ends with entry") {
		t.Error(said)
	}
	tamper("UPDATE audit_log SET actor = 'nobody' WHERE seq = 3")
	if said := tenon(exitTampered, "audit", "verify", "--tenant", "acme"); !strings.Contains(said, "entry 3 is not what was written") {
		t.Error(said)
	}
	if said := tenon(exitDriftLeft, "audit", "cut", "--older-than", "0s", "--tenant", "acme"); !strings.Contains(said, "left as it is") {
		t.Error(said)
	}
	for _, args := range [][]string{
		{"audit", "verify", "--heads", "/nowhere"}, {"audit", "cut"}, {"audit", "cut", "--older-than", "-1h"}, {"audit", "cut", "--older-than", "a year"},
	} {
		tenon(exitUsage, args...)
	}
	if err := os.WriteFile(heads, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := tenon(exitUsage, "audit", "verify", "--heads", heads); !strings.Contains(said, "line 1") {
		t.Error(said)
	}
	for _, wrong := range []string{"AUDIT_SIGNING_KEY=x", "AUDIT_TRUSTED_KEYS=x"} {
		code, _, said := execute(t, slices.Concat(environ[:1], []string{wrong}), "audit", "verify")
		if name, _, _ := strings.Cut(wrong, "="); code != exitUsage || !strings.Contains(said, name) {
			t.Errorf("%s: %d, %s", wrong, code, said)
		}
	}
}

// messagesOfPages are the most messages to the database that a page of a tenant takes
// once its visitor is known to the process: two are the layout's, which names the
// visitor's organizations, and two the page's own. Where it is more, some of them go
// out side by side, or in turn for what is seldom looked at.
var messagesOfPages = map[string]int{
	"/{tenant}/": 0, "/{tenant}/organization": 2, "/{tenant}/dashboard": 4, "/{tenant}/onboarding": 2, "/{tenant}/search": 4,
	"/{tenant}/profile": 2, "/{tenant}/activity": 5, "/{tenant}/audit-log": 4, "/{tenant}/audit-log/export.csv": 3,
	"/{tenant}/api-keys": 5, "/{tenant}/api-keys/new": 2, "/{tenant}/api-keys/{key}/revoke": 4,
	"/{tenant}/members": 3, "/{tenant}/members/invite": 2, "/{tenant}/members/invitations/{invitation}/revoke": 2, "/{tenant}/members/leave": 2,
	"/{tenant}/members/{user}": 3, "/{tenant}/members/{user}/remove": 3, "/{tenant}/members/{user}/transfer": 3,
	"/{tenant}/projects": 5, "/{tenant}/projects/bulk": 4, "/{tenant}/projects/new": 2, "/{tenant}/projects/{project}": 4,
	"/{tenant}/projects/{project}/edit": 3, "/{tenant}/projects/{project}/delete": 3,
	"/{tenant}/settings": 2, "/{tenant}/settings/delete": 2, "/{tenant}/settings/sign-in": 2,
}

// askLittle holds pages to what they may ask the database, as they say themselves.
func (p *product) askLittle(t *testing.T, token string) {
	t.Helper()
	said := regexp.MustCompile(`desc="(\d+) messages"`)
	fill := strings.NewReplacer("{tenant}", "acme", "{project}", "website-relaunch", "{key}", p.newKey(t, token, "acme").ID,
		"{invitation}", p.newInvitation(t, token, "acme"), "{user}", p.someMember(t, token))
	for _, row := range attackTable {
		if row.method != http.MethodGet || !strings.HasPrefix(row.pattern, "/{tenant}/") {
			continue
		}
		most, listed := messagesOfPages[row.pattern]
		answered := p.call(t, http.MethodGet, fill.Replace(row.pattern), token, nil)
		match := said.FindStringSubmatch(answered.header.Get("Server-Timing"))
		if !listed || match == nil {
			t.Errorf("%s has no row, or does not say what it took: %v", row.pattern, answered.header)
			continue
		}
		if n, err := strconv.Atoi(match[1]); err != nil || n > most {
			t.Errorf("%s takes %s messages, more than %d (%d)", row.pattern, match[1], most, answered.status)
		}
	}
}

// someMember returns the id of a member of acme who is no owner.
func (p *product) someMember(t *testing.T, token string) string {
	t.Helper()
	var page struct{ Items []struct{ ID, Role string } }
	p.call(t, http.MethodGet, "/api/tenants/acme/members", token, nil).decode(t, &page)
	for _, member := range page.Items {
		if member.Role != "owner" {
			return member.ID
		}
	}
	t.Fatal("everybody is an owner")
	return ""
}

// seeAuditLog reads the page as an owner does.
func (p *product) seeAuditLog(t *testing.T) {
	t.Helper()
	ada := p.visitor(t)
	ada.open(t, "/acme/audit-log")
	ada.at(t, "/__clerk/sign-in")
	ada.click(t, `[aria-label="Sign in as `+demo[0].people[0].email+`"]`)
	ada.at(t, "/acme/audit-log")
	ada.says(t, "archived project Audited")
	ada.look(t, "audit-log")
	browsertest.Emulate(t, ada.ctx, "dark", 390)
	ada.open(t, "/acme/audit-log?action=member&from=2026-01-01")
	ada.at(t, "/acme/audit-log")
	ada.click(t, `main summary`)
	ada.look(t, "audit-log-phone")
	browsertest.Emulate(t, ada.ctx, "light", 1280)
	ada.open(t, "/acme/audit-log?from=yesterday")
	ada.at(t, "/acme/audit-log")
	ada.says(t, "Use a date such as")
	ada.look(t, "audit-log-refused")
	ada.open(t, "/acme/audit-log?until=2001-01-01")
	ada.at(t, "/acme/audit-log")
	ada.says(t, "Nothing was changed")
	ada.look(t, "audit-log-empty")
	ada.open(t, "/acme/dashboard")
	ada.at(t, "/acme/dashboard")
	ada.says(t, "Changes in 30 days")
	ada.look(t, "dashboard-activity")
	ada.open(t, "/acme/projects/audited")
	ada.at(t, "/acme/projects/audited")
	ada.says(t, "archived project Audited")
	ada.look(t, "project-activity")
	ada.open(t, "/acme/profile")
	ada.at(t, "/acme/profile")
	ada.look(t, "profile")
}

// auditContract is what the audit log's operations answer in acme, where things
// have happened.
func (p *product) auditContract() map[string][]exchange {
	first := []string{"entry", "1"}
	return map[string][]exchange{
		"list-audit-log": {
			{status: 200, as: "admin"},
			{status: 200, as: everyKey, query: "limit=1&action=member&from=2026-01-01&until=2100-01-01T00:00:00Z"},
			{status: 400, as: "owner", query: "x=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "member"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "from=yesterday"},
			{status: 422, as: "owner", query: "action=nothing"},
		},
		"get-audit-entry": {
			{status: 200, as: "admin", path: first},
			{status: 400, as: "owner", path: first, query: "x=%00", undocumented: true},
			{status: 401, path: first},
			{status: 403, as: "viewer", path: first},
			{status: 404, as: "owner", path: []string{"entry", "1000000"}},
			{status: 404, as: "owner", path: []string{"entry", "x"}},
			{status: 422, as: "owner", path: first, query: "x=1", undocumented: true},
		},
	}
}
