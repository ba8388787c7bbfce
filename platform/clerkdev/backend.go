package clerkdev

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// maxBody bounds what the Backend API reads of one request.
const maxBody = 1 << 20

// Backend returns the Backend API, to be served at the root of a listener. Every
// request needs the secret key as a bearer token. Beside Clerk's paths, which
// begin with /v1/, there is /outage: GET it, or PUT an [Outage] there.
func (e *Emulator) Backend() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(*call) (any, error){
		"GET /v1/jwks":                      func(c *call) (any, error) { return e.jwks(c.state), nil },
		"GET /v1/clients/handshake_payload": e.handshakePayload,

		"GET /v1/users":                                                 e.listUsers,
		"GET /v1/users/count":                                           e.countUsers,
		"GET /v1/users/{user}":                                          e.getUser,
		"GET /v1/users/{user}/organization_memberships":                 e.listUsersMemberships,
		"GET /v1/users/{user}/organization_invitations":                 e.listUsersInvitations,
		"GET /v1/organizations":                                         e.listOrganizations,
		"GET /v1/organizations/{organization}":                          e.getOrganization,
		"GET /v1/organizations/{organization}/memberships":              e.listOrganizationsMemberships,
		"GET /v1/organization_memberships":                              e.listMemberships,
		"GET /v1/organizations/{organization}/invitations":              e.listOrganizationsInvitations,
		"GET /v1/organizations/{organization}/invitations/{invitation}": e.getInvitation,
		"GET /v1/organization_invitations":                              e.listInvitations,
		"GET /v1/organizations/{organization}/domains":                  e.listDomains,
		"GET /v1/organization_roles":                                    e.listAllRoles,
		"GET /v1/organization_roles/{role}":                             e.getRole,
		"GET /v1/sessions":                                              e.listSessions,
		"GET /v1/sessions/{session}":                                    e.getSession,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var answer any
			var err error
			e.view(func(s *state) { answer, err = handle(&call{r: r, state: s}) })
			e.answer(w, answer, err)
		})
	}
	for pattern, handle := range map[string]func(*call, *tx) (any, error){
		"POST /v1/users":                                                        e.postUser,
		"PATCH /v1/users/{user}":                                                e.patchUser,
		"DELETE /v1/users/{user}":                                               e.removeUser,
		"PATCH /v1/users/{user}/metadata":                                       e.changeUserMetadata(merged),
		"PUT /v1/users/{user}/metadata":                                         e.changeUserMetadata(replaced),
		"POST /v1/users/{user}/ban":                                             e.banUser(true),
		"POST /v1/users/{user}/unban":                                           e.banUser(false),
		"POST /v1/users/{user}/lock":                                            e.lockUser(true),
		"POST /v1/users/{user}/unlock":                                          e.lockUser(false),
		"DELETE /v1/users/{user}/mfa":                                           e.removeMFA,
		"POST /v1/users/{user}/remove_password":                                 e.postRemovePassword,
		"POST /v1/organizations":                                                e.postOrganization,
		"PATCH /v1/organizations/{organization}":                                e.patchOrganization,
		"DELETE /v1/organizations/{organization}":                               e.removeOrganization,
		"PATCH /v1/organizations/{organization}/metadata":                       e.changeOrganizationMetadata(merged),
		"PUT /v1/organizations/{organization}/metadata":                         e.changeOrganizationMetadata(replaced),
		"POST /v1/organizations/{organization}/memberships":                     e.postMembership,
		"PATCH /v1/organizations/{organization}/memberships/{user}":             e.patchMembership,
		"PATCH /v1/organizations/{organization}/memberships/{user}/metadata":    e.patchMembershipMetadata,
		"DELETE /v1/organizations/{organization}/memberships/{user}":            e.removeMembership,
		"POST /v1/organizations/{organization}/invitations":                     e.postInvitation,
		"POST /v1/organizations/{organization}/invitations/bulk":                e.postInvitations,
		"POST /v1/organizations/{organization}/invitations/{invitation}/revoke": e.postRevokeInvitation,
		"POST /v1/organization_roles":                                           e.postRole,
		"PATCH /v1/organization_roles/{role}":                                   e.patchRole,
		"DELETE /v1/organization_roles/{role}":                                  e.removeRole,
		"POST /v1/organizations/{organization}/domains":                         e.postDomain,
		"PATCH /v1/organizations/{organization}/domains/{domain}":               e.patchDomain,
		"DELETE /v1/organizations/{organization}/domains/{domain}":              e.removeDomain,
		"POST /v1/sessions":                                                     e.postSession,
		"POST /v1/sessions/{session}/revoke":                                    e.postRevokeSession,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var answer any
			c := &call{r: r}
			err := c.read()
			if err == nil {
				err = e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) (err error) {
					c.state = t.state
					answer, err = handle(c, t)
					return err
				})
			}
			e.answer(w, answer, err)
		})
	}
	// These change nothing, so there is nothing to save.
	for pattern, handle := range map[string]func(*call) (any, error){
		"POST /v1/sessions/{session}/tokens":            e.postToken,
		"POST /v1/sessions/{session}/tokens/{template}": e.postToken,
		"POST /v1/sessions/{session}/refresh":           e.postRefresh,
		"POST /v1/users/{user}/verify_password":         e.postVerifyPassword,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var answer any
			c := &call{r: r}
			err := c.read()
			if err == nil {
				e.view(func(s *state) {
					c.state = s
					answer, err = handle(c)
				})
			}
			e.answer(w, answer, err)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		e.answer(w, nil, errUnknownURL)
	})
	all := http.NewServeMux()
	all.Handle("/", e.unreliable(mux))
	all.HandleFunc("GET "+outagePath, e.getOutage)
	all.HandleFunc("PUT "+outagePath, e.putOutage)
	return e.authorized(all)
}

// authorized lets requests with the secret key pass.
func (e *Emulator) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(key), []byte(e.SecretKey())) != 1 {
			e.answer(w, nil, &apiError{http.StatusUnauthorized, "authentication_invalid", "Invalid authentication", "Unable to authenticate the request, you need to supply an active session or a secret key.", ""})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func (e *Emulator) answer(w http.ResponseWriter, answer any, err error) {
	if err != nil {
		writeError(w, e.logger, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// call is one request of the Backend API.
type call struct {
	*state
	r    *http.Request
	body []byte
}

// read takes the body before the lock is taken.
func (c *call) read() error {
	body, err := io.ReadAll(c.r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &apiError{http.StatusRequestEntityTooLarge, "request_body_too_large", "The request is too large", "The request body is larger than 1 MiB.", ""}
	}
	if err != nil {
		return errBadRequest("request_body_invalid", "The request body could not be read.")
	}
	c.body = body
	return nil
}

// decode reads the body into a struct. A parameter that it does not have is an
// error: what is ignored in silence here would work nowhere but here.
func (c *call) decode(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(c.body)))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = errors.New("more than one value")
	}
	mistyped, isMistyped := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case err == nil:
		return nil
	case isMistyped && mistyped.Field != "":
		return errFormat(mistyped.Field, mistyped.Field+" is of the wrong type.")
	}
	if _, name, found := strings.Cut(err.Error(), "unknown field "); found {
		return errUnknownParam(strings.Trim(name, `"`))
	}
	return errBadRequest("request_body_invalid", "The request body is invalid. Please consult the API documentation for more information.")
}

// query returns the query's parameters, of which only the known ones and those
// of paging may be there.
func (c *call) query(known ...string) (url.Values, error) {
	query := c.r.URL.Query()
	for name := range query {
		plain := strings.TrimSuffix(name, "[]")
		if !slices.Contains(known, plain) && !slices.Contains([]string{"limit", "offset", "paginated", "order_by"}, plain) {
			return nil, errUnknownParam(name)
		}
		if plain != name {
			query[plain] = append(query[plain], query[name]...)
		}
	}
	return query, nil
}

// user returns the user that the path names.
func (c *call) user() (*user, error) {
	if u := c.Users[c.r.PathValue("user")]; u != nil {
		return u, nil
	}
	return nil, errNotFound("user")
}

// organization returns the organization that the path names, by id or slug.
func (c *call) organization() (*organization, error) {
	if o := c.state.organization(c.r.PathValue("organization")); o != nil {
		return o, nil
	}
	return nil, errNotFound("organization")
}

// orders are the ways in which a list can be ordered, by their name in order_by.
type orders[T any] map[string]func(a, b T) int

func by[T any, V cmp.Ordered](value func(T) V) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(value(a), value(b)) }
}

// byCreation orders those of one moment by their ids, or pages would overlap.
func byCreation[T any](created func(T) (at int64, id string)) func(a, b T) int {
	return func(a, b T) int {
		atA, idA := created(a)
		atB, idB := created(b)
		return cmp.Or(cmp.Compare(atA, atB), cmp.Compare(idA, idB))
	}
}

// page answers a list, the newest first unless order_by says otherwise.
func page[T any](query url.Values, all []T, known orders[T]) ([]T, error) {
	order := cmp.Or(query.Get("order_by"), "-created_at")
	compare, ok := known[strings.TrimLeft(order, "+-")]
	if !ok {
		return nil, errValue("order_by", "order_by must be one of "+strings.Join(slices.Sorted(maps.Keys(known)), ", ")+".")
	}
	slices.SortStableFunc(all, known["created_at"]) // what is equal is in order as well
	slices.SortStableFunc(all, func(a, b T) int {
		if strings.HasPrefix(order, "-") {
			a, b = b, a
		}
		return compare(a, b)
	})
	limit, offset := 10, 0
	for name, into := range map[string]*int{"limit": &limit, "offset": &offset} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || name == "limit" && (n < 1 || n > 500) {
			return nil, errValue(name, name+" is out of range.")
		}
		*into = n
	}
	offset = min(offset, len(all))
	return all[offset:min(len(all), offset+limit)], nil
}

// listed answers a page of all, with the number of all.
func listed[T any](query url.Values, all []T, known orders[T]) (any, error) {
	total := int64(len(all))
	data, err := page(query, all, known)
	if err != nil {
		return nil, err
	}
	if data == nil {
		data = []T{}
	}
	return listResource[T]{Data: data, TotalCount: total}, nil
}

func (e *Emulator) handshakePayload(c *call) (any, error) {
	query, err := c.query("nonce")
	if err != nil {
		return nil, err
	}
	directives, ok := e.nonces.take(query.Get("nonce"))
	if !ok {
		return nil, errNotFound("handshake nonce")
	}
	return struct {
		Directives []string `json:"directives"`
	}{directives}, nil
}

// userParams are the parameters that choose users, which lists of users and
// those of memberships have in common.
var userParams = []string{
	"query", "email_address_query", "phone_number_query", "username_query", "name_query",
	"email_address", "phone_number", "username", "user_id",
}

// asked reports whether the user is one of those that a list's parameters ask
// for.
func (u *user) asked(query url.Values) bool {
	var addresses, numbers []string
	for _, email := range u.Emails {
		addresses = append(addresses, email.Value)
	}
	for _, phone := range u.Phones {
		numbers = append(numbers, phone.Value)
	}
	name, username := text(u.FirstName)+" "+text(u.LastName), text(u.Username)
	for param, values := range map[string][]string{
		"query":               slices.Concat(addresses, numbers, []string{u.ID, text(u.ExternalID), name, username}),
		"email_address_query": addresses,
		"phone_number_query":  numbers,
		"username_query":      {username},
		"name_query":          {name},
	} {
		part := strings.ToLower(query.Get(param))
		if part != "" && !slices.ContainsFunc(values, func(value string) bool { return strings.Contains(strings.ToLower(value), part) }) {
			return false
		}
	}
	return oneOf(query["email_address"], addresses...) && oneOf(query["phone_number"], numbers...) &&
		oneOf(query["username"], username) && oneOf(query["user_id"], u.ID)
}

// oneOf reports whether one of the values is wanted. Without a wish all are.
func oneOf(wanted []string, values ...string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(values, func(value string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, value) })
	})
}

// within reports whether a time is where the parameters NAME_after and
// NAME_before want it, in milliseconds; one that never was is nowhere.
func within(query url.Values, name string, at *int64) (bool, error) {
	for _, end := range []string{"_after", "_before"} {
		given := query.Get(name + end)
		if given == "" {
			continue
		}
		limit, err := strconv.ParseInt(given, 10, 64)
		if err != nil {
			return false, errValue(name+end, name+end+" must be a time in milliseconds.")
		}
		if at == nil || end == "_after" && *at <= limit || end == "_before" && *at >= limit {
			return false, nil
		}
	}
	return true, nil
}

// isIn reports whether somebody is in the organizations that a list's
// parameters ask for: in one of those, and in none of those with a minus.
func (c *call) isIn(organizations []string, userID string) bool {
	wanted, found := false, false
	for _, id := range organizations {
		if id, excluded := strings.CutPrefix(id, "-"); excluded {
			if c.membership(id, userID) != nil {
				return false
			}
			continue
		}
		wanted = true
		found = found || c.membership(strings.TrimPrefix(id, "+"), userID) != nil
	}
	return found || !wanted
}

// filteredUsers are the users that a list's parameters ask for.
func (c *call) filteredUsers() (url.Values, []userResource, error) {
	query, err := c.query(append([]string{
		"external_id", "organization_id", "banned", "created_at_after", "created_at_before", "last_active_at_after", "last_active_at_before",
		"last_active_at_since", "last_sign_in_at_after", "last_sign_in_at_before",
	}, userParams...)...)
	if err != nil {
		return nil, nil, err
	}
	if since := query.Get("last_active_at_since"); since != "" { // its old name
		query.Set("last_active_at_after", since)
	}
	found := []userResource{}
	for _, u := range c.Users {
		matches := u.asked(query) && oneOf(query["external_id"], text(u.ExternalID)) && c.isIn(query["organization_id"], u.ID) &&
			(query.Get("banned") == "" || query.Get("banned") == strconv.FormatBool(u.Banned))
		for name, at := range map[string]*int64{"created_at": &u.CreatedAt, "last_active_at": u.LastActiveAt, "last_sign_in_at": u.LastSignInAt} {
			inside, err := within(query, name, at)
			if err != nil {
				return nil, nil, err
			}
			matches = matches && inside
		}
		if matches {
			found = append(found, c.userResource(u))
		}
	}
	return query, found, nil
}

// userTexts are what users and their memberships can be ordered by.
var userTexts = map[string]func(*user) string{
	"email_address": func(u *user) string { return strings.ToLower(u.primaryEmail()) },
	"phone_number": func(u *user) string {
		for _, phone := range u.Phones {
			if phone.ID == text(u.PrimaryPhoneID) {
				return phone.Value
			}
		}
		return ""
	},
	"first_name": func(u *user) string { return strings.ToLower(text(u.FirstName)) },
	"last_name":  func(u *user) string { return strings.ToLower(text(u.LastName)) },
	"username":   func(u *user) string { return text(u.Username) },
}

func text(value *string) string { return orZero(value) }

func orZero[T any](value *T) (zero T) {
	if value == nil {
		return zero
	}
	return *value
}

func (e *Emulator) listUsers(c *call) (any, error) {
	query, found, err := c.filteredUsers()
	if err != nil {
		return nil, err
	}
	known := orders[userResource]{
		"created_at":      byCreation(func(u userResource) (int64, string) { return u.CreatedAt, u.ID }),
		"updated_at":      by(func(u userResource) int64 { return u.UpdatedAt }),
		"last_active_at":  by(func(u userResource) int64 { return orZero(u.LastActiveAt) }),
		"last_sign_in_at": by(func(u userResource) int64 { return orZero(u.LastSignInAt) }),
	}
	for name, value := range userTexts {
		known[name] = by(func(u userResource) string { return value(c.Users[u.ID]) })
	}
	if query.Get("paginated") == "true" {
		return listed(query, found, known)
	}
	return page(query, found, known) // as Clerk does without being asked for more
}

func (e *Emulator) countUsers(c *call) (any, error) {
	_, found, err := c.filteredUsers()
	if err != nil {
		return nil, err
	}
	return struct {
		Object     string `json:"object"`
		TotalCount int    `json:"total_count"`
	}{"total_count", len(found)}, nil
}

func (e *Emulator) getUser(c *call) (any, error) {
	u, err := c.user()
	if err != nil {
		return nil, err
	}
	return c.userResource(u), nil
}

func (e *Emulator) postUser(c *call, t *tx) (any, error) {
	var params struct {
		ExternalID     *string          `json:"external_id"`
		Username       *string          `json:"username"`
		FirstName      *string          `json:"first_name"`
		LastName       *string          `json:"last_name"`
		Locale         *string          `json:"locale"`
		EmailAddresses []string         `json:"email_address"`
		PhoneNumbers   []string         `json:"phone_number"`
		Password       *string          `json:"password"`
		TOTPSecret     *string          `json:"totp_secret"`
		Public         *json.RawMessage `json:"public_metadata"`
		Private        *json.RawMessage `json:"private_metadata"`
		Unsafe         *json.RawMessage `json:"unsafe_metadata"`
		permissionParams
		// Passwords are optional here, and held to nothing but a length.
		SkipRequirement bool `json:"skip_password_requirement"`
		SkipChecks      bool `json:"skip_password_checks"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	u, err := t.createUser(newUser{
		externalID: params.ExternalID, username: params.Username, firstName: params.FirstName, lastName: params.LastName, locale: params.Locale,
		emails: params.EmailAddresses, phones: params.PhoneNumbers, password: params.Password, totpSecret: params.TOTPSecret,
		public: params.Public, private: params.Private, unsafe: params.Unsafe, permissions: params.permissionParams,
	})
	if err != nil {
		return nil, err
	}
	return t.userResource(u), nil
}

// permissionParams are what a user may do without an administrator.
type permissionParams struct {
	DeleteSelfEnabled         *bool `json:"delete_self_enabled"`
	CreateOrganizationEnabled *bool `json:"create_organization_enabled"`
	CreateOrganizationsLimit  *int  `json:"create_organizations_limit"`
}

func (p permissionParams) apply(u *user) {
	if p.DeleteSelfEnabled != nil {
		u.DeleteSelfEnabled = *p.DeleteSelfEnabled
	}
	if p.CreateOrganizationEnabled != nil {
		u.CreateOrganizationEnabled = *p.CreateOrganizationEnabled
	}
	if p.CreateOrganizationsLimit != nil {
		u.CreateOrganizationsLimit = p.CreateOrganizationsLimit
	}
}

func (e *Emulator) patchUser(c *call, t *tx) (any, error) {
	known, err := c.user()
	if err != nil {
		return nil, err
	}
	var params struct {
		ExternalID            *string `json:"external_id"`
		Username              *string `json:"username"`
		FirstName             *string `json:"first_name"`
		LastName              *string `json:"last_name"`
		Locale                *string `json:"locale"`
		Password              *string `json:"password"`
		TOTPSecret            *string `json:"totp_secret"`
		PrimaryEmailAddressID *string `json:"primary_email_address_id"`
		PrimaryPhoneNumberID  *string `json:"primary_phone_number_id"`
		SignOutOfOthers       bool    `json:"sign_out_of_other_sessions"`
		permissionParams
		SkipChecks bool `json:"skip_password_checks"`                 // as for a new user
		Notify     bool `json:"notify_primary_email_address_changed"` // nothing here sends mail
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	changed := *known
	for _, field := range []struct {
		given *string
		into  **string
	}{
		{params.ExternalID, &changed.ExternalID}, {params.Username, &changed.Username},
		{params.FirstName, &changed.FirstName}, {params.LastName, &changed.LastName}, {params.Locale, &changed.Locale},
	} {
		if field.given != nil {
			*field.into = field.given
		}
	}
	if err := t.checkUser(&changed); err != nil {
		return nil, err
	}
	if params.Password != nil {
		if err := changed.setPassword(*params.Password, t.now); err != nil {
			return nil, err
		}
	}
	if params.TOTPSecret != nil {
		changed.setTOTP(*params.TOTPSecret != "", t.now)
	}
	for _, primary := range []struct {
		what  string
		id    *string
		among []identification
		into  **string
	}{
		{"email address", params.PrimaryEmailAddressID, changed.Emails, &changed.PrimaryEmailID},
		{"phone number", params.PrimaryPhoneNumberID, changed.Phones, &changed.PrimaryPhoneID},
	} {
		if primary.id == nil {
			continue
		}
		if !slices.ContainsFunc(primary.among, func(i identification) bool { return i.ID == *primary.id }) {
			return nil, errNotFound(primary.what + " of the user's")
		}
		*primary.into = primary.id
	}
	params.apply(&changed)
	if err := t.replaceUser(changed); err != nil {
		return nil, err
	}
	if params.SignOutOfOthers {
		if err := t.revokeSessionsOf(changed.ID); err != nil {
			return nil, err
		}
	}
	return t.userResource(t.Users[changed.ID]), nil
}

// changesUser returns the handler that changes a user in one respect.
func (e *Emulator) changesUser(change func(*tx, *user) error) func(*call, *tx) (any, error) {
	return func(c *call, t *tx) (any, error) {
		known, err := c.user()
		if err != nil {
			return nil, err
		}
		changed := *known
		if err := change(t, &changed); err != nil {
			return nil, err
		}
		return t.userResource(t.Users[changed.ID]), nil
	}
}

// banUser returns the handler that locks a user out, sessions included, or lets
// them in again.
func (e *Emulator) banUser(banned bool) func(*call, *tx) (any, error) {
	return e.changesUser(func(t *tx, u *user) error {
		u.Banned = banned
		if err := t.replaceUser(*u); err != nil || !banned {
			return err
		}
		return t.revokeSessionsOf(u.ID)
	})
}

// lockUser returns the handler that keeps a user from signing in, who stays
// where they are signed in, or lets them again.
func (e *Emulator) lockUser(locked bool) func(*call, *tx) (any, error) {
	return e.changesUser(func(t *tx, u *user) error {
		u.Locked = locked
		return t.replaceUser(*u)
	})
}

func (e *Emulator) removeMFA(c *call, t *tx) (any, error) {
	known, err := c.user()
	if err != nil {
		return nil, err
	}
	changed := *known
	changed.setTOTP(false, t.now)
	return struct {
		UserID string `json:"user_id"`
	}{changed.ID}, t.replaceUser(changed)
}

var errNoPassword = errBadRequest("no_password_set", "The user has no password.")

func (e *Emulator) postVerifyPassword(c *call) (any, error) {
	u, err := c.user()
	if err != nil {
		return nil, err
	}
	var params struct {
		Password string `json:"password"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	switch {
	case params.Password == "":
		return nil, errMissing("password")
	case u.PasswordHash == nil:
		return nil, errNoPassword
	case bcrypt.CompareHashAndPassword(u.PasswordHash, []byte(params.Password)) != nil:
		return nil, &apiError{http.StatusUnprocessableEntity, "incorrect_password", "Incorrect password", "The given password is not the user's.", "password"}
	}
	return struct {
		Verified bool `json:"verified"`
	}{true}, nil
}

func (e *Emulator) postRemovePassword(c *call, t *tx) (any, error) {
	known, err := c.user()
	if err != nil {
		return nil, err
	}
	var params struct {
		SignOutOfOthers bool `json:"sign_out_of_other_sessions"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	if known.PasswordHash == nil {
		return nil, errNoPassword
	}
	changed := *known
	changed.PasswordHash, changed.PasswordUpdatedAt = nil, nil
	if err := t.replaceUser(changed); err != nil {
		return nil, err
	}
	if params.SignOutOfOthers {
		if err := t.revokeSessionsOf(changed.ID); err != nil {
			return nil, err
		}
	}
	return t.userResource(t.Users[changed.ID]), nil
}

// metadataParams are what the metadata endpoints take.
type metadataParams struct {
	Public  *json.RawMessage `json:"public_metadata"`
	Private *json.RawMessage `json:"private_metadata"`
}

// metadataChange returns what becomes of stored metadata: see [merged] and
// [replaced].
type metadataChange func(param string, current json.RawMessage, given *json.RawMessage) (json.RawMessage, error)

// change applies the parameters to a thing's metadata.
func (p metadataParams) change(how metadataChange, public, private *json.RawMessage) (err error) {
	if *public, err = how("public_metadata", *public, p.Public); err != nil {
		return err
	}
	*private, err = how("private_metadata", *private, p.Private)
	return err
}

func (e *Emulator) changeUserMetadata(how metadataChange) func(*call, *tx) (any, error) {
	return func(c *call, t *tx) (any, error) {
		known, err := c.user()
		if err != nil {
			return nil, err
		}
		var params struct {
			metadataParams
			Unsafe *json.RawMessage `json:"unsafe_metadata"`
		}
		if err := c.decode(&params); err != nil {
			return nil, err
		}
		changed := *known
		if err := params.change(how, &changed.PublicMetadata, &changed.PrivateMetadata); err != nil {
			return nil, err
		}
		if changed.UnsafeMetadata, err = how("unsafe_metadata", known.UnsafeMetadata, params.Unsafe); err != nil {
			return nil, err
		}
		if err := t.replaceUser(changed); err != nil {
			return nil, err
		}
		return t.userResource(t.Users[changed.ID]), nil
	}
}

func (e *Emulator) removeUser(c *call, t *tx) (any, error) {
	u, err := c.user()
	if err != nil {
		return nil, err
	}
	return deletedResource{Object: "user", ID: u.ID, Deleted: true}, t.deleteUser(u)
}

func (e *Emulator) listOrganizations(c *call) (any, error) {
	query, err := c.query("query", "user_id", "organization_id", "include_members_count", "include_missing_member_with_elevated_permissions")
	if err != nil {
		return nil, err
	}
	found := []organizationResource{}
	for _, o := range c.Organizations {
		text := strings.ToLower(query.Get("query"))
		if text != "" && !strings.Contains(strings.ToLower(o.Name+" "+o.Slug+" "+o.ID), text) {
			continue
		}
		if ids := query["user_id"]; len(ids) > 0 && !slices.ContainsFunc(ids, func(id string) bool {
			return c.membership(o.ID, strings.TrimPrefix(id, "+")) != nil
		}) {
			continue
		}
		if oneOf(query["organization_id"], o.ID) {
			found = append(found, c.organizationResource(o))
		}
	}
	return listed(query, found, orders[organizationResource]{
		"created_at":    byCreation(func(o organizationResource) (int64, string) { return o.CreatedAt, o.ID }),
		"name":          by(func(o organizationResource) string { return strings.ToLower(o.Name) }),
		"members_count": by(func(o organizationResource) int64 { return o.MembersCount }),
	})
}

func (e *Emulator) getOrganization(c *call) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	if _, err := c.query("include_members_count", "include_missing_member_with_elevated_permissions"); err != nil {
		return nil, err
	}
	return c.organizationResource(o), nil
}

func (e *Emulator) postOrganization(c *call, t *tx) (any, error) {
	var params struct {
		Name       string           `json:"name"`
		Slug       string           `json:"slug"`
		CreatedBy  string           `json:"created_by"`
		MaxMembers *int64           `json:"max_allowed_memberships"`
		Public     *json.RawMessage `json:"public_metadata"`
		Private    *json.RawMessage `json:"private_metadata"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	o, err := t.createOrganization(newOrganization{
		name: params.Name, slug: params.Slug, createdBy: params.CreatedBy, maxMembers: params.MaxMembers, public: params.Public, private: params.Private,
	})
	if err != nil {
		return nil, err
	}
	return t.organizationResource(o), nil
}

func (e *Emulator) patchOrganization(c *call, t *tx) (any, error) {
	known, err := c.organization()
	if err != nil {
		return nil, err
	}
	var params struct {
		Name               *string `json:"name"`
		Slug               *string `json:"slug"`
		MaxMembers         *int64  `json:"max_allowed_memberships"`
		AdminDeleteEnabled *bool   `json:"admin_delete_enabled"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	changed := *known
	if params.Name != nil {
		if err := checkName("name", params.Name); err != nil {
			return nil, err
		}
		if changed.Name = *params.Name; strings.TrimSpace(changed.Name) == "" {
			return nil, errMissing("name")
		}
	}
	if params.Slug != nil {
		if err := t.checkSlug(*params.Slug, known.ID); err != nil {
			return nil, err
		}
		changed.Slug = *params.Slug
	}
	if params.MaxMembers != nil {
		changed.MaxAllowedMemberships = *params.MaxMembers
	}
	if params.AdminDeleteEnabled != nil {
		changed.AdminDeleteEnabled = *params.AdminDeleteEnabled
	}
	if err := t.replaceOrganization(changed); err != nil {
		return nil, err
	}
	return t.organizationResource(t.Organizations[changed.ID]), nil
}

func (e *Emulator) changeOrganizationMetadata(how metadataChange) func(*call, *tx) (any, error) {
	return func(c *call, t *tx) (any, error) {
		known, err := c.organization()
		if err != nil {
			return nil, err
		}
		var params metadataParams
		if err := c.decode(&params); err != nil {
			return nil, err
		}
		changed := *known
		if err := params.change(how, &changed.PublicMetadata, &changed.PrivateMetadata); err != nil {
			return nil, err
		}
		if err := t.replaceOrganization(changed); err != nil {
			return nil, err
		}
		return t.organizationResource(t.Organizations[changed.ID]), nil
	}
}

func (e *Emulator) removeOrganization(c *call, t *tx) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	return deletedResource{Object: "organization", ID: o.ID, Slug: o.Slug, Deleted: true}, t.deleteOrganization(o)
}

// membershipList answers those of the memberships that the query asks for.
func (c *call) membershipList(among []*membership) (any, error) {
	query, err := c.query(append([]string{"role"}, userParams...)...)
	if err != nil {
		return nil, err
	}
	found := []membershipResource{}
	for _, m := range among {
		if oneOf(query["role"], m.Role) && c.Users[m.UserID].asked(query) {
			found = append(found, c.membershipResource(m))
		}
	}
	known := orders[membershipResource]{"created_at": byCreation(func(m membershipResource) (int64, string) { return m.CreatedAt, m.ID })}
	for name, value := range userTexts {
		known[name] = by(func(m membershipResource) string { return value(c.Users[m.PublicUserData.UserID]) })
	}
	return listed(query, found, known)
}

func (e *Emulator) listUsersMemberships(c *call) (any, error) {
	u, err := c.user()
	if err != nil {
		return nil, err
	}
	return c.membershipList(c.membershipsOf(u.ID))
}

func (e *Emulator) listOrganizationsMemberships(c *call) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	return c.membershipList(c.membershipsIn(o.ID))
}

func (e *Emulator) listMemberships(c *call) (any, error) {
	var all []*membership
	for _, m := range c.Memberships {
		all = append(all, m)
	}
	return c.membershipList(all)
}

func (e *Emulator) postMembership(c *call, t *tx) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	var params struct {
		UserID string `json:"user_id"`
		Role   string `json:"role"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	if params.UserID == "" {
		return nil, errMissing("user_id")
	}
	u := t.Users[params.UserID]
	if u == nil {
		return nil, errNotFound("user")
	}
	m, err := t.createMembership(o, u, params.Role)
	if err != nil {
		return nil, err
	}
	return t.membershipResource(m), nil
}

// pathMembership returns the membership that the path names.
func (c *call) pathMembership() (*membership, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	if m := c.membership(o.ID, c.r.PathValue("user")); m != nil {
		return m, nil
	}
	return nil, errNotFound("membership")
}

func (e *Emulator) patchMembership(c *call, t *tx) (any, error) {
	known, err := c.pathMembership()
	if err != nil {
		return nil, err
	}
	var params struct {
		Role string `json:"role"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	if err := t.checkRole(params.Role); err != nil {
		return nil, err
	}
	changed := *known
	changed.Role = params.Role
	if err := t.replaceMembership(changed); err != nil {
		return nil, err
	}
	return t.membershipResource(t.Memberships[changed.ID]), nil
}

func (e *Emulator) patchMembershipMetadata(c *call, t *tx) (any, error) {
	known, err := c.pathMembership()
	if err != nil {
		return nil, err
	}
	var params metadataParams
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	changed := *known
	if err := params.change(merged, &changed.PublicMetadata, &changed.PrivateMetadata); err != nil {
		return nil, err
	}
	if err := t.replaceMembership(changed); err != nil {
		return nil, err
	}
	return t.membershipResource(t.Memberships[changed.ID]), nil
}

func (e *Emulator) removeMembership(c *call, t *tx) (any, error) {
	m, err := c.pathMembership()
	if err != nil {
		return nil, err
	}
	return c.membershipResource(m), t.deleteMembership(m)
}

// invitationList answers those of the invitations that are asked for, among
// those that belong.
func (c *call) invitationList(belongs func(*invitation) bool, origin *url.URL) (any, error) {
	query, err := c.query("status", "email_address", "query")
	if err != nil {
		return nil, err
	}
	found := []invitationResource{}
	for _, i := range c.Invitations {
		if !belongs(i) {
			continue
		}
		if statuses := query["status"]; len(statuses) > 0 && !slices.Contains(statuses, i.Status) {
			continue
		}
		if address := query.Get("email_address"); address != "" && !strings.EqualFold(address, i.EmailAddress) {
			continue
		}
		if text := query.Get("query"); strings.Contains(strings.ToLower(i.EmailAddress), strings.ToLower(text)) {
			found = append(found, c.invitationResource(i, origin))
		}
	}
	return listed(query, found, orders[invitationResource]{
		"created_at":    byCreation(func(i invitationResource) (int64, string) { return i.CreatedAt, i.ID }),
		"email_address": by(func(i invitationResource) string { return strings.ToLower(i.EmailAddress) }),
	})
}

func (e *Emulator) listOrganizationsInvitations(c *call) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	return c.invitationList(func(i *invitation) bool { return i.OrganizationID == o.ID }, e.publicURL)
}

func (e *Emulator) listInvitations(c *call) (any, error) {
	return c.invitationList(func(*invitation) bool { return true }, e.publicURL)
}

// listUsersInvitations answers what was sent to one of a user's addresses.
func (e *Emulator) listUsersInvitations(c *call) (any, error) {
	u, err := c.user()
	if err != nil {
		return nil, err
	}
	return c.invitationList(func(i *invitation) bool {
		return slices.ContainsFunc(u.Emails, func(email identification) bool { return strings.EqualFold(email.Value, i.EmailAddress) })
	}, e.publicURL)
}

func (c *call) pathInvitation() (*invitation, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	if i := c.Invitations[c.r.PathValue("invitation")]; i != nil && i.OrganizationID == o.ID {
		return i, nil
	}
	return nil, errNotFound("invitation")
}

func (e *Emulator) getInvitation(c *call) (any, error) {
	i, err := c.pathInvitation()
	if err != nil {
		return nil, err
	}
	return c.invitationResource(i, e.publicURL), nil
}

// invitationParams are what an invitation is made of.
type invitationParams struct {
	EmailAddress string           `json:"email_address"`
	Role         string           `json:"role"`
	InviterID    string           `json:"inviter_user_id"`
	RedirectURL  string           `json:"redirect_url"`
	Public       *json.RawMessage `json:"public_metadata"`
	Private      *json.RawMessage `json:"private_metadata"`
	Days         *int64           `json:"expires_in_days"`
}

func (p invitationParams) create(t *tx, o *organization) (invitationResource, error) {
	i, err := t.createInvitation(o, newInvitation{
		email: p.EmailAddress, role: p.Role, inviterID: p.InviterID, redirectURL: p.RedirectURL, public: p.Public, private: p.Private, days: p.Days,
	})
	if err != nil {
		return invitationResource{}, err
	}
	return t.invitationResource(i, t.publicURL), nil
}

func (e *Emulator) postInvitation(c *call, t *tx) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	var params invitationParams
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	return params.create(t, o)
}

// maxBulk is how many invitations one request may make.
const maxBulk = 10

// postInvitations makes all of the invitations or, for one that is wrong, none.
func (e *Emulator) postInvitations(c *call, t *tx) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	var list []invitationParams
	if err := c.decode(&list); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > maxBulk {
		return nil, errBadRequest("request_body_invalid", fmt.Sprintf("The request must have from 1 to %d invitations.", maxBulk))
	}
	made, events := listResource[invitationResource]{TotalCount: int64(len(list))}, len(t.Events)
	for _, params := range list {
		i, err := params.create(t, o)
		if err != nil {
			for _, undone := range made.Data {
				delete(t.Invitations, undone.ID)
			}
			t.Events = t.Events[:events]
			return nil, err
		}
		made.Data = append(made.Data, i)
	}
	return made, nil
}

func (e *Emulator) postRevokeInvitation(c *call, t *tx) (any, error) {
	known, err := c.pathInvitation()
	if err != nil {
		return nil, err
	}
	var params struct {
		RequestingUserID string `json:"requesting_user_id"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	i, err := t.revokeInvitation(known)
	if err != nil {
		return nil, err
	}
	return t.invitationResource(i, t.publicURL), nil
}

func (e *Emulator) listSessions(c *call) (any, error) {
	query, err := c.query("client_id", "user_id", "status")
	if err != nil {
		return nil, err
	}
	found := []sessionResource{}
	for _, v := range c.Sessions {
		if (query.Get("client_id") == "" || query.Get("client_id") == v.ClientID) &&
			(query.Get("user_id") == "" || query.Get("user_id") == v.UserID) &&
			(query.Get("status") == "" || query.Get("status") == c.sessionResource(v).Status) {
			found = append(found, c.sessionResource(v))
		}
	}
	known := orders[sessionResource]{"created_at": byCreation(func(v sessionResource) (int64, string) { return v.CreatedAt, v.ID })}
	if query.Get("paginated") == "true" {
		return listed(query, found, known)
	}
	return page(query, found, known)
}

// session returns the session that the path names.
func (c *call) session() (*session, error) {
	if v := c.Sessions[c.r.PathValue("session")]; v != nil {
		return v, nil
	}
	return nil, errNotFound("session")
}

func (e *Emulator) getSession(c *call) (any, error) {
	v, err := c.session()
	if err != nil {
		return nil, err
	}
	return c.sessionResource(v), nil
}

func (e *Emulator) postSession(c *call, t *tx) (any, error) {
	var params struct {
		UserID               string `json:"user_id"`
		ActiveOrganizationID string `json:"active_organization_id"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	u := t.Users[params.UserID]
	if u == nil {
		return nil, errNotFound("user")
	}
	v, err := t.createSession(u, "", params.ActiveOrganizationID)
	if err != nil {
		return nil, err
	}
	return t.sessionResource(v), nil
}

func (e *Emulator) postRevokeSession(c *call, t *tx) (any, error) {
	v, err := c.session()
	if err != nil {
		return nil, err
	}
	if err := t.endSession(v, "revoked"); err != nil {
		return nil, err
	}
	return t.sessionResource(t.Sessions[v.ID]), nil
}

func (e *Emulator) postToken(c *call) (any, error) {
	var params struct {
		ExpiresInSeconds *int64 `json:"expires_in_seconds"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	options := TokenOptions{Template: c.r.PathValue("template")}
	if seconds := params.ExpiresInSeconds; seconds != nil {
		if *seconds < 30 || *seconds > 315360000 {
			return nil, errValue("expires_in_seconds", "expires_in_seconds must be from 30 to 315360000.")
		}
		options.Lifetime = time.Duration(*seconds) * time.Second
	}
	token, err := e.sign(c.state, c.r.PathValue("session"), options)
	if err != nil {
		return nil, err
	}
	return tokenResource{Object: "token", JWT: token}, nil
}

// postRefresh gives a token for one that has expired. Clerk also wants to see
// the browser's refresh token; the emulator gives none out, as who has the
// secret key may make any token anyway.
func (e *Emulator) postRefresh(c *call) (any, error) {
	var params struct {
		ExpiredToken  string              `json:"expired_token"`
		RefreshToken  string              `json:"refresh_token"`
		Origin        string              `json:"request_origin"`
		OriginatingIP string              `json:"request_originating_ip"`
		Headers       map[string][]string `json:"request_headers"`
		Format        string              `json:"format"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	query, err := c.query("suffixed_cookies")
	if err != nil {
		return nil, err
	}
	v, err := c.session()
	switch {
	case err != nil:
		return nil, err
	case params.ExpiredToken == "":
		return nil, errMissing("expired_token")
	case !e.signedFor(v.ID, params.ExpiredToken):
		return nil, errValue("expired_token", "expired_token is not a token of this session.")
	case params.Format != "" && params.Format != "token" && params.Format != "cookie":
		return nil, errValue("format", "format must be token or cookie.")
	}
	token, err := e.sign(c.state, v.ID, TokenOptions{AuthorizedParty: params.Origin})
	if err != nil {
		return nil, err
	}
	if params.Format == "cookie" {
		name := sessionCookie
		if query.Get("suffixed_cookies") == "true" {
			name += "_" + e.suffix()
		}
		return struct {
			Object  string   `json:"object"`
			Cookies []string `json:"cookies"`
		}{"cookies", []string{e.cookie(name, token, cookieAge)}}, nil
	}
	return tokenResource{Object: "token", JWT: token}, nil
}
