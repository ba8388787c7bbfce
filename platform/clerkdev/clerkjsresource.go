package clerkdev

import (
	"encoding/json"
)

// The types in this file are the JSON shapes of the Frontend API where they
// differ from the Backend API's: browsers see no private metadata, and more of
// what surrounds a thing.

type clientResource struct {
	Object                     string                  `json:"object"`
	ID                         string                  `json:"id"`
	Sessions                   []clientSessionResource `json:"sessions"`
	SignIn                     *signInResource         `json:"sign_in"`
	SignUp                     *signUpResource         `json:"sign_up"`
	LastActiveSessionID        *string                 `json:"last_active_session_id"`
	LastAuthenticationStrategy *string                 `json:"last_authentication_strategy"`
	CookieExpiresAt            *int64                  `json:"cookie_expires_at"`
	CaptchaBypass              bool                    `json:"captcha_bypass"`
	CreatedAt                  int64                   `json:"created_at"`
	UpdatedAt                  int64                   `json:"updated_at"`
}

type clientSessionResource struct {
	sessionResource
	User                  clientUserResource `json:"user"`
	PublicUserData        publicUserData     `json:"public_user_data"`
	LastActiveToken       *tokenResource     `json:"last_active_token"`
	FactorVerificationAge *[2]int64          `json:"factor_verification_age"`
	Tasks                 []taskResource     `json:"tasks"`
}

type clientUserResource struct {
	userResource
	PrivateMetadata         *struct{}                  `json:"private_metadata,omitempty"` // hides the user's
	ProfileImageID          string                     `json:"profile_image_id"`
	OrganizationMemberships []clientMembershipResource `json:"organization_memberships"`
}

type clientOrganizationResource struct {
	organizationResource
	PrivateMetadata *struct{} `json:"private_metadata,omitempty"` // hides the organization's
	CreatedBy       *struct{} `json:"created_by,omitempty"`       // hides it
}

type clientMembershipResource struct {
	membershipResource
	PrivateMetadata *struct{}                  `json:"private_metadata,omitempty"` // hides the membership's
	Organization    clientOrganizationResource `json:"organization"`
}

type ownSessionResource struct {
	sessionResource
	LatestActivity activityResource `json:"latest_activity"`
}

type activityResource struct {
	Object      string `json:"object"`
	ID          string `json:"id"`
	BrowserName string `json:"browser_name"`
	IPAddress   string `json:"ip_address"`
}

type signInResource struct {
	Object                   string                `json:"object"`
	ID                       string                `json:"id"`
	Status                   string                `json:"status"`
	SupportedIdentifiers     []string              `json:"supported_identifiers"`
	SupportedFirstFactors    []factorResource      `json:"supported_first_factors"`
	SupportedSecondFactors   []factorResource      `json:"supported_second_factors"`
	FirstFactorVerification  *verificationResource `json:"first_factor_verification"`
	SecondFactorVerification *verificationResource `json:"second_factor_verification"`
	Identifier               string                `json:"identifier"`
	UserData                 *userDataResource     `json:"user_data"`
	CreatedSessionID         *string               `json:"created_session_id"`
	AbandonAt                int64                 `json:"abandon_at"`

	userID string
}

type factorResource struct {
	Strategy       string `json:"strategy"`
	EmailAddressID string `json:"email_address_id,omitempty"`
	SafeIdentifier string `json:"safe_identifier,omitempty"`
	Primary        bool   `json:"primary,omitempty"`
}

type userDataResource struct {
	FirstName *string `json:"first_name"`
	LastName  *string `json:"last_name"`
	ImageURL  string  `json:"image_url"`
	HasImage  bool    `json:"has_image"`
}

type signUpResource struct {
	Object                  string          `json:"object"`
	ID                      string          `json:"id"`
	Status                  string          `json:"status"`
	RequiredFields          []string        `json:"required_fields"`
	OptionalFields          []string        `json:"optional_fields"`
	MissingFields           []string        `json:"missing_fields"`
	UnverifiedFields        []string        `json:"unverified_fields"`
	Verifications           map[string]any  `json:"verifications"`
	Username                *string         `json:"username"`
	EmailAddress            *string         `json:"email_address"`
	PhoneNumber             *string         `json:"phone_number"`
	Web3Wallet              *string         `json:"web3_wallet"`
	HasPassword             bool            `json:"has_password"`
	FirstName               *string         `json:"first_name"`
	LastName                *string         `json:"last_name"`
	UnsafeMetadata          json.RawMessage `json:"unsafe_metadata"`
	CreatedSessionID        *string         `json:"created_session_id"`
	CreatedUserID           *string         `json:"created_user_id"`
	ExternalAccount         *struct{}       `json:"external_account"`
	ExternalAccountStrategy *string         `json:"external_account_strategy"`
	LegalAcceptedAt         *int64          `json:"legal_accepted_at"`
	AbandonAt               int64           `json:"abandon_at"`

	password *string
}

func (e *Emulator) clientResource(s *state, b browser) (*clientResource, error) {
	under := e.attempts.of(b.client.ID)
	r := &clientResource{
		Object: "client", ID: b.client.ID, Sessions: []clientSessionResource{}, SignIn: under.signIn, SignUp: under.signUp,
		CreatedAt: s.Clock, UpdatedAt: s.Clock,
	}
	if b.session == nil {
		return r, nil
	}
	session, err := e.clientSessionResource(s, b.session)
	if err != nil {
		return nil, err
	}
	r.Sessions, r.LastActiveSessionID = append(r.Sessions, session), &b.session.ID
	return r, nil
}

// clientSessionResource has a token while the session is active.
func (e *Emulator) clientSessionResource(s *state, v *session) (r clientSessionResource, err error) {
	u := s.Users[v.UserID]
	r = clientSessionResource{
		sessionResource: s.sessionResource(v), User: s.clientUserResource(u), PublicUserData: s.publicUserData(u), Tasks: u.tasksOf(),
	}
	if v.status() != "active" {
		return r, nil
	}
	token, err := e.sign(s, v.ID, TokenOptions{AuthorizedParty: e.publicURL.String()})
	if err != nil {
		return r, err
	}
	r.LastActiveToken = &tokenResource{Object: "token", JWT: token}
	r.FactorVerificationAge = &[2]int64{max(0, s.Clock-v.CreatedAt) / 60_000, -1}
	return r, nil
}

func (s *state) clientUserResource(u *user) clientUserResource {
	r := clientUserResource{userResource: s.userResource(u), OrganizationMemberships: []clientMembershipResource{}}
	for _, m := range s.membershipsOf(u.ID) {
		r.OrganizationMemberships = append(r.OrganizationMemberships, s.clientMembershipResource(m))
	}
	return r
}

func (s *state) clientOrganizationResource(o *organization) clientOrganizationResource {
	return clientOrganizationResource{organizationResource: s.organizationResource(o)}
}

func (s *state) clientMembershipResource(m *membership) clientMembershipResource {
	return clientMembershipResource{
		membershipResource: s.membershipResource(m), Organization: s.clientOrganizationResource(s.Organizations[m.OrganizationID]),
	}
}

// clientInvitationResource has neither the ticket nor private metadata.
func (s *state) clientInvitationResource(i *invitation) invitationResource {
	hidden := *i
	hidden.PrivateMetadata = emptyObject
	return s.invitationResource(&hidden, nil)
}
