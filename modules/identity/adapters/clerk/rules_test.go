package clerk_test

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/fault"
)

// suffixOf is the instance's part of its cookies' names, by Clerk's own recipe.
func suffixOf(kind string) string {
	digest := sha1.Sum([]byte(publishableKey(kind, "clerk.example.com")))
	return "_" + base64.URLEncoding.EncodeToString(digest[:])[:8]
}

// TestCookieRules has a case for each row of the table of cookie states. State
// and reason are what the handshake's endpoint and Clerk's documentation call
// them.
func TestCookieRules(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key, other := newKey(t, "ins_1"), newKey(t, "ins_2")
	token := func(claims, header map[string]any) string { return key.sign(t, sessionClaims(now, claims), header) }
	good := token(nil, nil)
	expired := key.sign(t, sessionClaims(now.Add(-time.Hour), nil), nil)
	forged := signingKey{other.PrivateKey, key.id}.sign(t, sessionClaims(now, nil), nil)
	dev := "__clerk_db_jwt=dvb_1"
	for name, test := range map[string]struct {
		kind    string // of instance; production when empty
		target  string // "/" when empty
		cookies []string
		state   clerk.State
		reason  clerk.Reason
	}{
		"a developer's browser comes with its token": {"test", "/?__clerk_db_jwt=dvb_1", []string{"__session=" + good, "__client_uat=1"}, clerk.Handshake, clerk.DevBrowserSync},
		"a developer's browser without one":          {"test", "", []string{"__session=" + good, "__client_uat=1"}, clerk.Handshake, clerk.DevBrowserMissing},
		"that token means nothing in production":     {"live", "/?__clerk_db_jwt=dvb_1", []string{"__session=" + good, "__client_uat=1"}, clerk.SignedIn, ""},
		"a developer signed out":                     {"test", "", []string{dev}, clerk.SignedOut, clerk.SessionTokenAndUATMissing},
		"a developer signed in":                      {"test", "", []string{dev, "__session=" + good, "__client_uat=1"}, clerk.SignedIn, ""},
		"nothing":                                    {"", "", nil, clerk.SignedOut, clerk.SessionTokenAndUATMissing},
		"signed out":                                 {"", "", []string{"__client_uat=0"}, clerk.SignedOut, clerk.SessionTokenAndUATMissing},
		"a session, signed out":                      {"", "", []string{"__client_uat=0", "__session=" + good}, clerk.Handshake, clerk.SessionTokenWithoutUAT},
		"a session, nothing known":                   {"", "", []string{"__session=" + good}, clerk.Handshake, clerk.SessionTokenWithoutUAT},
		"signed in, no session":                      {"", "", []string{"__client_uat=1"}, clerk.Handshake, clerk.UATWithoutSessionToken},
		"signed in, an empty session":                {"", "", []string{"__client_uat=1", "__session="}, clerk.Handshake, clerk.UATWithoutSessionToken},
		"a session that cannot be decoded":           {"", "", []string{"__client_uat=1", "__session=garbage"}, clerk.SignedOut, clerk.TokenInvalid},
		"an oversized session":                       {"", "", []string{"__client_uat=1", "__session=" + strings.Repeat("a", 9000)}, clerk.SignedOut, clerk.TokenInvalid},
		"a template's token":                         {"", "", []string{"__client_uat=1", "__session=" + token(nil, map[string]any{"cat": "cl_B7d4PD222AAA"})}, clerk.SignedOut, clerk.TokenTypeMismatch},
		"a machine's token":                          {"", "", []string{"__client_uat=1", "__session=" + token(map[string]any{"sub": "mch_1"}, nil)}, clerk.SignedOut, clerk.TokenTypeMismatch},
		"older than the last sign-in":                {"", "", []string{"__client_uat=99999999999", "__session=" + good}, clerk.Handshake, clerk.SessionTokenIssuedBeforeUAT},
		"forged and older than the last sign-in":     {"", "", []string{"__client_uat=99999999999", "__session=" + forged}, clerk.Handshake, clerk.SessionTokenIssuedBeforeUAT},
		"expired":                                    {"", "", []string{"__client_uat=1", "__session=" + expired}, clerk.Handshake, "session-token-expired-refresh-non-eligible-no-refresh-cookie"},
		"not valid yet":                              {"", "", []string{"__client_uat=1", "__session=" + token(map[string]any{"nbf": now.Add(time.Minute).Unix()}, nil)}, clerk.Handshake, clerk.SessionTokenNotActiveYet},
		"from the future":                            {"", "", []string{"__client_uat=1", "__session=" + token(map[string]any{"iat": now.Add(time.Minute).Unix()}, nil)}, clerk.Handshake, clerk.SessionTokenFromFuture},
		"forged":                                     {"", "", []string{"__client_uat=1", "__session=" + forged}, clerk.SignedOut, clerk.TokenInvalidSignature},
		"of an unknown key":                          {"", "", []string{"__client_uat=1", "__session=" + other.sign(t, sessionClaims(now, nil), nil)}, clerk.SignedOut, clerk.KeyUnknown},
		"made for another origin":                    {"", "", []string{"__client_uat=1", "__session=" + token(map[string]any{"azp": "https://evil.example.com"}, nil)}, clerk.SignedOut, clerk.TokenUnauthorizedParty},
		"pending":                                    {"", "", []string{"__client_uat=1", "__session=" + token(map[string]any{"sts": "pending"}, nil)}, clerk.SignedOut, clerk.SessionPending},
		"good":                                       {"", "", []string{"__client_uat=1", "__session=" + good}, clerk.SignedIn, ""},
		"the first of a name counts":                 {"", "", []string{"__client_uat=1", "__session=" + good, "__session=" + forged}, clerk.SignedIn, ""},
		"under the instance's own names":             {"", "", []string{"__client_uat" + suffixOf("live") + "=1", "__session" + suffixOf("live") + "=" + good}, clerk.SignedIn, ""},
		"another application's on the same domain":   {"", "", []string{"__client_uat=0", "__session=" + key.sign(t, sessionClaims(now, map[string]any{"iss": "https://clerk.other.example"}), nil), "__client_uat" + suffixOf("live") + "=1", "__session" + suffixOf("live") + "=" + good}, clerk.SignedIn, ""},
		"only another application's":                 {"", "", []string{"__client_uat=1", "__session=" + key.sign(t, sessionClaims(now, map[string]any{"iss": "https://clerk.other.example"}), nil)}, clerk.SignedOut, clerk.SessionTokenAndUATMissing},
		"a newer client signed out":                  {"", "", []string{"__client_uat=0", "__client_uat" + suffixOf("live") + "=0", "__session=" + good}, clerk.SignedOut, clerk.SessionTokenAndUATMissing},
		"an older client signed in since":            {"", "", []string{"__client_uat=1", "__client_uat" + suffixOf("live") + "=0", "__session=" + good}, clerk.SignedIn, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind, target := "live", "/"
			if test.kind != "" {
				kind = test.kind
			}
			if test.target != "" {
				target = test.target
			}
			b := newBrowser(t, kind)
			decision := b.Authenticate(navigation(target, test.cookies...))
			if decision.State != test.state || decision.Reason != test.reason || decision.Err != nil {
				t.Fatalf("%s for %q (%v), want %s for %q", decision.State, decision.Reason, decision.Err, test.state, test.reason)
			}
			if (decision.Session.AccountID != "") != (test.state == clerk.SignedIn) {
				t.Errorf("the session is %+v", decision.Session)
			}
			if test.state != clerk.Handshake {
				if decision.Redirect != "" || len(decision.Cookies) != 0 {
					t.Errorf("redirect %q, cookies %q", decision.Redirect, decision.Cookies)
				}
				return
			}
			to, err := url.Parse(decision.Redirect)
			if err != nil {
				t.Fatal(err)
			}
			parameters := to.Query()
			if got := parameters.Get("__clerk_hs_reason"); got != string(test.reason) {
				t.Errorf("the Frontend API is told %q", got)
			}
			if got := parameters.Get("redirect_url"); got != testOrigin+"/" {
				t.Errorf("leads back to %q", got)
			}
			if (parameters.Get("__clerk_db_jwt") != "") != strings.Contains(target+strings.Join(test.cookies, ""), "dvb_1") {
				t.Errorf("the developer's browser is %q", parameters.Get("__clerk_db_jwt"))
			}
			for name, want := range map[string]string{"format": "nonce", "suffixed_cookies": "false"} {
				if name == "suffixed_cookies" && strings.Contains(strings.Join(test.cookies, ""), suffixOf("live")) {
					want = "true"
				}
				if got := parameters.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestOnlyNavigationsAreRedirected has requests that would follow a redirect to
// another origin in vain, or lose what they carry on the way.
func TestOnlyNavigationsAreRedirected(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "live")
	expired := b.key.sign(t, sessionClaims(time.Now().Add(-time.Hour), nil), nil)
	for name, test := range map[string]struct {
		method, dest, accept string
		want                 clerk.State
	}{
		"a page":                      {"GET", "document", "text/html", clerk.Handshake},
		"a frame":                     {"GET", "iframe", "text/html", clerk.Handshake},
		"a page of an old browser":    {"GET", "", "text/html,application/xhtml+xml", clerk.Handshake},
		"a form":                      {"POST", "document", "text/html", clerk.SignedOut},
		"a call by script":            {"GET", "empty", "text/html", clerk.SignedOut},
		"an image":                    {"GET", "image", "image/png", clerk.SignedOut},
		"a program":                   {"GET", "", "application/json", clerk.SignedOut},
		"a program that says nothing": {"GET", "", "", clerk.SignedOut},
		"a deletion":                  {"DELETE", "empty", "", clerk.SignedOut},
	} {
		r := navigation("/", "__client_uat=1", "__session="+expired)
		r.Method = test.method
		r.Header.Set("Sec-Fetch-Dest", test.dest)
		r.Header.Set("Accept", test.accept)
		if test.dest == "" {
			r.Header.Del("Sec-Fetch-Dest")
		}
		decision := b.Authenticate(r)
		if decision.State != test.want || !strings.HasPrefix(string(decision.Reason), "session-token-expired") {
			t.Errorf("%s: %s for %q, want %s", name, decision.State, decision.Reason, test.want)
		}
		if (decision.Redirect != "") != (test.want == clerk.Handshake) {
			t.Errorf("%s: redirects to %q", name, decision.Redirect)
		}
	}
}

// TestAnExpiredBearerTokenIsNoHandshake: a program has no use for one, and says
// so by what it accepts.
func TestAnExpiredBearerTokenIsNoHandshake(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "live")
	r := navigation("/api/tenants/acme/projects")
	r.Header = http.Header{"Authorization": {"Bearer " + b.key.sign(t, sessionClaims(time.Now().Add(-time.Hour), nil), nil)}, "Accept": {"*/*"}}
	if decision := b.Authenticate(r); decision.State != clerk.SignedOut || decision.Redirect != "" || decision.Err != nil {
		t.Errorf("%+v", decision)
	}
}

// TestADeveloperWithAWrongClock: the token of a handshake was made a moment ago,
// so in development it counts though this machine's clock says otherwise.
func TestADeveloperWithAWrongClock(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]clerk.State{"test": clerk.SignedIn, "live": clerk.SignedOut} {
		b := newBrowser(t, kind)
		early := b.key.sign(t, sessionClaims(time.Now().Add(-10*time.Minute), nil), nil)
		b.backend.nonces["nonce_1"] = []string{"__session=" + early + "; Path=/"}
		decision := b.Authenticate(navigation("/?__clerk_handshake_nonce=nonce_1", "__clerk_db_jwt=dvb_1"))
		if decision.State != want {
			t.Errorf("%s: %+v", kind, decision)
		}
	}
}

func TestAHandshakeThatWasSignedOut(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "live")
	b.backend.nonces["nonce_1"] = []string{"__client_uat=0; Path=/", "__session=; Path=/; Max-Age=0"}
	decision := b.Authenticate(navigation("/acme?__clerk_handshake_nonce=nonce_1&page=2", "__client_uat=1"))
	if decision.State != clerk.SignedOut || decision.Reason != clerk.SessionTokenMissing || len(decision.Cookies) != 2 || decision.Redirect != testOrigin+"/acme?page=2" {
		t.Errorf("%+v", decision)
	}
	pending := b.key.sign(t, sessionClaims(time.Now(), map[string]any{"sts": "pending"}), nil)
	b.backend.nonces["nonce_2"] = []string{"__session=" + pending + "; Path=/"}
	decision = b.Authenticate(navigation("/?__clerk_handshake_nonce=nonce_2"))
	if decision.State != clerk.SignedOut || decision.Reason != clerk.SessionPending || len(decision.Cookies) != 1 {
		t.Errorf("%+v", decision)
	}
	if fault.Is(decision.Err, fault.Unavailable) {
		t.Error(decision.Err)
	}
}
