package identity

import "time"

// Session is a sign-in that was verified, or an API key in its place. It says who
// somebody is, and nothing of what they may do.
type Session struct {
	// ID is the session's id at the provider, "" with a key.
	ID string
	// AccountID is the account's id at the provider.
	AccountID string
	// ActiveOrganization is the organization that the person had chosen when
	// the token was issued; its zero value means none. It decides where "/"
	// leads and what is provisioned just in time, never what is allowed.
	ActiveOrganization OrganizationClaim
	// IssuedAt and ExpiresAt bound the token, not the sign-in.
	IssuedAt, ExpiresAt time.Time
	// Key is the API key that AccountID made and that a program sends, nil for a
	// person.
	Key *Key
}

// OrganizationClaim is what a session token says of the active organization.
type OrganizationClaim struct {
	ID   string
	Slug string
	Role string // the provider's role key, without "org:" in version 2 tokens
}
