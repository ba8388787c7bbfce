package clerkdev_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestTasks: a session does not count while there is something left to do, and
// does once it is done on the portal's page.
func TestTasks(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	ada := p.user(t, "ada@example.com")
	p.organization(t, "acme", ada)
	p.organization(t, "globex", ada)
	home, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	signIn := url.Values{"user_id": {ada.ID}, "redirect_url": {"/acme"}}
	status := func() (sts string, organization any) {
		t.Helper()
		p.visit(t, "GET", "/__clerk/sign-in?redirect_url=/", nil) // gives fresh cookies
		for _, cookie := range p.Jar.Cookies(home) {
			if cookie.Name == "__session" {
				claims := decodeClaims(t, cookie.Value)
				return claims["sts"].(string), claims["o"]
			}
		}
		return "none", nil
	}
	p.visit(t, "POST", "/__clerk/sign-in", signIn)
	if sts, _ := status(); sts != "active" {
		t.Fatalf("a session is %s", sts)
	}
	for task, form := range map[string]url.Values{
		"choose-organization": {"organization_id": {"globex"}},
		"reset-password":      {"password": {"a new one, and longer"}},
		"setup-mfa":           {},
	} {
		if err := p.SetTask(ada.ID, task); err != nil {
			t.Fatal(err)
		}
		if sts, organization := status(); sts != "pending" || task == "choose-organization" && organization != nil {
			t.Errorf("%s: the token says %s in %v", task, sts, organization)
		}
		if events := p.Events(); events[len(events)-1].Type != "session.pending" {
			t.Errorf("%s: %s", task, events[len(events)-1].Type)
		}
		if response, body := p.visit(t, "GET", "/__clerk/tasks?redirect_url=/acme", nil); response.StatusCode != http.StatusOK || !strings.Contains(body, "One more step") {
			t.Errorf("%s: %d", task, response.StatusCode)
		}
		if task != "setup-mfa" {
			if response, _ := p.visit(t, "POST", "/__clerk/tasks", url.Values{"password": {"short"}, "organization_id": {""}}); response.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("%s: something else: %d", task, response.StatusCode)
			}
			if sts, _ := status(); sts != "pending" {
				t.Errorf("%s: then it is %s", task, sts)
			}
		}
		form.Set("redirect_url", "/acme")
		if response, _ := p.visit(t, "POST", "/__clerk/tasks", form); response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != p.url+"/acme" {
			t.Errorf("%s: done: %d to %s", task, response.StatusCode, response.Header.Get("Location"))
		}
		if sts, organization := status(); sts != "active" || organization == nil {
			t.Errorf("%s: done, it is %s in %v", task, sts, organization)
		}
	}
	if got, err := p.users.Get(t.Context(), ada.ID); err != nil || !got.TwoFactorEnabled {
		t.Errorf("%+v, %v", got, err)
	}
	if response, _ := p.visit(t, "GET", "/__clerk/tasks?redirect_url=/acme", nil); response.StatusCode != http.StatusSeeOther {
		t.Errorf("with nothing to do: %d", response.StatusCode)
	}
	if p.SetTask(ada.ID, "sing") == nil || p.SetTask("user_none", "setup-mfa") == nil {
		t.Error("a task that is none, or nobody's")
	}
	// In this order: the last one that is taken leaves nothing to do.
	for _, change := range []struct {
		user, task string
		want       int
	}{{ada.ID, "setup-mfa", 303}, {ada.ID, "", 303}, {ada.ID, "sing", 422}, {"user_none", "", 404}} {
		form := url.Values{"user_id": {change.user}, "task": {change.task}}
		if response, _ := p.visit(t, "POST", "/__clerk/people/task", form); response.StatusCode != change.want {
			t.Errorf("%s: %d, want %d", form.Encode(), response.StatusCode, change.want)
		}
	}
	if sts, _ := status(); sts != "active" {
		t.Errorf("a task that was taken back leaves it %s", sts)
	}
	// At the sign-in that comes, too.
	if err := p.SetTask(ada.ID, "choose-organization"); err != nil {
		t.Fatal(err)
	}
	p.visit(t, "POST", "/__clerk/sign-out", nil)
	p.visit(t, "POST", "/__clerk/sign-in", signIn)
	if sts, organization := status(); sts != "pending" || organization != nil {
		t.Errorf("the next session is %s in %v", sts, organization)
	}
}
