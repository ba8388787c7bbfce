package clerk

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Cookies of a Clerk instance; some have the same name as a query parameter.
const (
	cookieSession        = "__session"
	cookieRefresh        = "__refresh"
	cookieClientUAT      = "__client_uat" // seconds; 0 is signed out
	cookieDevBrowser     = "__clerk_db_jwt"
	cookieHandshake      = "__clerk_handshake"
	cookieHandshakeNonce = "__clerk_handshake_nonce"
	cookieRedirectCount  = "__clerk_redirect_count"
)

// cookies are a request's cookies by name, as Clerk's backend library reads
// them: the first of a name counts, values are percent-decoded, quotes stay.
// net/http would drop what it finds malformed and unquote the rest.
type cookies map[string]string

func parseCookies(header http.Header) cookies {
	jar := cookies{}
	for pair := range strings.SplitSeq(strings.Join(header.Values("Cookie"), "; "), ";") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
		if _, seen := jar[name]; seen {
			continue
		}
		if decoded, err := url.PathUnescape(value); err == nil && utf8.ValidString(decoded) {
			value = decoded
		}
		jar[name] = value
	}
	return jar
}

// instanceCookies are the cookies of one instance among those of a request.
// Applications on one domain share a cookie jar, so every cookie comes plain,
// for old clients, and with a suffix that is the instance's own.
type instanceCookies struct {
	jar      cookies
	suffix   string
	suffixed bool
}

// get returns the cookie called name, "" without one.
func (c instanceCookies) get(name string) string {
	if c.suffixed {
		return c.jar[name+"_"+c.suffix]
	}
	return c.jar[name]
}

// cookiesOf decides which set to believe. It follows usesSuffixedCookies of
// @clerk/backend: both exist because clients were upgraded at different times,
// and the newer set wins.
func (i *Instance) cookiesOf(header http.Header, now time.Time) instanceCookies {
	jar := parseCookies(header)
	return instanceCookies{jar: jar, suffix: i.cookieSuffix, suffixed: i.usesSuffixed(jar, now)}
}

func (i *Instance) usesSuffixed(jar cookies, now time.Time) bool {
	suffixedUAT, uat := jar[cookieClientUAT+"_"+i.cookieSuffix], jar[cookieClientUAT]
	suffixedSession, session := jar[cookieSession+"_"+i.cookieSuffix], jar[cookieSession]
	plain, plainErr := decodeToken(session)
	if session != "" {
		if plainErr != nil || !truthy(plain.claims["iss"]) {
			return false // malformed: stay with it and end up signed out, not in a handshake
		}
		if !i.issued(plain) {
			return true // another instance's, on the same domain
		}
	}
	if suffixedUAT == "" && suffixedSession == "" {
		return false
	}
	own, ownErr := decodeToken(suffixedSession)
	plainIAT, _ := plain.issuedAt()
	ownIAT, _ := own.issuedAt()
	switch {
	case suffixedUAT != "0" && uat != "0" && plainIAT > ownIAT:
		return false // both signed in, the plain one newer
	case suffixedUAT == "0" && uat != "0":
		return false // every client sets the plain ones, so they are newer
	case i.development && suffixedUAT != "0" && uat == "0" && ownErr == nil && own.expired(now):
		return false // in development an older client leaves the suffixed ones behind
	case suffixedUAT == "" && suffixedSession != "":
		return false // suffixes were switched off at Clerk
	}
	return true
}

// issued reports whether a token says that it is from this instance. The issuer
// is the Frontend API's host in the key or, behind a proxy, the proxy.
func (i *Instance) issued(t token) bool {
	issuer := t.issuer()
	return schemeless(issuer) == i.keyHost || issuer == i.FrontendAPI()
}

func schemeless(address string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if len(address) >= len(scheme) && strings.EqualFold(address[:len(scheme)], scheme) {
			return address[len(scheme):]
		}
	}
	return address
}

// truthy reports whether JavaScript takes a JSON value for true.
func truthy(value any) bool {
	switch value := value.(type) {
	case nil:
		return false
	case bool:
		return value
	case float64:
		return value != 0
	case string:
		return value != ""
	}
	return true
}

// parseInt reads a number as JavaScript's parseInt does: as far as there are
// digits, which are hexadecimal after 0x, and 0 without any.
func parseInt(text string) float64 {
	text = strings.TrimSpace(text)
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		digits = strings.TrimPrefix(text, "+")
	}
	base := 10
	if len(digits) > 1 && strings.EqualFold(digits[:2], "0x") {
		base, digits = 16, digits[2:]
	}
	var number float64
	for i := range digits {
		digit, err := strconv.ParseUint(digits[i:i+1], base, 8)
		if err != nil {
			break
		}
		number = number*float64(base) + float64(digit)
	}
	if negative {
		return -number
	}
	return number
}
