package clerk_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/go-jose/go-jose/v3"
)

const (
	testIssuer = "https://clerk.example.com"
	testOrigin = "https://app.example.com"
)

// signingKey is a key pair of a pretended Clerk instance.
type signingKey struct {
	*rsa.PrivateKey

	id string
}

// testKeys makes each key pair once: they are slow to make.
var testKeys sync.Map

func newKey(tb testing.TB, id string) signingKey {
	tb.Helper()
	make := sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
	pair, _ := testKeys.LoadOrStore(id, make)
	return signingKey{PrivateKey: pair.(func() *rsa.PrivateKey)(), id: id}
}

func encodePart(tb testing.TB, value any) string {
	tb.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// sign makes a token of exactly these claims; header values override the usual
// ones, and nil ones remove them.
func (k signingKey) sign(tb testing.TB, claims, header map[string]any) string {
	tb.Helper()
	full := map[string]any{"alg": "RS256", "typ": "JWT", "kid": k.id, "cat": "cl_B7d4PD111AAA"}
	maps.Copy(full, header)
	maps.DeleteFunc(full, func(_ string, value any) bool { return value == nil })
	input := encodePart(tb, full) + "." + encodePart(tb, claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, k.PrivateKey, crypto.SHA256, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// sessionClaims are those of a good session token issued at now; overrides as
// in sign.
func sessionClaims(now time.Time, overrides map[string]any) map[string]any {
	claims := map[string]any{
		"iss": testIssuer, "azp": testOrigin, "sub": "user_ada", "sid": "sess_1", "v": 2,
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Second).Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	maps.Copy(claims, overrides)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// jwksBackend is a Backend API that knows /jwks alone. Its fields may be
// changed between calls.
type jwksBackend struct {
	mu    sync.Mutex
	keys  []signingKey
	extra []map[string]any
	err   error
	delay time.Duration
	calls atomic.Int32
}

func (b *jwksBackend) set(err error, keys ...signingKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.keys = err, keys
}

func (b *jwksBackend) body() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	keys := []any{}
	for _, key := range b.keys {
		keys = append(keys, jose.JSONWebKey{Key: &key.PublicKey, KeyID: key.id, Algorithm: "RS256", Use: "sig"})
	}
	for _, key := range b.extra {
		keys = append(keys, key)
	}
	return json.Marshal(map[string]any{"keys": keys})
}

func (b *jwksBackend) Call(ctx context.Context, _ *sdk.APIRequest, into sdk.ResponseReader) error {
	b.calls.Add(1)
	if b.delay > 0 {
		select {
		case <-time.After(b.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	body, err := b.body()
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
