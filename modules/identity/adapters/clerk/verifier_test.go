package clerk_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/fault"
)

func newVerifier(backend sdk.Backend) *clerk.Verifier {
	return clerk.NewVerifier(clerk.VerifierConfig{
		Backend: backend, Issuer: testIssuer, AuthorizedParties: []string{testOrigin},
	})
}

func reasonOf(err error) clerk.Reason {
	if refusal, ok := errors.AsType[*clerk.TokenError](err); ok {
		return refusal.Reason
	}
	return ""
}

func TestVerifyReadsBothTokenVersions(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ins_1")
	now := time.Now()
	verifier := clerk.NewVerifier(clerk.VerifierConfig{
		Backend: &jwksBackend{keys: []signingKey{key}}, Issuer: testIssuer, AuthorizedParties: []string{testOrigin},
		Now: func() time.Time { return now }, // so that a slow machine is within the leeway
	})
	for name, test := range map[string]struct {
		claims map[string]any
		header map[string]any
		want   identity.OrganizationClaim
	}{
		"version 2": {
			claims: map[string]any{"o": map[string]any{"id": "org_1", "slg": "acme", "rol": "admin", "per": "read,manage", "fpm": "3"}, "fea": "o:projects"},
			want:   identity.OrganizationClaim{ID: "org_1", Slug: "acme", Role: "org:admin"},
		},
		"version 2 without an organization": {},
		"version 1": {
			claims: map[string]any{"v": nil, "org_id": "org_1", "org_slug": "acme", "org_role": "org:member", "org_permissions": []string{}},
			want:   identity.OrganizationClaim{ID: "org_1", Slug: "acme", Role: "org:member"},
		},
		"made by the Backend API, without azp": {claims: map[string]any{"azp": nil}},
		"before categories":                    {header: map[string]any{"cat": nil}},
		"of an instance without categories":    {header: map[string]any{"cat": "cl_I7d4PD111III"}},
		"within the leeway":                    {claims: map[string]any{"exp": now.Add(-2 * time.Second).Unix()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := sessionClaims(now, test.claims)
			got, err := verifier.Verify(t.Context(), key.sign(t, claims, test.header))
			if err != nil {
				t.Fatal(err)
			}
			want := identity.Session{
				ID: "sess_1", AccountID: "user_ada", ActiveOrganization: test.want,
				IssuedAt:  time.Unix(now.Unix(), 0).UTC(),
				ExpiresAt: time.Unix(claims["exp"].(int64), 0).UTC(),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestVerifyClosesWhatTheSDKLeavesOpen holds one case for each way in which a
// plain jwt.Verify says yes to something that is not a good session token. If
// the SDK closes one, the test says so.
func TestVerifyClosesWhatTheSDKLeavesOpen(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ins_1")
	backend := &jwksBackend{keys: []signingKey{key}}
	verifier := newVerifier(backend)
	now := time.Now()
	for name, test := range map[string]struct {
		claims map[string]any
		header map[string]any
		want   clerk.Reason
	}{
		"JWT template":              {header: map[string]any{"cat": "cl_B7d4PD222AAA"}, want: clerk.TokenTypeMismatch},
		"machine by category":       {header: map[string]any{"cat": "cl_B7d4PD333AAA"}, want: clerk.TokenTypeMismatch},
		"machine by subject":        {claims: map[string]any{"sub": "mch_1"}, want: clerk.TokenTypeMismatch},
		"OAuth access token":        {header: map[string]any{"typ": "at+jwt"}, want: clerk.TokenTypeMismatch},
		"another type":              {header: map[string]any{"typ": "secevent+jwt"}, want: clerk.TokenInvalid},
		"category that is no text":  {header: map[string]any{"cat": 7}, want: clerk.TokenTypeMismatch},
		"pending session":           {claims: map[string]any{"sts": "pending"}, want: clerk.SessionPending},
		"no exp":                    {claims: map[string]any{"exp": nil}, want: clerk.TokenVerificationFailed},
		"no sub":                    {claims: map[string]any{"sub": nil}, want: clerk.TokenVerificationFailed},
		"no sid":                    {claims: map[string]any{"sid": nil}, want: clerk.TokenVerificationFailed},
		"no iat":                    {claims: map[string]any{"iat": nil}, want: clerk.TokenVerificationFailed},
		"exp beyond all calendars":  {claims: map[string]any{"exp": int64(1) << 60}, want: clerk.TokenVerificationFailed},
		"another instance's issuer": {claims: map[string]any{"iss": "https://clerk.evil.example"}, want: clerk.TokenInvalidIssuer},
		"a look-alike issuer":       {claims: map[string]any{"iss": "https://x.clerk.accounts.evil.example"}, want: clerk.TokenInvalidIssuer},
		"an origin that is empty":   {claims: map[string]any{"azp": ""}, want: clerk.TokenUnauthorizedParty},
		"another origin":            {claims: map[string]any{"azp": "https://evil.example.com"}, want: clerk.TokenUnauthorizedParty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := key.sign(t, sessionClaims(now, test.claims), test.header)
			if _, err := jwt.Verify(t.Context(), &jwt.VerifyParams{Token: token, JWKSClient: &jwks.Client{Backend: backend}}); err != nil {
				t.Errorf("the SDK alone refuses this now: %v", err)
			}
			_, err := verifier.Verify(t.Context(), token)
			if got := reasonOf(err); got != test.want {
				t.Errorf("got %q (%v), want %q", got, err, test.want)
			}
			if !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("kind %v", fault.KindOf(err))
			}
		})
	}

	t.Run("version 2 without o is not version 1", func(t *testing.T) {
		t.Parallel()
		token := key.sign(t, sessionClaims(now, map[string]any{"org_id": "org_of_a_custom_claim"}), nil)
		naive, err := jwt.Verify(t.Context(), &jwt.VerifyParams{Token: token, JWKSClient: &jwks.Client{Backend: backend}})
		if err != nil || naive.ActiveOrganizationID == "" {
			t.Errorf("the SDK alone reads this right now: %v", err)
		}
		got, err := verifier.Verify(t.Context(), token)
		if err != nil || got.ActiveOrganization != (identity.OrganizationClaim{}) {
			t.Errorf("got %+v, %v", got.ActiveOrganization, err)
		}
	})
}

func TestVerifyRefusesForgeries(t *testing.T) {
	t.Parallel()
	key, other := newKey(t, "ins_1"), newKey(t, "ins_2")
	verifier := newVerifier(&jwksBackend{keys: []signingKey{key}, extra: []map[string]any{
		{"kty": "oct", "kid": "symmetric", "alg": "HS256", "use": "sig", "k": base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))},
	}})
	now := time.Now()
	good := key.sign(t, sessionClaims(now, nil), nil)
	parts := strings.Split(good, ".")
	publicKey, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(kid string, secret []byte) string {
		input := encodePart(t, map[string]any{"alg": "HS256", "typ": "JWT", "kid": kid}) + "." + parts[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	for name, test := range map[string]struct {
		token string
		want  clerk.Reason
	}{
		"empty":                        {"", clerk.TokenInvalid},
		"text":                         {"not a token", clerk.TokenInvalid},
		"two parts":                    {parts[0] + "." + parts[1], clerk.TokenInvalid},
		"truncated":                    {good[:len(good)-1], clerk.TokenInvalid},
		"no signature":                 {parts[0] + "." + parts[1] + ".", clerk.TokenInvalidSignature},
		"padded":                       {parts[0] + "==." + parts[1] + "." + parts[2], clerk.TokenInvalid},
		"newline":                      {parts[0] + "\n." + parts[1] + "." + parts[2], clerk.TokenInvalid},
		"null header":                  {"bnVsbA." + parts[1] + "." + parts[2], clerk.TokenInvalid},
		"claims no object":             {parts[0] + ".WzFd." + parts[2], clerk.TokenInvalid},
		"JSON serialization":           {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, clerk.TokenInvalid},
		"oversized":                    {parts[0] + "." + strings.Repeat("A", 9000) + "." + parts[2], clerk.TokenInvalid},
		"algorithm none":               {key.sign(t, sessionClaims(now, nil), map[string]any{"alg": "none"}), clerk.TokenInvalidAlgorithm},
		"HS256 with the public key":    {hs256(key.id, publicKey), clerk.TokenInvalidAlgorithm},
		"HS256 with a key of the set":  {hs256("symmetric", []byte("0123456789abcdef0123456789abcdef")), clerk.KeyUnknown},
		"another key under our id":     {signingKey{other.PrivateKey, key.id}.sign(t, sessionClaims(now, nil), nil), clerk.TokenInvalidSignature},
		"another instance":             {other.sign(t, sessionClaims(now, nil), nil), clerk.KeyUnknown},
		"no key id":                    {key.sign(t, sessionClaims(now, nil), map[string]any{"kid": nil}), clerk.KeyUnknown},
		"claims of another token":      {parts[0] + "." + encodePart(t, sessionClaims(now, map[string]any{"sub": "user_eve"})) + "." + parts[2], clerk.TokenInvalidSignature},
		"expired":                      {key.sign(t, sessionClaims(now.Add(-time.Hour), nil), nil), clerk.TokenExpired},
		"not valid yet":                {key.sign(t, sessionClaims(now, map[string]any{"nbf": now.Add(time.Minute).Unix()}), nil), clerk.TokenNotActiveYet},
		"from the future":              {key.sign(t, sessionClaims(now, map[string]any{"iat": now.Add(time.Minute).Unix()}), nil), clerk.TokenIssuedInTheFuture},
		"expired, of another origin":   {key.sign(t, sessionClaims(now.Add(-time.Hour), map[string]any{"azp": "https://evil.example.com"}), nil), clerk.TokenUnauthorizedParty},
		"expired, of another instance": {key.sign(t, sessionClaims(now.Add(-time.Hour), map[string]any{"iss": "https://clerk.evil.example"}), nil), clerk.TokenInvalidIssuer},
		"exp is text":                  {key.sign(t, sessionClaims(now, map[string]any{"exp": "soon"}), nil), clerk.TokenVerificationFailed},
		"sub is a number":              {key.sign(t, sessionClaims(now, map[string]any{"sub": 7}), nil), clerk.TokenVerificationFailed},
		"critical extension":           {key.sign(t, sessionClaims(now, nil), map[string]any{"crit": []string{"x"}, "x": 1}), clerk.TokenInvalidSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session, err := verifier.Verify(t.Context(), test.token)
			if got := reasonOf(err); got != test.want {
				t.Errorf("got %q (%v), want %q", got, err, test.want)
			}
			if session != (identity.Session{}) {
				t.Errorf("a refused token left %+v", session)
			}
			if test.token != "" && err != nil && strings.Contains(err.Error(), test.token) {
				t.Error("the error repeats the token")
			}
		})
	}
}

func TestVerifyPicksUpARotatedKey(t *testing.T) {
	t.Parallel()
	before, after := newKey(t, "ins_1"), newKey(t, "ins_2")
	synctest.Test(t, func(t *testing.T) {
		backend := &jwksBackend{keys: []signingKey{before}}
		verifier := newVerifier(backend)
		verify := func(key signingKey) clerk.Reason {
			_, err := verifier.Verify(t.Context(), key.sign(t, sessionClaims(time.Now(), nil), nil))
			return reasonOf(err)
		}
		if got := verify(before); got != "" {
			t.Fatal(got)
		}
		backend.set(nil, after)
		time.Sleep(29 * time.Second)
		if got := verify(after); got != clerk.KeyUnknown {
			t.Errorf("within the pause: %q", got)
		}
		time.Sleep(time.Second)
		if got := verify(after); got != "" {
			t.Errorf("after the pause: %q", got)
		}
		if got := verify(before); got != clerk.KeyUnknown {
			t.Errorf("the removed key: %q", got)
		}
	})
}

// TestKeysAreTheInstancesOwn: the SDK's middleware keeps one cache for the whole
// process by key id, where a key of one instance is good for another's tokens.
func TestKeysAreTheInstancesOwn(t *testing.T) {
	t.Parallel()
	here, elsewhere := newKey(t, "ins_1"), signingKey{newKey(t, "ins_2").PrivateKey, "ins_1"}
	ours, theirs := newVerifier(&jwksBackend{keys: []signingKey{here}}), newVerifier(&jwksBackend{keys: []signingKey{elsewhere}})
	now := time.Now()
	if _, err := theirs.Verify(t.Context(), elsewhere.sign(t, sessionClaims(now, nil), nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Verify(t.Context(), elsewhere.sign(t, sessionClaims(now, nil), nil)); reasonOf(err) != clerk.TokenInvalidSignature {
		t.Errorf("the other instance's token: %v", err)
	}
}

func TestVerifyForgetsARemovedKey(t *testing.T) {
	t.Parallel()
	removed, kept := newKey(t, "ins_1"), newKey(t, "ins_2")
	synctest.Test(t, func(t *testing.T) {
		backend := &jwksBackend{keys: []signingKey{removed, kept}}
		verifier := newVerifier(backend)
		var got clerk.Reason
		// A key in steady use must not keep itself alive.
		for range 10 * 60 {
			_, err := verifier.Verify(t.Context(), removed.sign(t, sessionClaims(time.Now(), nil), nil))
			got = reasonOf(err)
			backend.set(nil, kept)
			if got != "" {
				break
			}
			time.Sleep(time.Second)
		}
		if got != clerk.KeyUnknown {
			t.Errorf("ten minutes later: %q", got)
		}
		if calls := backend.calls.Load(); calls != 2 {
			t.Errorf("%d requests for keys, want 2", calls)
		}
	})
}

func TestUnknownKeysMakeOneRequest(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ins_1")
	synctest.Test(t, func(t *testing.T) {
		backend := &jwksBackend{keys: []signingKey{key}, delay: 100 * time.Millisecond}
		verifier := newVerifier(backend)
		good := key.sign(t, sessionClaims(time.Now(), nil), nil)
		flood := make([]string, 200)
		for i := range flood {
			flood[i] = signingKey{key.PrivateKey, fmt.Sprint("ins_invented_", i)}.sign(t, sessionClaims(time.Now(), nil), nil)
		}
		burst := func() {
			var wg sync.WaitGroup
			for _, token := range flood {
				wg.Go(func() {
					if _, err := verifier.Verify(t.Context(), token); reasonOf(err) != clerk.KeyUnknown {
						t.Errorf("an invented key: %v", err)
					}
				})
			}
			wg.Wait()
		}
		burst()
		burst()
		if calls := backend.calls.Load(); calls != 1 {
			t.Errorf("%d requests for keys, want 1", calls)
		}
		time.Sleep(31 * time.Second)
		burst()
		if calls := backend.calls.Load(); calls != 2 {
			t.Errorf("%d requests for keys after the pause, want 2", calls)
		}
		if _, err := verifier.Verify(t.Context(), good); err != nil {
			t.Error(err)
		}
	})
}

func TestVerifyOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ins_1")
	synctest.Test(t, func(t *testing.T) {
		backend := &jwksBackend{keys: []signingKey{key}}
		verifier := newVerifier(backend)
		verify := func() error {
			_, err := verifier.Verify(t.Context(), key.sign(t, sessionClaims(time.Now(), nil), nil))
			return err
		}
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		backend.set(errors.New("connection refused"))
		for range 59 {
			time.Sleep(time.Minute)
			if err := verify(); err != nil {
				t.Fatalf("a known key: %v", err)
			}
		}
		if calls := backend.calls.Load(); calls > 60 {
			t.Errorf("%d requests for keys in an hour of outage", calls)
		}
		time.Sleep(2 * time.Minute)
		err := verify()
		if reasonOf(err) != clerk.KeysUnavailable || !fault.Is(err, fault.Unavailable) {
			t.Errorf("past the cap: %v", err)
		}
		backend.set(nil, key)
		time.Sleep(30 * time.Second)
		if err := verify(); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

func TestVerifyRecoversFromAFailedStart(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ins_1")
	synctest.Test(t, func(t *testing.T) {
		backend := &jwksBackend{err: errors.New("connection refused")}
		verifier := newVerifier(backend)
		token := key.sign(t, sessionClaims(time.Now(), nil), nil)
		if _, err := verifier.Verify(t.Context(), token); reasonOf(err) != clerk.KeysUnavailable {
			t.Errorf("got %v", err)
		}
		backend.set(nil, key)
		time.Sleep(time.Second)
		if _, err := verifier.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestVerifyHonoursItsCallersContext(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ins_1")
	synctest.Test(t, func(t *testing.T) {
		backend := &jwksBackend{keys: []signingKey{key}, delay: 2 * time.Second}
		verifier := newVerifier(backend)
		token := key.sign(t, sessionClaims(time.Now(), nil), nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := verifier.Verify(ctx, token); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first caller: %v", err)
			}
		})
		synctest.Wait()
		if _, err := verifier.Verify(t.Context(), token); err != nil {
			t.Errorf("a second caller, who waits for the same request: %v", err)
		}
		wg.Wait()
		if calls := backend.calls.Load(); calls != 1 {
			t.Errorf("%d requests for keys, want 1", calls)
		}
	})
}

func FuzzVerify(f *testing.F) {
	key := newKey(f, "ins_1")
	verifier := newVerifier(&jwksBackend{keys: []signingKey{key}})
	good := key.sign(f, sessionClaims(time.Now().Add(time.Hour), nil), nil) // from the future: never accepted
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add("..")
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		session, err := verifier.Verify(t.Context(), token)
		if err == nil || session != (identity.Session{}) {
			t.Fatalf("accepted %q", token)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	key := newKey(b, "ins_1")
	verifier := newVerifier(&jwksBackend{keys: []signingKey{key}})
	token := key.sign(b, sessionClaims(time.Now().Add(-time.Second), map[string]any{"exp": time.Now().Add(time.Hour).Unix()}), nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// TestARememberedTokenIsNoBetter: a token that was found good once is refused for
// every reason that could have come since.
func TestARememberedTokenIsNoBetter(t *testing.T) {
	t.Parallel()
	key, other := newKey(t, "ins_1"), newKey(t, "ins_2")
	impostor := signingKey{other.PrivateKey, "ins_1"}
	for name, test := range map[string]struct {
		since func(backend *jwksBackend)
		want  clerk.Reason
	}{
		"nothing":                   {func(*jwksBackend) {}, ""},
		"it expired":                {func(*jwksBackend) { time.Sleep(66 * time.Second) }, clerk.TokenExpired},
		"its key was removed":       {func(b *jwksBackend) { b.set(nil, other); time.Sleep(6 * time.Minute) }, clerk.KeyUnknown},
		"its key's name is another": {func(b *jwksBackend) { b.set(nil, impostor); time.Sleep(6 * time.Minute) }, clerk.TokenInvalidSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				backend := &jwksBackend{keys: []signingKey{key}}
				verifier := newVerifier(backend)
				claims := sessionClaims(time.Now(), nil)
				if test.want != clerk.TokenExpired {
					claims["exp"] = time.Now().Add(time.Hour).Unix()
				}
				token := key.sign(t, claims, nil)
				first, err := verifier.Verify(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				test.since(backend)
				again, err := verifier.Verify(t.Context(), token)
				if reasonOf(err) != test.want || err == nil && again != first {
					t.Errorf("%v, %+v", err, again)
				}
			})
		})
	}
}
