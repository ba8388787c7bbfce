package clerk_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
)

// TestAnExpiredTokenIsRefreshed: with the browser's refresh token even a
// fragment of a page goes on, which could not follow a handshake.
func TestAnExpiredTokenIsRefreshed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		claims  map[string]any // of the expired token
		method  string
		refresh string
		cookies func(fresh string) []string // that the Backend API answers with
		state   clerk.State
		reason  clerk.Reason
	}{
		"":                        {state: clerk.SignedIn},
		"a form":                  {method: http.MethodPost, state: clerk.SignedOut, reason: "session-token-expired-refresh-non-eligible-non-get"},
		"a refresh token used up": {refresh: "refresh_0", state: clerk.SignedOut, reason: "session-token-expired-refresh-refresh_token_invalid"},
		"a session id of another path": {
			claims: map[string]any{"sid": "../users/user_eve"}, state: clerk.SignedOut,
			reason: "session-token-expired-refresh-expired-session-token-missing-sid-claim",
		},
		"no cookie in the answer": {
			cookies: func(string) []string { return nil }, state: clerk.SignedOut,
			reason: "session-token-expired-refresh-unexpected-sdk-error",
		},
		"no session in the answer": {
			cookies: func(string) []string { return []string{"__client_uat=0; Path=/"} }, state: clerk.SignedOut,
			reason: "session-token-expired-refresh-invalid-session-token",
		},
		"a session that is not good": {
			cookies: func(fresh string) []string { return []string{"__session=" + fresh[:len(fresh)-9]} }, state: clerk.SignedOut,
			reason: "session-token-expired-refresh-invalid-session-token",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBrowser(t, "live")
			fresh := b.key.sign(t, sessionClaims(now, nil), nil)
			cookies := []string{"__session=" + fresh + "; Path=/"}
			if test.cookies != nil {
				cookies = test.cookies(fresh)
			}
			b.backend.refreshes = map[string][]string{"refresh_1": cookies}
			refresh := "refresh_1"
			if test.refresh != "" {
				refresh = test.refresh
			}
			stale := b.key.sign(t, sessionClaims(now.Add(-time.Hour), test.claims), nil)
			r := navigation("/acme/projects", "__client_uat=1", "__session="+stale, "__refresh"+suffixOf("live")+"="+refresh)
			r.Header.Set("Sec-Fetch-Dest", "empty") // as a script's request
			if test.method != "" {
				r.Method = test.method
			}
			decision := b.Authenticate(r)
			if decision.State != test.state || decision.Reason != test.reason || decision.Redirect != "" || decision.Err != nil {
				t.Fatalf("%+v", decision)
			}
			if signedIn := decision.State == clerk.SignedIn; (len(decision.Cookies) == 1) != signedIn || (decision.Session.AccountID == "user_ada") != signedIn {
				t.Errorf("%+v", decision)
			}
			if decision.State == clerk.SignedIn && !strings.HasPrefix(decision.Cookies[0], "__session="+fresh) {
				t.Errorf("cookies %q", decision.Cookies)
			}
		})
	}
}
