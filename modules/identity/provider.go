package identity

import "context"

// Provider is the identity provider's own interface, for what cannot wait for
// an event. Errors have the kinds of platform/fault: NotFound for what the
// provider does not know, RateLimited with the time to wait, Unavailable when
// it is away.
type Provider interface {
	// Observe returns what the provider says now of one account's belonging
	// to one organization: the account, the organization and the membership.
	// It is NotFound when the account is no member.
	Observe(ctx context.Context, organizationID, accountID string) (Observation, error)
	// ObserveAccount returns the account with all of its memberships and
	// their organizations.
	ObserveAccount(ctx context.Context, accountID string) (Observation, error)
	// UpdateName changes an account's first and last name and returns the
	// account as it is afterwards. An empty name leaves it as it is.
	UpdateName(ctx context.Context, accountID, firstName, lastName string) (Account, error)
}
