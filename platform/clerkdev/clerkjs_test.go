package clerkdev_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestClerkJSRequests sends what ClerkJS sends, and what it should not.
func TestClerkJSRequests(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	eve := p.stranger(t)
	eve.signUp(t, "eve@example.com")
	const v1 = "/__clerk/v1"
	steps := []struct {
		name, method, path string
		form               url.Values
		status             int
		says               string
	}{
		{"nobody's client", "GET", "/client", nil, 200, `{"response":null,"client":null}`},
		{"nobody's account", "GET", "/me", nil, 401, "signed_out"},
		{"a change of nobody's", "POST", "/organizations", url.Values{"name": {"Acme"}}, 401, "signed_out"},
		{"no development browser in production", "POST", "/dev_browser", nil, 404, "resource_not_found"},
		{"a sign-up without a password", "POST", "/client/sign_ups", url.Values{"email_address": {"ada@example.com"}}, 200, `"missing_fields":["password"]`},
		{"another's address", "POST", "/client/sign_ups", url.Values{"email_address": {"EVE@example.com"}, "password": {"long enough"}}, 422, "form_identifier_exists"},
		{"a short password", "POST", "/client/sign_ups", url.Values{"email_address": {"ada@example.com"}, "password": {"short"}}, 422, "form_password_length_too_short"},
		{"no address at all", "POST", "/client/sign_ups", url.Values{"email_address": {"ada"}, "password": {"long enough"}}, 422, "form_param_format_invalid"},
		{"a sign-up", "POST", "/client/sign_ups", url.Values{"email_address": {"ada@example.com"}, "password": {"long enough"}}, 200, `"status":"complete"`},
		{"a sign-up beside a session", "POST", "/client/sign_ups", url.Values{"email_address": {"x@example.com"}, "password": {"long enough"}}, 400, "session_exists"},
		{"the account", "GET", "/me", nil, 200, "ada@example.com"},
		{"an unknown field", "POST", "/me?_method=PATCH", url.Values{"private_metadata": {"{}"}}, 422, "form_param_unknown"},
		{"a name", "POST", "/me?_method=PATCH", url.Values{"first_name": {"Ada"}}, 200, `"first_name":"Ada"`},
		{"metadata that is no object", "POST", "/me?_method=PATCH", url.Values{"unsafe_metadata": {"7"}}, 422, "unsafe_metadata"},
		{"a new password without the old", "POST", "/me/change_password", url.Values{"new_password": {"longer still"}}, 422, "form_password_incorrect"},
		{"an organization", "POST", "/organizations", url.Values{"name": {"Acme"}, "slug": {"acme"}}, 200, `"slug":"acme"`},
		{"a taken slug", "POST", "/organizations", url.Values{"name": {"Acme"}, "slug": {"acme"}}, 422, "form_identifier_exists"},
		{"its members", "GET", "/organizations/acme/memberships?limit=10&offset=0", nil, 200, `"total_count":1`},
		{"a page that is none", "GET", "/organizations/acme/memberships?limit=-1", nil, 422, "limit"},
		{"invitations", "POST", "/organizations/acme/invitations/bulk", url.Values{"email_address": {"eve@example.com"}, "role": {"org:member"}}, 200, `"status":"pending"`},
		{"a role that is none", "POST", "/organizations/acme/invitations", url.Values{"email_address": {"x@example.com"}, "role": {"admin"}}, 422, "form_param_value_invalid"},
		{"a method that is none", "POST", "/me?_method=TRACE", nil, 404, "resource_not_found"},
		{"an unknown path", "GET", "/billing/plans", nil, 404, "resource_not_found"},
		{"out of everything", "POST", "/client/sessions?_method=DELETE", nil, 200, `"sessions":[]`},
		{"and out it is", "GET", "/me", nil, 401, "signed_out"},
		{"an unknown account", "POST", "/client/sign_ins", url.Values{"identifier": {"nobody@example.com"}}, 422, "form_identifier_not_found"},
		{"an unknown strategy", "POST", "/client/sign_ins", url.Values{"identifier": {"ada@example.com"}, "strategy": {"oauth_x"}}, 422, "strategy"},
		{"a wrong password", "POST", "/client/sign_ins", url.Values{"identifier": {"ada@example.com"}, "strategy": {"password"}, "password": {"not the one"}}, 422, "form_password_incorrect"},
		{"another's attempt", "POST", "/client/sign_ins/sia_x/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {"424242"}}, 404, "resource_not_found"},
		{"a sign-in", "POST", "/client/sign_ins", url.Values{"identifier": {"ada@example.com"}, "strategy": {"password"}, "password": {"long enough"}}, 200, `"status":"complete"`},
	}
	for _, step := range steps {
		response, body := p.visit(t, step.method, v1+step.path, step.form)
		if response.StatusCode != step.status || !strings.Contains(body, step.says) {
			t.Fatalf("%s: %d %s, want %d and %s", step.name, response.StatusCode, body, step.status, step.says)
		}
		if strings.Contains(body, "private_metadata\":{\"") || strings.Contains(body, "long enough") || strings.Contains(body, "password_hash") {
			t.Errorf("%s: the browser sees what is private: %s", step.name, body)
		}
	}
	for name, test := range map[string]struct{ method, path string }{
		"another's organization": {"GET", "/organizations/acme"},
		"its members":            {"GET", "/organizations/acme/memberships"},
		"deletes it":             {"POST", "/organizations/acme?_method=DELETE"},
		"renames it":             {"POST", "/organizations/acme?_method=PATCH"},
		"another's session":      {"POST", "/client/sessions/" + p.sessionID(t) + "/remove"},
	} {
		if response, body := eve.visit(t, test.method, v1+test.path, url.Values{}); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", name, response.StatusCode, body)
		}
	}
	if _, body := eve.visit(t, "GET", v1+"/me/organization_invitations", nil); !strings.Contains(body, `"total_count":1`) || strings.Contains(body, "__clerk_ticket") {
		t.Errorf("Eve's invitations: %s", body)
	}
}

// TestASignInChangesTheCookie: who planted a stranger's cookie is not let in by it.
func TestASignInChangesTheCookie(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	p.visit(t, "POST", "/__clerk/v1/client/sign_ups", url.Values{"email_address": {"ada@example.com"}})
	planted := p.stranger(t)
	here, err := url.Parse(p.url + "/__clerk/v1")
	if err != nil {
		t.Fatal(err)
	}
	planted.Jar.SetCookies(here, p.Jar.Cookies(here))
	p.visit(t, "POST", "/__clerk/v1/client/sign_ups", url.Values{"email_address": {"ada@example.com"}, "password": {"long enough"}})
	if response, _ := p.visit(t, "GET", "/__clerk/v1/me", nil); response.StatusCode != http.StatusOK {
		t.Fatalf("%d", response.StatusCode)
	}
	if response, _ := planted.visit(t, "GET", "/__clerk/v1/me", nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the planted cookie gets %d", response.StatusCode)
	}
}
