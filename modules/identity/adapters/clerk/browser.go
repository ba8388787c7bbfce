package clerk

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// State is what a request turned out to be.
type State string

// The states of a request.
const (
	SignedIn  State = "signed-in"
	SignedOut State = "signed-out"
	// Handshake is a request of a browser that may be signed in and has to
	// prove it at the Frontend API, from where it comes back.
	Handshake State = "handshake"
)

// Reasons of a request that is not signed in, beside those of its token.
const (
	SessionTokenAndUATMissing     Reason = "session-token-and-uat-missing"
	SessionTokenWithoutUAT        Reason = "session-token-but-no-client-uat"
	UATWithoutSessionToken        Reason = "client-uat-but-no-session-token"
	SessionTokenIssuedBeforeUAT   Reason = "session-token-iat-before-client-uat"
	DevBrowserSync                Reason = "dev-browser-sync"
	DevBrowserMissing             Reason = "dev-browser-missing"
	maxRedirects                         = 3
	developmentHandshakeLeeway           = 24 * time.Hour
	supportedBackendAPIVersion           = "2026-05-12" // the one of the SDK, which does not export it
	queryHelp, queryLegacyBrowser        = "__clerk_help", "__dev_session"
)

// Decision is what became of a request.
type Decision struct {
	State State
	// Reason says why the request is not signed in, "" when it is.
	Reason Reason
	// Session is set when the request is signed in.
	Session identity.Session
	// Redirect is where to send the browser, with status 307 and
	// Cache-Control: no-store, before anything else: into the handshake, or
	// back to the same page without the handshake's parameters. It is ""
	// mostly.
	Redirect string
	// Cookies are the values of the Set-Cookie headers to send in any case.
	Cookies []string
	// Err is set when the request counts as signed out only because the
	// signing keys could not be loaded, or because its context ended.
	Err error
}

// BrowserAuthConfig is what [NewBrowserAuth] needs; every field is required.
type BrowserAuthConfig struct {
	Instance *Instance
	Verifier *Verifier
	// Backend is the Backend API's client, for handshakes.
	Backend clerk.Backend
	Logger  *slog.Logger
}

// BrowserAuth decides who a request comes from, by bearer token or cookies. It
// follows authenticateRequest of @clerk/backend rule by rule. Where it does not, as
// in all that concerns satellite domains, the oracle's test says why. It is safe
// for concurrent use.
type BrowserAuth struct {
	instance *Instance
	verifier *Verifier
	backend  clerk.Backend
	log      *slog.Logger
}

// NewBrowserAuth returns a BrowserAuth.
func NewBrowserAuth(cfg BrowserAuthConfig) *BrowserAuth {
	return &BrowserAuth{instance: cfg.Instance, verifier: cfg.Verifier, backend: cfg.Backend, log: cfg.Logger}
}

// Authenticate decides about a request. It never reads the body, and of the
// request's own address only path and query: the origin is the configured one, or
// that of the tenant's host that the router recognized.
func (b *BrowserAuth) Authenticate(r *http.Request) Decision {
	q := b.query(r)
	if raw := q.bearer; raw != "" {
		session, err := b.verifier.Verify(r.Context(), raw)
		if err != nil {
			return b.refused(r.Context(), q, err)
		}
		return Decision{State: SignedIn, Session: session}
	}
	if q.nonce != "" || q.handshakeToken != "" {
		if decision, ok := b.resolve(r.Context(), q); ok {
			return decision
		}
	}
	return b.byCookies(r.Context(), q)
}

// byCookies is the table of cookie states; the first rule that fits decides.
func (b *BrowserAuth) byCookies(ctx context.Context, q *query) Decision {
	uat, raw := parseInt(q.cookies.get(cookieClientUAT)), q.session
	switch {
	case b.instance.development && q.syncsDevBrowser:
		return q.handshake(DevBrowserSync)
	case b.instance.development && q.devBrowser == "":
		return q.handshake(DevBrowserMissing)
	case uat == 0 && raw == "":
		return Decision{State: SignedOut, Reason: SessionTokenAndUATMissing}
	case uat == 0:
		return q.handshake(SessionTokenWithoutUAT)
	case raw == "":
		return q.handshake(UATWithoutSessionToken)
	}
	decoded, err := decodeToken(raw)
	switch {
	case err != nil:
		return Decision{State: SignedOut, Reason: TokenInvalid}
	case !decoded.isSession():
		return Decision{State: SignedOut, Reason: TokenTypeMismatch}
	}
	// The browser signed in, out or over again since the token was made.
	if issuedAt, ok := decoded.issuedAt(); ok && issuedAt < uat {
		return q.handshake(SessionTokenIssuedBeforeUAT)
	}
	session, err := b.verifier.Verify(ctx, raw)
	if err != nil {
		return b.refused(ctx, q, err)
	}
	return Decision{State: SignedIn, Session: session}
}

// query is a request, read once.
type query struct {
	instance *Instance
	method   string
	url      *url.URL // under the public origin
	accept   string
	dest     string // Sec-Fetch-Dest
	header   http.Header

	bearer          string
	cookies         instanceCookies
	session         string // from the cookies
	refreshToken    string
	devBrowser      string
	syncsDevBrowser bool // the address brings it
	nonce           string
	handshakeToken  string
	redirects       int
}

func (b *BrowserAuth) query(r *http.Request) *query {
	address := *b.instance.originOf(r.Context())
	address.Path, address.RawPath, address.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	jar := b.instance.cookiesOf(r.Header, b.verifier.now())
	q := &query{
		instance: b.instance,
		method:   r.Method,
		url:      &address,
		accept:   r.Header.Get("Accept"),
		dest:     r.Header.Get("Sec-Fetch-Dest"),
		header:   r.Header,
		bearer:   bearer(r.Header.Get("Authorization")),
		cookies:  jar,
		session:  jar.get(cookieSession),
		// Clients that know refresh tokens know suffixes.
		refreshToken: jar.jar[cookieRefresh+"_"+jar.suffix],
	}
	parameters := parametersOf(&address)
	first := func(name, cookie string) string {
		if value, _ := valueOf(parameters, name); value != "" {
			return value
		}
		return cookie
	}
	_, q.syncsDevBrowser = valueOf(parameters, cookieDevBrowser)
	q.devBrowser = first(cookieDevBrowser, jar.get(cookieDevBrowser))
	q.nonce = first(cookieHandshakeNonce, jar.jar[cookieHandshakeNonce])
	q.handshakeToken = first(cookieHandshake, jar.jar[cookieHandshake])
	q.redirects, _ = strconv.Atoi(jar.jar[cookieRedirectCount])
	return q
}

// bearer returns the token of an Authorization header. As Clerk has it, a value
// without a scheme is a token, and other schemes are not its business.
func bearer(header string) string {
	scheme, rest, _ := strings.Cut(header, " ")
	credentials, _, _ := strings.Cut(rest, " ")
	switch {
	case credentials == "":
		return scheme
	case strings.EqualFold(scheme, "Bearer"):
		return credentials
	}
	return ""
}

// refused decides about a request whose token was refused. Only time can be
// mended, by a refresh or a handshake.
func (b *BrowserAuth) refused(ctx context.Context, q *query, err error) Decision {
	refusal, ok := errors.AsType[*TokenError](err)
	if !ok {
		return Decision{State: SignedOut, Reason: KeysUnavailable, Err: err}
	}
	switch refusal.Reason {
	case TokenExpired:
		decision, why := b.refresh(ctx, q)
		if why != "" {
			return q.handshake(SessionTokenExpired + "-refresh-" + Reason(why))
		}
		return decision
	case TokenNotActiveYet:
		return q.handshake(SessionTokenNotActiveYet)
	case TokenIssuedInTheFuture:
		return q.handshake(SessionTokenFromFuture)
	case KeysUnavailable:
		return Decision{State: SignedOut, Reason: refusal.Reason, Err: fault.Wrap("authenticate", err)}
	}
	return Decision{State: SignedOut, Reason: refusal.Reason}
}

// handshake sends the browser to the Frontend API, if it is one that follows
// and has not been there three times in a row.
func (q *query) handshake(reason Reason) Decision {
	if !q.isNavigation() || q.redirects >= maxRedirects {
		return Decision{State: SignedOut, Reason: reason}
	}
	return Decision{
		State:    Handshake,
		Reason:   reason,
		Redirect: q.handshakeURL(reason),
		Cookies:  []string{cookieRedirectCount + "=" + strconv.Itoa(q.redirects+1) + "; SameSite=Lax; HttpOnly; Max-Age=2"},
	}
}

// isNavigation reports whether a browser asks for a document, so that it would
// follow redirects to another origin and back.
func (q *query) isNavigation() bool {
	if q.method != http.MethodGet {
		return false
	}
	if q.dest == "" {
		return strings.HasPrefix(q.accept, "text/html")
	}
	return q.dest == "document" || q.dest == "iframe"
}

// anyToken is the token of the request, that of the cookies first.
func (q *query) anyToken() string { return cmp.Or(q.session, q.bearer) }

func (q *query) handshakeURL(reason Reason) string {
	parameters := url.Values{
		"redirect_url":        {without(q.url, cookieDevBrowser, queryLegacyBrowser)},
		"__clerk_api_version": {supportedBackendAPIVersion},
		"suffixed_cookies":    {strconv.FormatBool(q.cookies.suffixed)},
		"__clerk_hs_reason":   {string(reason)},
		"format":              {"nonce"},
	}
	if token := q.anyToken(); token != "" {
		parameters.Set(cookieSession, token)
	}
	if q.instance.development && q.devBrowser != "" {
		parameters.Set(cookieDevBrowser, q.devBrowser)
	}
	target := q.instance.frontendAPI.JoinPath("v1/client/handshake")
	target.RawQuery = parameters.Encode()
	return target.String()
}
