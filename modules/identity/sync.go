package identity

import (
	"context"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Sync brings what the provider says into the directory, and from there into
// the registry and the tenants' users.
type Sync struct {
	tx        Transactor
	directory Directory
	members   Members
	tenants   *tenancy.Service
}

// NewSync returns the use case over its ports.
func NewSync(tx Transactor, directory Directory, members Members, tenants *tenancy.Service) *Sync {
	return &Sync{tx: tx, directory: directory, members: members, tenants: tenants}
}

// Apply merges an observation into the directory and makes every tenant that
// it concerns agree, all in one transaction. It may be called with the same
// observation again, with an outdated one, and by many at once.
func (s *Sync) Apply(ctx context.Context, o Observation) error {
	if o.IsZero() {
		return nil
	}
	return fault.Wrap("apply observation", s.tx.InSystemTx(ctx, func(ctx context.Context) error {
		accounts, changed, err := s.mergeAccounts(ctx, o)
		if err != nil {
			return err
		}
		organizations, err := s.lockOrganizations(ctx, o, changed)
		if err != nil {
			return err
		}
		merged, err := s.mergeRest(ctx, o)
		if err != nil {
			return err
		}
		merged.Accounts = accounts
		if err := s.directory.Put(ctx, merged); err != nil {
			return err
		}
		for _, id := range organizations {
			if err := s.project(ctx, id); err != nil {
				return err
			}
		}
		return nil
	}))
}

// mergeAccounts locks every account that the observation concerns, and returns
// the merged states of those it says something about, with the ids of those
// that are not as they were.
//
// Accounts are locked before organizations and both in order, so that two
// transactions never wait for each other; and because a membership's account
// is always locked before its organization, the organizations of a locked
// account cannot become more meanwhile.
func (s *Sync) mergeAccounts(ctx context.Context, o Observation) (merged []Account, changed []string, err error) {
	var ids []string
	for _, account := range o.Accounts {
		ids = append(ids, account.ID)
	}
	for _, organization := range o.Organizations {
		ids = append(ids, organization.CreatedBy)
	}
	for _, m := range o.Memberships {
		ids = append(ids, m.AccountID)
	}
	if err := s.directory.Lock(ctx, prefixed("account:", sortedIDs(ids))...); err != nil {
		return nil, nil, err
	}

	states := mergeByID(nil, o.Accounts, accountID, Account.Merge)
	stored, err := s.directory.Accounts(ctx, keys(states))
	if err != nil {
		return nil, nil, err
	}
	states = mergeByID(states, stored, accountID, Account.Merge)
	before := mergeByID(nil, stored, accountID, Account.Merge)
	for _, account := range sortedValues(states) {
		if known, ok := before[account.ID]; !ok || known.compare(account) != 0 || known.Deleted() != account.Deleted() {
			merged, changed = append(merged, account), append(changed, account.ID)
		}
	}
	return merged, changed, nil
}

// lockOrganizations locks and returns the organizations that the observation
// concerns: those it names, and those of the accounts that changed.
func (s *Sync) lockOrganizations(ctx context.Context, o Observation, changedAccounts []string) ([]string, error) {
	var memberships, ids []string
	for _, organization := range o.Organizations {
		ids = append(ids, organization.ID)
	}
	for _, m := range o.Memberships {
		memberships = append(memberships, m.ID)
		ids = append(ids, m.OrganizationID)
	}
	// A deletion may name the membership alone. Whom it is about never
	// changes, so reading that before the lock is safe.
	stored, err := s.directory.Memberships(ctx, sortedIDs(memberships))
	if err != nil {
		return nil, err
	}
	for _, m := range stored {
		ids = append(ids, m.OrganizationID)
	}
	affected, err := s.directory.OrganizationsOf(ctx, changedAccounts)
	if err != nil {
		return nil, err
	}
	ids = sortedIDs(append(ids, affected...))
	return ids, s.directory.Lock(ctx, prefixed("organization:", ids)...)
}

// mergeRest returns the observation's organizations and memberships merged
// with each other and with those the directory has.
func (s *Sync) mergeRest(ctx context.Context, o Observation) (Observation, error) {
	organizations := mergeByID(nil, o.Organizations, organizationID, Organization.Merge)
	storedOrganizations, err := s.directory.Organizations(ctx, keys(organizations))
	if err != nil {
		return Observation{}, err
	}
	memberships := mergeByID(nil, o.Memberships, membershipID, Membership.Merge)
	storedMemberships, err := s.directory.Memberships(ctx, keys(memberships))
	if err != nil {
		return Observation{}, err
	}
	return Observation{
		Organizations: sortedValues(mergeByID(organizations, storedOrganizations, organizationID, Organization.Merge)),
		Memberships:   sortedValues(mergeByID(memberships, storedMemberships, membershipID, Membership.Merge)),
	}, nil
}

// project makes one organization's tenant agree with the directory.
func (s *Sync) project(ctx context.Context, organizationID string) error {
	view, err := s.directory.View(ctx, organizationID)
	if err != nil {
		return err
	}
	if view.Organization.ID == "" {
		return nil // known from a membership alone; the organization will come
	}
	t, err := s.tenants.Sync(ctx, tenancy.Organization{
		ID:        view.Organization.ID,
		Name:      view.Organization.Name,
		Slug:      view.Organization.Slug,
		ImageURL:  view.Organization.ImageURL,
		CreatedAt: view.Organization.CreatedAt,
		DeletedAt: view.Organization.DeletedAt,
	})
	if err != nil || t.Schema.IsZero() {
		return err
	}
	if !s.tenants.Serves(t) {
		return tenancy.ErrOutdated // whoever observed it comes back
	}
	ctx = tenant.NewContext(ctx, t.Schema)
	changed, err := s.outdatedMembers(ctx, view)
	if err != nil || len(changed) == 0 {
		return err
	}
	return s.members.Put(ctx, changed)
}

// outdatedMembers returns those members of the tenant in ctx who are not as the
// view of its organization says, as they should be.
func (s *Sync) outdatedMembers(ctx context.Context, view View) ([]Member, error) {
	stored, err := s.members.All(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Member, len(stored))
	for _, member := range stored {
		byID[member.ID] = member
	}
	var changed []Member
	for _, user := range Project(view) {
		before := byID[user.ID]
		if after := user.Onto(before); !after.equal(before) {
			changed = append(changed, after)
		}
	}
	return changed, nil
}

// known is what the directory says of an organization, and what its tenant does
// not agree with.
type known struct {
	View

	tenant   tenancy.Tenant // zero without one
	renamed  bool           // the tenant's name, slug or picture is not the organization's
	outdated []string       // the ids of members who are not as the view says
}

// look returns what is known of an organization at one moment.
func (s *Sync) look(ctx context.Context, organizationID string) (k known, err error) {
	err = s.tx.InSystemTx(tenant.NewContext(ctx, tenant.Schema{}), func(ctx context.Context) error {
		if err := s.directory.Lock(ctx, "organization:"+organizationID); err != nil {
			return err
		}
		if k.View, err = s.directory.View(ctx, organizationID); err != nil {
			return err
		}
		k.tenant, err = s.tenants.Get(ctx, organizationID)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil || k.Organization.ID == "" || k.Organization.Deleted() {
			return err
		}
		if !s.tenants.Serves(k.tenant) {
			return tenancy.ErrOutdated
		}
		k.renamed = k.tenant.Name != k.Organization.Name || k.tenant.ImageURL != k.Organization.ImageURL ||
			k.tenant.RequestedSlug != k.Organization.Slug
		members, err := s.outdatedMembers(tenant.NewContext(ctx, k.tenant.Schema), k.View)
		for _, member := range members {
			k.outdated = append(k.outdated, member.ID)
		}
		return err
	})
	return k, fault.Wrap("look at organization", err)
}

// Own records who was made an owner of an organization, or ceased to be one, and
// makes its tenant agree, in one transaction.
func (s *Sync) Own(ctx context.Context, organizationID string, decisions map[string]bool) error {
	return fault.Wrap("own organization", s.tx.InSystemTx(ctx, func(ctx context.Context) error {
		if err := s.directory.Lock(ctx, prefixed("organization:", []string{organizationID})...); err != nil {
			return err
		}
		view, err := s.directory.View(ctx, organizationID)
		if err != nil {
			return err
		}
		standing := view.standing()
		for _, id := range keys(decisions) {
			if err := s.directory.Own(ctx, organizationID, id, Ownership{Owner: decisions[id], MembershipID: standing[id].ID}); err != nil {
				return err
			}
		}
		return s.project(ctx, organizationID)
	}))
}
