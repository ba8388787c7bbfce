package clerkdev_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// openConsole is a portal whose instance delivers to a receiver.
func openConsole(t *testing.T) (*portal, *receiver) {
	t.Helper()
	var i *instance
	r := receive(t, func() string { return i.WebhookSecret() })
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i = start(t, clerkdev.Config{PublicURL: server.URL, WebhookURL: r.URL})
	mux.Handle("/__clerk/", i.Frontend())
	mux.Handle("/assets/", web.Assets())
	p := &portal{&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, i, server.URL}
	runs(t, i.Emulator)
	return p, r
}

func TestConsole(t *testing.T) {
	t.Parallel()
	p, r := openConsole(t)
	ada := p.user(t, "ada@example.com")
	p.organization(t, "acme", ada)
	r.wait(t, 3)
	events := p.Events()
	for path, want := range map[string][]string{
		"/__clerk/":                       {"organizationMembership.created", "user.created", "Accepted", events[0].ID},
		"/__clerk/events/" + events[0].ID: {"user.created", "ada@example.com", events[0].ID, "once"},
		"/__clerk/people":                 {"ada@example.com", "Name of acme (Admin)", ada.ID},
		"/__clerk/organizations":          {"Name of acme", "acme"},
	} {
		response, body := p.visit(t, "GET", path, nil)
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
		for _, text := range want {
			if !strings.Contains(body, text) {
				t.Errorf("%s does not say %q", path, text)
			}
		}
	}
	replay := func(how string, ids ...string) (int, string) {
		response, body := p.visit(t, "POST", "/__clerk/events/replay", url.Values{"how": {how}, "event": ids})
		return response.StatusCode, body
	}
	first, last := events[0].ID, events[2].ID
	for _, c := range []struct {
		how  string
		want []string
	}{{"again", []string{first, last}}, {"twice", []string{first, first, last, last}}} {
		if code, _ := replay(c.how, last, first, last); code != http.StatusSeeOther {
			t.Fatalf("%s: %d", c.how, code)
		}
		if ids := r.wait(t, len(c.want)); !slices.Equal(ids[len(ids)-len(c.want):], c.want) {
			t.Errorf("%s: %v, want %v at the end", c.how, ids, c.want)
		}
	}
	if code, _ := replay("shuffled", first, last); code != http.StatusSeeOther {
		t.Errorf("shuffled: %d", code)
	}
	r.wait(t, 2)
	if code, _ := replay("late", first); code != http.StatusSeeOther {
		t.Errorf("late: %d", code)
	}
	if event := p.Events()[0]; event.Delivered() {
		t.Errorf("a late event is not waited for: %+v", event)
	}
	for name, c := range map[string]struct {
		how, id string
		want    int
	}{"an unknown event": {"again", "msg_x", 404}, "an unknown way": {"sideways", first, 422}} {
		if code, _ := replay(c.how, c.id); code != c.want {
			t.Errorf("%s: %d, want %d", name, code, c.want)
		}
	}
	if code, _ := replay("again"); code != http.StatusSeeOther {
		t.Errorf("no event: %d", code)
	}
	if response, _ := p.visit(t, "POST", "/__clerk/events/replay", url.Values{"how": {"again"}, "event": {first}}, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); response.StatusCode != http.StatusForbidden {
		t.Errorf("another site sends events: %d", response.StatusCode)
	}
}

func TestConsoleDelivery(t *testing.T) {
	t.Parallel()
	p, r := openConsole(t)
	set := func(form url.Values) (int, string) {
		response, body := p.visit(t, "POST", "/__clerk/delivery", form)
		return response.StatusCode, body
	}
	if code, _ := set(url.Values{"hold": {"on"}, "delay": {"1.5"}}); code != http.StatusSeeOther || !p.Delivery().Hold || p.Delivery().Delay.Seconds() != 1.5 {
		t.Errorf("%d %+v", code, p.Delivery())
	}
	before := p.Delivery()
	for _, delay := range []string{"-1", "3601", "NaN", "Inf", "soon", "1e99"} {
		if code, body := set(url.Values{"delay": {delay}, "duplicate": {"on"}}); code != http.StatusUnprocessableEntity || !strings.Contains(body, "from 0 to 3600") || !strings.Contains(body, `value="`+delay+`"`) {
			t.Errorf("delay %q: %d", delay, code)
		}
	}
	if p.Delivery() != before {
		t.Errorf("what was refused changed it: %+v", p.Delivery())
	}
	p.user(t, "ada@example.com")
	if _, body := p.visit(t, "GET", "/__clerk/", nil); !strings.Contains(body, "Waiting") || strings.Contains(body, "Accepted") {
		t.Error("an event that is held back does not wait")
	}
	if code, _ := set(url.Values{}); code != http.StatusSeeOther || p.Delivery() != (clerkdev.Delivery{}) {
		t.Errorf("%d %+v", code, p.Delivery())
	}
	r.wait(t, 1)
}

// TestConsolePages goes through more events than a page has.
func TestConsolePages(t *testing.T) {
	t.Parallel()
	p, _ := openConsole(t)
	for n := range 60 {
		p.user(t, string(rune('a'+n%26))+strings.Repeat("x", n)+"@example.com")
	}
	events, seen, path := p.Events(), map[string]bool{}, "/__clerk/"
	for page := 0; path != "" && page < 5; page++ {
		_, body := p.visit(t, "GET", path, nil)
		for _, event := range events {
			if strings.Contains(body, `value="`+event.ID+`"`) {
				if seen[event.ID] {
					t.Errorf("%s is on two pages", event.ID)
				}
				seen[event.ID] = true
			}
		}
		_, after, _ := strings.Cut(body, `href="/__clerk/?before=`)
		if path, _, _ = strings.Cut(after, `"`); path != "" {
			path = "/__clerk/?before=" + path
		}
	}
	if len(seen) != len(events) {
		t.Errorf("%d of %d events are shown", len(seen), len(events))
	}
	for path, want := range map[string]int{"/__clerk/nothing": 404, "/__clerk/events/msg_x": 404, "/__clerk/?before=msg_x": 200, "/__clerk/v1/waitlist": 404} {
		if response, _ := p.visit(t, "GET", path, nil); response.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
	}
}

// TestPagesInBrowser looks at every page for who cannot see it, on a phone too,
// and uses the console as a developer does.
func TestPagesInBrowser(t *testing.T) {
	p, r := openConsole(t)
	ada := p.user(t, "ada@example.com")
	p.organization(t, "acme", ada)
	r.wait(t, 3)
	ctx := browsertest.Start(t)
	complaints := browsertest.Listen(t, ctx)
	look := func(path, name string) {
		t.Helper()
		for _, width := range []int64{1280, 390} {
			browsertest.Emulate(t, ctx, "light", width)
			browsertest.Do(t, ctx, chromedp.Navigate(p.url+path))
			browsertest.Eventually(t, ctx, `document.documentElement.classList.contains("js")`)
			for _, violation := range browsertest.Violations(t, ctx) {
				t.Errorf("%s at %d: %s", name, width, violation)
			}
			if browsertest.Evaluate[bool](t, ctx, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
				t.Errorf("%s is wider than %d pixels", name, width)
			}
			complaints.Check(t)
		}
		browsertest.Emulate(t, ctx, "light", 1280)
		browsertest.Screenshot(t, ctx, "clerkdev-"+name)
	}
	look("/__clerk/sign-in", "sign-in")
	look("/__clerk/sign-up", "sign-up")
	look("/__clerk/", "events")
	look("/__clerk/events/"+p.Events()[0].ID, "event")
	look("/__clerk/people", "people")
	look("/__clerk/organizations", "organizations")
	look("/__clerk/roles", "roles")
	look("/__clerk/outage", "outage")

	browsertest.Do(t, ctx, chromedp.Navigate(p.url+"/__clerk/"))
	browsertest.Eventually(t, ctx, `document.documentElement.classList.contains("js")`)
	before := len(r.wait(t, 0))
	browsertest.Evaluate[chromedp.Void](t, ctx, `{ document.querySelector('input[name="event"]').click(); document.querySelector('button[value="twice"]').click() }`)
	browsertest.Eventually(t, ctx, `document.querySelector(".toast")?.innerText.includes("sent twice")`)
	if ids := r.wait(t, 2); len(ids) != before+2 || ids[before] != p.Events()[2].ID {
		t.Errorf("%v, want the newest event twice", ids)
	}

	browsertest.Do(t, ctx, chromedp.Navigate(p.url+"/__clerk/sign-in?redirect_url=/__clerk/select-organization"))
	browsertest.Eventually(t, ctx, `document.documentElement.classList.contains("js")`)
	browsertest.Evaluate[chromedp.Void](t, ctx, `{ document.querySelector('[aria-label="Sign in as ada@example.com"]').click() }`)
	browsertest.Eventually(t, ctx, `location.pathname === "/__clerk/select-organization"`)
	look("/__clerk/select-organization", "select-organization")
	look("/__clerk/create-organization", "create-organization")
	for _, task := range []string{"choose-organization", "reset-password", "setup-mfa"} {
		if err := p.SetTask(ada.ID, task); err != nil {
			t.Fatal(err)
		}
		look("/__clerk/tasks", "task-"+task)
	}
	look("/__clerk/sign-out", "sign-out")
}
