package clerkdev

import (
	"crypto/sha1" //nolint:gosec // names cookies as Clerk does; nothing is secured by it
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Cookies and query parameters of Clerk's protocol.
const (
	sessionCookie    = "__session"
	uatCookie        = "__client_uat"
	devBrowserCookie = "__clerk_db_jwt"
	nonceParam       = "__clerk_handshake_nonce"
	handshakeParam   = "__clerk_handshake"
	ticketParam      = "__clerk_ticket"

	cookieAge = 365 * 24 * 60 * 60 // seconds
)

// nonces are the handshakes that the application has not asked for yet.
type nonces struct {
	mu      sync.Mutex
	pending map[string]handshake
}

type handshake struct {
	directives []string
	expires    time.Time
}

const nonceLifetime = time.Minute

// put keeps cookies to set and returns the nonce that stands for them, once.
func (n *nonces) put(directives []string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.pending == nil {
		n.pending = map[string]handshake{}
	}
	for nonce, h := range n.pending {
		if h.expires.Before(now) {
			delete(n.pending, nonce)
		}
	}
	nonce := newSecret()
	n.pending[nonce] = handshake{directives, now.Add(nonceLifetime)}
	return nonce
}

func (n *nonces) take(nonce string) ([]string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h, ok := n.pending[nonce]
	delete(n.pending, nonce)
	return h.directives, ok && time.Now().Before(h.expires)
}

// Frontend returns the Frontend API, the account portal and, at /__clerk/
// itself, pages that show what the instance knows and did. All of their paths
// begin with /__clerk. The application mounts it under its own origin. It protects
// itself against posts of other sites, and against names that lead other sites'
// pages to this machine.
func (e *Emulator) Frontend() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+mountPath+"/v1/client/handshake", e.handshake)
	mux.HandleFunc("POST "+mountPath+"/v1/client/sessions/{session}/tokens", e.refresh)
	mux.HandleFunc("POST "+mountPath+"/v1/client/sessions/{session}/touch", e.touch)
	mux.HandleFunc("GET "+mountPath+"/.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		e.view(func(s *state) { writeJSON(w, http.StatusOK, e.jwks(s)) })
	})
	mux.HandleFunc(mountPath+"/v1/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, e.logger, errUnknownURL)
	})
	e.mountClerkJS(mux)
	e.mountScripts(mux)
	e.mountPortal(mux)
	e.mountConsole(mux)
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := loopbackURL("http://" + r.Host); err != nil {
			http.Error(w, "the local Clerk emulator answers under names of this machine only", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.Header().Set("Cache-Control", "no-store")
		withMethod(mux).ServeHTTP(w, r)
	}))
}

// suffix tells the cookies of several instances on one host apart: the first
// characters of the publishable key's SHA-1, as ClerkJS has it.
func (e *Emulator) suffix() string {
	digest := sha1.Sum([]byte(e.PublishableKey())) //nolint:gosec // see the import
	return base64.URLEncoding.EncodeToString(digest[:])[:8]
}

// browser is who sent a request: the client that its cookie names and the
// session that is signed in there. Both are nil for a stranger.
type browser struct {
	client  *client
	session *session
	user    *user
}

func (e *Emulator) clientCookie() string { return "__client_" + e.suffix() }

// browserOf reads the request's cookie. An ended or expired session counts as
// none.
func (e *Emulator) browserOf(s *state, r *http.Request) (b browser) {
	cookie, err := r.Cookie(e.clientCookie())
	if err != nil || cookie.Value == "" {
		return b
	}
	for _, c := range s.Clients {
		if c.Secret == cookie.Value {
			return s.browserOf(c)
		}
	}
	return b
}

func (s *state) browserOf(c *client) browser {
	if v := s.Sessions[c.SessionID]; v != nil && v.status() == "active" {
		return browser{c, v, s.Users[v.UserID]}
	}
	return browser{client: c}
}

// directives are the Set-Cookie headers that tell the application how the
// browser stands: plain for old clients, with the suffix for the others.
func (e *Emulator) directives(s *state, b browser) ([]string, error) {
	_, directives, err := e.standing(s, b, e.publicURL)
	return directives, err
}

// standing is the browser's session token, "" without a session, and the
// directives. Pages of party's origin asked for them.
func (e *Emulator) standing(s *state, b browser, party *url.URL) (token string, directives []string, err error) {
	uat, age := int64(0), 0
	if b.session != nil {
		if token, err = e.sign(s, b.session.ID, TokenOptions{AuthorizedParty: party.Scheme + "://" + party.Host}); err != nil {
			return "", nil, err
		}
		uat, age = b.client.SignedInAt, cookieAge
	}
	for _, suffix := range []string{"", "_" + e.suffix()} {
		directives = append(directives,
			e.domainCookie(uatCookie+suffix, strconv.FormatInt(uat, 10), cookieAge),
			e.cookie(sessionCookie+suffix, token, age))
	}
	return token, directives, nil
}

// cookie is not HttpOnly: ClerkJS reads those that the application gets. It is the
// host's alone, as a session is with Clerk: other hosts get theirs by a handshake.
func (e *Emulator) cookie(name, value string, age int) string {
	return e.newCookie(name, value, age, "")
}

// domainCookie is the cookie of every host below the domain.
func (e *Emulator) domainCookie(name, value string, age int) string {
	return e.newCookie(name, value, age, e.domain)
}

func (e *Emulator) newCookie(name, value string, age int, domain string) string {
	maxAge := age
	if age == 0 {
		maxAge = -1
	}
	c := http.Cookie{Name: name, Value: value, Domain: domain, Path: "/", MaxAge: maxAge, SameSite: http.SameSiteLaxMode, Secure: e.publicURL.Scheme == "https"}
	return c.String()
}

// handshake answers a browser that the application sent here because its
// cookies did not agree: it goes back with a nonce for the right ones.
func (e *Emulator) handshake(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back, err := e.ownURL(query.Get("redirect_url"))
	if err != nil {
		writeError(w, e.logger, errValue("redirect_url", "redirect_url must be an address of the application's."))
		return
	}
	var directives []string
	var b browser
	e.view(func(s *state) {
		b = e.browserOf(s, r)
		_, directives, err = e.standing(s, b, back)
	})
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	parameters := back.Query()
	if e.development {
		token := query.Get(devBrowserCookie)
		if token == "" {
			token = "dvb_" + newSecret()
		}
		directives = append(directives, e.cookie(devBrowserCookie, token, cookieAge), e.cookie(devBrowserCookie+"_"+e.suffix(), token, cookieAge))
		parameters.Set(devBrowserCookie, token)
	}
	if query.Get("format") == "nonce" {
		parameters.Set(nonceParam, e.nonces.put(directives))
	} else {
		var token string
		e.view(func(s *state) {
			token, err = e.signJWT(s, categorySession, struct {
				Handshake []string `json:"handshake"`
			}{directives})
		})
		if err != nil {
			writeError(w, e.logger, err)
			return
		}
		parameters.Set(handshakeParam, token)
	}
	back.RawQuery = parameters.Encode()
	http.Redirect(w, r, back.String(), http.StatusTemporaryRedirect)
}

// refresh gives a page's script a new session token, as its answer and as the
// cookie. It answers 401 when the session is over, and then takes the cookies
// away.
func (e *Emulator) refresh(w http.ResponseWriter, r *http.Request) {
	var token string
	var directives []string
	var err error
	alive := false
	e.view(func(s *state) {
		b := e.browserOf(s, r)
		if alive = b.session != nil && b.session.ID == r.PathValue("session"); !alive && b.session != nil {
			return // somebody else is signed in by now: the page has to notice by itself
		}
		token, directives, err = e.standing(s, b, e.publicURL)
	})
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	setCookies(w, directives)
	if !alive {
		writeError(w, e.logger, errSessionEnded)
		return
	}
	writeJSON(w, http.StatusOK, tokenResource{Object: "token", JWT: token})
}

var errSessionEnded = &apiError{http.StatusUnauthorized, "authentication_invalid", "Invalid authentication", "The session has ended.", ""}

// touch makes an organization the active one of the browser's session, or none.
// A form is led on to its redirect_url, a script gets the session.
func (e *Emulator) touch(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		e.changeForClerkJS(w, r, e.touchSession)
		return
	}
	form, err := formOf(r)
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	back, err := e.ownURL(form.Get(redirectParam))
	if err != nil {
		writeError(w, e.logger, errValue(redirectParam, "redirect_url must be an address of the application's."))
		return
	}
	var directives []string
	err = e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) (err error) {
		b := e.browserOf(t.state, r)
		if b.session == nil || b.session.ID != r.PathValue("session") {
			return errSessionEnded
		}
		directives, err = e.activate(t, b, form.Get("active_organization_id"))
		return err
	})
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	setCookies(w, directives)
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

func setCookies(w http.ResponseWriter, directives []string) {
	for _, directive := range directives {
		w.Header().Add("Set-Cookie", directive)
	}
}

var errForeign = errors.New("clerkdev: the address is another origin's")

// ownURL returns the address if it is the application's, at whichever of its hosts,
// and the root for none.
func (e *Emulator) ownURL(raw string) (*url.URL, error) {
	if u, err := url.Parse(raw); err == nil && e.domain != "" && u.Port() == e.publicURL.Port() && strings.HasSuffix(u.Hostname(), "."+e.domain) {
		return resolveOwn(&url.URL{Scheme: e.publicURL.Scheme, Host: u.Host}, raw)
	}
	return resolveOwn(e.publicURL, raw)
}

// resolveOwn returns raw as an absolute address of the origin, which is its root
// for none. An address of another origin is an error.
func resolveOwn(origin *url.URL, raw string) (*url.URL, error) {
	if raw == "" {
		return origin.JoinPath("/"), nil
	}
	target, err := url.Parse(raw)
	if err != nil || strings.ContainsAny(raw, "\\\r\n\t") {
		return nil, errForeign
	}
	resolved := origin.ResolveReference(target)
	if resolved.Scheme != origin.Scheme || resolved.Host != origin.Host || resolved.User != nil || resolved.Opaque != "" {
		return nil, errForeign
	}
	return resolved, nil
}

// signIn makes the visit's browser somebody's: a session and a client, whose
// secret is the cookie that is returned with the others. An earlier session of
// the browser's ends.
func (e *Emulator) signIn(v *visit, find func(*tx) (*user, error)) (directives []string, err error) {
	err = e.update(senderOf(v.r.RemoteAddr, v.r.UserAgent()), func(t *tx) error {
		u, err := find(t)
		if err != nil {
			return err
		}
		if u.Banned {
			return errBanned
		}
		b := e.browserOf(t.state, v.r)
		if b.session != nil {
			if err := t.endSession(b.session, "removed"); err != nil {
				return err
			}
		}
		c := &client{ID: newID("client"), Secret: newSecret()}
		if _, err := t.openSession(u, c); err != nil {
			return err
		}
		if b.client != nil {
			delete(t.Clients, b.client.ID)
		}
		t.Clients[c.ID] = c
		v.browser = t.browserOf(c)
		directives, err = e.clientDirectives(t.state, v.browser)
		return err
	})
	return directives, err
}

// openSession signs a user in on a client, in the organization they were in last.
func (t *tx) openSession(u *user, c *client) (*session, error) {
	organizationID := u.LastOrganizationID
	if u.Task == taskChooseOrganization {
		organizationID = ""
	} else if mine := t.membershipsOf(u.ID); !slices.ContainsFunc(mine, func(m *membership) bool { return m.OrganizationID == organizationID }) {
		if organizationID = ""; len(mine) > 0 {
			organizationID = mine[0].OrganizationID
		}
	}
	made, err := t.createSession(u, c.ID, organizationID)
	if err != nil {
		return nil, err
	}
	// The real time, which tokens are issued by: one that was issued before
	// __client_uat is sent to the handshake.
	c.SessionID, c.SignedInAt = made.ID, time.Now().Unix()
	return made, nil
}

// clientDirectives are the directives with the browser's own cookie.
func (e *Emulator) clientDirectives(s *state, b browser) ([]string, error) {
	directives, err := e.directives(s, b)
	own := http.Cookie{
		Name: e.clientCookie(), Value: b.client.Secret, Domain: e.domain, Path: mountPath, MaxAge: cookieAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: e.publicURL.Scheme == "https",
	}
	return append(directives, own.String()), err
}

// activate makes an organization, by its id or slug, the session's active one;
// "" makes none.
func (e *Emulator) activate(t *tx, b browser, idOrSlug string) ([]string, error) {
	organizationID := ""
	if idOrSlug != "" {
		o := t.organization(idOrSlug)
		if o == nil || t.membership(o.ID, b.user.ID) == nil {
			return nil, errNotFound("organization of yours")
		}
		organizationID = o.ID
	}
	changed := *b.session
	changed.OrganizationID, changed.UpdatedAt, changed.LastActiveAt = organizationID, t.now, t.now
	t.Sessions[changed.ID] = &changed
	u := *t.Users[b.user.ID]
	u.LastOrganizationID = organizationID
	if organizationID != "" {
		u.fulfil(taskChooseOrganization)
	}
	t.Users[u.ID] = &u
	return e.directives(t.state, browser{b.client, &changed, &u})
}
