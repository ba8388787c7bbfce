package clerkdev

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// stateFormat is the version of the state file this code reads and writes.
const stateFormat = 1

// keptEvents is how many delivered events a state file remembers. Undelivered
// ones are always kept.
const keptEvents = 200

// state is everything the instance knows. Values are JSON because that is what
// the state file holds.
//
// Stored metadata ([json.RawMessage]) is replaced, never edited in place, so
// resources may share it after the lock was given up.
type state struct {
	Format        int       `json:"format"`
	InstanceID    string    `json:"instance_id"`
	SecretKey     string    `json:"secret_key"`
	WebhookSecret string    `json:"webhook_secret"`
	Keys          []keyPair `json:"keys"`
	// Clock is the time of the last change, in milliseconds. It moves by at
	// least one with each change, so that no two states of a thing have the
	// same updated_at; under load it therefore runs ahead of the real time.
	Clock         int64                    `json:"clock"`
	Users         map[string]*user         `json:"users"`
	Organizations map[string]*organization `json:"organizations"`
	Memberships   map[string]*membership   `json:"memberships"`
	Invitations   map[string]*invitation   `json:"invitations"`
	Domains       map[string]*domain       `json:"domains"`
	Sessions      map[string]*session      `json:"sessions"`
	Clients       map[string]*client       `json:"clients"`
	Roles         map[string]*role         `json:"roles"`
	Events        []*Event                 `json:"events"`
}

type keyPair struct {
	ID    string `json:"id"`
	PKCS8 []byte `json:"pkcs8"`
}

type user struct {
	ID                        string           `json:"id"`
	ExternalID                *string          `json:"external_id,omitempty"`
	Username                  *string          `json:"username,omitempty"`
	FirstName                 *string          `json:"first_name,omitempty"`
	LastName                  *string          `json:"last_name,omitempty"`
	Locale                    *string          `json:"locale,omitempty"`
	Emails                    []identification `json:"emails,omitempty"`
	Phones                    []identification `json:"phones,omitempty"`
	PrimaryEmailID            *string          `json:"primary_email_id,omitempty"`
	PrimaryPhoneID            *string          `json:"primary_phone_id,omitempty"`
	PasswordHash              []byte           `json:"password_hash,omitempty"`
	PasswordUpdatedAt         *int64           `json:"password_updated_at,omitempty"`
	PublicMetadata            json.RawMessage  `json:"public_metadata"`
	PrivateMetadata           json.RawMessage  `json:"private_metadata"`
	UnsafeMetadata            json.RawMessage  `json:"unsafe_metadata"`
	TOTP                      bool             `json:"totp,omitempty"` // signs in with codes of an app, as far as anybody asks
	MFAEnabledAt              *int64           `json:"mfa_enabled_at,omitempty"`
	MFADisabledAt             *int64           `json:"mfa_disabled_at,omitempty"`
	Task                      string           `json:"task,omitempty"` // what keeps the user's sessions pending, "" for nothing
	Banned                    bool             `json:"banned,omitempty"`
	Locked                    bool             `json:"locked,omitempty"`
	DeleteSelfEnabled         bool             `json:"delete_self_enabled"`
	CreateOrganizationEnabled bool             `json:"create_organization_enabled"`
	CreateOrganizationsLimit  *int             `json:"create_organizations_limit,omitempty"`
	LastSignInAt              *int64           `json:"last_sign_in_at,omitempty"`
	LastActiveAt              *int64           `json:"last_active_at,omitempty"`
	LegalAcceptedAt           *int64           `json:"legal_accepted_at,omitempty"`
	LastOrganizationID        string           `json:"last_organization_id,omitempty"`
	CreatedAt                 int64            `json:"created_at"`
	UpdatedAt                 int64            `json:"updated_at"`
}

// identification is an email address or a phone number of a user.
type identification struct {
	ID        string `json:"id"`
	Value     string `json:"value"`
	CreatedAt int64  `json:"created_at"`
}

type organization struct {
	ID                    string          `json:"id"`
	Name                  string          `json:"name"`
	Slug                  string          `json:"slug"`
	CreatedBy             string          `json:"created_by,omitempty"`
	MaxAllowedMemberships int64           `json:"max_allowed_memberships"`
	AdminDeleteEnabled    bool            `json:"admin_delete_enabled"`
	PublicMetadata        json.RawMessage `json:"public_metadata"`
	PrivateMetadata       json.RawMessage `json:"private_metadata"`
	CreatedAt             int64           `json:"created_at"`
	UpdatedAt             int64           `json:"updated_at"`
}

type membership struct {
	ID              string          `json:"id"`
	OrganizationID  string          `json:"organization_id"`
	UserID          string          `json:"user_id"`
	Role            string          `json:"role"`
	PublicMetadata  json.RawMessage `json:"public_metadata"`
	PrivateMetadata json.RawMessage `json:"private_metadata"`
	CreatedAt       int64           `json:"created_at"`
	UpdatedAt       int64           `json:"updated_at"`
}

type invitation struct {
	ID              string          `json:"id"`
	OrganizationID  string          `json:"organization_id"`
	EmailAddress    string          `json:"email_address"`
	Role            string          `json:"role"`
	InviterID       string          `json:"inviter_id,omitempty"`
	UserID          string          `json:"user_id,omitempty"` // who accepted it
	Status          string          `json:"status"`
	RedirectURL     string          `json:"redirect_url,omitempty"`
	Ticket          string          `json:"ticket"`
	PublicMetadata  json.RawMessage `json:"public_metadata"`
	PrivateMetadata json.RawMessage `json:"private_metadata"`
	ExpiresAt       int64           `json:"expires_at"`
	CreatedAt       int64           `json:"created_at"`
	UpdatedAt       int64           `json:"updated_at"`
}

// domain is one of an organization's.
type domain struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	Name           string `json:"name"`
	Enrollment     string `json:"enrollment_mode"`
	Verified       bool   `json:"verified,omitempty"`
	CreatedAt      int64  `json:"created_at"`
	UpdatedAt      int64  `json:"updated_at"`
}

type session struct {
	ID             string `json:"id"`
	ClientID       string `json:"client_id"`
	UserID         string `json:"user_id"`
	OrganizationID string `json:"organization_id,omitempty"` // the active one
	Status         string `json:"status"`
	ExpireAt       int64  `json:"expire_at"`
	AbandonAt      int64  `json:"abandon_at"`
	LastActiveAt   int64  `json:"last_active_at"`
	CreatedAt      int64  `json:"created_at"`
	UpdatedAt      int64  `json:"updated_at"`
}

// client is one browser. Its secret is the value of the __client cookie.
type client struct {
	ID        string `json:"id"`
	Secret    string `json:"secret"`
	SessionID string `json:"session_id,omitempty"` // the one that is signed in
	// SignedInAt is __client_uat: when the signed-in session changed last, in
	// seconds, 0 while nobody is signed in.
	SignedInAt int64 `json:"signed_in_at,omitempty"`
}

// role is one that people can have in organizations. The state keeps it under
// its key.
type role struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions,omitempty"` // their keys
	CreatedAt   int64    `json:"created_at"`
	UpdatedAt   int64    `json:"updated_at"`
}

func newState() *state {
	now := time.Now().UnixMilli()
	return &state{
		Format:        stateFormat,
		InstanceID:    newID("ins"),
		SecretKey:     "sk_live_" + newSecret(),
		WebhookSecret: newWebhookSecret(),
		Users:         map[string]*user{},
		Organizations: map[string]*organization{},
		Memberships:   map[string]*membership{},
		Invitations:   map[string]*invitation{},
		Domains:       map[string]*domain{},
		Sessions:      map[string]*session{},
		Clients:       map[string]*client{},
		Roles: map[string]*role{
			creatorRole: {ID: newID("role"), Name: "Admin", CreatedAt: now, UpdatedAt: now, Permissions: []string{
				"org:sys_profile:manage", "org:sys_profile:delete", "org:sys_memberships:read", "org:sys_memberships:manage",
				"org:sys_domains:read", "org:sys_domains:manage",
			}},
			memberRole: {ID: newID("role"), Name: "Member", CreatedAt: now, UpdatedAt: now, Permissions: []string{"org:sys_memberships:read"}},
		},
	}
}

// readState reads a state file. A file that is not there is a nil state; one
// that cannot be understood is an error that names it, and stays as it is.
func readState(file string) (*state, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("clerkdev: read state file: %w", err)
	}
	s, err := parseState(data)
	if err != nil {
		return nil, fmt.Errorf("clerkdev: state file %s is damaged (it was left as it is; move it away to start over): %w", file, err)
	}
	return s, nil
}

func parseState(data []byte) (*state, error) {
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, err
	}
	if s.Format != stateFormat {
		return nil, fmt.Errorf("format %d, want %d", s.Format, stateFormat)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// check reports the first thing that the rest of the package could not work
// with: missing secrets, maps, or what an identifier refers to.
func (s *state) check() error {
	switch {
	case s.InstanceID == "" || s.SecretKey == "" || s.WebhookSecret == "":
		return errors.New("no instance id or secrets")
	case len(s.Keys) == 0:
		return errors.New("no signing key")
	case s.Users == nil || s.Organizations == nil || s.Memberships == nil || s.Invitations == nil ||
		s.Sessions == nil || s.Clients == nil || s.Roles == nil:
		return errors.New("a collection is missing")
	}
	if _, err := newSigner(s.WebhookSecret); err != nil {
		return fmt.Errorf("webhook secret: %w", err)
	}
	for id, u := range s.Users {
		if u == nil || u.ID != id {
			return fmt.Errorf("user %q is not whole", id)
		}
	}
	for id, o := range s.Organizations {
		if o == nil || o.ID != id {
			return fmt.Errorf("organization %q is not whole", id)
		}
	}
	for id, m := range s.Memberships {
		if m == nil || m.ID != id || s.Users[m.UserID] == nil || s.Organizations[m.OrganizationID] == nil {
			return fmt.Errorf("membership %q is not whole", id)
		}
	}
	for id, i := range s.Invitations {
		if i == nil || i.ID != id || s.Organizations[i.OrganizationID] == nil {
			return fmt.Errorf("invitation %q is not whole", id)
		}
	}
	for id, d := range s.Domains {
		if d == nil || d.ID != id || s.Organizations[d.OrganizationID] == nil {
			return fmt.Errorf("domain %q is not whole", id)
		}
	}
	for id, v := range s.Sessions {
		if v == nil || v.ID != id || s.Users[v.UserID] == nil {
			return fmt.Errorf("session %q is not whole", id)
		}
	}
	for id, c := range s.Clients {
		if c == nil || c.ID != id || c.Secret == "" {
			return fmt.Errorf("client %q is not whole", id)
		}
	}
	for key, r := range s.Roles {
		if r == nil {
			return fmt.Errorf("role %q is not whole", key)
		}
	}
	for n, e := range s.Events {
		if e == nil || e.ID == "" {
			return fmt.Errorf("event %d is not whole", n)
		}
	}
	return nil
}

// encode returns the content of a state file.
func (s *state) encode() ([]byte, error) {
	saved := *s
	delivered := 0
	saved.Events = nil
	for _, e := range slices.Backward(s.Events) {
		if e.Delivered() {
			if delivered++; delivered > keptEvents {
				continue
			}
		}
		saved.Events = append(saved.Events, e)
	}
	slices.Reverse(saved.Events)
	return json.Marshal(&saved)
}

// writeFileAtomic replaces a file as a whole: after a crash at any point it
// holds the old content or the new.
func writeFileAtomic(file string, data []byte) (err error) {
	dir := filepath.Dir(file)
	temp, err := os.CreateTemp(dir, ".clerkdev-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, temp.Close(), os.Remove(temp.Name()))
		}
	}()
	if _, err := temp.Write(data); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), file); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return errors.Join(err, temp.Close())
	}
	return errors.Join(temp.Close(), folder.Sync(), folder.Close())
}

// sender is who caused a change, for an event's event_attributes.
type sender struct {
	IP        string
	UserAgent string
}

// tx is one change. It is made under the lock; a change that returns an error
// must not have touched the state.
type tx struct {
	*state
	now       int64 // this change's time in milliseconds
	publicURL *url.URL
	sender    sender
	emitted   bool
}

// update makes one change, saves it, and wakes the dispatcher when it caused
// events. A change that cannot be saved is taken back.
func (e *Emulator) update(from sender, change func(*tx) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &tx{state: e.state, now: max(time.Now().UnixMilli(), e.state.Clock+1), publicURL: e.publicURL, sender: from}
	if err := change(t); err != nil {
		return err
	}
	e.state.Clock = t.now
	if err := e.save(); err != nil {
		return err
	}
	if t.emitted {
		e.wake()
	}
	return nil
}

// save writes the state file, if there is one. The caller holds the lock.
func (e *Emulator) save() error {
	if e.stateFile == "" {
		return nil
	}
	data, err := e.state.encode()
	if err == nil {
		err = writeFileAtomic(e.stateFile, data)
	}
	if err != nil {
		if previous, parseErr := parseState(e.saved); parseErr == nil {
			e.state = previous
		}
		return fmt.Errorf("clerkdev: save state: %w", err)
	}
	e.saved = data
	return nil
}

// view reads the state.
func (e *Emulator) view(read func(*state)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	read(e.state)
}

func (s *state) userByEmail(address string) *user {
	for _, u := range s.Users {
		for _, email := range u.Emails {
			if strings.EqualFold(email.Value, address) {
				return u
			}
		}
	}
	return nil
}

// organization finds one by its id or its slug.
func (s *state) organization(idOrSlug string) *organization {
	if o := s.Organizations[idOrSlug]; o != nil {
		return o
	}
	for _, o := range s.Organizations {
		if o.Slug == idOrSlug && idOrSlug != "" {
			return o
		}
	}
	return nil
}

func (s *state) membership(organizationID, userID string) *membership {
	for _, m := range s.Memberships {
		if m.OrganizationID == organizationID && m.UserID == userID {
			return m
		}
	}
	return nil
}

func (s *state) memberCount(organizationID string) (count int64) {
	for _, m := range s.Memberships {
		if m.OrganizationID == organizationID {
			count++
		}
	}
	return count
}

func (s *state) pendingInvitationCount(organizationID string) (count int64) {
	for _, i := range s.Invitations {
		if i.OrganizationID == organizationID && i.Status == "pending" {
			count++
		}
	}
	return count
}

// membershipsOf returns a user's memberships, the oldest first.
func (s *state) membershipsOf(userID string) []*membership {
	var all []*membership
	for _, m := range s.Memberships {
		if m.UserID == userID {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *membership) int { return int(a.CreatedAt - b.CreatedAt) })
	return all
}

// newestUsers returns everybody, the newest first.
func (s *state) newestUsers() []*user {
	return slices.SortedFunc(maps.Values(s.Users), func(a, b *user) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
}

func (u *user) name() string { return strings.TrimSpace(text(u.FirstName) + " " + text(u.LastName)) }

func (u *user) primaryEmail() string {
	for _, email := range u.Emails {
		if u.PrimaryEmailID != nil && email.ID == *u.PrimaryEmailID {
			return email.Value
		}
	}
	return ""
}

// status is the session's now: time ends one without anybody's doing.
func (v *session) status() string {
	if v.Status == "active" && v.ExpireAt <= time.Now().UnixMilli() {
		return "expired"
	}
	return v.Status
}
