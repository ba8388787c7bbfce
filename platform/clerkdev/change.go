package clerkdev

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

// The changes that the Backend API and the portal have in common. Each checks
// everything before it touches the state, and emits the events that Clerk does.

var (
	slugPattern  = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$`)
	phonePattern = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	notInSlugs   = regexp.MustCompile(`[^a-z0-9]+`)
)

const (
	maxNameLength     = 256
	minPasswordLength = 8
	sessionLifetime   = 7 * 24 * 60 * 60 * 1000  // milliseconds
	abandonAfter      = 30 * 24 * 60 * 60 * 1000 // milliseconds
	invitationDays    = 30
	defaultMaxMembers = 0 // no limit
)

var emptyObject = json.RawMessage(`{}`)

// object returns metadata that was given, which has to be a JSON object.
func object(param string, given *json.RawMessage) (json.RawMessage, error) {
	if given == nil || string(*given) == "null" {
		return emptyObject, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(*given, &fields) != nil || fields == nil {
		return nil, errFormat(param, param+" must be a JSON object.")
	}
	return *given, nil
}

// merged returns current with patch merged into it, as deep as there are
// objects; null takes a field away.
func merged(param string, current json.RawMessage, patch *json.RawMessage) (json.RawMessage, error) {
	if patch == nil {
		return current, nil
	}
	var base, change map[string]any
	if decodeObject(*patch, &change) != nil || change == nil {
		return nil, errFormat(param, param+" must be a JSON object.")
	}
	if err := decodeObject(current, &base); err != nil {
		return nil, fmt.Errorf("clerkdev: stored %s: %w", param, err)
	}
	return json.Marshal(mergeObjects(base, change))
}

// decodeObject keeps numbers as they are written.
func decodeObject(data json.RawMessage, into *map[string]any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// replaced returns what was given in the place of current, if it was.
func replaced(param string, current json.RawMessage, given *json.RawMessage) (json.RawMessage, error) {
	if given == nil {
		return current, nil
	}
	return object(param, given)
}

func mergeObjects(base, change map[string]any) map[string]any {
	result := maps.Clone(base)
	if result == nil {
		result = map[string]any{}
	}
	for name, value := range change {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(result, name)
		case isObject:
			known, _ := result[name].(map[string]any)
			result[name] = mergeObjects(known, inner)
		default:
			result[name] = value
		}
	}
	return result
}

// checkName holds text that people enter to what can be shown on one line.
func checkName(param string, given *string) error {
	switch {
	case given == nil:
		return nil
	case utf8.RuneCountInString(*given) > maxNameLength:
		return errFormat(param, fmt.Sprintf("%s must have at most %d characters.", param, maxNameLength))
	case !utf8.ValidString(*given) || strings.ContainsFunc(*given, unicode.IsControl):
		return errFormat(param, param+" must not have control characters.")
	}
	return nil
}

func checkEmail(address string) error {
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || !strings.Contains(address, ".") || len(address) > 254 {
		return errFormat("email_address", "email_address must be a valid email address.")
	}
	return nil
}

type newUser struct {
	externalID, username, firstName, lastName, locale *string
	emails, phones                                    []string
	password, totpSecret                              *string
	public, private, unsafe                           *json.RawMessage
	permissions                                       permissionParams
}

// checkUser holds a user to what no two may share and to names that can be
// shown. Email addresses are for createUser.
func (t *tx) checkUser(u *user) error {
	for param, name := range map[string]*string{
		"first_name": u.FirstName, "last_name": u.LastName, "username": u.Username, "external_id": u.ExternalID, "locale": u.Locale,
	} {
		if err := checkName(param, name); err != nil {
			return err
		}
	}
	for _, other := range t.Users {
		switch {
		case other.ID == u.ID:
		case u.Username != nil && strings.EqualFold(*u.Username, text(other.Username)):
			return errTaken("username", "That username is taken. Please try another.")
		case u.ExternalID != nil && *u.ExternalID == text(other.ExternalID):
			return errTaken("external_id", "That external ID is taken. Please try another.")
		}
		for _, phone := range u.Phones {
			if other.ID != u.ID && slices.ContainsFunc(other.Phones, func(i identification) bool { return i.Value == phone.Value }) {
				return errTaken("phone_number", "That phone number is taken. Please try another.")
			}
		}
	}
	return nil
}

func (t *tx) createUser(n newUser) (*user, error) {
	u := &user{
		ID: newID("user"), ExternalID: n.externalID, Username: n.username, FirstName: n.firstName, LastName: n.lastName, Locale: n.locale,
		DeleteSelfEnabled: true, CreateOrganizationEnabled: true, CreatedAt: t.now, UpdatedAt: t.now,
	}
	n.permissions.apply(u)
	if len(n.emails) == 0 {
		return nil, errMissing("email_address")
	}
	for _, address := range n.emails {
		if err := checkEmail(address); err != nil {
			return nil, err
		}
		if t.userByEmail(address) != nil {
			return nil, errTaken("email_address", "That email address is taken. Please try another.")
		}
		u.Emails = append(u.Emails, identification{ID: newID("idn"), Value: address, CreatedAt: t.now})
	}
	u.PrimaryEmailID = new(u.Emails[0].ID)
	for _, number := range n.phones {
		if !phonePattern.MatchString(number) {
			return nil, errFormat("phone_number", "phone_number must be like +12025550123.")
		}
		u.Phones = append(u.Phones, identification{ID: newID("idn"), Value: number, CreatedAt: t.now})
	}
	if len(u.Phones) > 0 {
		u.PrimaryPhoneID = new(u.Phones[0].ID)
	}
	if err := t.checkUser(u); err != nil {
		return nil, err
	}
	if n.password != nil {
		if err := u.setPassword(*n.password, t.now); err != nil {
			return nil, err
		}
	}
	u.setTOTP(text(n.totpSecret) != "", t.now)
	var err error
	for _, metadata := range []struct {
		param string
		given *json.RawMessage
		into  *json.RawMessage
	}{
		{"public_metadata", n.public, &u.PublicMetadata}, {"private_metadata", n.private, &u.PrivateMetadata}, {"unsafe_metadata", n.unsafe, &u.UnsafeMetadata},
	} {
		if *metadata.into, err = object(metadata.param, metadata.given); err != nil {
			return nil, err
		}
	}
	t.Users[u.ID] = u
	return u, t.emit("user.created", t.userResource(u))
}

func (u *user) setPassword(password string, now int64) error {
	if len(password) < minPasswordLength || len(password) > 72 {
		return &apiError{http.StatusUnprocessableEntity, "form_password_length_too_short", "Passwords must be 8 characters or more.", "Passwords must have 8 to 72 characters.", "password"}
	}
	// Nothing here is worth an expensive hash.
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return fmt.Errorf("clerkdev: hash password: %w", err)
	}
	u.PasswordHash, u.PasswordUpdatedAt = hash, &now
	u.fulfil(taskResetPassword)
	return nil
}

// setTOTP turns the second factor on or off. The emulator asks nobody for it: it
// shows what the application makes of it.
func (u *user) setTOTP(on bool, now int64) {
	switch {
	case on == u.TOTP:
	case on:
		u.MFAEnabledAt = &now
		u.fulfil(taskSetUpMFA)
	default:
		u.MFADisabledAt = &now
	}
	u.TOTP = on
}

// replaceUser puts a changed copy in the place of a user.
func (t *tx) replaceUser(u user) error {
	u.UpdatedAt = t.now
	t.Users[u.ID] = &u
	return t.emit("user.updated", t.userResource(&u))
}

func (t *tx) deleteUser(u *user) error {
	for _, m := range t.membershipsOf(u.ID) {
		if err := t.deleteMembership(m); err != nil {
			return err
		}
	}
	for _, v := range t.Sessions {
		if v.UserID == u.ID {
			if err := t.endSession(v, "removed"); err != nil {
				return err
			}
			delete(t.Sessions, v.ID)
		}
	}
	delete(t.Users, u.ID)
	return t.emit("user.deleted", deletedResource{Object: "user", ID: u.ID, Deleted: true, ExternalID: u.ExternalID})
}

type newOrganization struct {
	name, slug, createdBy string
	maxMembers            *int64
	public, private       *json.RawMessage
}

// checkSlug returns nil for a slug that an organization may have.
func (t *tx) checkSlug(slug, organizationID string) error {
	if len(slug) > 63 || !slugPattern.MatchString(slug) {
		return errFormat("slug", "Use lower-case letters, digits and hyphens, at most 63 of them.")
	}
	if other := t.organization(slug); other != nil && other.ID != organizationID {
		return errTaken("slug", "That slug is taken. Please try another.")
	}
	return nil
}

// mayCreateOrganization returns nil for somebody who may have one more.
func (t *tx) mayCreateOrganization(u *user) error {
	created := 0
	for _, o := range t.Organizations {
		if o.CreatedBy == u.ID {
			created++
		}
	}
	switch limit := u.CreateOrganizationsLimit; {
	case !u.CreateOrganizationEnabled:
		return &apiError{http.StatusForbidden, "organization_creator_not_allowed", "Not allowed", "This account may not create organizations.", ""}
	case limit != nil && *limit > 0 && created >= *limit:
		return &apiError{http.StatusForbidden, "organization_creation_quota_exceeded", "Quota exceeded", "This account has created as many organizations as it may.", ""}
	}
	return nil
}

func (t *tx) createOrganization(n newOrganization) (*organization, error) {
	switch {
	case strings.TrimSpace(n.name) == "":
		return nil, errMissing("name")
	case n.createdBy != "" && t.Users[n.createdBy] == nil:
		return nil, errNotFound("user")
	case n.maxMembers != nil && *n.maxMembers < 0:
		return nil, errValue("max_allowed_memberships", "max_allowed_memberships must not be negative.")
	}
	if n.createdBy != "" {
		if err := t.mayCreateOrganization(t.Users[n.createdBy]); err != nil {
			return nil, err
		}
	}
	if err := checkName("name", &n.name); err != nil {
		return nil, err
	}
	if n.slug == "" {
		n.slug = t.freeSlug(n.name)
	}
	if err := t.checkSlug(n.slug, ""); err != nil {
		return nil, err
	}
	o := &organization{
		ID: newID("org"), Name: n.name, Slug: n.slug, CreatedBy: n.createdBy, MaxAllowedMemberships: defaultMaxMembers,
		AdminDeleteEnabled: true, CreatedAt: t.now, UpdatedAt: t.now,
	}
	if n.maxMembers != nil {
		o.MaxAllowedMemberships = *n.maxMembers
	}
	var err error
	if o.PublicMetadata, err = object("public_metadata", n.public); err != nil {
		return nil, err
	}
	if o.PrivateMetadata, err = object("private_metadata", n.private); err != nil {
		return nil, err
	}
	t.Organizations[o.ID] = o
	if err := t.emit("organization.created", t.organizationResource(o)); err != nil {
		return nil, err
	}
	if n.createdBy != "" {
		_, err = t.createMembership(o, t.Users[n.createdBy], creatorRole)
	}
	return o, err
}

// freeSlug derives a slug from a name, numbered when it is taken.
func (t *tx) freeSlug(name string) string {
	base := strings.Trim(notInSlugs.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(base) > 50 {
		base = strings.TrimRight(base[:50], "-")
	}
	if base == "" {
		base = "organization"
	}
	for n, slug := 2, base; ; n++ {
		if t.organization(slug) == nil {
			return slug
		}
		slug = fmt.Sprintf("%s-%d", base, n)
	}
}

func (t *tx) replaceOrganization(o organization) error {
	o.UpdatedAt = t.now
	t.Organizations[o.ID] = &o
	return t.emit("organization.updated", t.organizationResource(&o))
}

func (t *tx) deleteOrganization(o *organization) error {
	for _, m := range t.membershipsIn(o.ID) {
		if err := t.deleteMembership(m); err != nil {
			return err
		}
	}
	for id, i := range t.Invitations {
		if i.OrganizationID == o.ID {
			delete(t.Invitations, id)
		}
	}
	for id, d := range t.Domains {
		if d.OrganizationID == o.ID {
			delete(t.Domains, id)
		}
	}
	delete(t.Organizations, o.ID)
	return t.emit("organization.deleted", deletedResource{Object: "organization", ID: o.ID, Slug: o.Slug, Deleted: true})
}

// membershipsIn returns an organization's memberships, the oldest first.
func (s *state) membershipsIn(organizationID string) []*membership {
	var all []*membership
	for _, m := range s.Memberships {
		if m.OrganizationID == organizationID {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *membership) int {
		return 2*int(min(1, max(-1, a.CreatedAt-b.CreatedAt))) + strings.Compare(a.ID, b.ID)
	})
	return all
}

func (t *tx) createMembership(o *organization, u *user, role string) (*membership, error) {
	if err := t.checkRole(role); err != nil {
		return nil, err
	}
	if t.membership(o.ID, u.ID) != nil {
		return nil, errBadRequest("already_a_member_in_organization", "The user is already a member of the organization.")
	}
	if o.MaxAllowedMemberships > 0 && t.memberCount(o.ID) >= o.MaxAllowedMemberships {
		return nil, &apiError{http.StatusForbidden, "organization_membership_quota_exceeded", "Quota exceeded", "The organization has as many members as it may have.", ""}
	}
	m := &membership{
		ID: newID("orgmem"), OrganizationID: o.ID, UserID: u.ID, Role: role,
		PublicMetadata: emptyObject, PrivateMetadata: emptyObject, CreatedAt: t.now, UpdatedAt: t.now,
	}
	t.Memberships[m.ID] = m
	return m, t.emit("organizationMembership.created", t.membershipResource(m))
}

func (t *tx) replaceMembership(m membership) error {
	m.UpdatedAt = t.now
	t.Memberships[m.ID] = &m
	return t.emit("organizationMembership.updated", t.membershipResource(&m))
}

func (t *tx) deleteMembership(m *membership) error {
	resource := t.membershipResource(m)
	delete(t.Memberships, m.ID)
	for _, v := range t.Sessions {
		if v.UserID == m.UserID && v.OrganizationID == m.OrganizationID {
			changed := *v
			changed.OrganizationID, changed.UpdatedAt = "", t.now
			t.Sessions[v.ID] = &changed
		}
	}
	return t.emit("organizationMembership.deleted", resource)
}

type newInvitation struct {
	email, role, inviterID, redirectURL string
	public, private                     *json.RawMessage
	days                                *int64
}

func (t *tx) createInvitation(o *organization, n newInvitation) (*invitation, error) {
	if err := checkEmail(n.email); err != nil {
		return nil, err
	}
	if err := t.checkRole(n.role); err != nil {
		return nil, err
	}
	if n.inviterID != "" && t.Users[n.inviterID] == nil {
		return nil, errNotFound("user")
	}
	if _, err := resolveOwn(t.publicURL, n.redirectURL); err != nil {
		return nil, errValue("redirect_url", "redirect_url must be an address of the application's.")
	}
	if u := t.userByEmail(n.email); u != nil && t.membership(o.ID, u.ID) != nil {
		return nil, errBadRequest("already_a_member_in_organization", n.email+" is already a member of the organization.")
	}
	for _, i := range t.Invitations {
		if i.OrganizationID == o.ID && i.Status == "pending" && strings.EqualFold(i.EmailAddress, n.email) {
			return nil, errBadRequest("duplicate_record", "There is already a pending invitation for "+n.email+".")
		}
	}
	days := int64(invitationDays)
	if n.days != nil {
		if days = *n.days; days < 1 || days > 365 {
			return nil, errValue("expires_in_days", "expires_in_days must be from 1 to 365.")
		}
	}
	i := &invitation{
		ID: newID("orginv"), OrganizationID: o.ID, EmailAddress: n.email, Role: n.role, InviterID: n.inviterID, Status: "pending",
		RedirectURL: n.redirectURL, Ticket: newSecret(), ExpiresAt: t.now + days*24*60*60*1000, CreatedAt: t.now, UpdatedAt: t.now,
	}
	var err error
	if i.PublicMetadata, err = object("public_metadata", n.public); err != nil {
		return nil, err
	}
	if i.PrivateMetadata, err = object("private_metadata", n.private); err != nil {
		return nil, err
	}
	t.Invitations[i.ID] = i
	return i, t.emit("organizationInvitation.created", t.invitationResource(i, t.publicURL))
}

func (t *tx) revokeInvitation(i *invitation) (*invitation, error) {
	if i.Status != "pending" {
		return nil, errBadRequest("organization_invitation_not_pending", "The invitation is "+i.Status+" and cannot be revoked.")
	}
	changed := *i
	changed.Status, changed.UpdatedAt = "revoked", t.now
	t.Invitations[i.ID] = &changed
	return &changed, t.emit("organizationInvitation.revoked", t.invitationResource(&changed, t.publicURL))
}

// invites returns nil when the invitation can be accepted by somebody.
func (i *invitation) invites(now int64) error {
	if i.Status != "pending" || i.ExpiresAt < now {
		return errBadRequest("organization_invitation_not_pending", "The invitation was used, revoked or has expired. Ask for another one.")
	}
	return nil
}

// hasJoined reports whether the user is in the organization by this invitation.
func (s *state) hasJoined(i *invitation, u *user) bool {
	return i.Status == "accepted" && i.UserID == u.ID && s.membership(i.OrganizationID, u.ID) != nil
}

// acceptInvitation makes the person who holds the ticket a member. Whoever
// accepts it twice is one already.
func (t *tx) acceptInvitation(i *invitation, u *user) error {
	if t.hasJoined(i, u) {
		return nil
	}
	if err := i.invites(t.now); err != nil {
		return err
	}
	if t.membership(i.OrganizationID, u.ID) == nil {
		if _, err := t.createMembership(t.Organizations[i.OrganizationID], u, i.Role); err != nil {
			return err
		}
	}
	changed := *i
	changed.Status, changed.UserID, changed.UpdatedAt = "accepted", u.ID, t.now
	t.Invitations[i.ID] = &changed
	return t.emit("organizationInvitation.accepted", t.invitationResource(&changed, t.publicURL))
}

var errLocked = &apiError{http.StatusForbidden, "user_locked", "Account locked", "This account is locked. Ask whoever administers it to unlock it.", ""}

var errBanned = &apiError{http.StatusForbidden, "user_banned", "User is banned", "This account has been suspended.", ""}

// createSession signs a user in.
func (t *tx) createSession(u *user, clientID, organizationID string) (*session, error) {
	if organizationID != "" && t.membership(organizationID, u.ID) == nil {
		return nil, errNotFound("organization of the user's")
	}
	if u.Banned {
		return nil, errBanned
	}
	if u.Locked {
		return nil, errLocked
	}
	if clientID == "" {
		clientID = newID("client")
	}
	v := &session{
		ID: newID("sess"), ClientID: clientID, UserID: u.ID, OrganizationID: organizationID, Status: "active",
		ExpireAt: t.now + sessionLifetime, AbandonAt: t.now + abandonAfter, LastActiveAt: t.now, CreatedAt: t.now, UpdatedAt: t.now,
	}
	t.Sessions[v.ID] = v
	signedIn := *u
	signedIn.LastSignInAt, signedIn.LastActiveAt = new(t.now), new(t.now)
	t.Users[u.ID] = &signedIn
	return v, t.emitSession("session.created", v)
}

// endSession ends a session as ended, removed or revoked.
func (t *tx) endSession(v *session, status string) error {
	if v.status() != "active" {
		return nil
	}
	changed := *v
	changed.Status, changed.UpdatedAt = status, t.now
	t.Sessions[v.ID] = &changed
	for id, c := range t.Clients {
		if c.SessionID == v.ID {
			out := *c
			out.SessionID, out.SignedInAt = "", 0
			t.Clients[id] = &out
		}
	}
	return t.emitSession("session."+status, &changed)
}

// revokeSessionsOf ends every session of a user's.
func (t *tx) revokeSessionsOf(userID string) error {
	for _, v := range t.Sessions {
		if v.UserID == userID {
			if err := t.endSession(v, "revoked"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) emitSession(eventType string, v *session) error {
	resource := t.sessionResource(v)
	resource.User = new(t.userResource(t.Users[v.UserID]))
	return t.emit(eventType, resource)
}
