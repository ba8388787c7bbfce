package clerk

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/clerk/clerk-sdk-go/v2"
)

// Why an expired token was not traded for a new one, as the end of a reason
// that starts with [SessionTokenExpired].
const (
	refreshNotByGET        = "non-eligible-non-get"
	refreshWithoutCookie   = "non-eligible-no-refresh-cookie"
	refreshOfNoToken       = "expired-session-token-decode-failed"
	refreshWithoutSession  = "expired-session-token-missing-sid-claim"
	refreshNotReached      = "fetch-error"
	refreshBroughtNothing  = "unexpected-sdk-error"
	refreshBroughtNoGood   = "invalid-session-token"
	refreshUnexpectedError = "unexpected-bapi-error"
)

// refresh trades an expired token and the browser's refresh token for a new one
// at the Backend API. Unlike a handshake it also works for a fragment of a page.
// Without success, why is the end of the reason.
func (b *BrowserAuth) refresh(ctx context.Context, q *query) (decision Decision, why string) {
	switch {
	case q.method != http.MethodGet:
		return Decision{}, refreshNotByGET
	case q.refreshToken == "":
		return Decision{}, refreshWithoutCookie
	}
	expired := q.anyToken()
	decoded, err := decodeToken(expired)
	if err != nil { // the cookie's, beside a bearer token that has expired
		return Decision{}, refreshOfNoToken
	}
	sessionID := text(decoded.claims["sid"])
	if !idPattern.MatchString(sessionID) {
		return Decision{}, refreshWithoutSession
	}
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	path, err := url.JoinPath("/sessions", sessionID, "refresh")
	if err != nil {
		return Decision{}, refreshWithoutSession
	}
	request := clerk.NewAPIRequest(http.MethodPost, path)
	request.SetParams(&refreshParams{
		ExpiredToken: expired, RefreshToken: q.refreshToken, Format: "cookie",
		RequestOrigin: q.instance.originOf(ctx).String(), RequestHeaders: q.header,
	})
	var answer refreshedCookies
	if err := b.backend.Call(ctx, request, &answer); err != nil {
		b.log.WarnContext(ctx, "an expired session token could not be refreshed", "error", err)
		refused, ok := errors.AsType[*clerk.APIErrorResponse](err)
		switch {
		case !ok:
			return Decision{}, refreshNotReached
		case len(refused.Errors) == 0:
			return Decision{}, refreshUnexpectedError
		}
		return Decision{}, refused.Errors[0].Code
	}
	cookies := printable(answer.Cookies)
	if len(cookies) == 0 {
		return Decision{}, refreshBroughtNothing
	}
	session, err := b.verifier.Verify(ctx, sessionOf(cookies))
	if err != nil {
		b.log.WarnContext(ctx, "a refreshed session token was refused", "error", err)
		return Decision{}, refreshBroughtNoGood
	}
	return Decision{State: SignedIn, Session: session, Cookies: cookies}, ""
}

// refreshParams do not ask for suffixed cookies, which Clerk wants in the query,
// where the SDK puts nothing for this method. The plain ones are newer than the
// suffixed then, and so are believed.
type refreshParams struct {
	clerk.APIParams

	ExpiredToken   string              `json:"expired_token"`
	RefreshToken   string              `json:"refresh_token"`
	RequestOrigin  string              `json:"request_origin"`
	RequestHeaders map[string][]string `json:"request_headers"`
	Format         string              `json:"format"`
}

type refreshedCookies struct {
	clerk.APIResource

	Cookies []string `json:"cookies"`
}
