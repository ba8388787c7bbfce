package clerkdev

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds what the Backend API reads of one request.
const maxBody = 1 << 20

// Backend returns the Backend API, to be served at the root of a listener.
// Everything but the address of its health needs the secret key as a bearer
// token.
func (e *Emulator) Backend() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(*call) (any, error){
		"GET /v1/jwks":                      func(c *call) (any, error) { return e.jwks(c.state), nil },
		"GET /v1/clients/handshake_payload": e.handshakePayload,

		"GET /v1/users":                                                 e.listUsers,
		"GET /v1/users/count":                                           e.countUsers,
		"GET /v1/users/{user}":                                          e.getUser,
		"GET /v1/users/{user}/organization_memberships":                 e.listUsersMemberships,
		"GET /v1/organizations":                                         e.listOrganizations,
		"GET /v1/organizations/{organization}":                          e.getOrganization,
		"GET /v1/organizations/{organization}/memberships":              e.listOrganizationsMemberships,
		"GET /v1/organization_memberships":                              e.listMemberships,
		"GET /v1/organizations/{organization}/invitations":              e.listOrganizationsInvitations,
		"GET /v1/organizations/{organization}/invitations/{invitation}": e.getInvitation,
		"GET /v1/organization_invitations":                              e.listInvitations,
		"GET /v1/organizations/{organization}/domains":                  e.listDomains,
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
		"PATCH /v1/users/{user}/metadata":                                       e.patchUserMetadata,
		"POST /v1/organizations":                                                e.postOrganization,
		"PATCH /v1/organizations/{organization}":                                e.patchOrganization,
		"DELETE /v1/organizations/{organization}":                               e.removeOrganization,
		"PATCH /v1/organizations/{organization}/metadata":                       e.patchOrganizationMetadata,
		"POST /v1/organizations/{organization}/memberships":                     e.postMembership,
		"PATCH /v1/organizations/{organization}/memberships/{user}":             e.patchMembership,
		"DELETE /v1/organizations/{organization}/memberships/{user}":            e.removeMembership,
		"POST /v1/organizations/{organization}/invitations":                     e.postInvitation,
		"POST /v1/organizations/{organization}/invitations/{invitation}/revoke": e.postRevokeInvitation,
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
	// A token changes nothing, so there is nothing to save.
	for _, pattern := range []string{"POST /v1/sessions/{session}/tokens", "POST /v1/sessions/{session}/tokens/{template}", "POST /v1/sessions/{session}/refresh"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var answer any
			c := &call{r: r}
			err := c.read()
			if err == nil {
				e.view(func(s *state) {
					c.state = s
					answer, err = e.postToken(c)
				})
			}
			e.answer(w, answer, err)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		e.answer(w, nil, &apiError{http.StatusNotFound, "resource_not_found", "not found", "The URL was not found, or the local emulator does not implement it.", ""})
	})
	return e.authorized(mux)
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

// page answers a list, the newest first unless order_by says otherwise.
func page[T any](query url.Values, all []T, createdAt func(T) int64) ([]T, error) {
	direction := int64(-1)
	switch order := query.Get("order_by"); strings.TrimLeft(order, "+-") {
	case "", "created_at":
		if order != "" && !strings.HasPrefix(order, "-") {
			direction = 1
		}
	default:
		return nil, errValue("order_by", "The local emulator orders by created_at alone.")
	}
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(direction*createdAt(a), direction*createdAt(b)) })
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
func listed[T any](query url.Values, all []T, createdAt func(T) int64) (any, error) {
	total := int64(len(all))
	data, err := page(query, all, createdAt)
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

// filteredUsers are the users that a list's parameters ask for.
func (c *call) filteredUsers() (url.Values, []userResource, error) {
	query, err := c.query("query", "email_address", "user_id", "external_id", "username", "organization_id")
	if err != nil {
		return nil, nil, err
	}
	one := func(name string, values ...string) bool {
		wanted := query[name]
		return len(wanted) == 0 || slices.ContainsFunc(values, func(value string) bool {
			return slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, value) })
		})
	}
	found := []userResource{}
	for _, u := range c.Users {
		var addresses, organizations []string
		for _, email := range u.Emails {
			addresses = append(addresses, email.Value)
		}
		for _, m := range c.membershipsOf(u.ID) {
			organizations = append(organizations, m.OrganizationID, "+"+m.OrganizationID)
		}
		if one("email_address", addresses...) && one("user_id", u.ID) && one("external_id", text(u.ExternalID)) &&
			one("username", text(u.Username)) && one("organization_id", organizations...) && u.matches(query.Get("query")) {
			found = append(found, c.userResource(u))
		}
	}
	return query, found, nil
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// matches reports whether what people know of the user contains the text.
func (u *user) matches(query string) bool {
	known := []string{u.ID, text(u.FirstName) + " " + text(u.LastName), text(u.Username)}
	for _, email := range u.Emails {
		known = append(known, email.Value)
	}
	return query == "" || slices.ContainsFunc(known, func(value string) bool {
		return strings.Contains(strings.ToLower(value), strings.ToLower(query))
	})
}

func (e *Emulator) listUsers(c *call) (any, error) {
	query, found, err := c.filteredUsers()
	if err != nil {
		return nil, err
	}
	createdAt := func(u userResource) int64 { return u.CreatedAt }
	if query.Get("paginated") == "true" {
		return listed(query, found, createdAt)
	}
	return page(query, found, createdAt) // as Clerk does without being asked for more
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
		Public         *json.RawMessage `json:"public_metadata"`
		Private        *json.RawMessage `json:"private_metadata"`
		Unsafe         *json.RawMessage `json:"unsafe_metadata"`
		// Passwords are optional and unchecked here anyway.
		SkipRequirement bool `json:"skip_password_requirement"`
		SkipChecks      bool `json:"skip_password_checks"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	u, err := t.createUser(newUser{
		externalID: params.ExternalID, username: params.Username, firstName: params.FirstName, lastName: params.LastName, locale: params.Locale,
		emails: params.EmailAddresses, phones: params.PhoneNumbers, password: params.Password,
		public: params.Public, private: params.Private, unsafe: params.Unsafe,
	})
	if err != nil {
		return nil, err
	}
	return t.userResource(u), nil
}

func (e *Emulator) patchUser(c *call, t *tx) (any, error) {
	known, err := c.user()
	if err != nil {
		return nil, err
	}
	var params struct {
		ExternalID                *string `json:"external_id"`
		Username                  *string `json:"username"`
		FirstName                 *string `json:"first_name"`
		LastName                  *string `json:"last_name"`
		Locale                    *string `json:"locale"`
		Password                  *string `json:"password"`
		PrimaryEmailAddressID     *string `json:"primary_email_address_id"`
		DeleteSelfEnabled         *bool   `json:"delete_self_enabled"`
		CreateOrganizationEnabled *bool   `json:"create_organization_enabled"`
		CreateOrganizationsLimit  *int    `json:"create_organizations_limit"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	changed := *known
	for _, field := range []struct {
		param string
		given *string
		into  **string
	}{
		{"external_id", params.ExternalID, &changed.ExternalID}, {"username", params.Username, &changed.Username},
		{"first_name", params.FirstName, &changed.FirstName}, {"last_name", params.LastName, &changed.LastName}, {"locale", params.Locale, &changed.Locale},
	} {
		if err := checkName(field.param, field.given); err != nil {
			return nil, err
		}
		if field.given != nil {
			*field.into = field.given
		}
	}
	if params.Password != nil {
		if err := changed.setPassword(*params.Password, t.now); err != nil {
			return nil, err
		}
	}
	if id := params.PrimaryEmailAddressID; id != nil {
		if !slices.ContainsFunc(changed.Emails, func(i identification) bool { return i.ID == *id }) {
			return nil, errNotFound("email address of the user's")
		}
		changed.PrimaryEmailID = id
	}
	if params.DeleteSelfEnabled != nil {
		changed.DeleteSelfEnabled = *params.DeleteSelfEnabled
	}
	if params.CreateOrganizationEnabled != nil {
		changed.CreateOrganizationEnabled = *params.CreateOrganizationEnabled
	}
	if params.CreateOrganizationsLimit != nil {
		changed.CreateOrganizationsLimit = params.CreateOrganizationsLimit
	}
	if err := t.replaceUser(changed); err != nil {
		return nil, err
	}
	return t.userResource(t.Users[changed.ID]), nil
}

// metadataParams are what both metadata endpoints take.
type metadataParams struct {
	Public  *json.RawMessage `json:"public_metadata"`
	Private *json.RawMessage `json:"private_metadata"`
	Unsafe  *json.RawMessage `json:"unsafe_metadata"`
}

func (e *Emulator) patchUserMetadata(c *call, t *tx) (any, error) {
	known, err := c.user()
	if err != nil {
		return nil, err
	}
	var params metadataParams
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	changed := *known
	if changed.PublicMetadata, err = merged("public_metadata", known.PublicMetadata, params.Public); err != nil {
		return nil, err
	}
	if changed.PrivateMetadata, err = merged("private_metadata", known.PrivateMetadata, params.Private); err != nil {
		return nil, err
	}
	if changed.UnsafeMetadata, err = merged("unsafe_metadata", known.UnsafeMetadata, params.Unsafe); err != nil {
		return nil, err
	}
	if err := t.replaceUser(changed); err != nil {
		return nil, err
	}
	return t.userResource(t.Users[changed.ID]), nil
}

func (e *Emulator) removeUser(c *call, t *tx) (any, error) {
	u, err := c.user()
	if err != nil {
		return nil, err
	}
	return deletedResource{Object: "user", ID: u.ID, Deleted: true}, t.deleteUser(u)
}

func (e *Emulator) listOrganizations(c *call) (any, error) {
	query, err := c.query("query", "user_id", "include_members_count", "include_missing_member_with_elevated_permissions")
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
		found = append(found, c.organizationResource(o))
	}
	return listed(query, found, func(o organizationResource) int64 { return o.CreatedAt })
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

func (e *Emulator) patchOrganizationMetadata(c *call, t *tx) (any, error) {
	known, err := c.organization()
	if err != nil {
		return nil, err
	}
	var params metadataParams
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	changed := *known
	if changed.PublicMetadata, err = merged("public_metadata", known.PublicMetadata, params.Public); err != nil {
		return nil, err
	}
	if changed.PrivateMetadata, err = merged("private_metadata", known.PrivateMetadata, params.Private); err != nil {
		return nil, err
	}
	if err := t.replaceOrganization(changed); err != nil {
		return nil, err
	}
	return t.organizationResource(t.Organizations[changed.ID]), nil
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
	query, err := c.query("query", "role", "user_id", "email_address")
	if err != nil {
		return nil, err
	}
	found := []membershipResource{}
	for _, m := range among {
		u := c.Users[m.UserID]
		if roles := query["role"]; len(roles) > 0 && !slices.Contains(roles, m.Role) {
			continue
		}
		if ids := query["user_id"]; len(ids) > 0 && !slices.Contains(ids, m.UserID) {
			continue
		}
		if addresses := query["email_address"]; len(addresses) > 0 && !slices.Contains(addresses, u.primaryEmail()) {
			continue
		}
		if u.matches(query.Get("query")) {
			found = append(found, c.membershipResource(m))
		}
	}
	return listed(query, found, func(m membershipResource) int64 { return m.CreatedAt })
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
	if err := checkRole(params.Role); err != nil {
		return nil, err
	}
	changed := *known
	changed.Role = params.Role
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

func (c *call) invitationList(organizationID string, publicURL string) (any, error) {
	query, err := c.query("status", "email_address", "query")
	if err != nil {
		return nil, err
	}
	found := []invitationResource{}
	for _, i := range c.Invitations {
		if organizationID != "" && i.OrganizationID != organizationID {
			continue
		}
		if statuses := query["status"]; len(statuses) > 0 && !slices.Contains(statuses, i.Status) {
			continue
		}
		if address := query.Get("email_address"); address != "" && !strings.EqualFold(address, i.EmailAddress) {
			continue
		}
		if text := query.Get("query"); strings.Contains(strings.ToLower(i.EmailAddress), strings.ToLower(text)) {
			found = append(found, c.invitationResource(i, publicURL))
		}
	}
	return listed(query, found, func(i invitationResource) int64 { return i.CreatedAt })
}

func (e *Emulator) listOrganizationsInvitations(c *call) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	return c.invitationList(o.ID, e.publicURL.String())
}

func (e *Emulator) listInvitations(c *call) (any, error) {
	return c.invitationList("", e.publicURL.String())
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
	return c.invitationResource(i, e.publicURL.String()), nil
}

func (e *Emulator) postInvitation(c *call, t *tx) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	var params struct {
		EmailAddress string           `json:"email_address"`
		Role         string           `json:"role"`
		InviterID    string           `json:"inviter_user_id"`
		RedirectURL  string           `json:"redirect_url"`
		Public       *json.RawMessage `json:"public_metadata"`
		Private      *json.RawMessage `json:"private_metadata"`
		Days         *int64           `json:"expires_in_days"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	i, err := t.createInvitation(o, newInvitation{
		email: params.EmailAddress, role: params.Role, inviterID: params.InviterID, redirectURL: params.RedirectURL,
		public: params.Public, private: params.Private, days: params.Days,
	})
	if err != nil {
		return nil, err
	}
	return t.invitationResource(i, t.publicURL), nil
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

// listDomains answers that an organization has none: verifying a domain needs a
// mail server that nobody has here.
func (e *Emulator) listDomains(c *call) (any, error) {
	if _, err := c.organization(); err != nil {
		return nil, err
	}
	return listResource[struct{}]{Data: []struct{}{}}, nil
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
			(query.Get("status") == "" || query.Get("status") == v.Status) {
			found = append(found, c.sessionResource(v))
		}
	}
	createdAt := func(v sessionResource) int64 { return v.CreatedAt }
	if query.Get("paginated") == "true" {
		return listed(query, found, createdAt)
	}
	return page(query, found, createdAt)
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
