package identity_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/tenant"
)

// TestAKeyAllowsAtMostWhatItsMakerMay holds every permission of a key against every
// role.
func TestAKeyAllowsAtMostWhatItsMakerMay(t *testing.T) {
	t.Parallel()
	for _, role := range append(identity.Roles(), "boss", "") {
		person := identity.Actor{AccountID: "user_x", Role: role}
		nothing, everything := person, person
		nothing.Key, everything.Key = &identity.Key{}, &identity.Key{Permissions: identity.Permissions()}
		for _, permission := range identity.Permissions() {
			if nothing.Allows(permission) {
				t.Errorf("a key without permissions of a %q has %s", role, permission)
			}
			if everything.Allows(permission) != role.Covers(permission) || person.Allows(permission) && !everything.Allows(permission) {
				t.Errorf("a key with all of a %q: %s is %v", role, permission, everything.Allows(permission))
			}
			one := person
			one.Key = &identity.Key{Permissions: []identity.Permission{permission}}
			for _, asked := range identity.Permissions() {
				if one.Allows(asked) && (!role.Covers(asked) || asked != permission && permission != covering[asked]) {
					t.Errorf("a key of a %q for %s has %s", role, permission, asked)
				}
			}
		}
		if err := nothing.Require(identity.Permissions()...); !errors.Is(err, identity.ErrKeyForbidden) {
			t.Errorf("%v", err)
		}
		if person.RequirePerson() != nil || !errors.Is(nothing.RequirePerson(), identity.ErrPersonal) {
			t.Error("persons and keys are mixed up")
		}
	}
	for _, role := range identity.Roles() {
		for _, permission := range identity.Permissions() {
			if role.Allows(permission) && !role.Covers(permission) {
				t.Errorf("a %s's key cannot be given %s", role, permission)
			}
		}
	}
}

// covering are the permissions that cover others.
var covering = map[identity.Permission]identity.Permission{
	identity.ProjectsEditOwn: identity.ProjectsEditAll, identity.ProjectsDeleteOwn: identity.ProjectsDeleteAll,
	identity.ProjectsViewOwn: identity.ProjectsViewAll, identity.ProjectsViewPublic: identity.ProjectsViewAll,
}

// keyOf is the session of a key that somebody made in acme at a moment.
func keyOf(account string, made time.Time, permissions ...identity.Permission) identity.Session {
	return identity.Session{AccountID: account, Key: &identity.Key{ID: "KEY", TenantID: "org_acme", Permissions: permissions, CreatedAt: made}}
}

// TestKeysEnterTheirTenant lets keys in with what their makers are at the moment.
func TestKeysEnterTheirTenant(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	apply(t, w, acme())
	made := time.Now()
	enter := func(what string, session identity.Session, slug string, want error) identity.Access {
		t.Helper()
		_, access, err := w.Service.Enter(t.Context(), session, slug)
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
		return access
	}
	bob := keyOf("user_bob", made, identity.Permissions()...)
	access := enter("bob's", bob, "acme", nil)
	if access.Actor().Key != bob.Key || access.Actor().Allows(identity.OrganizationManage) || !access.Member.LastSeenAt.IsZero() {
		t.Errorf("%+v", access)
	}
	members, err := w.Service.Members(tenant.NewContext(t.Context(), access.Tenant.Schema), "user_bob")
	if err != nil || !members["user_bob"].LastSeenAt.IsZero() {
		t.Errorf("a key counts as a person who was seen: %+v, %v", members, err)
	}
	enter("at no tenant", bob, "nowhere", tenancy.ErrNotFound)
	foreign := keyOf("user_bob", made)
	foreign.Key.TenantID = "org_other"
	enter("of another tenant", foreign, "acme", tenancy.ErrNotFound)
	enter("of who never was a member", keyOf("user_eve", made), "acme", identity.ErrKeyOrphaned)
	enter("older than the membership", keyOf("user_bob", access.Member.JoinedAt.Add(-time.Hour)), "acme", identity.ErrKeyOrphaned)
	if _, err := w.Tenants.Suspend(t.Context(), "org_acme"); err != nil {
		t.Fatal(err)
	}
	enter("in a suspended tenant", bob, "acme", tenancy.ErrSuspended)
	enter("of another tenant, in a suspended one", foreign, "acme", tenancy.ErrNotFound)
}

// TestKeysOfMembers holds what a key may do to members, itself an owner's.
func TestKeysOfMembers(t *testing.T) {
	t.Parallel()
	owner := identity.Actor{AccountID: "user_ada", Role: identity.RoleOwner}
	self, other, admin := identity.Member{ID: "user_ada", Role: identity.RoleOwner}, identity.Member{ID: "user_o", Role: identity.RoleOwner}, identity.Member{ID: "user_b", Role: identity.RoleAdmin}
	key := func(permissions ...identity.Permission) identity.Actor {
		actor := owner
		actor.Key = &identity.Key{Permissions: permissions}
		return actor
	}
	for name, test := range map[string]struct {
		actor                               identity.Actor
		removeSelf, removeOther, removeThem bool
		assign                              []identity.Role // to the admin
		transfer                            bool
	}{
		"the person":        {owner, true, true, true, identity.Roles(), true},
		"a key for all":     {key(identity.Permissions()...), true, true, true, identity.Roles(), false},
		"a key for members": {key(identity.UsersManage), false, false, true, identity.Roles()[1:], false},
		"a key to look":     {key(identity.UsersView), false, false, false, nil, false},
		"a key for owners":  {key(identity.OrganizationManage), false, false, false, nil, false},
	} {
		if identity.MayRemove(test.actor, self) != test.removeSelf || identity.MayRemove(test.actor, other) != test.removeOther || identity.MayRemove(test.actor, admin) != test.removeThem {
			t.Errorf("%s may remove itself %v, an owner %v, an admin %v", name, identity.MayRemove(test.actor, self), identity.MayRemove(test.actor, other), identity.MayRemove(test.actor, admin))
		}
		if got := identity.AssignableRoles(test.actor, admin); !slices.Equal(got, test.assign) {
			t.Errorf("%s may make an admin %v", name, got)
		}
		if identity.MayTransfer(test.actor, admin) != test.transfer {
			t.Errorf("%s may hand over: %v", name, !test.transfer)
		}
	}
}

// TestARosterRemembersTheKey holds that the second look at who the actor is, once
// nobody else changes members, does not make a person of a key.
func TestARosterRemembersTheKey(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	apply(t, w, acme())
	ctx, access, err := w.Service.Enter(t.Context(), keyOf("user_ada", time.Now(), identity.UsersManage, identity.UsersView), "acme")
	if err != nil || access.Member.Role != identity.RoleOwner {
		t.Fatalf("%+v, %v", access, err)
	}
	if _, err := w.Roster.ChangeRole(ctx, access, "user_bob", string(identity.RoleOwner)); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a key for members makes an owner: %v", err)
	}
	if err := w.Roster.Remove(ctx, access, "user_ada"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a key for members removes its maker: %v", err)
	}
	if _, err := w.Roster.Transfer(ctx, access, "user_bob"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a key hands over: %v", err)
	}
}
