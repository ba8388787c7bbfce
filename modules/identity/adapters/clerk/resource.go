package clerk

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
)

// The types in this file are the parts of Clerk's JSON that are read, from the
// Backend API and from webhooks alike. What is not named here, private_metadata
// above all, is never in memory as more than bytes to skip.

type userResource struct {
	ID                    string       `json:"id"`
	FirstName             plainText    `json:"first_name"`
	LastName              plainText    `json:"last_name"`
	ImageURL              plainText    `json:"image_url"`
	PrimaryEmailAddressID string       `json:"primary_email_address_id"`
	PrimaryPhoneNumberID  string       `json:"primary_phone_number_id"`
	EmailAddresses        []address    `json:"email_addresses"`
	PhoneNumbers          []address    `json:"phone_numbers"`
	TwoFactorEnabled      bool         `json:"two_factor_enabled"`
	CreatedAt             milliseconds `json:"created_at"`
	UpdatedAt             milliseconds `json:"updated_at"`
}

// address is an email address or a phone number.
type address struct {
	ID           string    `json:"id"`
	EmailAddress plainText `json:"email_address"`
	PhoneNumber  plainText `json:"phone_number"`
}

type organizationResource struct {
	ID        string       `json:"id"`
	Name      plainText    `json:"name"`
	Slug      plainText    `json:"slug"`
	ImageURL  plainText    `json:"image_url"`
	CreatedBy string       `json:"created_by"` // not in every payload
	CreatedAt milliseconds `json:"created_at"`
	UpdatedAt milliseconds `json:"updated_at"`
}

type membershipResource struct {
	ID             string               `json:"id"`
	Role           plainText            `json:"role"`
	Organization   organizationResource `json:"organization"`
	PublicUserData struct {
		UserID     string    `json:"user_id"`
		FirstName  plainText `json:"first_name"`
		LastName   plainText `json:"last_name"`
		ImageURL   plainText `json:"image_url"`
		Identifier plainText `json:"identifier"`
	} `json:"public_user_data"`
	CreatedAt milliseconds `json:"created_at"`
	UpdatedAt milliseconds `json:"updated_at"`
}

// statusPending is that of an invitation that was not answered yet.
const statusPending = "pending"

type invitationResource struct {
	ID           string       `json:"id"`
	EmailAddress plainText    `json:"email_address"`
	Role         plainText    `json:"role"`
	Status       string       `json:"status"`
	InviterID    plainText    `json:"inviter_id"` // not of every invitation
	CreatedAt    milliseconds `json:"created_at"`
	ExpiresAt    milliseconds `json:"expires_at"`
}

var errIncomplete = errors.New("an id, a role or a time is missing or malformed")

// idPattern is what Clerk's ids look like. Whatever does not match is never put
// into a path.
var idPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)

// usableID returns id when it looks like one, and "" otherwise: for ids that
// may be missing.
func usableID(id string) string {
	if !idPattern.MatchString(id) {
		return ""
	}
	return id
}

func (u userResource) account() (identity.Account, error) {
	if !idPattern.MatchString(u.ID) || u.CreatedAt.IsZero() || u.UpdatedAt.IsZero() {
		return identity.Account{}, errIncomplete
	}
	account := identity.Account{
		ID:        u.ID,
		FirstName: string(u.FirstName),
		LastName:  string(u.LastName),
		AvatarURL: string(u.ImageURL),
		TwoFactor: u.TwoFactorEnabled,
		CreatedAt: u.CreatedAt.Time,
		UpdatedAt: u.UpdatedAt.Time,
	}
	for _, email := range u.EmailAddresses {
		if email.ID == u.PrimaryEmailAddressID {
			account.Email = string(email.EmailAddress)
		}
	}
	for _, phone := range u.PhoneNumbers {
		if phone.ID == u.PrimaryPhoneNumberID {
			account.Phone = string(phone.PhoneNumber)
		}
	}
	return account, nil
}

func (o organizationResource) organization() (identity.Organization, error) {
	if !idPattern.MatchString(o.ID) || o.CreatedAt.IsZero() || o.UpdatedAt.IsZero() {
		return identity.Organization{}, errIncomplete
	}
	return identity.Organization{
		ID:        o.ID,
		Name:      string(o.Name),
		Slug:      string(o.Slug),
		ImageURL:  string(o.ImageURL),
		CreatedBy: usableID(o.CreatedBy),
		CreatedAt: o.CreatedAt.Time,
		UpdatedAt: o.UpdatedAt.Time,
	}, nil
}

func (m membershipResource) membership() (identity.Membership, error) {
	if !idPattern.MatchString(m.ID) || !idPattern.MatchString(m.Organization.ID) || !idPattern.MatchString(m.PublicUserData.UserID) ||
		m.Role == "" || m.CreatedAt.IsZero() || m.UpdatedAt.IsZero() {
		return identity.Membership{}, errIncomplete
	}
	return identity.Membership{
		ID:             m.ID,
		OrganizationID: m.Organization.ID,
		AccountID:      m.PublicUserData.UserID,
		ProviderRole:   string(m.Role),
		CreatedAt:      m.CreatedAt.Time,
		UpdatedAt:      m.UpdatedAt.Time,
	}, nil
}

// stub is what a membership says of its account. The identifier is an email
// address or whatever else the person signs in with.
func (m membershipResource) stub() identity.Account {
	account := identity.Account{
		ID:        m.PublicUserData.UserID,
		FirstName: string(m.PublicUserData.FirstName),
		LastName:  string(m.PublicUserData.LastName),
		AvatarURL: string(m.PublicUserData.ImageURL),
		Stub:      true,
		UpdatedAt: m.UpdatedAt.Time,
	}
	if identifier := string(m.PublicUserData.Identifier); strings.Contains(identifier, "@") {
		account.Email = identifier
	}
	return account
}

// observe returns the membership with its organization and a stub of its
// account: it may arrive before either.
func (m membershipResource) observe() (identity.Observation, error) {
	membership, err := m.membership()
	if err != nil {
		return identity.Observation{}, err
	}
	organization, err := m.Organization.organization()
	if err != nil {
		return identity.Observation{}, err
	}
	return identity.Observation{
		Accounts:      []identity.Account{m.stub()},
		Organizations: []identity.Organization{organization},
		Memberships:   []identity.Membership{membership},
	}, nil
}

func (i invitationResource) invitation() (identity.Invitation, error) {
	if !idPattern.MatchString(i.ID) || i.EmailAddress == "" || i.CreatedAt.IsZero() {
		return identity.Invitation{}, errIncomplete
	}
	return identity.Invitation{
		ID: i.ID, Email: string(i.EmailAddress), Role: identity.RoleOf(string(i.Role)), InvitedBy: usableID(string(i.InviterID)),
		CreatedAt: i.CreatedAt.Time, ExpiresAt: i.ExpiresAt.Time,
	}, nil
}

// plainText is a string or null. PostgreSQL's text cannot hold U+0000, so that
// is left out.
type plainText string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *plainText) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*t = plainText(strings.ReplaceAll(s, "\x00", ""))
	return nil
}

// milliseconds is a time in milliseconds since 1970, or null.
type milliseconds struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler]. It fails for times after the
// year 9999.
func (m *milliseconds) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var number float64 // whole milliseconds are exact up to the year 287396
	if err := json.Unmarshal(data, &number); err != nil {
		return err
	}
	at, err := timeOf(number)
	if err != nil {
		return err
	}
	m.Time = at
	return nil
}

// instant is a time in milliseconds or seconds since 1970, or null. Webhook
// envelopes carry either; a number under 1e11, which is 1973 in milliseconds,
// means seconds.
type instant struct{ milliseconds }

// UnmarshalJSON implements [json.Unmarshaler].
func (i *instant) UnmarshalJSON(data []byte) error {
	var number *float64
	if err := json.Unmarshal(data, &number); err != nil || number == nil {
		return err
	}
	if math.Abs(*number) < 1e11 {
		*number *= 1000
	}
	at, err := timeOf(*number)
	if err != nil {
		return err
	}
	i.Time = at
	return nil
}

var errTime = errors.New("a time is before 1970 or after 9999")

func timeOf(milliseconds float64) (time.Time, error) {
	if !(milliseconds >= 0 && milliseconds <= latestTime*1000) {
		return time.Time{}, errTime
	}
	return time.UnixMilli(int64(milliseconds)).UTC(), nil
}
