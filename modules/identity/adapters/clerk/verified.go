package clerk

import (
	"crypto"
	"crypto/sha256"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/maypok86/otter/v2"

	"github.com/tenonhq/tenon/modules/identity"
)

// maxVerified is how many tokens are remembered. A token is sent with every request
// for a minute, and then never again.
const maxVerified = 16_384

// verifiedTokens are tokens that were found good: a browser or a program sends the
// same one many times, and checking a signature costs more than all the rest that a
// request needs before its statement. What can change is checked each time: the
// clock, and that the key is still the one.
//
// They are found by their digest, so that the time a look-up takes says nothing of
// the tokens that are remembered, and that no token is kept.
type verifiedTokens struct {
	cache *otter.Cache[[sha256.Size]byte, verifiedToken]
}

type verifiedToken struct {
	session   identity.Session
	party     *string   // of the azp claim, which may be good for one host alone
	notBefore time.Time // the later of nbf and iat
	keyID     string
	key       *clerk.JSONWebKey
}

func newVerifiedTokens() verifiedTokens {
	return verifiedTokens{otter.Must(&otter.Options[[sha256.Size]byte, verifiedToken]{MaximumSize: maxVerified})}
}

func (c verifiedTokens) find(raw string) (verifiedToken, bool) {
	return c.cache.GetIfPresent(sha256.Sum256([]byte(raw)))
}

func (c verifiedTokens) keep(raw string, t verifiedToken) {
	c.cache.Set(sha256.Sum256([]byte(raw)), t)
}

// holds reports whether the token is good at now by the same rules as when it was
// checked, given the key that its header names now.
func (t verifiedToken) holds(key *clerk.JSONWebKey, now time.Time, leeway time.Duration) bool {
	public, ok := t.key.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Key) && key.Algorithm == t.key.Algorithm &&
		t.session.ExpiresAt.After(now.Add(-leeway)) && !t.notBefore.After(now.Add(leeway))
}
