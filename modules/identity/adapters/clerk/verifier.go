package clerk

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/go-jose/go-jose/v3"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// DefaultLeeway is how far Clerk's clock and ours may be apart: the value of
// Clerk's own libraries.
const DefaultLeeway = 5 * time.Second

// latestTime is the last second of the year 9999. Later times are mistakes.
const latestTime = 253402300799

// VerifierConfig says which tokens are good.
type VerifierConfig struct {
	// Backend is the Backend API's client; the keys come from its JWKS.
	Backend clerk.Backend
	// Issuer is the only issuer accepted, to the letter.
	Issuer string
	// AuthorizedParties are the origins whose pages may have asked for the
	// token (its azp claim). Tokens made by the Backend API have no such claim
	// and pass; one that is empty does not. An empty list checks nothing. The origin
	// of the tenant's host that a request came to is one of them for that request.
	AuthorizedParties []string
	// Leeway defaults to [DefaultLeeway].
	Leeway time.Duration
	// Now defaults to [time.Now].
	Now func() time.Time
}

// Verifier verifies session tokens. It is safe for concurrent use.
//
// The signature, and what the SDK knows to check, is checked by the SDK. The
// SDK accepts more than a session token, though: machine and template tokens,
// tokens without exp, sub or sid, pending sessions, any issuer that looks like
// Clerk's. Every rule is therefore checked here once more, in the order of
// Clerk's backend library, and both have to agree.
type Verifier struct {
	keys    *keyset
	issuer  string
	parties []string
	leeway  time.Duration
	now     func() time.Time
	known   verifiedTokens
}

// NewVerifier returns a verifier. It asks for keys when it first needs one.
func NewVerifier(cfg VerifierConfig) *Verifier {
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	leeway := cfg.Leeway
	if leeway == 0 {
		leeway = DefaultLeeway
	}
	return &Verifier{
		keys:    newKeyset(cfg.Backend, now),
		issuer:  cfg.Issuer,
		parties: slices.Clone(cfg.AuthorizedParties),
		leeway:  leeway,
		now:     now,
		known:   newVerifiedTokens(),
	}
}

// Verify returns the session that a token proves. Errors are of type
// [*TokenError], or the context's.
func (v *Verifier) Verify(ctx context.Context, raw string) (identity.Session, error) {
	if known, ok := v.known.find(raw); ok {
		if key, err := v.keys.get(ctx, known.keyID); err == nil && known.holds(key, v.now(), v.leeway) && v.mayComeFrom(ctx, known.party) {
			return known.session, nil
		}
	}
	return v.verify(ctx, raw, v.leeway)
}

func (v *Verifier) verify(ctx context.Context, raw string, leeway time.Duration) (identity.Session, error) {
	decoded, err := decodeToken(raw)
	if err != nil {
		return identity.Session{}, refuse(TokenInvalid, err)
	}
	if !decoded.isSession() {
		return identity.Session{}, refusef(TokenTypeMismatch, "not a session token")
	}
	key, err := v.signingKey(ctx, decoded)
	if err != nil {
		return identity.Session{}, err
	}
	now := v.now()
	var verified map[string]any // set once the signature was found good
	claims, err := jwt.Verify(ctx, &jwt.VerifyParams{
		Token:                   raw,
		JWK:                     key,
		Clock:                   clockAt(now),
		Leeway:                  leeway,
		ProxyURL:                &v.issuer, // the SDK's way to say "exactly this issuer"
		CustomClaimsConstructor: func(context.Context) any { return &verified },
	})
	if verified == nil {
		if errors.Is(err, jose.ErrCryptoFailure) {
			return identity.Session{}, refuse(TokenInvalidSignature, err)
		}
		return identity.Session{}, refuse(TokenVerificationFailed, err)
	}
	if broken := v.checkClaims(ctx, verified, now, leeway); broken != nil {
		return identity.Session{}, broken
	}
	if err != nil {
		return identity.Session{}, refuse(TokenVerificationFailed, err)
	}
	session := identity.Session{
		ID:                 claims.SessionID,
		AccountID:          claims.Subject,
		ActiveOrganization: activeOrganization(claims, verified),
		IssuedAt:           time.Unix(*claims.IssuedAt, 0).UTC(),
		ExpiresAt:          time.Unix(*claims.Expiry, 0).UTC(),
	}
	notBefore := session.IssuedAt
	if claims.NotBefore != nil && time.Unix(*claims.NotBefore, 0).After(notBefore) {
		notBefore = time.Unix(*claims.NotBefore, 0)
	}
	v.known.keep(raw, verifiedToken{session: session, party: partyOf(verified), notBefore: notBefore, keyID: decoded.keyID(), key: key})
	return session, nil
}

// signingKey returns the key that the token's header asks for, if it may.
func (v *Verifier) signingKey(ctx context.Context, t token) (*clerk.JSONWebKey, error) {
	key, err := v.keys.get(ctx, t.keyID())
	switch {
	case errors.Is(err, errKeyUnknown):
		return nil, refuse(KeyUnknown, err)
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, refuse(KeysUnavailable, err)
	}
	if typ, ok := t.header["typ"]; ok && typ != "JWT" {
		return nil, refusef(TokenInvalid, "not of type JWT")
	}
	switch t.algorithm() {
	case key.Algorithm:
		return key, nil
	case "RS256", "RS384", "RS512":
		return nil, refusef(TokenVerificationFailed, "the key is for another algorithm")
	}
	return nil, refusef(TokenInvalidAlgorithm, "not an algorithm that Clerk signs with")
}

// partyOf returns the origin whose page asked for the token, nil when it names none.
func partyOf(claims map[string]any) *string {
	azp, ok := claims["azp"]
	if !ok {
		return nil
	}
	party := text(azp)
	return &party
}

// mayComeFrom reports whether pages of party may have asked for the token that ctx's
// request brings.
func (v *Verifier) mayComeFrom(ctx context.Context, party *string) bool {
	if party == nil || len(v.parties) == 0 || slices.Contains(v.parties, *party) {
		return true
	}
	own := httpserver.HostOrigin(ctx)
	return own != "" && own == *party
}

// checkClaims checks the claims of a token whose signature is good. The first
// broken rule is the reason, so the order matters: somebody else's token must
// not start a handshake by being expired as well.
func (v *Verifier) checkClaims(ctx context.Context, claims map[string]any, now time.Time, leeway time.Duration) error {
	if text(claims["sub"]) == "" {
		return refusef(TokenVerificationFailed, "no sub claim")
	}
	if !v.mayComeFrom(ctx, partyOf(claims)) {
		return refusef(TokenUnauthorizedParty, "made for another origin")
	}
	if text(claims["iss"]) != v.issuer {
		return refusef(TokenInvalidIssuer, "from another issuer")
	}
	expiry, err := numericDate(claims, "exp")
	if err != nil {
		return err
	}
	if !expiry.After(now.Add(-leeway)) {
		return refusef(TokenExpired, "expired at %s", expiry)
	}
	if _, ok := claims["nbf"]; ok {
		notBefore, err := numericDate(claims, "nbf")
		if err != nil {
			return err
		}
		if notBefore.After(now.Add(leeway)) {
			return refusef(TokenNotActiveYet, "not valid before %s", notBefore)
		}
	}
	issuedAt, err := numericDate(claims, "iat")
	if err != nil {
		return err
	}
	if issuedAt.After(now.Add(leeway)) {
		return refusef(TokenIssuedInTheFuture, "issued at %s", issuedAt)
	}
	if text(claims["sid"]) == "" {
		return refusef(TokenVerificationFailed, "no sid claim")
	}
	if claims["sts"] == "pending" {
		return refusef(SessionPending, "the session has tasks left before it counts")
	}
	return nil
}

// numericDate returns a claim that is a time in seconds.
func numericDate(claims map[string]any, name string) (time.Time, error) {
	seconds, ok := claims[name].(float64)
	if !ok || seconds < 0 || seconds > latestTime {
		return time.Time{}, refusef(TokenVerificationFailed, "no usable %s claim", name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// activeOrganization reads the organization of either token version. Version 2
// keeps it in one claim, "o", and without it there is none, whatever org_id
// says: the SDK would take that from a custom claim.
func activeOrganization(claims *clerk.SessionClaims, verified map[string]any) identity.OrganizationClaim {
	if version, _ := verified["v"].(float64); version == 2 {
		if o, _ := verified["o"].(map[string]any); text(o["id"]) == "" {
			return identity.OrganizationClaim{}
		}
	}
	return identity.OrganizationClaim{
		ID:   claims.ActiveOrganizationID,
		Slug: claims.ActiveOrganizationSlug,
		Role: claims.ActiveOrganizationRole,
	}
}

// clockAt is a clock that stands still, so that one verification has one time.
type clockAt time.Time

// Now implements the SDK's clock.
func (c clockAt) Now() time.Time { return time.Time(c) }
