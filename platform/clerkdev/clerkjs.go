package clerkdev

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The Frontend API as ClerkJS speaks it: forms in, {"response", "client"} out,
// methods other than GET and POST named by the parameter _method, the browser
// known by its cookie. What ClerkJS asks for beyond this is a 404 that names
// the emulator.

// frontendCall is one request of ClerkJS'. Its browser is kept up to date by
// handlers that change it.
type frontendCall struct {
	browser
	r    *http.Request
	form url.Values
	// renewed: the browser's own cookie has to be set.
	renewed bool
}

type (
	frontendRead   = func(*frontendCall, *state) (any, error)
	frontendChange = func(*frontendCall, *tx) (any, error)
)

func (e *Emulator) mountClerkJS(mux *http.ServeMux) {
	for pattern, handle := range map[string]frontendRead{
		"GET /client":                                           e.getClient,
		"GET /client/sign_ins/{attempt}":                        e.getSignIn,
		"GET /client/sign_ups/{attempt}":                        e.getSignUp,
		"GET /client/sessions/{session}":                        e.getOwnSession,
		"GET /me":                                               signedIn(e.getMe),
		"GET /me/sessions/active":                               signedIn(e.listOwnSessions),
		"GET /me/organization_memberships":                      signedIn(e.listOwnMemberships),
		"GET /me/organization_invitations":                      signedIn(e.listOwnInvitations),
		"GET /me/organization_suggestions":                      signedIn(nothingListed),
		"GET /organizations/{organization}":                     signedIn(e.getOwnOrganization),
		"GET /organizations/{organization}/memberships":         signedIn(e.listFellows),
		"GET /organizations/{organization}/invitations":         signedIn(e.listSentInvitations),
		"GET /organizations/{organization}/roles":               signedIn(e.listRoles),
		"GET /organizations/{organization}/domains":             signedIn(nothingListed),
		"GET /organizations/{organization}/membership_requests": signedIn(nothingListed),
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+mountPath+"/v1"+path, func(w http.ResponseWriter, r *http.Request) { e.readForClerkJS(w, r, handle) })
	}
	for pattern, handle := range map[string]frontendChange{
		"DELETE /client":                                                     e.signOutEverywhere,
		"DELETE /client/sessions":                                            e.signOutEverywhere,
		"POST /client/sessions/{session}/end":                                e.endOwnSession("ended"),
		"POST /client/sessions/{session}/remove":                             e.endOwnSession("removed"),
		"POST /client/sign_ins":                                              e.startSignIn,
		"POST /client/sign_ins/{attempt}/prepare_first_factor":               e.prepareFirstFactor,
		"POST /client/sign_ins/{attempt}/attempt_first_factor":               e.attemptFirstFactor,
		"POST /client/sign_ups":                                              e.startSignUp,
		"PATCH /client/sign_ups/{attempt}":                                   e.continueSignUp,
		"PATCH /me":                                                          changesOwn(e.patchMe),
		"POST /me/change_password":                                           changesOwn(e.changePassword),
		"POST /me/organization_invitations/{invitation}/accept":              changesOwn(e.acceptOwnInvitation),
		"DELETE /me/organization_memberships/{organization}":                 changesOwn(e.leaveOrganization),
		"POST /organizations":                                                changesOwn(e.createOwnOrganization),
		"PATCH /organizations/{organization}":                                changesOwn(e.patchOwnOrganization),
		"DELETE /organizations/{organization}":                               changesOwn(e.deleteOwnOrganization),
		"POST /organizations/{organization}/invitations":                     changesOwn(e.invite),
		"POST /organizations/{organization}/invitations/bulk":                changesOwn(e.inviteMany),
		"POST /organizations/{organization}/invitations/{invitation}/revoke": changesOwn(e.revokeSentInvitation),
		"PATCH /organizations/{organization}/memberships/{user}":             changesOwn(e.changeRole),
		"DELETE /organizations/{organization}/memberships/{user}":            changesOwn(e.removeFellow),
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+mountPath+"/v1"+path, func(w http.ResponseWriter, r *http.Request) { e.changeForClerkJS(w, r, handle) })
	}
	mux.HandleFunc("GET "+mountPath+"/v1/environment", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, e.environment())
	})
	mux.HandleFunc("POST "+mountPath+"/v1/dev_browser", func(w http.ResponseWriter, _ *http.Request) {
		if !e.development {
			writeError(w, e.logger, errUnknownURL)
			return
		}
		writeJSON(w, http.StatusOK, struct {
			Object string `json:"object"`
			ID     string `json:"id"`
		}{"dev_browser", "dvb_" + newSecret()})
	})
}

// withMethod gives a request the method that its parameter _method names:
// browsers send PATCH and DELETE to another origin only after asking.
func withMethod(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method := r.URL.Query().Get("_method"); r.Method == http.MethodPost && slices.Contains([]string{http.MethodPatch, http.MethodPut, http.MethodDelete}, method) {
			overridden := *r
			overridden.Method = method
			r = &overridden
		}
		next.ServeHTTP(w, r)
	})
}

// piggyback is an answer with the client beside it, as nearly all have it.
type piggyback struct {
	Response any             `json:"response"`
	Client   *clientResource `json:"client"`
}

func (e *Emulator) readForClerkJS(w http.ResponseWriter, r *http.Request, handle frontendRead) {
	var answer piggyback
	var err error
	e.view(func(s *state) {
		c := &frontendCall{browser: e.browserOf(s, r), r: r}
		if answer.Response, err = handle(c, s); err == nil && c.session != nil {
			answer.Client, err = e.clientResource(s, c.browser)
		}
	})
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (e *Emulator) changeForClerkJS(w http.ResponseWriter, r *http.Request, handle frontendChange) {
	form, err := formOf(r)
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	var answer piggyback
	var directives []string
	err = e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) (err error) {
		c := &frontendCall{browser: e.browserOf(t.state, r), r: r, form: form}
		if answer.Response, err = handle(c, t); err != nil || c.client == nil {
			return err
		}
		c.browser = t.browserOf(t.Clients[c.client.ID])
		if answer.Client, err = e.clientResource(t.state, c.browser); err != nil {
			return err
		}
		if c.renewed {
			directives, err = e.clientDirectives(t.state, c.browser)
		} else {
			directives, err = e.directives(t.state, c.browser)
		}
		return err
	})
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	setCookies(w, directives)
	writeJSON(w, http.StatusOK, answer)
}

// formOf reads the body, which is a form whatever the method that _method names.
func formOf(r *http.Request) (url.Values, error) {
	posted := *r
	posted.Method, posted.Form, posted.PostForm = http.MethodPost, nil, nil
	if err := posted.ParseForm(); err != nil {
		return nil, errBadRequest("request_body_invalid", "The form could not be read.")
	}
	return posted.PostForm, nil
}

// value returns a field of the form, nil when it was not sent.
func (c *frontendCall) value(name string) *string {
	if !c.form.Has(name) {
		return nil
	}
	return new(strings.TrimSpace(c.form.Get(name)))
}

// filled returns a field of the form, nil when it is empty.
func (c *frontendCall) filled(name string) *string {
	if value := c.value(name); value != nil && *value != "" {
		return value
	}
	return nil
}

var (
	errSignedOut     = &apiError{http.StatusUnauthorized, "signed_out", "Signed out", "You are signed out.", ""}
	errSessionExists = &apiError{http.StatusBadRequest, "session_exists", "Session already exists", "You're already signed in.", ""}
	errNotAllowed    = &apiError{http.StatusForbidden, "not_allowed_access", "Access denied", "You are not allowed to do this in the organization.", ""}
)

func signedIn(handle frontendRead) frontendRead {
	return func(c *frontendCall, s *state) (any, error) {
		if c.session == nil {
			return nil, errSignedOut
		}
		return handle(c, s)
	}
}

func changesOwn(handle frontendChange) frontendChange {
	return func(c *frontendCall, t *tx) (any, error) {
		if c.session == nil {
			return nil, errSignedOut
		}
		return handle(c, t)
	}
}

// --- The client and its session --------------------------------------------

func (e *Emulator) getClient(c *frontendCall, s *state) (any, error) {
	if c.client == nil {
		return nil, nil
	}
	return e.clientResource(s, c.browser)
}

func (e *Emulator) getOwnSession(c *frontendCall, s *state) (any, error) {
	if c.session == nil || c.session.ID != c.r.PathValue("session") {
		return nil, errNotFound("session")
	}
	return e.clientSessionResource(s, c.session)
}

// touchSession makes an organization the active one of the session, or none.
func (e *Emulator) touchSession(c *frontendCall, t *tx) (any, error) {
	if c.session == nil || c.session.ID != c.r.PathValue("session") {
		return nil, errSessionEnded
	}
	organizationID := c.session.OrganizationID
	if c.form.Has("active_organization_id") {
		organizationID = c.form.Get("active_organization_id")
	}
	if _, err := e.activate(t, c.browser, organizationID); err != nil {
		return nil, err
	}
	return e.clientSessionResource(t.state, t.Sessions[c.session.ID])
}

func (e *Emulator) endOwnSession(status string) frontendChange {
	return func(c *frontendCall, t *tx) (any, error) {
		if c.session == nil || c.session.ID != c.r.PathValue("session") {
			return nil, errNotFound("session")
		}
		if err := t.endSession(c.session, status); err != nil {
			return nil, err
		}
		return e.clientSessionResource(t.state, t.Sessions[c.session.ID])
	}
}

func (e *Emulator) signOutEverywhere(c *frontendCall, t *tx) (any, error) {
	if c.client == nil {
		return nil, nil
	}
	if c.session != nil {
		if err := t.endSession(c.session, "removed"); err != nil {
			return nil, err
		}
	}
	e.attempts.forget(c.client.ID)
	return e.clientResource(t.state, t.browserOf(t.Clients[c.client.ID]))
}

// --- Signing in and up ------------------------------------------------------

// verificationCode is what every code that would be mailed is: that of Clerk's
// own test addresses.
const verificationCode = "424242"

// attempts are the sign-ins and sign-ups under way, by the client's id.
type attempts struct {
	mu       sync.Mutex
	byClient map[string]attempt
}

type attempt struct {
	signIn  *signInResource
	signUp  *signUpResource
	expires time.Time
}

const attemptLifetime = time.Hour

func (a *attempts) of(clientID string) attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byClient[clientID]
	if known.expires.Before(time.Now()) {
		return attempt{}
	}
	return known
}

func (a *attempts) put(clientID string, changed attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.byClient == nil {
		a.byClient = map[string]attempt{}
	}
	maps.DeleteFunc(a.byClient, func(_ string, known attempt) bool { return known.expires.Before(now) })
	changed.expires = now.Add(attemptLifetime)
	a.byClient[clientID] = changed
}

func (a *attempts) forget(clientID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byClient, clientID)
}

// ensureClient makes a stranger's browser a client.
func (c *frontendCall) ensureClient(t *tx) {
	if c.client != nil {
		return
	}
	c.client, c.renewed = &client{ID: newID("client"), Secret: newSecret()}, true
	t.Clients[c.client.ID] = c.client
}

// enter signs the browser in. The cookie changes with that, so that one who knew
// the stranger's is not let in with them.
func (c *frontendCall) enter(t *tx, u *user) (*session, error) {
	entered := *c.client
	made, err := t.openSession(u, &entered)
	if err != nil {
		return nil, err
	}
	entered.Secret, c.renewed = newSecret(), true
	t.Clients[entered.ID] = &entered
	c.client = &entered
	return made, nil
}

var errUnknownIdentifier = &apiError{http.StatusUnprocessableEntity, "form_identifier_not_found", "Couldn't find your account.", "Couldn't find your account.", "identifier"}

func (e *Emulator) startSignIn(c *frontendCall, t *tx) (any, error) {
	if c.session != nil {
		return nil, errSessionExists
	}
	if strategy := c.form.Get("strategy"); strategy != "" && !slices.Contains([]string{"password", "email_code"}, strategy) {
		return nil, errValue("strategy", "The local emulator knows passwords and email codes alone.")
	}
	identifier := c.filled("identifier")
	if identifier == nil {
		return nil, errMissing("identifier")
	}
	u := t.userByEmail(*identifier)
	if u == nil {
		return nil, errUnknownIdentifier
	}
	if u.Banned {
		return nil, errBanned
	}
	started := &signInResource{
		Object: "sign_in_attempt", ID: newID("sia"), Status: "needs_first_factor", Identifier: *identifier,
		SupportedIdentifiers: []string{"email_address"}, AbandonAt: t.now + attemptLifetime.Milliseconds(),
		UserData: &userDataResource{FirstName: u.FirstName, LastName: u.LastName}, userID: u.ID,
	}
	if u.PasswordHash != nil {
		started.SupportedFirstFactors = append(started.SupportedFirstFactors, factorResource{Strategy: "password"})
	}
	for _, email := range u.Emails {
		started.SupportedFirstFactors = append(started.SupportedFirstFactors, factorResource{
			Strategy: "email_code", EmailAddressID: email.ID, SafeIdentifier: email.Value, Primary: email.ID == text(u.PrimaryEmailID),
		})
	}
	if c.form.Get("strategy") == "password" && c.form.Get("password") != "" && !u.hasPassword(c.form.Get("password")) {
		return nil, errIncorrectPassword
	}
	c.ensureClient(t)
	if c.form.Get("strategy") == "password" && c.form.Get("password") != "" {
		if err := c.complete(t, started, "password"); err != nil {
			return nil, err
		}
	}
	e.attempts.put(c.client.ID, attempt{signIn: started})
	return started, nil
}

var (
	errIncorrectPassword = &apiError{http.StatusUnprocessableEntity, "form_password_incorrect", "is incorrect", "Password is incorrect. Try again, or use another method.", "password"}
	errIncorrectCode     = &apiError{http.StatusUnprocessableEntity, "form_code_incorrect", "is incorrect", "Incorrect code. The local emulator's is always " + verificationCode + ".", "code"}
)

func (u *user) hasPassword(password string) bool {
	return bcrypt.CompareHashAndPassword(u.PasswordHash, []byte(password)) == nil
}

// complete signs in whom the attempt is about.
func (c *frontendCall) complete(t *tx, a *signInResource, strategy string) error {
	u := t.Users[a.userID]
	if u == nil {
		return errUnknownIdentifier
	}
	made, err := c.enter(t, u)
	if err != nil {
		return err
	}
	a.Status, a.CreatedSessionID = "complete", &made.ID
	a.FirstFactorVerification = &verificationResource{Object: "verification_" + strategy, Status: "verified", Strategy: strategy}
	return nil
}

// signInUnderWay returns a copy of the attempt that the path names.
func (e *Emulator) signInUnderWay(c *frontendCall) (*signInResource, error) {
	if c.client != nil {
		if known := e.attempts.of(c.client.ID).signIn; known != nil && known.ID == c.r.PathValue("attempt") {
			return new(*known), nil
		}
	}
	return nil, errNotFound("sign-in")
}

func (e *Emulator) getSignIn(c *frontendCall, _ *state) (any, error) { return e.signInUnderWay(c) }

func (e *Emulator) prepareFirstFactor(c *frontendCall, t *tx) (any, error) {
	a, err := e.signInUnderWay(c)
	if err != nil {
		return nil, err
	}
	if c.form.Get("strategy") != "email_code" {
		return nil, errValue("strategy", "The local emulator sends codes by email alone.")
	}
	a.FirstFactorVerification = &verificationResource{
		Object: "verification_email_code", Status: "unverified", Strategy: "email_code", ExpireAt: new(t.now + attemptLifetime.Milliseconds()),
	}
	e.attempts.put(c.client.ID, attempt{signIn: a})
	return a, nil
}

func (e *Emulator) attemptFirstFactor(c *frontendCall, t *tx) (any, error) {
	a, err := e.signInUnderWay(c)
	if err != nil {
		return nil, err
	}
	if c.session != nil {
		return nil, errSessionExists
	}
	u := t.Users[a.userID]
	if u == nil {
		return nil, errUnknownIdentifier
	}
	strategy := c.form.Get("strategy")
	switch {
	case strategy == "password" && !u.hasPassword(c.form.Get("password")):
		return nil, errIncorrectPassword
	case strategy == "email_code" && c.form.Get("code") != verificationCode:
		return nil, errIncorrectCode
	case strategy != "password" && strategy != "email_code":
		return nil, errValue("strategy", "The local emulator knows passwords and email codes alone.")
	}
	if err := c.complete(t, a, strategy); err != nil {
		return nil, err
	}
	e.attempts.put(c.client.ID, attempt{signIn: a})
	return a, nil
}

func (e *Emulator) startSignUp(c *frontendCall, t *tx) (any, error) {
	if c.session != nil {
		return nil, errSessionExists
	}
	return e.advanceSignUp(c, t, &signUpResource{
		Object: "sign_up_attempt", ID: newID("sua"), RequiredFields: []string{"email_address", "password"},
		OptionalFields: []string{"first_name", "last_name"}, UnverifiedFields: []string{}, Verifications: map[string]any{},
		UnsafeMetadata: emptyObject, AbandonAt: t.now + attemptLifetime.Milliseconds(),
	})
}

func (e *Emulator) signUpUnderWay(c *frontendCall) (*signUpResource, error) {
	if c.client != nil {
		if known := e.attempts.of(c.client.ID).signUp; known != nil && known.ID == c.r.PathValue("attempt") {
			return new(*known), nil
		}
	}
	return nil, errNotFound("sign-up")
}

func (e *Emulator) getSignUp(c *frontendCall, _ *state) (any, error) { return e.signUpUnderWay(c) }

func (e *Emulator) continueSignUp(c *frontendCall, t *tx) (any, error) {
	a, err := e.signUpUnderWay(c)
	if err != nil {
		return nil, err
	}
	if c.session != nil || a.Status == "complete" {
		return nil, errSessionExists
	}
	return e.advanceSignUp(c, t, a)
}

// advanceSignUp adds what the form has, and makes the account when nothing is
// missing any more. Addresses count as verified.
func (e *Emulator) advanceSignUp(c *frontendCall, t *tx, a *signUpResource) (any, error) {
	for name, into := range map[string]**string{
		"email_address": &a.EmailAddress, "first_name": &a.FirstName, "last_name": &a.LastName,
	} {
		if value := c.filled(name); value != nil {
			*into = value
		}
	}
	if password := c.form.Get("password"); password != "" {
		a.password, a.HasPassword = &password, true
	}
	a.Status, a.MissingFields = "missing_requirements", []string{}
	if a.EmailAddress == nil {
		a.MissingFields = append(a.MissingFields, "email_address")
	}
	if a.password == nil {
		a.MissingFields = append(a.MissingFields, "password")
	}
	if len(a.MissingFields) > 0 {
		c.ensureClient(t)
		e.attempts.put(c.client.ID, attempt{signUp: a})
		return a, nil
	}
	u, err := t.createUser(newUser{firstName: a.FirstName, lastName: a.LastName, emails: []string{*a.EmailAddress}, password: a.password})
	if err != nil {
		return nil, err
	}
	c.ensureClient(t)
	made, err := c.enter(t, u)
	if err != nil {
		return nil, err
	}
	a.Status, a.password, a.CreatedUserID, a.CreatedSessionID = "complete", nil, &u.ID, &made.ID
	e.attempts.put(c.client.ID, attempt{signUp: a})
	return a, nil
}

// --- The person -------------------------------------------------------------

func (e *Emulator) getMe(c *frontendCall, s *state) (any, error) {
	return s.clientUserResource(c.user), nil
}

func (e *Emulator) patchMe(c *frontendCall, t *tx) (any, error) {
	changed := *t.Users[c.user.ID]
	for name := range c.form {
		switch name {
		case "first_name":
			changed.FirstName = c.filled(name)
		case "last_name":
			changed.LastName = c.filled(name)
		case "unsafe_metadata":
			given := json.RawMessage(c.form.Get(name))
			metadata, err := object(name, &given)
			if err != nil {
				return nil, err
			}
			changed.UnsafeMetadata = metadata
		default:
			return nil, errUnknownParam(name)
		}
	}
	if err := t.checkUser(&changed); err != nil {
		return nil, err
	}
	if err := t.replaceUser(changed); err != nil {
		return nil, err
	}
	return t.clientUserResource(t.Users[changed.ID]), nil
}

func (e *Emulator) changePassword(c *frontendCall, t *tx) (any, error) {
	changed := *t.Users[c.user.ID]
	if changed.PasswordHash != nil && !changed.hasPassword(c.form.Get("current_password")) {
		wrong := *errIncorrectPassword
		wrong.param = "current_password"
		return nil, &wrong
	}
	if err := changed.setPassword(c.form.Get("new_password"), t.now); err != nil {
		return nil, err
	}
	if err := t.replaceUser(changed); err != nil {
		return nil, err
	}
	return t.clientUserResource(t.Users[changed.ID]), nil
}

func (e *Emulator) listOwnSessions(c *frontendCall, s *state) (any, error) {
	list := []ownSessionResource{}
	for _, v := range s.Sessions {
		if v.UserID == c.user.ID && v.status() == "active" {
			list = append(list, ownSessionResource{
				sessionResource: s.sessionResource(v),
				LatestActivity:  activityResource{Object: "session_activity", ID: "act" + strings.TrimPrefix(v.ID, "sess"), BrowserName: "Browser", IPAddress: "127.0.0.1"},
			})
		}
	}
	slices.SortFunc(list, func(a, b ownSessionResource) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
	return list, nil
}

// pageOf answers a page of a list as limit and offset want it.
func pageOf[T any](c *frontendCall, all []T, createdAt func(T) int64) (any, error) {
	query := c.r.URL.Query()
	query.Del("order_by")
	return listed(query, all, orders[T]{"created_at": by(createdAt)})
}

func nothingListed(*frontendCall, *state) (any, error) {
	return listResource[struct{}]{Data: []struct{}{}}, nil
}

func (e *Emulator) listOwnMemberships(c *frontendCall, s *state) (any, error) {
	all := []clientMembershipResource{}
	for _, m := range s.membershipsOf(c.user.ID) {
		all = append(all, s.clientMembershipResource(m))
	}
	return pageOf(c, all, func(m clientMembershipResource) int64 { return m.CreatedAt })
}

// invitationsOf are those that wait for the person.
func (s *state) invitationsOf(u *user) (all []*invitation) {
	for _, i := range s.Invitations {
		isTheirs := slices.ContainsFunc(u.Emails, func(email identification) bool { return strings.EqualFold(email.Value, i.EmailAddress) })
		if isTheirs && i.invites(time.Now().UnixMilli()) == nil {
			all = append(all, i)
		}
	}
	return all
}

func (e *Emulator) listOwnInvitations(c *frontendCall, s *state) (any, error) {
	all := []invitationResource{}
	for _, i := range s.invitationsOf(c.user) {
		all = append(all, s.clientInvitationResource(i))
	}
	return pageOf(c, all, func(i invitationResource) int64 { return i.CreatedAt })
}

func (e *Emulator) acceptOwnInvitation(c *frontendCall, t *tx) (any, error) {
	for _, i := range t.invitationsOf(c.user) {
		if i.ID == c.r.PathValue("invitation") {
			if err := t.acceptInvitation(i, c.user); err != nil {
				return nil, err
			}
			return t.clientInvitationResource(t.Invitations[i.ID]), nil
		}
	}
	return nil, errNotFound("invitation")
}

// --- Their organizations ----------------------------------------------------

// permitted returns the organization of the path, if the person is in it and
// their role has the permission; "" asks for none.
func (c *frontendCall) permitted(s *state, permission string) (*organization, error) {
	o := s.organization(c.r.PathValue("organization"))
	if o == nil {
		return nil, errNotFound("organization")
	}
	m := s.membership(o.ID, c.user.ID)
	if m == nil {
		return nil, errNotFound("organization")
	}
	if permission != "" && !slices.Contains(s.permissions(m.Role), permission) {
		return nil, errNotAllowed
	}
	return o, nil
}

const (
	readMembers   = "org:sys_memberships:read"
	manageMembers = "org:sys_memberships:manage"
	manageProfile = "org:sys_profile:manage"
	deleteProfile = "org:sys_profile:delete"
)

func (e *Emulator) getOwnOrganization(c *frontendCall, s *state) (any, error) {
	o, err := c.permitted(s, "")
	if err != nil {
		return nil, err
	}
	return s.clientOrganizationResource(o), nil
}

func (e *Emulator) listFellows(c *frontendCall, s *state) (any, error) {
	o, err := c.permitted(s, readMembers)
	if err != nil {
		return nil, err
	}
	query := c.r.URL.Query()
	wanted := slices.Concat(query["role"], query["role[]"])
	all := []clientMembershipResource{}
	for _, m := range s.membershipsIn(o.ID) {
		if (len(wanted) == 0 || slices.Contains(wanted, m.Role)) && s.Users[m.UserID].asked(url.Values{"query": query["query"]}) {
			all = append(all, s.clientMembershipResource(m))
		}
	}
	return pageOf(c, all, func(m clientMembershipResource) int64 { return m.CreatedAt })
}

func (e *Emulator) listSentInvitations(c *frontendCall, s *state) (any, error) {
	o, err := c.permitted(s, manageMembers)
	if err != nil {
		return nil, err
	}
	query := c.r.URL.Query()
	wanted := slices.Concat(query["status"], query["status[]"])
	all := []invitationResource{}
	for _, i := range s.Invitations {
		if i.OrganizationID == o.ID && (len(wanted) == 0 || slices.Contains(wanted, i.Status)) {
			all = append(all, s.clientInvitationResource(i))
		}
	}
	return pageOf(c, all, func(i invitationResource) int64 { return i.CreatedAt })
}

func (e *Emulator) listRoles(c *frontendCall, s *state) (any, error) {
	if _, err := c.permitted(s, ""); err != nil {
		return nil, err
	}
	all := s.allRoles("")
	return pageOf(c, all, func(r roleResource) int64 { return r.CreatedAt })
}

func (e *Emulator) createOwnOrganization(c *frontendCall, t *tx) (any, error) {
	o, err := t.createOrganization(newOrganization{name: text(c.value("name")), slug: text(c.value("slug")), createdBy: c.user.ID})
	if err != nil {
		return nil, err
	}
	return t.clientOrganizationResource(o), nil
}

func (e *Emulator) patchOwnOrganization(c *frontendCall, t *tx) (any, error) {
	o, err := c.permitted(t.state, manageProfile)
	if err != nil {
		return nil, err
	}
	changed := *o
	if name := c.value("name"); name != nil {
		if *name == "" {
			return nil, errMissing("name")
		}
		if err := checkName("name", name); err != nil {
			return nil, err
		}
		changed.Name = *name
	}
	if slug := c.filled("slug"); slug != nil {
		if err := t.checkSlug(*slug, o.ID); err != nil {
			return nil, err
		}
		changed.Slug = *slug
	}
	if err := t.replaceOrganization(changed); err != nil {
		return nil, err
	}
	return t.clientOrganizationResource(t.Organizations[o.ID]), nil
}

func (e *Emulator) deleteOwnOrganization(c *frontendCall, t *tx) (any, error) {
	o, err := c.permitted(t.state, deleteProfile)
	if err != nil {
		return nil, err
	}
	return deletedResource{Object: "organization", ID: o.ID, Slug: o.Slug, Deleted: true}, t.deleteOrganization(o)
}

func (e *Emulator) leaveOrganization(c *frontendCall, t *tx) (any, error) {
	o, err := c.permitted(t.state, "")
	if err != nil {
		return nil, err
	}
	m := t.membership(o.ID, c.user.ID)
	return deletedResource{Object: "organization_membership", ID: m.ID, Deleted: true}, t.deleteMembership(m)
}

func (e *Emulator) invite(c *frontendCall, t *tx) (any, error) {
	o, err := c.permitted(t.state, manageMembers)
	if err != nil {
		return nil, err
	}
	i, err := t.createInvitation(o, newInvitation{email: text(c.value("email_address")), role: text(c.value("role")), inviterID: c.user.ID})
	if err != nil {
		return nil, err
	}
	return t.clientInvitationResource(i), nil
}

// inviteMany invites one address after the other, and none when the first cannot
// be: ClerkJS sends what it has checked.
func (e *Emulator) inviteMany(c *frontendCall, t *tx) (any, error) {
	o, err := c.permitted(t.state, manageMembers)
	if err != nil {
		return nil, err
	}
	addresses := c.form["email_address"]
	if len(addresses) == 0 {
		return nil, errMissing("email_address")
	}
	for _, address := range addresses {
		if err := checkEmail(address); err != nil {
			return nil, err
		}
	}
	made := []invitationResource{}
	for _, address := range addresses {
		i, err := t.createInvitation(o, newInvitation{email: address, role: text(c.value("role")), inviterID: c.user.ID})
		if err != nil && len(made) == 0 {
			return nil, err
		}
		if err == nil {
			made = append(made, t.clientInvitationResource(i))
		}
	}
	return made, nil
}

func (e *Emulator) revokeSentInvitation(c *frontendCall, t *tx) (any, error) {
	o, err := c.permitted(t.state, manageMembers)
	if err != nil {
		return nil, err
	}
	i := t.Invitations[c.r.PathValue("invitation")]
	if i == nil || i.OrganizationID != o.ID {
		return nil, errNotFound("invitation")
	}
	if i, err = t.revokeInvitation(i); err != nil {
		return nil, err
	}
	return t.clientInvitationResource(i), nil
}

// fellow returns the membership that the path names.
func (c *frontendCall) fellow(t *tx) (*membership, error) {
	o, err := c.permitted(t.state, manageMembers)
	if err != nil {
		return nil, err
	}
	if m := t.membership(o.ID, c.r.PathValue("user")); m != nil {
		return m, nil
	}
	return nil, errNotFound("membership")
}

func (e *Emulator) changeRole(c *frontendCall, t *tx) (any, error) {
	m, err := c.fellow(t)
	if err != nil {
		return nil, err
	}
	changed := *m
	changed.Role = text(c.value("role"))
	if err := t.checkRole(changed.Role); err != nil {
		return nil, err
	}
	if err := t.replaceMembership(changed); err != nil {
		return nil, err
	}
	return t.clientMembershipResource(t.Memberships[m.ID]), nil
}

func (e *Emulator) removeFellow(c *frontendCall, t *tx) (any, error) {
	m, err := c.fellow(t)
	if err != nil {
		return nil, err
	}
	resource := t.clientMembershipResource(m)
	return resource, t.deleteMembership(m)
}
