package web_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/audit/adapters/memory"
	"github.com/tenonhq/tenon/modules/audit/adapters/web"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/origin"
	"github.com/tenonhq/tenon/platform/tenant"
)

// newRouter serves the pages over a log of acme's.
func newRouter(t *testing.T, record func(ctx context.Context, log *memory.Log)) *httpserver.Router {
	t.Helper()
	log := memory.NewLog()
	record(tenant.NewContext(t.Context(), projectstest.Acme.Schema), log)
	members := func(_ context.Context, ids ...string) (map[string]identity.Member, error) {
		return map[string]identity.Member{projectstest.Ada: projectstest.MemberOf(projectstest.AdaToken)}, nil
	}
	pages := web.NewPages(audit.NewService(log), members, projectstest.Errors)
	return projectstest.NewRouter(t, []httpserver.Mount{{Surface: httpserver.TenantPages, Routes: pages.Mount}})
}

func get(router http.Handler, token, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	router.ServeHTTP(w, r)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	router := newRouter(t, func(ctx context.Context, log *memory.Log) {
		ada := origin.Acting(ctx, origin.Person, projectstest.Ada)
		must(t, log.Record(ada, "invitation.created", "orginv_1", map[string]any{"email": "b…@example.com", "role": "admin"}))
		must(t, log.Record(origin.Acting(ctx, origin.Webhook, "msg_1"), "member.updated", projectstest.Ada, map[string]any{"role": "admin", "email": nil}))
		must(t, log.Record(origin.Acting(ctx, origin.Command, "root@db"), "organization.updated", "org_acme", map[string]any{"is_active": false}))
		must(t, log.Record(origin.Acting(ctx, origin.Job, "reconciliation"), "member.updated", "user_gone", map[string]any{"is_active": false}))
		must(t, log.Record(origin.NewContext(ctx, origin.Origin{Kind: origin.Key, Actor: projectstest.Ada, APIKey: "KEY1"}), "api_key.deleted", "KEY2", nil))
		must(t, log.Record(ada, "api_key.created", "KEY3", map[string]any{"expires_at": json.RawMessage("null"), "name": ""}))
		must(t, log.Record(ada, "unheard.of", "<script>alert(1)</script>", map[string]any{"<b>": "<i>"}))
	})
	page := get(router, projectstest.Owner, "/acme/audit-log")
	text := strings.Join(strings.Fields(stripTags(page.Body.String())), " ")
	for _, want := range []string{
		"Ada Example sent invitation to b…@example.com", "Identity provider changed the role of Ada Example", "Operators suspended organization org_acme on the command line",
		"Automatic removed member user_gone reconciliation", "Ada Example revoked API key KEY2 by API key KEY1", "personal data is not kept here",
		"Expires at(none)", "Name(empty)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said in %s", want, text)
		}
	}
	if strings.Contains(page.Body.String(), "<script>alert") || strings.Contains(page.Body.String(), "<i>") {
		t.Error("text became markup")
	}
}

// stripTags leaves a page's text, roughly.
func stripTags(html string) string {
	var text strings.Builder
	for part := range strings.SplitSeq(html, "<") {
		if _, after, ok := strings.Cut(part, ">"); ok {
			text.WriteString(after)
		}
	}
	return text.String()
}

func TestAddressesThatAreWrong(t *testing.T) {
	t.Parallel()
	router := newRouter(t, func(context.Context, *memory.Log) {})
	for _, path := range []string{
		"?from=x", "?until=x", "?before=x", "?before=-1", "?action=x", "?actor=" + strings.Repeat("x", 300), "?from=2026-02-01&until=2026-01-01",
	} {
		if got := get(router, projectstest.Owner, "/acme/audit-log"+path); got.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", path, got.Code)
		}
		if name, _, _ := strings.Cut(path[1:], "="); name == "from" && !strings.Contains(path, "&") || name == "until" {
			if field := get(router, projectstest.Owner, "/acme/audit-log"+path).Body.String(); !strings.Contains(field, `type="text" name="`+name+`" value="x" aria-invalid="true"`) {
				t.Errorf("%s: the field does not say that it is wrong", path)
			}
		}
		if got := get(router, projectstest.Viewer, "/acme/audit-log"+path); got.Code != http.StatusForbidden {
			t.Errorf("%s: %d for a viewer", path, got.Code)
		}
	}
}

// TestTimesOfTheFilterAreKept holds that a field shows what the address asks for: one for
// dates is empty to the browser when it is given anything else, and so is the next search.
func TestTimesOfTheFilterAreKept(t *testing.T) {
	t.Parallel()
	router := newRouter(t, func(context.Context, *memory.Log) {})
	for value, kind := range map[string]string{"": "date", "2026-01-31": "date", "2026-01-31T12:00:00Z": "text"} {
		page := get(router, projectstest.Owner, "/acme/audit-log?from="+value)
		if want := `type="` + kind + `" name="from" value="` + value + `"`; page.Code != http.StatusOK || !strings.Contains(page.Body.String(), want) {
			t.Errorf("%q: %d, no %s", value, page.Code, want)
		}
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	hostile := []string{"=1+1", "+1", "-1", "@x", "\tx", `"quoted", and more`, "line\r\nbreak", "日本"}
	router := newRouter(t, func(ctx context.Context, log *memory.Log) {
		for _, subject := range hostile {
			must(t, log.Record(ctx, "project.created", subject, nil))
		}
	})
	answer := get(router, projectstest.Owner, "/acme/audit-log/export.csv?action=project")
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Disposition") != `attachment; filename="audit-log-acme.csv"` {
		t.Fatalf("%d %v", answer.Code, answer.Header())
	}
	// There are caches that keep whatever is called .csv and says nothing of it.
	if got := answer.Header().Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	lines, err := csv.NewReader(answer.Body).ReadAll()
	if err != nil || len(lines) != len(hostile)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for i, line := range lines[1:] {
		got, want := line[8], hostile[len(hostile)-1-i]
		if strings.ContainsAny(want[:1], "=+-@\t") {
			want = "'" + want // a spreadsheet would run it
		}
		if strings.ReplaceAll(got, "\r\n", "\n") != strings.ReplaceAll(want, "\r\n", "\n") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for path, want := range map[string]int{"?from=x": 422, "": 200} {
		if got := get(router, projectstest.Owner, "/acme/audit-log/export.csv"+path).Code; got != want {
			t.Errorf("%q: %d", path, got)
		}
		if got := get(router, projectstest.Viewer, "/acme/audit-log/export.csv"+path).Code; got != http.StatusForbidden {
			t.Errorf("%q: %d for a viewer", path, got)
		}
	}
	if got := get(router, projectstest.Owner, "/acme/audit-log/export.csv?from=x").Header().Get("Content-Disposition"); got != "" {
		t.Errorf("a refusal is downloaded: %s", got)
	}
}
