package clerk_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"

	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/fault"
)

// handshakeBackend is a Backend API that knows nonces too.
type handshakeBackend struct {
	jwksBackend

	nonces    map[string][]string
	refreshes map[string][]string // cookies by refresh token
}

func (b *handshakeBackend) Call(ctx context.Context, request *sdk.APIRequest, into sdk.ResponseReader) error {
	switch request.Path {
	case "/clients/handshake_payload":
	case "/sessions/sess_1/refresh", "/sessions/sess_2/refresh":
		return b.refresh(request, into)
	default:
		return b.jwksBackend.Call(ctx, request, into)
	}
	nonce := request.Params.ToQuery().Get("nonce")
	directives, ok := b.nonces[nonce]
	if !ok {
		return &sdk.APIErrorResponse{HTTPStatusCode: http.StatusNotFound}
	}
	delete(b.nonces, nonce)
	body, err := json.Marshal(map[string]any{"directives": directives})
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (b *handshakeBackend) refresh(request *sdk.APIRequest, into sdk.ResponseReader) error {
	sent, err := json.Marshal(request.Params)
	if err != nil {
		return err
	}
	var params struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(sent, &params); err != nil {
		return err
	}
	cookies, ok := b.refreshes[params.RefreshToken]
	if !ok {
		return &sdk.APIErrorResponse{HTTPStatusCode: http.StatusUnauthorized, Errors: []sdk.Error{{Code: "refresh_token_invalid"}}}
	}
	body, err := json.Marshal(map[string]any{"cookies": cookies})
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

type browser struct {
	*clerk.BrowserAuth

	key     signingKey
	backend *handshakeBackend
}

func newBrowser(tb testing.TB, kind string) browser {
	tb.Helper()
	key := newKey(tb, "ins_1")
	backend := &handshakeBackend{jwksBackend: jwksBackend{keys: []signingKey{key}}, nonces: map[string][]string{}}
	instance := newInstance(tb, clerk.InstanceConfig{PublishableKey: publishableKey(kind, "clerk.example.com"), PublicURL: testOrigin})
	return browser{
		BrowserAuth: clerk.NewBrowserAuth(clerk.BrowserAuthConfig{
			Instance: instance, Verifier: newVerifier(backend), Backend: backend, Logger: slog.New(slog.DiscardHandler),
		}),
		key:     key,
		backend: backend,
	}
}

func navigation(target string, cookies ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Cookie", strings.Join(cookies, "; "))
	return r
}

func TestHandshakeRoundTrip(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "live")
	now := time.Now()
	stale := b.key.sign(t, sessionClaims(now.Add(-time.Hour), nil), nil)

	out := navigation("http://10.0.0.7:8080/acme/projects?page=2", "__client_uat=1", "__session="+stale)
	out.Host = "evil.example.com"
	out.Header.Set("X-Forwarded-Host", "evil.example.com")
	decision := b.Authenticate(out)
	if decision.State != clerk.Handshake || decision.Reason != "session-token-expired-refresh-non-eligible-no-refresh-cookie" {
		t.Fatalf("%+v", decision)
	}
	target, err := url.Parse(decision.Redirect)
	if err != nil {
		t.Fatal(err)
	}
	if got := target.Scheme + "://" + target.Host + target.Path; got != "https://clerk.example.com/v1/client/handshake" {
		t.Errorf("handshake at %s", got)
	}
	if got := target.Query().Get("redirect_url"); got != testOrigin+"/acme/projects?page=2" {
		t.Errorf("back to %s", got)
	}
	if got := decision.Cookies; len(got) != 1 || !strings.HasPrefix(got[0], "__clerk_redirect_count=1;") {
		t.Errorf("cookies %q", got)
	}

	fresh := b.key.sign(t, sessionClaims(now, nil), nil)
	directives := []string{"__client_uat=1; Path=/", "__session=" + fresh + "; Path=/; SameSite=Lax", "bad\r\nSet-Cookie: x=y"}
	b.backend.nonces["nonce_1"] = directives
	back := navigation("/acme/projects?page=2&__clerk_handshake_nonce=nonce_1", "__client_uat=1", "__session="+stale)
	decision = b.Authenticate(back)
	if decision.State != clerk.SignedIn || decision.Session.AccountID != "user_ada" || decision.Reason != "" {
		t.Fatalf("%+v", decision)
	}
	if decision.Redirect != testOrigin+"/acme/projects?page=2" {
		t.Errorf("redirect %s", decision.Redirect)
	}
	if len(decision.Cookies) != 2 {
		t.Errorf("cookies %q", decision.Cookies)
	}

	if again := b.Authenticate(back); again.State != clerk.SignedOut || again.Reason != clerk.SessionTokenMissing || len(again.Cookies) != 0 {
		t.Errorf("the nonce a second time: %+v", again)
	}
}

func TestHandshakeTokens(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		token func(b browser) string
		want  clerk.State
	}{
		"good": {func(b browser) string {
			session := b.key.sign(t, sessionClaims(now, nil), nil)
			return b.key.sign(t, map[string]any{"handshake": []string{"__session=" + session + "; Path=/"}}, nil)
		}, clerk.SignedIn},
		"of a JWT template": {func(b browser) string {
			session := b.key.sign(t, sessionClaims(now, nil), nil)
			return b.key.sign(t, map[string]any{"handshake": []string{"__session=" + session}}, map[string]any{"cat": "cl_B7d4PD222AAA"})
		}, clerk.SignedOut},
		"of another instance": {func(b browser) string {
			session := b.key.sign(t, sessionClaims(now, nil), nil)
			return newKey(t, "ins_2").sign(t, map[string]any{"handshake": []string{"__session=" + session}}, nil)
		}, clerk.SignedOut},
		"forged": {func(b browser) string {
			session := b.key.sign(t, sessionClaims(now, nil), nil)
			forger := signingKey{newKey(t, "ins_2").PrivateKey, b.key.id}
			return forger.sign(t, map[string]any{"handshake": []string{"__session=" + session}}, nil)
		}, clerk.SignedOut},
		"replayed, its session expired": {func(b browser) string {
			session := b.key.sign(t, sessionClaims(now.Add(-time.Hour), nil), nil)
			return b.key.sign(t, map[string]any{"handshake": []string{"__session=" + session}}, nil)
		}, clerk.SignedOut},
		"no list": {func(b browser) string {
			return b.key.sign(t, map[string]any{"handshake": "__session=x"}, nil)
		}, clerk.SignedOut},
		"garbage": {func(browser) string { return "a.b.c" }, clerk.SignedOut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBrowser(t, "live")
			decision := b.Authenticate(navigation("/", "__clerk_handshake="+test.token(b)))
			if decision.State != test.want {
				t.Errorf("%+v", decision)
			}
			if test.want == clerk.SignedOut && len(decision.Cookies) != 0 && name != "no list" {
				t.Errorf("cookies %q", decision.Cookies)
			}
		})
	}
}

// TestAHandshakeByCookieIsNoRedirect: the same address would bring it again.
func TestAHandshakeByCookieIsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"live", "test"} {
		b := newBrowser(t, kind)
		session := b.key.sign(t, sessionClaims(time.Now(), nil), nil)
		b.backend.nonces["nonce_1"] = []string{"__session=" + session + "; Path=/"}
		r := navigation("/acme?q=%zz&a;b", "__clerk_handshake_nonce=nonce_1", "__clerk_db_jwt=dvb_1")
		if decision := b.Authenticate(r); decision.State != clerk.SignedIn || decision.Redirect != "" || len(decision.Cookies) != 1 {
			t.Errorf("%s: %+v", kind, decision)
		}
	}
}

// TestAnAddressComesBackToTheLetter holds for parameters that net/url would drop
// or put in order.
func TestAnAddressComesBackToTheLetter(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "test")
	decision := b.Authenticate(navigation("/acme/projects?z=%zz&q=a;b&a=1&__clerk_db_jwt=dvb_1&q=&+", "__client_uat=1"))
	target, err := url.Parse(decision.Redirect)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := target.Query().Get("redirect_url"), testOrigin+"/acme/projects?z=%zz&q=a;b&a=1&q=&+"; got != want {
		t.Errorf("back to %s, want %s", got, want)
	}
}

func TestARedirectLoopEnds(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "live")
	var count string
	for n := 1; ; n++ {
		decision := b.Authenticate(navigation("/", "__client_uat=1", count))
		if decision.State == clerk.SignedOut {
			if n != 4 {
				t.Errorf("ended after %d redirects, want 3", n-1)
			}
			break
		}
		if n > 10 {
			t.Fatal("it never ends")
		}
		count, _, _ = strings.Cut(decision.Cookies[0], ";")
	}
}

func TestABearerTokenComesFirst(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "live")
	now := time.Now()
	good := b.key.sign(t, sessionClaims(now, map[string]any{"sub": "user_bearer"}), nil)
	cookie := b.key.sign(t, sessionClaims(now, nil), nil)
	for scheme, want := range map[string]string{"Bearer ": "user_bearer", "bearer ": "user_bearer", "BEARER ": "user_bearer", "": "user_bearer", "Basic ": "user_ada"} {
		r := navigation("/", "__client_uat=1", "__session="+cookie)
		r.Header.Set("Authorization", scheme+good)
		if decision := b.Authenticate(r); decision.State != clerk.SignedIn || decision.Session.AccountID != want {
			t.Errorf("%q: %+v", scheme, decision)
		}
	}
	r := navigation("/", "__client_uat=1", "__session="+cookie)
	r.Header.Set("Authorization", "Bearer forged")
	if decision := b.Authenticate(r); decision.State != clerk.SignedOut || decision.Reason != clerk.TokenInvalid {
		t.Errorf("a bad bearer token beside a good cookie: %+v", decision)
	}
}

func TestKeysThatCannotBeLoadedAreAnError(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "live")
	b.backend.set(errors.New("connection refused"))
	decision := b.Authenticate(navigation("/", "__client_uat=1", "__session="+b.key.sign(t, sessionClaims(time.Now(), nil), nil)))
	if decision.State != clerk.SignedOut || !fault.Is(decision.Err, fault.Unavailable) || decision.Redirect != "" {
		t.Errorf("%+v", decision)
	}
}

func FuzzAuthenticate(f *testing.F) {
	b := newBrowser(f, "test")
	stale := b.key.sign(f, sessionClaims(time.Now().Add(-time.Hour), nil), nil)
	f.Add("/", "__session="+stale+"; __client_uat=1; __clerk_db_jwt=x", "", "document")
	f.Add("/?__clerk_handshake=x&__clerk_db_jwt=y", "__session=%zz; ;=; __client_uat=-0x1", "bearer "+stale, "")
	f.Add("/?__clerk_handshake_nonce=x", `__session="a.b.c"`, "x", "iframe")
	f.Fuzz(func(t *testing.T, target, cookie, authorization, dest string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" {
			t.Skip("not a request's target")
		}
		r := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{
			"Cookie": {cookie}, "Authorization": {authorization}, "Sec-Fetch-Dest": {dest},
		}}
		decision := b.Authenticate(r.WithContext(t.Context()))
		if decision.State == clerk.SignedIn || decision.Session.AccountID != "" {
			t.Fatalf("let in: %+v", decision)
		}
		if decision.Redirect != "" {
			to, err := url.Parse(decision.Redirect)
			if err != nil {
				t.Fatal(err)
			}
			if host := to.Scheme + "://" + to.Host; host != testOrigin && host != "https://clerk.example.com" {
				t.Fatalf("redirects to %s", decision.Redirect)
			}
			if back := to.Query().Get("redirect_url"); decision.State == clerk.Handshake && !strings.HasPrefix(back, testOrigin+"/") {
				t.Fatalf("leads back to %s", back)
			}
		}
	})
}
