package clerk_test

import (
	"crypto/hmac"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// scenario is a made-up request. Its texts hold tokens by number, as "{0}", so
// that a token can be made otherwise and the rest stays as it is.
type scenario struct {
	instance         string
	method           string
	target           string
	cookies          string
	headers          map[string]string
	nonces           map[string][]string // directives
	refreshes        map[string][]string // directives by refresh token
	organizationSync bool
	issuer           string // that is accepted
	tokens           []madeToken

	texts []string // of tokens, once made
	sign  func(madeToken) string

	number int
	ours   outcome
	theirs verdict
}

// madeToken says how a token is made.
type madeToken struct {
	claims, header map[string]any
	key            int    // of the generator's
	mangled        string // after it was signed
}

func (m madeToken) has(claim string) bool { _, ok := m.claims[claim]; return ok }

func (m madeToken) isSession() bool { return !m.has("handshake") }

// directives are the cookies to set that a handshake's token holds.
func (m madeToken) directives() []string {
	list, _ := m.claims["handshake"].([]string)
	return list
}

// shapeless reports whether a token is not spelled as one, or holds too much.
func (m madeToken) shapeless() bool {
	return slices.Contains([]string{"null claims", "list claims", "oversized", "padded"}, m.mangled)
}

// mistyped reports whether a claim that is a text is something else.
func (m madeToken) mistyped() bool {
	for _, claim := range []string{"iss", "azp", "sub", "sid"} {
		switch m.claims[claim].(type) {
		case string, nil:
		default:
			return true
		}
	}
	return m.claims["aud"] == 7
}

func (m madeToken) critical() bool { return m.header["crit"] != nil }

// foreign reports whether a session's token is of another category after all.
func (m madeToken) foreign() bool {
	category, ok := m.header["cat"]
	return ok && category != nil && category != "cl_I7d4PD111III" || m.claims["sub"] == "mch_1"
}

// vague reports whether a session's token leaves open what Clerk's library does
// not ask for.
func (m madeToken) vague() bool {
	for _, claim := range []string{"exp", "nbf", "iat"} {
		if !m.has(claim) {
			continue
		}
		switch n := m.claims[claim].(type) {
		case int64:
			if n < 0 || n > 253402300799 {
				return true
			}
		case float64:
			if n < 0 {
				return true
			}
		default:
			return true
		}
	}
	return m.isSession() && (!m.has("sid") || m.claims["sid"] == "" || !m.has("iat") || m.claims["sub"] == "")
}

// wireRequest is a scenario as Clerk's library is told it.
type wireRequest struct {
	Now       int64               `json:"now"` // in milliseconds
	Instance  string              `json:"instance"`
	Method    string              `json:"method"`
	URL       string              `json:"url"`
	Headers   map[string]string   `json:"headers"`
	Nonces    map[string][]string `json:"nonces"`
	Refreshes map[string][]string `json:"refreshes"`
	Options   map[string]any      `json:"options"`
}

func (s *scenario) wire() wireRequest {
	s.make()
	w := wireRequest{
		Now: oracleNow.UnixMilli(), Instance: s.instance, Method: s.method,
		URL:     testOrigin + s.fill(s.target, url.QueryEscape),
		Headers: map[string]string{}, Nonces: map[string][]string{}, Refreshes: map[string][]string{},
		Options: map[string]any{"authorizedParties": []string{testOrigin}, "issuer": s.issuer},
	}
	for name, value := range s.headers {
		w.Headers[name] = s.fill(value, nil)
	}
	if s.cookies != "" {
		w.Headers["cookie"] = s.fill(s.cookies, nil)
	}
	for nonce, directives := range s.nonces {
		w.Nonces[nonce] = s.fillAll(directives)
	}
	for token, directives := range s.refreshes {
		w.Refreshes[token] = s.fillAll(directives)
	}
	if s.organizationSync {
		w.Options["organizationSyncOptions"] = map[string]any{
			"organizationPatterns": []string{"/:slug", "/:slug/(.*)"}, "personalAccountPatterns": []string{"/"},
		}
	}
	return w
}

// make makes the tokens, each of which may hold those before it.
func (s *scenario) make() {
	if s.texts != nil {
		return
	}
	s.texts = make([]string, 0, len(s.tokens))
	for i, m := range s.tokens {
		if m.mangled == "not a token" {
			s.texts = append(s.texts, fmt.Sprintf("not-a-token-%d", i))
			continue
		}
		if slices.ContainsFunc(s.tokens[:i], func(other madeToken) bool { return reflect.DeepEqual(m, other) }) {
			m.claims = maps.Clone(m.claims)
			m.claims["jti"] = strconv.Itoa(i) // so that no two are equal
		}
		if list := m.directives(); list != nil {
			m.claims = maps.Clone(m.claims)
			m.claims["handshake"] = s.fillAll(list)
		}
		s.texts = append(s.texts, s.sign(m))
	}
}

func (s *scenario) fill(text string, escape func(string) string) string {
	for i, token := range s.texts {
		if escape != nil {
			token = escape(token)
		}
		text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i), token)
	}
	return text
}

func (s *scenario) fillAll(texts []string) []string {
	filled := make([]string, len(texts))
	for i, text := range texts {
		filled[i] = s.fill(text, nil)
	}
	return filled
}

// numberTokens is the opposite of fill.
func (s *scenario) numberTokens(text string) string {
	s.make()
	for i, token := range slices.Backward(s.texts) {
		if len(token) > 10 {
			number := fmt.Sprintf("{%d}", i)
			text = strings.ReplaceAll(text, token, number)
			text = strings.ReplaceAll(text, lenientUnescape(token), number)
		}
	}
	return text
}

func (s scenario) clone() scenario {
	s.headers, s.nonces, s.refreshes = maps.Clone(s.headers), maps.Clone(s.nonces), maps.Clone(s.refreshes)
	s.tokens, s.texts = slices.Clone(s.tokens), nil
	for i := range s.tokens {
		s.tokens[i].claims, s.tokens[i].header = maps.Clone(s.tokens[i].claims), maps.Clone(s.tokens[i].header)
	}
	return s
}

func (s scenario) String() string {
	text := fmt.Sprintf("%s, %s %s\nCookie: %s\n", s.instance, s.method, s.target, s.cookies)
	for _, name := range slices.Sorted(maps.Keys(s.headers)) {
		text += name + ": " + s.headers[name] + "\n"
	}
	text += fmt.Sprintf("nonces %q, refreshes %q, organization sync %v\n", s.nonces, s.refreshes, s.organizationSync)
	for i, m := range s.tokens {
		text += fmt.Sprintf("token %d: key %d, %s, %v %v\n", i, m.key, m.mangled, m.header, m.claims)
	}
	return text
}

func (s scenario) hasToken(is func(madeToken) bool) bool { return slices.ContainsFunc(s.tokens, is) }

func (s *scenario) eachToken(change func(*madeToken)) {
	for i := range s.tokens {
		change(&s.tokens[i])
	}
}

func (s scenario) cookie(name string) string {
	for pair := range strings.SplitSeq(s.cookies, "; ") {
		if n, value, _ := strings.Cut(pair, "="); n == name {
			return value
		}
	}
	return ""
}

func (s *scenario) setCookie(name, value string) {
	s.cookies = name + "=" + value + "; " + s.cookies // the first of a name counts
}

// hasDirective reports whether a handshake or a refresh brings a cookie that is.
func (s scenario) hasDirective(is func(string) bool) bool {
	for _, lists := range []map[string][]string{s.nonces, s.refreshes} {
		for _, directives := range lists {
			if slices.ContainsFunc(directives, is) {
				return true
			}
		}
	}
	return s.hasToken(func(m madeToken) bool { return slices.ContainsFunc(m.directives(), is) })
}

// ruinBrought ruins those tokens that a handshake or a refresh brings.
func (s *scenario) ruinBrought(which func(madeToken) bool) {
	for i := range s.tokens {
		number := fmt.Sprintf("{%d}", i)
		if which(s.tokens[i]) && s.hasDirective(func(directive string) bool { return strings.Contains(directive, number) }) {
			s.tokens[i].mangled = "not a token"
		}
	}
}

// issueByInstance gives the proxy's tokens the issuer that Clerk's library
// expects by the publishable key.
func (s *scenario) issueByInstance() {
	s.issuer = testIssuer
	s.eachToken(func(m *madeToken) {
		switch m.claims["iss"] {
		case proxiedIssuer:
			m.claims["iss"] = testIssuer
		case testIssuer: // as much its own, and as little what is asked for
			m.claims["iss"] = "http://clerk.example.com"
		}
	})
}

// generator makes up scenarios.
type generator struct {
	random *rand.Rand
	keys   []signingKey // the last is of another instance
	public []byte       // of the first key
	signed map[string]string
	tb     testing.TB
}

func newGenerator(tb testing.TB, seed uint64) *generator {
	tb.Helper()
	g := &generator{
		random: rand.New(rand.NewPCG(seed, 4)), tb: tb, signed: map[string]string{},
	}
	for _, id := range []string{"ins_1", "ins_2", "ins_other"} {
		pair, err := rsa.GenerateKey(cryptorand.Reader, 1024) // small: most of the test's time is signing
		if err != nil {
			tb.Fatal(err)
		}
		g.keys = append(g.keys, signingKey{PrivateKey: pair, id: id})
	}
	der, err := x509.MarshalPKIXPublicKey(&g.keys[0].PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	g.public = der
	return g
}

// known are the keys of the instance.
func (g *generator) known() []signingKey { return g.keys[:2] }

func (g *generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func pick[T any](g *generator, values ...T) T { return values[g.random.IntN(len(values))] }

// sign makes a token. Equal ones are made once: signatures take long.
func (g *generator) sign(m madeToken) string {
	id := fmt.Sprintf("%#v", m)
	if text, ok := g.signed[id]; ok {
		return text
	}
	header := maps.Clone(m.header)
	text := g.keys[m.key].sign(g.tb, m.claims, header)
	parts := strings.Split(text, ".")
	switch m.mangled {
	case "truncated":
		text = parts[0] + "." + parts[1] + "." + parts[2][:101]
	case "two parts":
		text = parts[0] + "." + parts[1]
	case "four parts":
		text += ".x"
	case "no signature":
		text = parts[0] + "." + parts[1] + "."
	case "another signature":
		text = parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 128))
	case "short signature":
		text = parts[0] + "." + parts[1] + ".AAAA"
	case "other claims":
		claims := maps.Clone(m.claims)
		claims["sub"] = "user_eve"
		text = parts[0] + "." + encodePart(g.tb, claims) + "." + parts[2]
	case "padded":
		text = parts[0] + "==." + parts[1] + "." + parts[2] + "=="
	case "standard base64":
		text = parts[0] + "." + parts[1] + "+/." + parts[2]
	case "percent-encoded":
		text = strings.ReplaceAll(text, ".", "%2E")
	case "quoted":
		text = `"` + text + `"`
	case "null claims":
		text = parts[0] + ".bnVsbA." + parts[2]
	case "list claims":
		text = parts[0] + ".W10." + parts[2]
	case "oversized":
		claims := maps.Clone(m.claims)
		claims["more"] = strings.Repeat("x", 9000)
		text = g.keys[m.key].sign(g.tb, claims, header)
	case "HS256 with the public key":
		input := encodePart(g.tb, map[string]any{"alg": "HS256", "typ": "JWT", "kid": g.keys[0].id}) + "." + parts[1]
		mac := hmac.New(sha256.New, g.public)
		mac.Write([]byte(input))
		text = input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	g.signed[id] = text
	return text
}

// token adds a session's token to s and returns its number in braces.
func (g *generator) token(s *scenario) string {
	now := oracleNow.Unix()
	m := madeToken{
		header: map[string]any{},
		claims: map[string]any{
			"iss": issuerOf(s.instance), "azp": testOrigin, "sub": "user_ada", "sid": "sess_1", "v": 2,
			"iat": now - 20, "nbf": now - 30, "exp": now + 40,
		},
	}
	if g.chance(25) {
		m.claims["iat"], m.claims["nbf"], m.claims["exp"] = now-80, now-90, now-20
	}
	for range pick(g, 0, 0, 0, 0, 1, 1, 1, 2) {
		g.spoil(&m, now)
	}
	if m.mangled == "no signature" {
		// Clerk's library takes it for a session's, whatever is in it: it looks for
		// other types among well-formed tokens alone.
		m.claims["sub"] = "user_ada"
		delete(m.header, "typ")
	}
	s.tokens = append(s.tokens, m)
	return fmt.Sprintf("{%d}", len(s.tokens)-1)
}

// spoil changes one thing about a token, mostly for the worse.
func (g *generator) spoil(m *madeToken, now int64) {
	set := func(claim string, values ...any) { set(m.claims, claim, pick(g, values...)) }
	header := func(name string, values ...any) { set2(m.header, name, pick(g, values...)) }
	switch g.random.IntN(20) {
	case 0:
		set("exp", now-3600, now-6, now-5, now-4, now-1, now, now+3600, missing, "soon", -1.0, int64(-1), int64(1)<<60, float64(now)+0.9, nil)
	case 1:
		set("nbf", now+3600, now+6, now+5, now, missing, "soon", nil, int64(1)<<60)
	case 2:
		set("iat", now+3600, now+6, now+5, now, now-1, now-1000, missing)
	case 3:
		set("azp", missing, missing, "", "https://evil.example.com", testOrigin+"/", 7, nil, []string{testOrigin})
	case 4:
		set("iss", testIssuer, proxiedIssuer, "http://clerk.example.com", "HTTPS://clerk.example.com", "clerk.example.com", "https://clerk.other.example", missing, 7, "", false, []string{testIssuer})
	case 5:
		set("sub", missing, "", 7, "mch_1", "user_eve", nil)
	case 6:
		set("sid", missing, "", "sess_2")
	case 7:
		set("sts", "pending", "pending", "active", "", 7)
	case 8:
		set("o", map[string]any{"id": "org_1", "slg": "acme", "rol": "admin"}, map[string]any{"id": "org_1", "slg": "acme", "rol": "admin", "per": "read,manage", "fpm": "3"}, map[string]any{}, nil)
	case 9:
		set("v", missing, 1, 2)
		maps.Copy(m.claims, map[string]any{"org_id": "org_2", "org_slug": "globex", "org_role": "org:member", "org_permissions": []string{"org:x:read"}})
	case 10:
		set("aud", "https://evil.example.com", []string{"x"}, 7)
	case 11:
		header("kid", missing, "ins_2", "ins_unknown", 7, nil, "")
	case 12:
		header("alg", missing, "none", "HS256", "RS384", "RS512", "ES256", "rs256", 7)
	case 13:
		header("typ", missing, nil, "at+jwt", "application/at+jwt", "jwt", "JWS", 7)
	case 14, 15:
		header("cat", missing, missing, "cl_B7d4PD222AAA", "cl_B7d4PD333AAA", "cl_I7d4PD111III", "x", "", nil, 7)
	case 16:
		header("crit", []string{"exp"}, []string{"x"})
	case 17:
		m.key = pick(g, 1, 2)
	default:
		m.mangled = pick(g, "truncated", "two parts", "four parts", "no signature", "another signature", "short signature", "other claims", "padded",
			"standard base64", "percent-encoded", "quoted", "null claims", "list claims", "oversized", "HS256 with the public key", "not a token")
	}
}

// missing is the value of a claim that is taken out.
type missingValue struct{}

var missing any = missingValue{}

func set(claims map[string]any, name string, value any) {
	if value == missing {
		delete(claims, name)
		return
	}
	claims[name] = value
}

// set2 is set for headers, of which the signer adds the usual ones that are not
// named: nil takes one out, a null is written as such.
func set2(header map[string]any, name string, value any) {
	switch value {
	case missing:
		header[name] = nil
	case nil:
		header[name] = json.RawMessage("null")
	default:
		header[name] = value
	}
}

// directives are the cookies that a handshake sets.
func (g *generator) directives(s *scenario) (directives []string) {
	for range 1 + g.random.IntN(3) {
		directives = append(directives, pick(g,
			"__client_uat=1; Path=/", "__session=; Path=/; Max-Age=0", "a=b", "", "bad\r\nSet-Cookie: x=y", "caf\u00e9=1", "__clerk_handshake=; Max-Age=0",
		))
	}
	if g.chance(80) {
		name := pick(g, "__session", "__session", "__session"+suffixOf(kindOf(s.instance)), "__session_other")
		at := g.random.IntN(len(directives) + 1)
		directives = slices.Insert(directives, at, name+"="+g.token(s)+pick(g, "; Path=/; SameSite=Lax", ""))
	}
	return directives
}

// handshakeToken adds a handshake's token to s.
func (g *generator) handshakeToken(s *scenario) string {
	m := madeToken{claims: map[string]any{"handshake": g.directives(s)}, header: map[string]any{}}
	switch g.random.IntN(12) {
	case 0:
		m.claims["handshake"] = pick(g, any("__session=x"), nil, 7)
	case 1:
		m.key = 2 // another instance's
	case 2:
		m.key, m.header["kid"] = 2, g.keys[0].id // forged
	case 3:
		set2(m.header, "cat", pick(g, any("cl_B7d4PD222AAA"), "cl_B7d4PD333AAA", "cl_I7d4PD111III", missing))
	case 4:
		m.mangled = pick(g, "truncated", "two parts", "another signature", "not a token", "null claims", "HS256 with the public key")
	case 5:
		set2(m.header, "alg", pick(g, any("none"), "HS256", "RS512"))
	case 6:
		set2(m.header, "typ", pick(g, any("at+jwt"), missing))
	}
	s.tokens = append(s.tokens, m)
	return fmt.Sprintf("{%d}", len(s.tokens)-1)
}

func kindOf(instance string) string {
	if instance == "development" {
		return "test"
	}
	return "live"
}

// scenario makes up a request.
func (g *generator) scenario() scenario {
	s := scenario{
		instance: pick(g, "production", "production", "development", "development", "proxied"),
		method:   pick(g, "GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"),
		headers:  map[string]string{}, nonces: map[string][]string{}, refreshes: map[string][]string{},
		sign: g.sign,
	}
	s.issuer = issuerOf(s.instance)
	suffix := suffixOf(kindOf(s.instance))
	var cookies []string
	cookie := func(percent int, name string, values ...func() string) {
		if g.chance(percent) {
			cookies = append(cookies, name+"="+pick(g, values...)())
		}
	}
	token := func() string { return g.token(&s) }
	text := func(values ...string) func() string { return func() string { return pick(g, values...) } }
	iat := oracleNow.Unix() - 20
	uat := text("0", "1", "1", "1", "1", "1", "1", "1", fmt.Sprint(iat), fmt.Sprint(iat+1), fmt.Sprint(iat-1), "99999999999", "", "abc", "-1", "12abc", "0x10", "1e3", "00", "+5", "%31", "1.9")
	for _, set := range []struct {
		suffix  string
		percent int
	}{{"", 80}, {suffix, 40}, {"_OTHERAPP", 5}} {
		if !g.chance(set.percent) {
			continue
		}
		cookie(85, "__session"+set.suffix, token)
		cookie(5, "__session"+set.suffix, text("", "x"))
		cookie(90, "__client_uat"+set.suffix, uat)
		cookie(90, "__clerk_db_jwt"+set.suffix, text("dvb_1", "dvb_1", "dvb_1", "dvb_2", ""))
	}
	if g.chance(20) {
		cookies = append(cookies, "__refresh"+pick(g, suffix, suffix, "")+"="+pick(g, "refresh_1", "refresh_1", "refresh_used", ""))
		s.refreshes["refresh_1"] = g.directives(&s)
	}
	cookie(20, "__clerk_redirect_count", text("0", "1", "2", "3", "3", "4", "1.5", "abc", "", "-1", "99"))
	var parameters []string
	parameter := func(percent int, pairs ...func() string) {
		if g.chance(percent) {
			parameters = append(parameters, pick(g, pairs...)())
		}
	}
	if g.chance(12) {
		s.nonces["nonce_1"] = g.directives(&s)
		carried := pick(g, "nonce_1", "nonce_1", "nonce_1", "nonce_used", "")
		if g.chance(50) {
			cookies = append(cookies, "__clerk_handshake_nonce="+carried)
		} else {
			parameters = append(parameters, "__clerk_handshake_nonce="+carried)
		}
	}
	if g.chance(12) {
		carried := g.handshakeToken(&s)
		if g.chance(50) {
			cookies = append(cookies, "__clerk_handshake="+carried)
		} else {
			parameters = append(parameters, "__clerk_handshake="+carried)
		}
	}
	parameter(10, text("__clerk_db_jwt=dvb_3", "__clerk_db_jwt=", "__clerk_db_jwt"))
	parameter(6, text("__clerk_redirect_url=https%3A%2F%2Fevil.example.com%2F", "__clerk_redirect_url=nonsense", "__clerk_redirect_url="))
	parameter(4, text("__clerk_help=1", "__dev_session=x", "__clerk_synced=true", "__clerk_synced=false", "__clerk_status=x"))
	parameter(30, text("page=2", "q=caf%C3%A9", "q=a+b", "q=%zz", "q=a;b", "q=", "q", "page=2&page=3", "redirect_url=https%3A%2F%2Fevil.example.com"))
	g.random.Shuffle(len(parameters), func(i, j int) { parameters[i], parameters[j] = parameters[j], parameters[i] })
	s.target = pick(g, "/", "/acme", "/acme/projects", "/globex/projects/a%2Fb", "/caf%C3%A9", "/__clerk/x", "/api/tenants/acme/projects")
	if len(parameters) > 0 {
		s.target += "?" + strings.Join(parameters, "&")
	}
	g.random.Shuffle(len(cookies), func(i, j int) { cookies[i], cookies[j] = cookies[j], cookies[i] })
	s.cookies = strings.Join(cookies, "; ")

	header := func(percent int, name string, values ...string) {
		if g.chance(percent) {
			s.headers[name] = pick(g, values...)
		}
	}
	header(75, "sec-fetch-dest", "document", "document", "document", "document", "iframe", "empty", "image", "frame")
	header(75, "accept", "text/html", "text/html,application/xhtml+xml", "*/*", "application/json", "application/json, text/html", "TEXT/HTML")
	header(12, "referer", testOrigin+"/acme", "https://news.example.org/", "https://news.example.org/", "https://accounts.example.com/sign-in", testIssuer+"/v1", "https://fox-1.accounts.dev/", "nonsense")
	header(3, "x-forwarded-host", "evil.example.com", "app.example.com", "evil.example.com, app.example.com")
	header(3, "x-forwarded-proto", "https")
	header(3, "origin", testOrigin, "https://evil.example.com", "null")
	if g.chance(15) {
		s.headers["authorization"] = pick(g,
			func() string { return "Bearer " + token() },
			func() string { return "Bearer " + token() },
			func() string { return "bearer " + token() },
			func() string { return "BEARER " + token() },
			func() string { return "Basic " + token() },
			token,
			text("Bearer", "Bearer  x", "Bearer mt_x", "Bearer ak_x", "Bearer oat_x", "", "Basic dXNlcjpwYXNz"),
		)()
	}
	s.organizationSync = g.chance(5)
	return s
}
