package clerk

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/go-jose/go-jose/v3"

	"github.com/tenonhq/tenon/modules/identity"
)

// resolve ends a handshake: the browser came back with a nonce or a token that
// stands for the cookies to set. ok is false when that was no use, and the
// request's own cookies decide.
func (b *BrowserAuth) resolve(ctx context.Context, q *query) (decision Decision, ok bool) {
	var directives []string
	var err error
	if q.nonce != "" {
		if directives, err = b.fetchDirectives(ctx, q.nonce); err != nil {
			// Nonces work once; a page that is reloaded brings an old one.
			b.log.WarnContext(ctx, "a handshake could not be resolved", "error", err)
		}
	} else if directives, err = b.verifier.verifyHandshake(ctx, q.handshakeToken); err != nil {
		b.log.WarnContext(ctx, "a handshake token was refused", "error", err)
		if !b.instance.development {
			return Decision{}, false // of another application on the same domain, likely
		}
	}
	decision = Decision{State: SignedOut, Reason: SessionTokenMissing, Cookies: printable(directives)}
	// A handshake that came by cookie leaves nothing behind in the address, and a
	// redirect to the same one would bring it again.
	if clean := without(q.url, cookieHandshake, cookieHandshakeNonce, cookieDevBrowser, queryHelp); clean != q.url.String() {
		decision.Redirect = clean
	}
	raw := sessionOf(decision.Cookies)
	if raw == "" {
		return decision, true
	}
	session, err := b.verifyResolved(ctx, raw)
	switch refusal, refused := errors.AsType[*TokenError](err); {
	case err == nil:
		decision.State, decision.Reason, decision.Session = SignedIn, "", session
		return decision, true
	case refused && refusal.Reason == SessionPending:
		decision.Reason = SessionPending
		return decision, true
	}
	b.log.WarnContext(ctx, "a handshake brought a session that was refused", "error", err)
	return Decision{}, false
}

// verifyResolved allows for a wrong clock on a developer's machine, where the
// token cannot be an old one: it was made a moment ago.
func (b *BrowserAuth) verifyResolved(ctx context.Context, raw string) (identity.Session, error) {
	session, err := b.verifier.Verify(ctx, raw)
	if refusal, ok := errors.AsType[*TokenError](err); ok && b.instance.development {
		switch refusal.Reason {
		case TokenExpired, TokenNotActiveYet, TokenIssuedInTheFuture:
			b.log.WarnContext(ctx, "this machine's clock is wrong, or a session token was replayed", "reason", refusal.Reason)
			return b.verifier.verify(ctx, raw, developmentHandshakeLeeway)
		}
	}
	return session, err
}

type handshakePayload struct {
	clerk.APIResource

	Directives []string `json:"directives"`
}

// fetchDirectives trades a nonce for the cookies to set.
func (b *BrowserAuth) fetchDirectives(ctx context.Context, nonce string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	request := clerk.NewAPIRequest(http.MethodGet, "/clients/handshake_payload")
	request.SetParams(nonceParams{nonce: nonce})
	var payload handshakePayload
	if err := b.backend.Call(ctx, request, &payload); err != nil {
		return nil, err
	}
	return payload.Directives, nil
}

type nonceParams struct {
	clerk.APIParams

	nonce string
}

// ToQuery implements the SDK's parameters.
func (p nonceParams) ToQuery() url.Values { return url.Values{"nonce": {p.nonce}} }

// ToMultipart implements the SDK's parameters.
func (p nonceParams) ToMultipart() ([]byte, string, error) { return nil, "", nil }

// verifyHandshake returns the cookies to set that a handshake token holds. It
// is signed like a session token and of its category: a template's token could
// carry a "handshake" claim of its author's making.
func (v *Verifier) verifyHandshake(ctx context.Context, raw string) ([]string, error) {
	decoded, err := decodeTokenUpTo(maxHandshakeTokenBytes, raw)
	if err != nil {
		return nil, refuse(TokenInvalid, err)
	}
	key, err := v.signingKey(ctx, decoded)
	if err != nil {
		return nil, err
	}
	if !decoded.isSession() {
		return nil, refusef(TokenInvalid, "not a handshake token")
	}
	signed, err := jose.ParseSigned(raw)
	if err != nil {
		return nil, refuse(TokenInvalid, err)
	}
	if _, err := signed.Verify(key.Key); err != nil {
		return nil, refuse(TokenInvalidSignature, err)
	}
	list, _ := decoded.claims["handshake"].([]any)
	directives := make([]string, 0, len(list))
	for _, entry := range list {
		directives = append(directives, text(entry))
	}
	return directives, nil
}

// printable returns the directives that are fit for a header.
func printable(directives []string) []string {
	var fit []string
	for _, directive := range directives {
		if directive != "" && !strings.ContainsFunc(directive, func(r rune) bool { return r < ' ' || r > '~' }) {
			fit = append(fit, directive)
		}
	}
	return fit
}

// sessionOf returns the session token that directives set, plain or suffixed,
// "" when they set none.
func sessionOf(directives []string) (session string) {
	for _, directive := range directives {
		pair, _, _ := strings.Cut(directive, ";")
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, cookieSession) {
			session = value
		}
	}
	return session
}
