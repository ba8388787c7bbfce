package identity

import (
	"strings"
	"time"
)

// Member is one person in one tenant: a row of the tenant's own users.
type Member struct {
	ID         string // the account's id at the provider
	Email      string // "" when a later account of the tenant has the same address
	FirstName  string
	LastName   string
	AvatarURL  string
	Phone      string
	Role       Role
	Metadata   Metadata
	IsActive   bool // false once somebody left or was deleted
	LastSeenAt time.Time
	JoinedAt   time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Metadata is what a tenant keeps about a member beside the provider's data.
type Metadata struct {
	// OnboardingComplete is set once the person has seen the onboarding page.
	OnboardingComplete bool `json:"onboardingComplete,omitempty"`
	// Phone is the number the person gave to this tenant; it wins over the
	// provider's.
	Phone string `json:"phone,omitempty"`
	// EmailSuperseded marks a member whose address belongs to a later account.
	EmailSuperseded bool `json:"emailSuperseded,omitempty"`
	// TwoFactor is the account's, so that a list of members needs to ask nobody.
	TwoFactor bool `json:"twoFactor,omitempty"`
}

// Name is the person's name for display: the full name, else the address, else
// a word for somebody who was deleted or is not known yet.
func (m Member) Name() string {
	if name := strings.TrimSpace(m.FirstName + " " + m.LastName); name != "" {
		return name
	}
	if m.Email != "" {
		return m.Email
	}
	if !m.IsActive {
		return "Former member"
	}
	return "New member"
}

// equal compares what a projection decides.
func (m Member) equal(n Member) bool {
	return m.ID == n.ID && m.Email == n.Email && m.FirstName == n.FirstName && m.LastName == n.LastName &&
		m.AvatarURL == n.AvatarURL && m.Phone == n.Phone && m.Role == n.Role && m.IsActive == n.IsActive &&
		m.Metadata == n.Metadata && m.JoinedAt.Equal(n.JoinedAt)
}
