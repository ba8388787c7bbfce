// Package rest is the identity module's part of the REST API.
package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// User is a member as the API shows them. The names are the table's, and what the
// identity provider has of theirs beyond it.
type User struct {
	ID         string       `json:"id" doc:"The account's id at the identity provider."`
	Email      string       `json:"email"`
	FirstName  string       `json:"first_name"`
	LastName   string       `json:"last_name"`
	AvatarURL  string       `json:"avatar_url"`
	Phone      string       `json:"phone"`
	Role       string       `json:"role" enum:"owner,admin,member,viewer"`
	Metadata   UserMetadata `json:"metadata"`
	TwoFactor  *bool        `json:"two_factor_enabled" doc:"Whether signing in takes a second factor. Null unless you may manage users, or are the user."`
	IsActive   bool         `json:"is_active"`
	LastSeenAt *time.Time   `json:"last_seen_at"`
	JoinedAt   time.Time    `json:"joined_at"`
	CreatedAt  time.Time    `json:"created_at"`
	UpdatedAt  time.Time    `json:"updated_at"`
}

// UserMetadata is what the organization keeps about a user.
type UserMetadata struct {
	OnboardingComplete bool   `json:"onboardingComplete,omitempty"`
	Phone              string `json:"phone,omitempty"`
	EmailSuperseded    bool   `json:"emailSuperseded,omitempty"`
}

// userOf shows a member to whoever asks: whose account is protected by less is
// not everybody's business.
func userOf(ctx context.Context, m identity.Member) User {
	user := User{
		ID: m.ID, Email: m.Email, FirstName: m.FirstName, LastName: m.LastName, AvatarURL: m.AvatarURL, Phone: m.Phone,
		Role: string(m.Role), IsActive: m.IsActive,
		JoinedAt: m.JoinedAt.UTC(), CreatedAt: m.CreatedAt.UTC(), UpdatedAt: m.UpdatedAt.UTC(),
	}
	user.Metadata = UserMetadata{OnboardingComplete: m.Metadata.OnboardingComplete, Phone: m.Metadata.Phone, EmailSuperseded: m.Metadata.EmailSuperseded}
	if identity.MaySeeTwoFactor(identity.AccessOf(ctx).Actor(), m) {
		user.TwoFactor = &m.Metadata.TwoFactor
	}
	if !m.LastSeenAt.IsZero() {
		user.LastSeenAt = new(m.LastSeenAt.UTC())
	}
	return user
}

type onboardingInput struct {
	Tenant string `path:"tenant" doc:"The organization's slug."`
	Body   *struct {
		FirstName string `json:"first_name,omitempty" doc:"Changes the account's first name, in every organization."`
		LastName  string `json:"last_name,omitempty" doc:"Changes the account's last name, in every organization."`
		Phone     string `json:"phone,omitempty" doc:"A phone number for this organization alone." example:"+1 555 0100"`
	}
}

type onboardingOutput struct {
	Body struct {
		Success bool `json:"success"`
		User    User `json:"user"`
	}
}

// Register adds the module's operations to the API.
func Register(api huma.API, service *identity.Service, roster *identity.Roster, settings *identity.Settings) {
	registerMembers(api, roster)
	registerSettings(api, settings)
	httpserver.Register(api, huma.Operation{
		OperationID: "complete-onboarding",
		Method:      http.MethodPost,
		Path:        "/users/onboarding",
		Summary:     "Complete your onboarding",
		Description: "Records what you tell this organization about yourself, and that you were welcomed. Every value is optional; doing it again is harmless. API keys have nothing to tell.",
		Tags:        []string{"Users"},
		Middlewares: huma.Middlewares{may(identity.Actor.RequirePerson)},
	}, func(ctx context.Context, in *onboardingInput) (*onboardingOutput, error) {
		access := identity.AccessOf(ctx)
		var profile identity.Profile
		if in.Body != nil {
			profile = identity.Profile{FirstName: in.Body.FirstName, LastName: in.Body.LastName, Phone: in.Body.Phone}
		}
		member, err := service.CompleteOnboarding(ctx, access, profile)
		if err != nil {
			return nil, err
		}
		out := new(onboardingOutput)
		out.Body.Success, out.Body.User = true, userOf(ctx, member)
		return out, nil
	})
}
