package clerk_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// asAt calls do with the context of a request that came to host.
func asAt(t *testing.T, host string, do func(context.Context)) {
	t.Helper()
	public := &url.URL{Scheme: "https", Host: "app.example.com"}
	hosts := httpserver.NewTenantHosts(public, "example.com", func(label string) bool { return label == "acme" || label == "globex" })
	router, err := httpserver.New(httpserver.Config{
		PublicURL: public, TenantHosts: hosts, Errors: &httpserver.ErrorWriter{Logger: slog.New(slog.DiscardHandler)},
	}, httpserver.Mount{Surface: httpserver.Public, Everywhere: []string{"do"}, Routes: func(r chi.Router) {
		r.Get("/do", func(_ http.ResponseWriter, r *http.Request) { do(r.Context()) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://"+host+"/do", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d", host, w.Code)
	}
}

// TestATokenOfATenantsHost holds that a token which names a tenant's host is good
// there alone, also once it is remembered.
func TestATokenOfATenantsHost(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ins_1")
	backend := new(jwksBackend)
	backend.set(nil, key)
	verifier := newVerifier(backend)
	now := time.Now()
	for _, c := range []struct {
		party, host string
		want        clerk.Reason
	}{
		{"https://acme.example.com", "acme.example.com", ""},
		{"https://acme.example.com", "globex.example.com", clerk.TokenUnauthorizedParty},
		{"https://acme.example.com", "app.example.com", clerk.TokenUnauthorizedParty},
		{"https://acme.example.com", "example.com", clerk.TokenUnauthorizedParty},
		{"https://acme.example.com", "acme.example.com.evil.com", clerk.TokenUnauthorizedParty},
		{"http://acme.example.com", "acme.example.com", clerk.TokenUnauthorizedParty},
		{"https://acme.example.com.", "acme.example.com", clerk.TokenUnauthorizedParty},
		{"", "acme.example.com", clerk.TokenUnauthorizedParty},
		{"https://app.example.com", "acme.example.com", ""},
		{"https://app.example.com", "app.example.com", ""},
	} {
		raw := key.sign(t, sessionClaims(now, map[string]any{"azp": c.party, "sub": "user_" + c.host}), nil)
		asAt(t, c.host, func(ctx context.Context) {
			if _, err := verifier.Verify(ctx, raw); reasonOf(err) != c.want {
				t.Errorf("a token of %q at %s: %v, want %q", c.party, c.host, err, c.want)
			}
		})
	}
	raw := key.sign(t, sessionClaims(now, map[string]any{"azp": "https://acme.example.com"}), nil)
	for range 2 {
		for host, want := range map[string]clerk.Reason{"acme.example.com": "", "globex.example.com": clerk.TokenUnauthorizedParty} {
			asAt(t, host, func(ctx context.Context) {
				if _, err := verifier.Verify(ctx, raw); reasonOf(err) != want {
					t.Errorf("the remembered token at %s: %v, want %q", host, err, want)
				}
			})
		}
	}
}

// TestWhereSignInLeadsBack holds that people come back to tenants' hosts, and to
// nobody else's.
func TestWhereSignInLeadsBack(t *testing.T) {
	t.Parallel()
	public := &url.URL{Scheme: "https", Host: "app.example.com"}
	hosts := httpserver.NewTenantHosts(public, "example.com", func(label string) bool { return label == "acme" })
	instance, err := clerk.NewInstance(clerk.InstanceConfig{
		PublishableKey: "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k", PublicURL: public.String(), IsTenantHost: hosts.Has,
	})
	if err != nil {
		t.Fatal(err)
	}
	for back, want := range map[string]string{
		"/acme/dashboard?x=1":                   "/acme/dashboard?x=1",
		"https://acme.example.com/dashboard?x=": "https://acme.example.com/dashboard?x=",
		"http://acme.example.com/":              "/",
		"https://acme.example.com:8443/":        "/",
		"//acme.example.com/":                   "/",
		`https://acme.example.com\@evil.com/`:   "/",
		"https://acme.example.com@evil.com/":    "/",
		"https://x@acme.example.com/":           "/",
		"https://acme.example.com.evil.com/":    "/",
		"https://other.example.com/":            "/",
		"https://evil.com/":                     "/",
		"javascript://acme.example.com/%0a1":    "/",
	} {
		if got := instance.ReturnPath(back); got != want {
			t.Errorf("%q leads back to %q, want %q", back, got, want)
		}
	}
}
