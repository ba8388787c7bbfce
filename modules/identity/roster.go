package identity

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Roster is who belongs to a tenant, and changes that.
//
// Members and invitations are the provider's, so a change is made there first;
// what the provider answers goes through [Sync.Apply], as the webhook of the
// same change will, and is in force when the use case returns. Who of the
// administrators is an owner is decided here and the provider is never told.
//
// Each use case takes the access that [Service.Enter] granted. Those that change
// members look again at what both people are once nobody else changes members
// of the same tenant, so that of two owners who remove each other one stays.
type Roster struct {
	tx        Transactor
	directory Directory
	members   Members
	provider  Provider
	sync      *Sync
	journal   Journal
	changes   chan struct{} // holds one token for each change that is under way
}

// maxChanges is how many changes of members are under way in one process: each
// has a connection to the database while the provider is asked, and a provider
// that is slow must not use all of them up.
const maxChanges = 4

// NewRoster returns the use cases over their ports.
func NewRoster(tx Transactor, directory Directory, members Members, provider Provider, sync *Sync, journal Journal) *Roster {
	return &Roster{tx: tx, directory: directory, members: members, provider: provider, sync: sync, journal: journal, changes: make(chan struct{}, maxChanges)}
}

// Errors of the use cases.
var (
	// ErrLastOwner is what a change gets that would leave nobody in charge.
	ErrLastOwner = fault.New(fault.Conflict, "An organization needs an owner. Make somebody else an owner first.")
	// ErrOwnerAlready is what a transfer gets to somebody who is an owner.
	ErrOwnerAlready = fault.New(fault.Conflict, "They are an owner already.")
	// ErrNoInvitation is what a caller gets for an invitation that is not there
	// any more, or never was.
	ErrNoInvitation = fault.New(fault.NotFound, "There is no such invitation. It may have been answered or revoked.")
)

// manages reports whether what target is and may do is the actor's business.
// Owners are only an owner's.
func manages(actor Actor, target Member) bool {
	return actor.Allows(UsersManage) && (target.Role != RoleOwner || actor.Allows(OrganizationManage))
}

// AssignableRoles returns the roles that the actor may give to target, the one
// they have among them, from most to least; none when they may not change it at
// all. Nobody gives more to themselves.
func AssignableRoles(actor Actor, target Member) []Role {
	if !manages(actor, target) {
		return nil
	}
	return slices.DeleteFunc(Roles(), func(role Role) bool {
		return role == RoleOwner && !actor.Allows(OrganizationManage) ||
			target.ID == actor.AccountID && target.Role.below(role)
	})
}

// MayRemove reports whether the actor may remove target, who may be themselves:
// everybody may leave, though nobody's key for them.
func MayRemove(actor Actor, target Member) bool {
	return target.ID == actor.AccountID && actor.Key == nil || manages(actor, target)
}

// MaySeeTwoFactor reports whether the actor may see if target signs in with a
// second factor.
func MaySeeTwoFactor(actor Actor, target Member) bool {
	return target.ID == actor.AccountID || actor.Allows(UsersManage)
}

// MayTransfer reports whether the actor may hand their ownership to target.
func MayTransfer(actor Actor, target Member) bool {
	return isOwner(actor) && target.Role != RoleOwner
}

// isOwner reports whether the actor has an ownership to give away. A key has
// nothing of its own.
func isOwner(actor Actor) bool { return actor.Role == RoleOwner && actor.Key == nil }

// AuthorizeView returns nil if the actor may see who the members are, and
// otherwise [ErrForbidden].
func (r *Roster) AuthorizeView(actor Actor) error { return actor.Require(UsersView) }

// AuthorizeInvitations returns nil if the actor may see, send and revoke
// invitations, and otherwise [ErrForbidden].
func (r *Roster) AuthorizeInvitations(actor Actor) error { return actor.Require(UsersManage) }

// Member returns an active member of the tenant in ctx. Errors: [ErrNoMember],
// [ErrForbidden].
func (r *Roster) Member(ctx context.Context, actor Actor, id string) (Member, error) {
	if err := r.AuthorizeView(actor); err != nil {
		return Member{}, err
	}
	member, err := r.members.ByID(ctx, id)
	if err == nil && !member.IsActive {
		err = ErrNoMember
	}
	if err != nil {
		return Member{}, fault.Wrap("get member", err)
	}
	return member, nil
}

// AuthorizeChange returns a member whose role the actor may change. Errors:
// [ErrNoMember], [ErrForbidden].
func (r *Roster) AuthorizeChange(ctx context.Context, actor Actor, id string) (Member, error) {
	return r.authorize(ctx, actor, id, func(actor Actor, target Member) bool { return len(AssignableRoles(actor, target)) > 0 })
}

// AuthorizeRemoval returns a member whom the actor may remove. Errors:
// [ErrNoMember], [ErrForbidden].
func (r *Roster) AuthorizeRemoval(ctx context.Context, actor Actor, id string) (Member, error) {
	return r.authorize(ctx, actor, id, MayRemove)
}

// AuthorizeTransfer returns a member to whom the actor may hand their
// ownership. Errors: [ErrNoMember], [ErrForbidden], [ErrOwnerAlready].
func (r *Roster) AuthorizeTransfer(ctx context.Context, actor Actor, id string) (Member, error) {
	target, err := r.authorize(ctx, actor, id, func(actor Actor, _ Member) bool { return isOwner(actor) })
	if err == nil && target.Role == RoleOwner {
		return Member{}, ErrOwnerAlready
	}
	return target, err
}

func (r *Roster) authorize(ctx context.Context, actor Actor, id string, may func(Actor, Member) bool) (Member, error) {
	target, err := r.Member(ctx, actor, id)
	switch {
	case err != nil:
		return Member{}, err
	case !may(actor, target):
		return Member{}, ErrForbidden
	}
	return target, nil
}

// List returns a page of the tenant's active members, those who joined first at
// the top. Errors: [ErrForbidden], [fault.Invalid].
func (r *Roster) List(ctx context.Context, actor Actor, listing MemberListing) (MemberPage, error) {
	if err := r.AuthorizeView(actor); err != nil {
		return MemberPage{}, err
	}
	listing, err := listing.parse()
	if err != nil {
		return MemberPage{}, err
	}
	limit := listing.Limit
	listing.Limit++ // one more tells whether there is a next page
	found, err := r.members.List(ctx, listing)
	if err != nil {
		return MemberPage{}, fault.Wrap("list members", err)
	}
	if len(found) <= limit {
		return MemberPage{Members: found}, nil
	}
	return MemberPage{Members: found[:limit], Next: MemberCursorAt(found[limit-1])}, nil
}

// change runs fn while nobody else changes members of the access's tenant. fn
// is given what the actor is by then, and a context of one transaction that is
// in no tenant, with the tenant's beside it.
func (r *Roster) change(ctx context.Context, access Access, fn func(ctx, inTenant context.Context, actor Actor) error) error {
	select {
	case r.changes <- struct{}{}:
		defer func() { <-r.changes }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// The transaction names its tenants itself.
	return r.tx.InSystemTx(tenant.NewContext(ctx, tenant.Schema{}), func(ctx context.Context) error {
		if err := r.directory.Lock(ctx, "members:"+access.Tenant.ID); err != nil {
			return err
		}
		inTenant := tenant.NewContext(ctx, access.Tenant.Schema)
		actor, err := r.members.ByID(inTenant, access.Member.ID)
		switch {
		case err != nil:
			return err
		case !actor.IsActive:
			return ErrForbidden
		}
		return fn(ctx, inTenant, Access{Session: access.Session, Member: actor}.Actor())
	})
}

// owners returns the ids of the tenant's owners.
func (r *Roster) owners(inTenant context.Context) ([]string, error) {
	found, err := r.members.List(inTenant, MemberListing{Role: RoleOwner, Limit: MaxMemberLimit})
	ids := make([]string, len(found))
	for i, owner := range found {
		ids[i] = owner.ID
	}
	return ids, err
}

// ownerships returns the decisions that keep the owners as they are. Before the
// first one is taken there is an owner whom nobody decided on: see [Project].
func ownerships(owners []string) map[string]bool {
	decisions := make(map[string]bool, len(owners)+1)
	for _, id := range owners {
		decisions[id] = true
	}
	return decisions
}

// ChangeRole gives a member another role and returns them as they are then. To
// make somebody an owner, or an owner something else, takes an owner. Errors:
// those of [Roster.AuthorizeChange], [fault.Invalid], [ErrForbidden] for a role
// that is not the actor's to give, [ErrLastOwner], and the provider's.
func (r *Roster) ChangeRole(ctx context.Context, access Access, id, role string) (Member, error) {
	if _, err := r.AuthorizeChange(ctx, access.Actor(), id); err != nil {
		return Member{}, err
	}
	to, err := ParseRole(role)
	if err != nil {
		return Member{}, fault.InvalidFields(fault.Field{Name: "role", Message: "Use owner, admin, member or viewer."})
	}
	var changed Member
	var outcome error
	err = r.change(ctx, access, func(ctx, inTenant context.Context, actor Actor) error {
		target, err := r.AuthorizeChange(inTenant, actor, id)
		switch {
		case err != nil:
			return err
		case !slices.Contains(AssignableRoles(actor, target), to):
			return ErrForbidden
		case target.Role == to:
			changed = target
			return nil
		}
		owners, err := r.owners(inTenant)
		switch {
		case err != nil:
			return err
		case target.Role == RoleOwner && len(owners) == 1:
			return ErrLastOwner
		}
		if from := target.Role; ProviderRoleOf(from) != ProviderRoleOf(to) {
			if gone, err := r.changeProviderRole(ctx, access.Tenant.ID, id, to); err != nil || gone {
				outcome = ErrNoMember
				return err
			}
		}
		if to == RoleOwner || target.Role == RoleOwner {
			decisions := ownerships(owners)
			decisions[id] = to == RoleOwner
			if err := r.sync.Own(ctx, access.Tenant.ID, decisions); err != nil {
				return err
			}
		}
		changed, err = r.members.ByID(inTenant, id)
		return err
	})
	if err = cmp.Or(err, outcome); err != nil {
		return Member{}, fault.Wrap("change role", err)
	}
	return changed, nil
}

// changeProviderRole changes a role at the provider and then here. gone is true
// when the provider says that they are no member any more, and then so do we.
func (r *Roster) changeProviderRole(ctx context.Context, organizationID, accountID string, to Role) (gone bool, err error) {
	observation, err := r.provider.ChangeRole(ctx, organizationID, accountID, ProviderRoleOf(to))
	if fault.Is(err, fault.NotFound) {
		return true, r.forget(ctx, organizationID, accountID)
	}
	if err != nil {
		return false, err
	}
	return false, r.sync.Apply(ctx, observation)
}

// forget ends the memberships here of somebody whom the provider does not know
// as a member any more. It asks once more, because it may be something else that
// was not found, and in that case returns an error.
func (r *Roster) forget(ctx context.Context, organizationID, accountID string) error {
	_, err := r.provider.Observe(ctx, organizationID, accountID)
	switch {
	case err == nil:
		return fault.New(fault.Conflict, "The identity provider did not make the change. Please try again.")
	case !fault.Is(err, fault.NotFound):
		return err
	}
	view, err := r.directory.View(ctx, organizationID)
	if err != nil {
		return err
	}
	var ended Observation
	for _, m := range view.Memberships {
		if m.AccountID == accountID && !m.Deleted() {
			ended.Memberships = append(ended.Memberships, Membership{
				ID: m.ID, OrganizationID: organizationID, AccountID: accountID,
				CreatedAt: m.UpdatedAt, UpdatedAt: m.UpdatedAt, DeletedAt: m.UpdatedAt,
			})
		}
	}
	if ended.IsZero() {
		return fault.New(fault.Conflict, "The identity provider does not know this member.")
	}
	return r.sync.Apply(ctx, ended)
}

// Remove ends somebody's membership, at the provider and here; whoever removes
// themselves leaves. Errors: those of [Roster.AuthorizeRemoval], [ErrLastOwner],
// and the provider's. Somebody who is gone at the provider already is removed
// here.
func (r *Roster) Remove(ctx context.Context, access Access, id string) error {
	err := r.change(ctx, access, func(ctx, inTenant context.Context, actor Actor) error {
		target, err := r.AuthorizeRemoval(inTenant, actor, id)
		if err != nil {
			return err
		}
		if target.Role == RoleOwner {
			owners, err := r.owners(inTenant)
			switch {
			case err != nil:
				return err
			case len(owners) == 1:
				return ErrLastOwner
			}
		}
		observation, err := r.provider.RemoveMember(ctx, access.Tenant.ID, id)
		switch {
		case fault.Is(err, fault.NotFound):
			err = r.forget(ctx, access.Tenant.ID, id)
		case err == nil:
			err = r.sync.Apply(ctx, observation)
		}
		if err != nil || target.Role != RoleOwner {
			return err
		}
		// Who comes back does not come back as an owner.
		return r.sync.Own(ctx, access.Tenant.ID, map[string]bool{id: false})
	})
	return fault.Wrap("remove member", err)
}

// Transfer makes a member an owner in the actor's place, who becomes an
// administrator. Errors: those of [Roster.AuthorizeTransfer], and the provider's.
func (r *Roster) Transfer(ctx context.Context, access Access, id string) (Member, error) {
	if _, err := r.AuthorizeTransfer(ctx, access.Actor(), id); err != nil {
		return Member{}, err
	}
	var changed Member
	var outcome error
	err := r.change(ctx, access, func(ctx, inTenant context.Context, actor Actor) error {
		target, err := r.AuthorizeTransfer(inTenant, actor, id)
		if err != nil {
			return err
		}
		owners, err := r.owners(inTenant)
		if err != nil {
			return err
		}
		if ProviderRoleOf(target.Role) != ProviderRoleOf(RoleOwner) {
			if gone, err := r.changeProviderRole(ctx, access.Tenant.ID, id, RoleOwner); err != nil || gone {
				outcome = ErrNoMember
				return err
			}
		}
		decisions := ownerships(owners)
		decisions[id], decisions[actor.AccountID] = true, false
		if err := r.sync.Own(ctx, access.Tenant.ID, decisions); err != nil {
			return err
		}
		changed, err = r.members.ByID(inTenant, id)
		return err
	})
	if err = cmp.Or(err, outcome); err != nil {
		return Member{}, fault.Wrap("transfer ownership", err)
	}
	return changed, nil
}

// Invitations returns the tenant's invitations that were not answered yet, the
// newest first. Errors: [ErrForbidden], and the provider's.
func (r *Roster) Invitations(ctx context.Context, access Access) ([]Invitation, error) {
	if err := r.AuthorizeInvitations(access.Actor()); err != nil {
		return nil, err
	}
	found, err := r.provider.Invitations(ctx, access.Tenant.ID)
	return found, fault.Wrap("list invitations", err)
}

// Invitation returns one of them. Errors: [ErrForbidden], [ErrNoInvitation],
// and the provider's.
func (r *Roster) Invitation(ctx context.Context, access Access, id string) (Invitation, error) {
	if err := r.AuthorizeInvitations(access.Actor()); err != nil {
		return Invitation{}, err
	}
	found, err := r.provider.Invitation(ctx, access.Tenant.ID, id)
	return found, fault.Wrap("get invitation", missing(err))
}

// missing says what it is that the provider does not know.
func missing(err error) error {
	if fault.Is(err, fault.NotFound) {
		return ErrNoInvitation
	}
	return err
}

// Invite asks somebody by email to become a member. Errors: [ErrForbidden],
// [fault.Invalid], [fault.Conflict] for somebody who was invited or is a member,
// and the provider's.
func (r *Roster) Invite(ctx context.Context, access Access, draft InvitationDraft) (Invitation, error) {
	if err := r.AuthorizeInvitations(access.Actor()); err != nil {
		return Invitation{}, err
	}
	invitation, err := draft.parse()
	if err != nil {
		return Invitation{}, err
	}
	invitation.InvitedBy = access.Member.ID
	sent, err := r.invite(ctx, access, invitation)
	return sent, fault.Wrap("invite", err)
}

// invite sends an invitation and records that in the tenant's audit log, which has
// of the address only as much as lets people tell one from another.
func (r *Roster) invite(ctx context.Context, access Access, invitation Invitation) (Invitation, error) {
	sent, err := r.provider.Invite(ctx, access.Tenant.ID, invitation)
	if err != nil {
		return Invitation{}, err
	}
	name, domain, _ := strings.Cut(sent.Email, "@")
	_, first := utf8.DecodeRuneInString(name)
	err = r.record(ctx, "invitation.created", sent.ID, map[string]any{"email": name[:first] + "…@" + domain, "role": string(sent.Role)})
	return sent, err
}

// record records what was done at the provider.
func (r *Roster) record(ctx context.Context, action, id string, values map[string]any) error {
	err := r.journal.Record(ctx, action, id, values)
	if err == nil {
		return nil
	}
	return fault.New(fault.KindOf(err), "It was done, but could not be recorded. Look at the invitations before you try again.").WithCause(err)
}

// revoke makes an invitation void and records that.
func (r *Roster) revoke(ctx context.Context, access Access, id string) error {
	if err := r.provider.RevokeInvitation(ctx, access.Tenant.ID, id, access.Member.ID); err != nil {
		return missing(err)
	}
	return r.record(ctx, "invitation.revoked", id, nil)
}

// Resend sends an invitation once more, by making it void and sending another
// one for the same address and role, which it returns. Errors: those of
// [Roster.Invitation]; an error after the old one became void says so.
func (r *Roster) Resend(ctx context.Context, access Access, id string) (Invitation, error) {
	old, err := r.Invitation(ctx, access, id)
	if err != nil {
		return Invitation{}, err
	}
	if err := r.revoke(ctx, access, id); err != nil {
		return Invitation{}, fault.Wrap("resend invitation", err)
	}
	sent, err := r.invite(ctx, access, Invitation{Email: old.Email, Role: old.Role, InvitedBy: access.Member.ID})
	if err != nil {
		lost := fault.As(err)
		lost = fault.New(lost.Kind, "The old invitation is void and a new one could not be sent. Invite them again.").WithRetryAfter(lost.RetryAfter).WithCause(err)
		return Invitation{}, fault.Wrap("resend invitation", lost)
	}
	return sent, nil
}

// Revoke makes an invitation void. Errors: [ErrForbidden], [ErrNoInvitation],
// and the provider's.
func (r *Roster) Revoke(ctx context.Context, access Access, id string) error {
	if err := r.AuthorizeInvitations(access.Actor()); err != nil {
		return err
	}
	return fault.Wrap("revoke invitation", r.revoke(ctx, access, id))
}
