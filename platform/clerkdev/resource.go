package clerkdev

import (
	"encoding/json"
	"net/url"
)

// The types in this file are the JSON shapes of Clerk's Backend API, which its
// webhooks share.

type userResource struct {
	Object                        string                 `json:"object"`
	ID                            string                 `json:"id"`
	ExternalID                    *string                `json:"external_id"`
	Username                      *string                `json:"username"`
	FirstName                     *string                `json:"first_name"`
	LastName                      *string                `json:"last_name"`
	Locale                        *string                `json:"locale"`
	ImageURL                      string                 `json:"image_url"`
	ProfileImageURL               string                 `json:"profile_image_url"`
	HasImage                      bool                   `json:"has_image"`
	PrimaryEmailAddressID         *string                `json:"primary_email_address_id"`
	PrimaryPhoneNumberID          *string                `json:"primary_phone_number_id"`
	PrimaryWeb3WalletID           *string                `json:"primary_web3_wallet_id"`
	EmailAddresses                []emailAddressResource `json:"email_addresses"`
	PhoneNumbers                  []phoneNumberResource  `json:"phone_numbers"`
	Web3Wallets                   []any                  `json:"web3_wallets"`
	Passkeys                      []any                  `json:"passkeys"`
	ExternalAccounts              []any                  `json:"external_accounts"`
	SAMLAccounts                  []any                  `json:"saml_accounts"`
	EnterpriseAccounts            []any                  `json:"enterprise_accounts"`
	PasswordEnabled               bool                   `json:"password_enabled"`
	PasswordLastUpdatedAt         *int64                 `json:"password_last_updated_at"`
	TwoFactorEnabled              bool                   `json:"two_factor_enabled"`
	TOTPEnabled                   bool                   `json:"totp_enabled"`
	BackupCodeEnabled             bool                   `json:"backup_code_enabled"`
	MFAEnabledAt                  *int64                 `json:"mfa_enabled_at"`
	MFADisabledAt                 *int64                 `json:"mfa_disabled_at"`
	PublicMetadata                json.RawMessage        `json:"public_metadata"`
	PrivateMetadata               json.RawMessage        `json:"private_metadata"`
	UnsafeMetadata                json.RawMessage        `json:"unsafe_metadata"`
	Banned                        bool                   `json:"banned"`
	Locked                        bool                   `json:"locked"`
	LockoutExpiresInSeconds       *int64                 `json:"lockout_expires_in_seconds"`
	VerificationAttemptsRemaining *int64                 `json:"verification_attempts_remaining"`
	DeleteSelfEnabled             bool                   `json:"delete_self_enabled"`
	CreateOrganizationEnabled     bool                   `json:"create_organization_enabled"`
	CreateOrganizationsLimit      *int                   `json:"create_organizations_limit"`
	LastSignInAt                  *int64                 `json:"last_sign_in_at"`
	LastActiveAt                  *int64                 `json:"last_active_at"`
	LegalAcceptedAt               *int64                 `json:"legal_accepted_at"`
	CreatedAt                     int64                  `json:"created_at"`
	UpdatedAt                     int64                  `json:"updated_at"`
}

type verificationResource struct {
	Object   string `json:"object"`
	Status   string `json:"status"`
	Strategy string `json:"strategy"`
	Attempts *int64 `json:"attempts"`
	ExpireAt *int64 `json:"expire_at"`
}

// verified is how addresses come to be: an administrator vouched for them.
func verified() *verificationResource {
	return &verificationResource{Object: "verification_admin", Status: "verified", Strategy: "admin"}
}

type emailAddressResource struct {
	ID                   string                `json:"id"`
	Object               string                `json:"object"`
	EmailAddress         string                `json:"email_address"`
	Reserved             bool                  `json:"reserved"`
	Verification         *verificationResource `json:"verification"`
	LinkedTo             []any                 `json:"linked_to"`
	MatchesSSOConnection bool                  `json:"matches_sso_connection"`
	CreatedAt            int64                 `json:"created_at"`
	UpdatedAt            int64                 `json:"updated_at"`
}

type phoneNumberResource struct {
	ID                      string                `json:"id"`
	Object                  string                `json:"object"`
	PhoneNumber             string                `json:"phone_number"`
	ReservedForSecondFactor bool                  `json:"reserved_for_second_factor"`
	DefaultSecondFactor     bool                  `json:"default_second_factor"`
	Reserved                bool                  `json:"reserved"`
	Verification            *verificationResource `json:"verification"`
	LinkedTo                []any                 `json:"linked_to"`
	BackupCodes             []string              `json:"backup_codes"`
	CreatedAt               int64                 `json:"created_at"`
	UpdatedAt               int64                 `json:"updated_at"`
}

type organizationResource struct {
	Object                               string          `json:"object"`
	ID                                   string          `json:"id"`
	Name                                 string          `json:"name"`
	Slug                                 string          `json:"slug"`
	ImageURL                             string          `json:"image_url"`
	HasImage                             bool            `json:"has_image"`
	MembersCount                         int64           `json:"members_count"`
	MissingMemberWithElevatedPermissions bool            `json:"missing_member_with_elevated_permissions"`
	PendingInvitationsCount              int64           `json:"pending_invitations_count"`
	MaxAllowedMemberships                int64           `json:"max_allowed_memberships"`
	AdminDeleteEnabled                   bool            `json:"admin_delete_enabled"`
	PublicMetadata                       json.RawMessage `json:"public_metadata"`
	PrivateMetadata                      json.RawMessage `json:"private_metadata"`
	CreatedBy                            string          `json:"created_by,omitempty"`
	CreatedAt                            int64           `json:"created_at"`
	UpdatedAt                            int64           `json:"updated_at"`
}

type membershipResource struct {
	Object          string               `json:"object"`
	ID              string               `json:"id"`
	Role            string               `json:"role"`
	RoleName        string               `json:"role_name"`
	Permissions     []string             `json:"permissions"`
	PublicMetadata  json.RawMessage      `json:"public_metadata"`
	PrivateMetadata json.RawMessage      `json:"private_metadata"`
	Organization    organizationResource `json:"organization"`
	PublicUserData  publicUserData       `json:"public_user_data"`
	CreatedAt       int64                `json:"created_at"`
	UpdatedAt       int64                `json:"updated_at"`
}

type publicUserData struct {
	UserID          string  `json:"user_id"`
	FirstName       *string `json:"first_name"`
	LastName        *string `json:"last_name"`
	ProfileImageURL string  `json:"profile_image_url"`
	ImageURL        string  `json:"image_url"`
	HasImage        bool    `json:"has_image"`
	Identifier      string  `json:"identifier"`
	Username        *string `json:"username"`
	Banned          bool    `json:"banned"`
}

// inviterData is less than publicUserData: an invitation goes to strangers.
type inviterData struct {
	UserID     string  `json:"user_id"`
	FirstName  *string `json:"first_name"`
	LastName   *string `json:"last_name"`
	ImageURL   string  `json:"image_url"`
	HasImage   bool    `json:"has_image"`
	Identifier string  `json:"identifier"`
}

type publicOrganizationData struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Slug     string `json:"slug"`
	ImageURL string `json:"image_url"`
	HasImage bool   `json:"has_image"`
}

type invitationResource struct {
	Object                 string                  `json:"object"`
	ID                     string                  `json:"id"`
	EmailAddress           string                  `json:"email_address"`
	Role                   string                  `json:"role"`
	RoleName               string                  `json:"role_name"`
	OrganizationID         string                  `json:"organization_id"`
	PublicOrganizationData *publicOrganizationData `json:"public_organization_data,omitempty"`
	InviterID              *string                 `json:"inviter_id"`
	PublicInviterData      *inviterData            `json:"public_inviter_data"`
	Status                 string                  `json:"status"`
	UserID                 string                  `json:"user_id,omitempty"`
	URL                    *string                 `json:"url"`
	PublicMetadata         json.RawMessage         `json:"public_metadata"`
	PrivateMetadata        json.RawMessage         `json:"private_metadata"`
	ExpiresAt              int64                   `json:"expires_at"`
	CreatedAt              int64                   `json:"created_at"`
	UpdatedAt              int64                   `json:"updated_at"`
}

type sessionResource struct {
	Object                   string        `json:"object"`
	ID                       string        `json:"id"`
	ClientID                 string        `json:"client_id"`
	UserID                   string        `json:"user_id"`
	User                     *userResource `json:"user,omitempty"` // events only
	Actor                    *struct{}     `json:"actor"`
	Status                   string        `json:"status"`
	LastActiveOrganizationID *string       `json:"last_active_organization_id"`
	LastActiveAt             int64         `json:"last_active_at"`
	LatestActivity           *struct{}     `json:"latest_activity"`
	ExpireAt                 int64         `json:"expire_at"`
	AbandonAt                int64         `json:"abandon_at"`
	CreatedAt                int64         `json:"created_at"`
	UpdatedAt                int64         `json:"updated_at"`
}

type deletedResource struct {
	Object     string  `json:"object"`
	ID         string  `json:"id"`
	Slug       string  `json:"slug,omitempty"`
	Deleted    bool    `json:"deleted"`
	ExternalID *string `json:"external_id,omitempty"`
}

type tokenResource struct {
	Object string `json:"object"`
	JWT    string `json:"jwt"`
}

type listResource[T any] struct {
	Data       []T   `json:"data"`
	TotalCount int64 `json:"total_count"`
}

func (s *state) userResource(u *user) userResource {
	emails := make([]emailAddressResource, len(u.Emails))
	for n, email := range u.Emails {
		emails[n] = emailAddressResource{
			ID: email.ID, Object: "email_address", EmailAddress: email.Value, Verification: verified(),
			LinkedTo: []any{}, CreatedAt: email.CreatedAt, UpdatedAt: email.CreatedAt,
		}
	}
	phones := make([]phoneNumberResource, len(u.Phones))
	for n, phone := range u.Phones {
		phones[n] = phoneNumberResource{
			ID: phone.ID, Object: "phone_number", PhoneNumber: phone.Value, Verification: verified(),
			LinkedTo: []any{}, CreatedAt: phone.CreatedAt, UpdatedAt: phone.CreatedAt,
		}
	}
	return userResource{
		Object: "user", ID: u.ID, ExternalID: u.ExternalID, Username: u.Username,
		FirstName: u.FirstName, LastName: u.LastName, Locale: u.Locale,
		PrimaryEmailAddressID: u.PrimaryEmailID, PrimaryPhoneNumberID: u.PrimaryPhoneID,
		EmailAddresses: emails, PhoneNumbers: phones,
		Web3Wallets: []any{}, Passkeys: []any{}, ExternalAccounts: []any{}, SAMLAccounts: []any{}, EnterpriseAccounts: []any{},
		PasswordEnabled: u.PasswordHash != nil, PasswordLastUpdatedAt: u.PasswordUpdatedAt,
		TwoFactorEnabled: u.TOTP, TOTPEnabled: u.TOTP, MFAEnabledAt: u.MFAEnabledAt, MFADisabledAt: u.MFADisabledAt,
		PublicMetadata: u.PublicMetadata, PrivateMetadata: u.PrivateMetadata, UnsafeMetadata: u.UnsafeMetadata,
		Banned: u.Banned, Locked: u.Locked, DeleteSelfEnabled: u.DeleteSelfEnabled,
		CreateOrganizationEnabled: u.CreateOrganizationEnabled, CreateOrganizationsLimit: u.CreateOrganizationsLimit,
		LastSignInAt: u.LastSignInAt, LastActiveAt: u.LastActiveAt, LegalAcceptedAt: u.LegalAcceptedAt,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

func (s *state) organizationResource(o *organization) organizationResource {
	missing := true
	for _, m := range s.Memberships {
		if m.OrganizationID == o.ID && m.Role == creatorRole {
			missing = false
			break
		}
	}
	return organizationResource{
		Object: "organization", ID: o.ID, Name: o.Name, Slug: o.Slug,
		MembersCount: s.memberCount(o.ID), PendingInvitationsCount: s.pendingInvitationCount(o.ID),
		MissingMemberWithElevatedPermissions: missing,
		MaxAllowedMemberships:                o.MaxAllowedMemberships, AdminDeleteEnabled: o.AdminDeleteEnabled,
		PublicMetadata: o.PublicMetadata, PrivateMetadata: o.PrivateMetadata,
		CreatedBy: o.CreatedBy, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
}

func (s *state) publicUserData(u *user) publicUserData {
	return publicUserData{
		UserID: u.ID, FirstName: u.FirstName, LastName: u.LastName,
		Identifier: u.primaryEmail(), Username: u.Username, Banned: u.Banned,
	}
}

func (s *state) membershipResource(m *membership) membershipResource {
	return membershipResource{
		Object: "organization_membership", ID: m.ID, Role: m.Role, RoleName: s.roleName(m.Role), Permissions: s.permissions(m.Role),
		PublicMetadata: m.PublicMetadata, PrivateMetadata: m.PrivateMetadata,
		Organization: s.organizationResource(s.Organizations[m.OrganizationID]), PublicUserData: s.publicUserData(s.Users[m.UserID]),
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
}

// invitationResource shows the link that accepts the invitation where an origin
// is given.
func (s *state) invitationResource(i *invitation, origin *url.URL) invitationResource {
	o := s.Organizations[i.OrganizationID]
	r := invitationResource{
		Object: "organization_invitation", ID: i.ID, EmailAddress: i.EmailAddress, Role: i.Role, RoleName: s.roleName(i.Role),
		OrganizationID:         i.OrganizationID,
		PublicOrganizationData: &publicOrganizationData{ID: o.ID, Name: o.Name, Slug: o.Slug},
		Status:                 i.Status, UserID: i.UserID, PublicMetadata: i.PublicMetadata, PrivateMetadata: i.PrivateMetadata,
		ExpiresAt: i.ExpiresAt, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
	}
	if i.Status == "pending" && origin != nil {
		r.URL = new(origin.String() + mountPath + "/accept-invitation?" + ticketParam + "=" + i.Ticket)
	}
	if inviter := s.Users[i.InviterID]; inviter != nil {
		r.InviterID = &inviter.ID
		r.PublicInviterData = &inviterData{
			UserID: inviter.ID, FirstName: inviter.FirstName, LastName: inviter.LastName, Identifier: inviter.primaryEmail(),
		}
	}
	return r
}

func (s *state) sessionResource(v *session) sessionResource {
	r := sessionResource{
		Object: "session", ID: v.ID, ClientID: v.ClientID, UserID: v.UserID, Status: v.status(),
		LastActiveAt: v.LastActiveAt, ExpireAt: v.ExpireAt, AbandonAt: v.AbandonAt, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
	}
	if r.Status == "active" && s.Users[v.UserID].Task != "" {
		r.Status = "pending"
	}
	if v.OrganizationID != "" {
		r.LastActiveOrganizationID = new(v.OrganizationID)
	}
	return r
}
