package clerk_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/testtool"
)

var (
	oracleRequests = flag.Int("oracle-requests", 4000, "how many requests TestOracle asks Clerk's own library about; `task soak` has more")
	oracleSeed     = flag.Uint64("oracle-seed", 1, "which requests TestOracle makes up")
)

// TestOracle asks Clerk's own backend library, run by Node, about thousands of
// made-up requests, and expects BrowserAuth to decide the same for the same
// reason, down to the address of the handshake. What it decides otherwise on
// purpose is in differences.
func TestOracle(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, *oracleSeed)
	library := startLibrary(t, g)
	auth := g.browserAuth(t)
	seen, alone := map[string]int{}, map[string]int{}
	states, reasons := map[string]int{}, map[string]int{}
	for done := 0; done < *oracleRequests && !t.Failed(); {
		batch := make([]scenario, min(500, *oracleRequests-done))
		for i := range batch {
			batch[i] = g.scenario()
		}
		var doubtful []scenario
		for i, theirs := range library.decide(t, batch) {
			s := &batch[i]
			ours := s.decidedBy(t, auth[s.instance])
			states[ours.State]++
			reasons[ours.Reason]++
			if !cmp.Equal(ours, theirs.outcome) {
				s.number, s.ours, s.theirs = done+i, ours, theirs
				doubtful = append(doubtful, *s)
			}
		}
		done += len(batch)
		// The same once more, without what the two are meant to differ about: now
		// they have to agree.
		rewritten := make([]scenario, len(doubtful))
		effective := make([]map[string]bool, len(doubtful)) // of the differences, which changed anything
		for i, s := range doubtful {
			rewritten[i], effective[i] = s.clone(), map[string]bool{}
			for _, d := range s.differences() {
				if d.rewrite == nil {
					continue
				}
				before := rewritten[i].String()
				d.rewrite(&rewritten[i])
				if rewritten[i].String() != before {
					effective[i][d.name] = true
				}
			}
		}
		for i, theirs := range library.decide(t, rewritten) {
			s := doubtful[i]
			for _, d := range s.differences() {
				if d.adjust == nil {
					continue
				}
				before := theirs.outcome
				d.adjust(s, &theirs)
				if !cmp.Equal(theirs.outcome, before) {
					effective[i][d.name] = true
				}
			}
			names := slices.Sorted(maps.Keys(effective[i]))
			if diff := cmp.Diff(theirs.outcome, s.ours); diff != "" {
				t.Errorf("seed %d, request %d:\n%s\nin spite of %q (-Clerk's library +BrowserAuth):\n%s", *oracleSeed, s.number, s, names, diff)
			}
			for _, name := range names {
				seen[name]++
				if len(names) == 1 {
					alone[name]++
				}
			}
		}
	}
	t.Logf("%d requests: %v", *oracleRequests, states)
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("%6d %s", reasons[reason], reason)
	}
	for _, d := range differences {
		t.Logf("%6d, %d of them by nothing else, differ: %s. %s", seen[d.name], alone[d.name], d.name, d.why)
		if alone[d.name] == 0 {
			t.Errorf("no request was decided otherwise by this alone, so nothing shows that it is one: %s", d.name)
		}
	}
}

// difference is something that BrowserAuth decides otherwise than Clerk's
// library on purpose.
type difference struct {
	name, why string
	// applies reports whether a request that the two disagree on is about it.
	applies func(scenario) bool
	// rewrite takes it out of the request before Clerk's library is asked
	// again, and adjust out of the answer. Then the two have to agree.
	rewrite func(*scenario)
	adjust  func(scenario, *verdict)
}

var differences = []difference{
	{
		name: "the scheme of an Authorization header has no case",
		why:  `RFC 9110 says so. Clerk's library ignores a token after "bearer" and goes on with the cookies.`,
		applies: func(s scenario) bool {
			scheme, _, ok := strings.Cut(s.headers["authorization"], " ")
			return ok && scheme != "Bearer" && strings.EqualFold(scheme, "Bearer")
		},
		rewrite: func(s *scenario) {
			_, credentials, _ := strings.Cut(s.headers["authorization"], " ")
			s.headers["authorization"] = "Bearer " + credentials
		},
	},
	{
		name: "a token without an azp claim passes",
		why: `Tokens made by the Backend API and for native applications name no origin, as no page asked for them. What azp protects from, a ` +
			`sibling domain's application that got hold of the cookie, is in a token that names that domain. One that is there has to be right.`,
		applies: func(s scenario) bool {
			return s.hasToken(func(m madeToken) bool { return m.isSession() && !m.has("azp") })
		},
		rewrite: func(s *scenario) {
			s.eachToken(func(m *madeToken) {
				if m.isSession() && !m.has("azp") {
					m.claims["azp"] = testOrigin
				}
			})
		},
	},
	{
		name:    "a pending session is signed out",
		why:     `Clerk's library says signed in and hides the session in toAuth, if asked so. Here one answer says it all.`,
		applies: func(s scenario) bool { return s.ours.Reason == string(clerk.SessionPending) },
		adjust: func(_ scenario, theirs *verdict) {
			if theirs.Pending {
				theirs.outcome = outcome{State: string(clerk.SignedOut), Reason: string(clerk.SessionPending), Location: theirs.Location, Cookies: theirs.Cookies}
			}
		},
	},
	{
		name: "a token says whose it is, of which session, and from when to when",
		why: `Clerk's library takes tokens without sid or iat, an empty sub, and any number for a time. Who asks later whether a session ` +
			`was ended goes by these.`,
		applies: func(s scenario) bool { return s.hasToken(madeToken.vague) },
		rewrite: func(s *scenario) { s.ruinBrought(madeToken.vague) },
		adjust: func(s scenario, theirs *verdict) {
			if s.ours.State == string(clerk.SignedOut) && s.ours.Reason == string(clerk.TokenVerificationFailed) {
				theirs.outcome = s.ours
			}
		},
	},
	{
		name: "a handshake brings a session",
		why: `Clerk's library refuses tokens of templates and machines in a header or cookie, but not in what a handshake sets. One check ` +
			`for every way in is easier to trust.`,
		applies: func(s scenario) bool { return s.hasToken(madeToken.foreign) },
		rewrite: func(s *scenario) { s.ruinBrought(madeToken.foreign) },
	},
	{
		name:    "a claim of another type is refused, whatever it claims",
		why:     `The SDK, which checks the signature, refuses the token for it. Clerk's library refuses some of them, and for what they claim.`,
		applies: func(s scenario) bool { return s.hasToken(madeToken.mistyped) },
		rewrite: func(s *scenario) { s.ruinBrought(madeToken.mistyped) },
		adjust: func(s scenario, theirs *verdict) {
			if s.ours.State == string(clerk.SignedOut) && s.ours.Reason == string(clerk.TokenVerificationFailed) {
				theirs.outcome = s.ours
			}
		},
	},
	{
		name:    "a critical header is refused",
		why:     `RFC 7515, section 4.1.11: who does not understand it must. Clerk's library does not look.`,
		applies: func(s scenario) bool { return s.hasToken(madeToken.critical) },
		rewrite: func(s *scenario) { s.ruinBrought(madeToken.critical) },
		adjust: func(s scenario, theirs *verdict) {
			if s.ours.State == string(clerk.SignedOut) && s.ours.Reason == string(clerk.TokenInvalidSignature) {
				theirs.outcome = s.ours
			}
		},
	},
	{
		name: "a token is short, not padded, and its header and claims are objects",
		why: `Clerk's library decodes a token of any size, with padding or not, takes a list for claims without any, and throws for null. ` +
			`Browsers keep no cookie over 4 KiB, twice that is no session token; and RFC 7515 knows no padding.`,
		applies: func(s scenario) bool { return s.hasToken(madeToken.shapeless) },
		rewrite: func(s *scenario) {
			s.eachToken(func(m *madeToken) {
				if m.shapeless() {
					m.mangled = "not a token"
				}
			})
		},
	},
	{
		name: "a handshake that fails in development is signed out",
		why:  `Clerk's library throws, and a person sees a broken page. Here it is logged, and the page is shown signed out.`,
		applies: func(s scenario) bool {
			return s.instance == "development" && strings.Contains(s.target+s.cookies, "__clerk_handshake")
		},
		adjust: func(s scenario, theirs *verdict) {
			if s.ours.State == string(clerk.SignedOut) && strings.Contains(theirs.Reason, "Handshake token verification failed") {
				theirs.outcome = s.ours
			}
		},
	},
	{
		name: "a handshake leaves the address",
		why: `In production Clerk brings it by cookie, and its library leaves addresses alone. One with a nonce in it that is opened again, ` +
			`or sent to somebody, must not sign them out.`,
		applies: func(s scenario) bool { return s.instance != "development" && strings.Contains(s.target, "__clerk_") },
		adjust: func(s scenario, theirs *verdict) {
			if theirs.Resolved {
				theirs.Location = s.address("__clerk_handshake", "__clerk_handshake_nonce", "__clerk_db_jwt", "__clerk_help")
				if theirs.Location == s.address() {
					theirs.Location = ""
				}
			}
		},
	},
	{
		name: "no parameter says where to go",
		why:  `In development Clerk's library leads to __clerk_redirect_url, for satellites, whatever it says: an open redirect.`,
		applies: func(s scenario) bool {
			return s.instance == "development" && strings.Contains(s.target, "__clerk_redirect_url")
		},
		rewrite: func(s *scenario) {
			s.target = strings.Replace(s.target, "__clerk_redirect_url", "__clerk_redirect_els", 1)
		},
		adjust: func(_ scenario, theirs *verdict) {
			theirs.Location = strings.Replace(theirs.Location, "__clerk_redirect_els", "__clerk_redirect_url", 1)
		},
	},
	{
		name: "no page leads to itself",
		why:  `For a handshake that a developer's browser brings by cookie, Clerk's library redirects to the same address, on and on.`,
		applies: func(s scenario) bool {
			return s.instance == "development" && strings.Contains(s.cookies, "__clerk_handshake")
		},
		adjust: func(s scenario, theirs *verdict) {
			if theirs.Resolved && theirs.Location == s.address() {
				theirs.Location = ""
			}
		},
	},
	{
		name: "what cannot be in a header is left out",
		why:  `Clerk's library drops a whole handshake for one such cookie, or throws. The others are as good as they were.`,
		applies: func(s scenario) bool {
			return s.hasDirective(unprintable)
		},
		rewrite: func(s *scenario) {
			for _, lists := range []map[string][]string{s.nonces, s.refreshes} {
				for token, directives := range lists {
					lists[token] = slices.DeleteFunc(slices.Clone(directives), unprintable)
				}
			}
			s.eachToken(func(m *madeToken) {
				if list := m.directives(); list != nil {
					m.claims["handshake"] = slices.DeleteFunc(slices.Clone(list), unprintable)
				}
			})
		},
	},
	{
		name: "the counter of redirects is a number, and three are enough",
		why:  `Clerk's library compares it with 3 and nothing else: who sends 4, or 1.5, is redirected for ever.`,
		applies: func(s scenario) bool {
			return !slices.Contains([]string{"", "0", "1", "2", "3"}, s.cookie("__clerk_redirect_count"))
		},
		rewrite: func(s *scenario) {
			n, _ := strconv.Atoi(s.cookie("__clerk_redirect_count"))
			s.setCookie("__clerk_redirect_count", strconv.Itoa(min(n, 3)))
		},
	},
	{
		name:    "a link on another site is no handshake",
		why:     `It keeps a primary domain in step with its satellites. There are none, and each link in a mail would cost two redirects.`,
		applies: func(s scenario) bool { return s.headers["referer"] != "" },
		rewrite: func(s *scenario) { delete(s.headers, "referer") },
	},
	{
		name: "the address says which organization, and the session does not follow",
		why: `Clerk's library can activate the address' organization by a handshake. Here the local membership decides, whatever is ` +
			`active, so two tenants can be open in two tabs.`,
		applies: func(s scenario) bool { return s.organizationSync },
		rewrite: func(s *scenario) { s.organizationSync = false },
	},
	{
		name:    "the origin is the configured one",
		why:     `Clerk's library believes X-Forwarded-Host, and has the browser led back there. Whoever gets past the proxy can send it.`,
		applies: func(s scenario) bool { return s.headers["x-forwarded-host"] != "" },
		rewrite: func(s *scenario) { delete(s.headers, "x-forwarded-host") },
	},
	{
		name: "behind a proxy a token of the proxy is one's own",
		why: `The proxy's address is the issuer then, and with the emulator. Clerk's library compares with the host in the publishable key, ` +
			`and takes the plain cookie for another application's.`,
		applies: func(s scenario) bool {
			return s.instance == "proxied" && s.hasToken(func(m madeToken) bool { return m.claims["iss"] == proxiedIssuer })
		},
		rewrite: func(s *scenario) { s.issueByInstance() },
	},
}

// outcome is a decision as both sides can tell it. In texts, tokens are as the
// scenario numbers them, and addresses in one form.
type outcome struct {
	State        string   `json:"state"` // or "error" when Clerk's library throws
	Reason       string   `json:"reason"`
	User         string   `json:"user"`
	Session      string   `json:"session"`
	Organization string   `json:"organization"` // id, slug and role
	Location     string   `json:"location"`
	Cookies      []string `json:"cookies"`
}

// verdict is what Clerk's library says.
type verdict struct {
	outcome

	Pending  bool `json:"pending"`
	Resolved bool `json:"resolved"` // by a handshake
}

func unprintable(directive string) bool {
	return directive == "" || strings.ContainsFunc(directive, func(r rune) bool { return r < ' ' || r > '~' })
}

// oracleInstances are the instances that requests are made to.
var oracleInstances = map[string]struct {
	publishableKey, proxy string
	options               map[string]any
}{
	"production":  {publishableKey: publishableKey("live", "clerk.example.com")},
	"development": {publishableKey: publishableKey("test", "clerk.example.com")},
	"proxied":     {publishableKey: publishableKey("live", "clerk.example.com"), proxy: proxiedIssuer},
}

const proxiedIssuer = testOrigin + "/__clerk"

// issuerOf is the issuer of an instance's tokens.
func issuerOf(instance string) string {
	if proxy := oracleInstances[instance].proxy; proxy != "" {
		return proxy
	}
	return testIssuer
}

// library is Clerk's own, running in Node.
type library struct {
	in  io.Writer
	out *bufio.Scanner
}

func startLibrary(t *testing.T, g *generator) *library {
	t.Helper()
	command := exec.CommandContext(t.Context(), testtool.Node(t, "testdata/backend"), "oracle.mjs")
	command.Dir = "testdata/backend"
	command.Stderr = t.Output()
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait() // ended by its input's end, or by the test's
	})
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 1<<20)
	l := &library{in: in, out: scanner}
	instances := map[string]any{}
	for name, instance := range oracleInstances {
		secret, _, _ := strings.Cut(strings.TrimPrefix(instance.publishableKey, "pk_"), "_")
		instances[name] = map[string]any{"publishableKey": instance.publishableKey, "secretKey": "sk_" + secret + "_x", "proxyUrl": instance.proxy}
	}
	var keys []any
	for _, key := range g.known() {
		keys = append(keys, jose.JSONWebKey{Key: &key.PublicKey, KeyID: key.id, Algorithm: "RS256", Use: "sig"})
	}
	if err := json.NewEncoder(in).Encode(map[string]any{"keys": keys, "instances": instances}); err != nil {
		t.Fatal(err)
	}
	return l
}

// decide asks about many requests at once.
func (l *library) decide(t *testing.T, scenarios []scenario) []verdict {
	t.Helper()
	var lines bytes.Buffer
	for i := range scenarios {
		if err := json.NewEncoder(&lines).Encode(scenarios[i].wire()); err != nil {
			t.Fatal(err)
		}
	}
	sent := make(chan error, 1)
	go func() {
		_, err := lines.WriteTo(l.in)
		sent <- err
	}()
	answers := make([]verdict, len(scenarios))
	for i := range answers {
		if !l.out.Scan() {
			t.Fatalf("Clerk's library ended: %v", l.out.Err())
		}
		if err := json.Unmarshal(l.out.Bytes(), &answers[i]); err != nil {
			t.Fatalf("%v in %s", err, l.out.Bytes())
		}
		scenarios[i].normalize(&answers[i].outcome)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return answers
}

// oracleNow is when all requests are made.
var oracleNow = time.UnixMilli(1_767_323_045_678)

// browserAuth returns what is under test, for each instance, and a Backend API
// whose nonces a scenario sets.
func (g *generator) browserAuth(t *testing.T) map[string]browser {
	t.Helper()
	auth := map[string]browser{}
	for name, cfg := range oracleInstances {
		backend := &handshakeBackend{jwksBackend: jwksBackend{keys: g.known()}}
		instance := newInstance(t, clerk.InstanceConfig{PublishableKey: cfg.publishableKey, FrontendAPI: cfg.proxy, PublicURL: testOrigin})
		auth[name] = browser{
			backend: backend,
			BrowserAuth: clerk.NewBrowserAuth(clerk.BrowserAuthConfig{
				Instance: instance,
				Verifier: clerk.NewVerifier(clerk.VerifierConfig{
					Backend: backend, Issuer: issuerOf(name), AuthorizedParties: []string{testOrigin},
					Now: func() time.Time { return oracleNow },
				}),
				Backend: backend,
				Logger:  slog.New(slog.DiscardHandler),
			}),
		}
	}
	return auth
}

// decidedBy is what BrowserAuth decides about s.
func (s *scenario) decidedBy(t *testing.T, auth browser) outcome {
	t.Helper()
	wire := s.wire()
	auth.backend.nonces, auth.backend.refreshes = maps.Clone(wire.Nonces), wire.Refreshes
	r := httptest.NewRequest(s.method, strings.TrimPrefix(wire.URL, testOrigin), nil)
	for name, value := range wire.Headers {
		r.Header.Set(name, value)
	}
	decision := auth.Authenticate(r)
	if decision.Err != nil {
		t.Errorf("%s\n%v", s, decision.Err)
	}
	o := outcome{
		State: string(decision.State), Reason: string(decision.Reason),
		User: decision.Session.AccountID, Session: decision.Session.ID,
		Location: decision.Redirect, Cookies: decision.Cookies,
	}
	active := decision.Session.ActiveOrganization
	o.Organization = strings.TrimSpace(strings.Join([]string{active.ID, active.Slug, active.Role}, " "))
	s.normalize(&o)
	return o
}

// normalize brings what differs without meaning into one form.
func (s *scenario) normalize(o *outcome) {
	o.Location = s.numberTokens(normalAddress(o.Location))
	for i := range o.Cookies {
		o.Cookies[i] = s.numberTokens(o.Cookies[i])
	}
	if len(o.Cookies) == 0 {
		o.Cookies = nil
	}
}

// normalAddress sorts the parameters of an address by name and decodes them as
// the URL standard does, which never fails.
func normalAddress(address string) string {
	base, query, ok := strings.Cut(address, "?")
	if !ok || query == "" {
		return base
	}
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = lenientUnescape(name), lenientUnescape(value)
		if name == "redirect_url" {
			value = normalAddress(value)
		}
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	if len(pairs) == 0 {
		return base
	}
	return base + "?" + strings.Join(pairs, "&")
}

func lenientUnescape(text string) string {
	var b strings.Builder
	text = strings.ReplaceAll(text, "+", " ")
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// differences are those that apply to a scenario the two disagree on.
func (s scenario) differences() (applied []difference) {
	for _, d := range differences {
		if d.applies(s) {
			applied = append(applied, d)
		}
	}
	return applied
}

// address is the address of the request without some parameters.
func (s scenario) address(without ...string) string {
	base, query, _ := strings.Cut(s.wire().URL, "?")
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(without, lenientUnescape(name))
	})
	return s.numberTokens(normalAddress(base + "?" + strings.Join(kept, "&")))
}
