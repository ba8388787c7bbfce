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
	// ListOrganizations returns at most limit of the provider's organizations
	// from an offset on, those that were created first at the top.
	ListOrganizations(ctx context.Context, offset, limit int) ([]Organization, error)
	// ObserveOrganization returns one organization.
	ObserveOrganization(ctx context.Context, organizationID string) (Organization, error)
	// ObserveMembers returns all memberships of an organization, with stubs of
	// their accounts. What begins or ends meanwhile may be in it or not.
	ObserveMembers(ctx context.Context, organizationID string) (Observation, error)
	// ObserveAccounts returns those of at most [MaxObservedAccounts] accounts
	// that the provider knows, in no particular order.
	ObserveAccounts(ctx context.Context, ids []string) ([]Account, error)
	// UpdateName changes an account's first and last name and returns the
	// account as it is afterwards. An empty name leaves it as it is.
	UpdateName(ctx context.Context, accountID, firstName, lastName string) (Account, error)
	// CreateOrganization makes an organization whose first member, and one who
	// administers it, is the account. Errors: NotFound for an account that is not
	// there, Conflict with a field "slug" for one that another organization has,
	// Invalid with a field for a name or slug that the provider does not accept, and
	// Forbidden for an account that may not make organizations, or no more of them.
	CreateOrganization(ctx context.Context, accountID, name, slug string) (Organization, error)
	// UpdateOrganization changes an organization's name and slug and returns it
	// as it is afterwards. Errors: NotFound, Conflict with a field "slug" for one
	// that another organization has, and Invalid with a field for a name or slug
	// that the provider does not accept.
	UpdateOrganization(ctx context.Context, organizationID string, change SettingsChange) (Organization, error)
	// Domains returns the domains that the organization claims, by name. It is
	// NotFound for an organization that is not there.
	Domains(ctx context.Context, organizationID string) ([]Domain, error)
	// DeleteOrganization ends an organization and with it every membership.
	// It is NotFound when it was ended already.
	DeleteOrganization(ctx context.Context, organizationID string) error
	// ChangeRole gives the account's membership of the organization another of
	// the provider's roles and returns the membership as it is afterwards, with
	// its organization. Errors: NotFound when there is no such membership, and
	// Invalid with a field "role" for a role that the provider does not have.
	ChangeRole(ctx context.Context, organizationID, accountID, providerRole string) (Observation, error)
	// RemoveMember ends the account's membership of the organization and returns
	// its tombstone. Errors: NotFound when there is no such membership.
	RemoveMember(ctx context.Context, organizationID, accountID string) (Observation, error)
	// Invitations returns the organization's invitations that were not answered
	// yet, the newest first.
	Invitations(ctx context.Context, organizationID string) ([]Invitation, error)
	// Invitation returns one of those. It is NotFound once it was answered or
	// revoked.
	Invitation(ctx context.Context, organizationID, id string) (Invitation, error)
	// Invite sends an invitation to an address. Of i it reads Email, Role and
	// InvitedBy. Errors: Conflict with a field "email" for an address that was
	// invited already or is a member's, Conflict for an organization that may
	// have no more members, and Invalid with a field for an address or a role
	// that the provider does not accept.
	Invite(ctx context.Context, organizationID string, i Invitation) (Invitation, error)
	// RevokeInvitation makes an invitation void. It is NotFound when it is void
	// or was answered already.
	RevokeInvitation(ctx context.Context, organizationID, id, by string) error
}

// MaxObservedAccounts is how many accounts [Provider] is asked for at once.
const MaxObservedAccounts = 100
