package identitytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// ProviderAccount is a person whom an implementation of [identity.Provider] is
// made to know.
type ProviderAccount struct {
	ID, Email string
}

// ProviderWorld is an implementation of [identity.Provider] with one
// organization, an administrator and a member of it, and somebody else.
type ProviderWorld struct {
	identity.Provider
	OrganizationID       string
	Admin, Member, Other ProviderAccount
	// Bar makes an account one that may not make organizations.
	Bar func(t *testing.T, accountID string)
}

// RunProvider runs the contract of [identity.Provider], but for what one account
// is observed by.
func RunProvider(t *testing.T, newWorld func(t *testing.T) ProviderWorld) {
	t.Helper()
	for name, test := range map[string]func(w ProviderWorld, t *testing.T){
		"everything is walked":             ProviderWorld.walked,
		"an organization is made":          ProviderWorld.creates,
		"an organization is renamed":       ProviderWorld.renames,
		"an organization is deleted":       ProviderWorld.deletes,
		"a role changes":                   ProviderWorld.changesRole,
		"a member is removed":              ProviderWorld.removes,
		"what is not there is not found":   ProviderWorld.missing,
		"an invitation is sent and listed": ProviderWorld.invites,
		"nobody is invited twice":          ProviderWorld.invitesOnce,
		"an invitation is revoked":         ProviderWorld.revokes,
		"a cancelled context does nothing": ProviderWorld.cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t), t)
		})
	}
}

func (w ProviderWorld) walked(t *testing.T) {
	observed, err := w.Observe(t.Context(), w.OrganizationID, w.Admin.ID)
	must(t, err)
	organizations, err := w.ListOrganizations(t.Context(), 0, 10)
	must(t, err)
	same(t, "organizations", organizations, observed.Organizations)
	if more, err := w.ListOrganizations(t.Context(), 1, 10); err != nil || len(more) != 0 {
		t.Errorf("the page after the last: %+v, %v", more, err)
	}
	organization, err := w.ObserveOrganization(t.Context(), w.OrganizationID)
	must(t, err)
	same(t, "an organization", organization, organizations[0])

	members, err := w.ObserveMembers(t.Context(), w.OrganizationID)
	must(t, err)
	same(t, "the members' organization", members.Organizations, organizations)
	var want []identity.Membership
	for _, account := range []ProviderAccount{w.Admin, w.Member} {
		observed, err := w.Observe(t.Context(), w.OrganizationID, account.ID)
		must(t, err)
		want = append(want, observed.Memberships...)
	}
	same(t, "memberships", sorted(members.Memberships, membershipID), sorted(want, membershipID))
	for _, stub := range members.Accounts {
		if !stub.Stub || stub.ID != w.Admin.ID && stub.ID != w.Member.ID || stub.Email == "" {
			t.Errorf("a stub is %+v", stub)
		}
	}

	accounts, err := w.ObserveAccounts(t.Context(), []string{w.Other.ID, "user_none", w.Admin.ID})
	must(t, err)
	ids := map[string]string{}
	for _, account := range accounts {
		ids[account.ID] = account.Email
	}
	same(t, "accounts", ids, map[string]string{w.Admin.ID: w.Admin.Email, w.Other.ID: w.Other.Email})
	same(t, "an account", sorted(append(accounts, observed.Accounts...), accountID)[0], sorted(accounts, accountID)[0])
	if nobody, err := w.ObserveAccounts(t.Context(), nil); err != nil || len(nobody) != 0 {
		t.Errorf("nobody was asked for: %+v, %v", nobody, err)
	}

	if domains, err := w.Domains(t.Context(), w.OrganizationID); err != nil || len(domains) != 0 {
		t.Errorf("domains of who claims none: %+v, %v", domains, err)
	}

	_, err1 := w.ObserveOrganization(t.Context(), "org_none")
	_, err2 := w.ObserveMembers(t.Context(), "org_none")
	_, err3 := w.Domains(t.Context(), "org_none")
	for _, err := range []error{err1, err2, err3} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("no such organization: %v", err)
		}
	}
}

func (w ProviderWorld) creates(t *testing.T) {
	made, err := w.CreateOrganization(t.Context(), w.Other.ID, "Größe & <Sons>", "sons")
	must(t, err)
	if made.ID == "" || made.Name != "Größe & <Sons>" || made.Slug != "sons" || made.CreatedBy != w.Other.ID || made.CreatedAt.IsZero() {
		t.Errorf("made %+v", made)
	}
	observed, err := w.Observe(t.Context(), made.ID, w.Other.ID)
	must(t, err)
	same(t, "what is observed", observed.Organizations, []identity.Organization{made})
	if len(observed.Memberships) != 1 || observed.Memberships[0].ProviderRole != "org:admin" {
		t.Errorf("who made it is %+v", observed.Memberships)
	}
	taken := made.Slug
	for want, attempt := range map[fault.Kind][3]string{
		fault.Conflict: {w.Other.ID, "Sons", taken},
		fault.NotFound: {"user_none", "Sons", "others"},
		fault.Invalid:  {w.Other.ID, "", "others"},
	} {
		_, err := w.CreateOrganization(t.Context(), attempt[0], attempt[1], attempt[2])
		if !fault.Is(err, want) {
			t.Errorf("%q: %v", attempt, err)
		}
		if fields := fault.As(err).Fields; want != fault.NotFound && (len(fields) != 1 || fields[0].Name != map[fault.Kind]string{fault.Conflict: "slug", fault.Invalid: "name"}[want]) {
			t.Errorf("%q: %+v", attempt, fields)
		}
	}
	w.Bar(t, w.Other.ID)
	if _, err := w.CreateOrganization(t.Context(), w.Other.ID, "More", "more"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("who may not: %v", err)
	}
	if all, err := w.ListOrganizations(t.Context(), 0, 10); err != nil || len(all) != 2 {
		t.Errorf("there are %+v, %v", all, err)
	}
}

func (w ProviderWorld) renames(t *testing.T) {
	before, err := w.ObserveOrganization(t.Context(), w.OrganizationID)
	must(t, err)
	for _, change := range []identity.SettingsChange{
		{Name: new("Acmé & <Sons>")}, {Slug: new("acme-sons")}, {Name: new("Acme"), Slug: new("acme-inc")}, {Slug: new("acme-inc")},
	} {
		got, err := w.UpdateOrganization(t.Context(), w.OrganizationID, change)
		must(t, err)
		want := before
		if change.Name != nil {
			want.Name = *change.Name
		}
		if change.Slug != nil {
			want.Slug = *change.Slug
		}
		if got.Name != want.Name || got.Slug != want.Slug || got.ID != want.ID || got.UpdatedAt.Before(before.UpdatedAt) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		after, err := w.ObserveOrganization(t.Context(), w.OrganizationID)
		must(t, err)
		same(t, "what is observed", after, got)
		before = after
	}
}

func (w ProviderWorld) deletes(t *testing.T) {
	must(t, w.DeleteOrganization(t.Context(), w.OrganizationID))
	_, observeErr := w.ObserveOrganization(t.Context(), w.OrganizationID)
	_, memberErr := w.Observe(t.Context(), w.OrganizationID, w.Member.ID)
	_, renameErr := w.UpdateOrganization(t.Context(), w.OrganizationID, identity.SettingsChange{Name: new("Acme")})
	for _, err := range []error{observeErr, memberErr, renameErr, w.DeleteOrganization(t.Context(), w.OrganizationID)} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v", err)
		}
	}
}

func (w ProviderWorld) changesRole(t *testing.T) {
	before, err := w.Observe(t.Context(), w.OrganizationID, w.Member.ID)
	must(t, err)
	for _, role := range []string{"org:admin", "org:viewer", "org:member"} {
		o, err := w.ChangeRole(t.Context(), w.OrganizationID, w.Member.ID, role)
		must(t, err)
		if len(o.Memberships) != 1 || len(o.Organizations) != 1 || o.Organizations[0].ID != w.OrganizationID {
			t.Fatalf("got %+v", o)
		}
		got := o.Memberships[0]
		if got.ID != before.Memberships[0].ID || got.AccountID != w.Member.ID || got.ProviderRole != role || got.UpdatedAt.Before(before.Memberships[0].UpdatedAt) {
			t.Errorf("got %+v", got)
		}
		after, err := w.Observe(t.Context(), w.OrganizationID, w.Member.ID)
		must(t, err)
		same(t, "what is observed", after.Memberships[0], got)
		before = after
	}
}

func (w ProviderWorld) removes(t *testing.T) {
	before, err := w.Observe(t.Context(), w.OrganizationID, w.Member.ID)
	must(t, err)
	o, err := w.RemoveMember(t.Context(), w.OrganizationID, w.Member.ID)
	must(t, err)
	if len(o.Accounts) != 0 || len(o.Memberships) != 1 {
		t.Fatalf("got %+v", o)
	}
	got := o.Memberships[0]
	if !got.Deleted() || got.ID != before.Memberships[0].ID || got.AccountID != w.Member.ID || got.OrganizationID != w.OrganizationID {
		t.Errorf("got %+v", got)
	}
	if _, err := w.Observe(t.Context(), w.OrganizationID, w.Member.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("is still there: %v", err)
	}
	if _, err := w.Observe(t.Context(), w.OrganizationID, w.Admin.ID); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func (w ProviderWorld) missing(t *testing.T) {
	for _, ids := range [][2]string{{w.OrganizationID, w.Other.ID}, {w.OrganizationID, "user_none"}, {"org_none", w.Member.ID}} {
		_, changeErr := w.ChangeRole(t.Context(), ids[0], ids[1], "org:admin")
		_, removeErr := w.RemoveMember(t.Context(), ids[0], ids[1])
		for _, err := range []error{changeErr, removeErr} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%v: %v", ids, err)
			}
		}
	}
	if _, err := w.ChangeRole(t.Context(), w.OrganizationID, w.Member.ID, "org:invented"); !fault.Is(err, fault.Invalid) ||
		len(fault.As(err).Fields) != 1 || fault.As(err).Fields[0].Name != "role" {
		t.Errorf("a role: %v", err)
	}
	if o, err := w.Observe(t.Context(), w.OrganizationID, w.Member.ID); err != nil || o.Memberships[0].ProviderRole != "org:member" {
		t.Errorf("a role was given that is not there: %+v, %v", o.Memberships, err)
	}
	if _, err := w.Invitation(t.Context(), w.OrganizationID, "orginv_none"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an invitation: %v", err)
	}
	if err := w.RevokeInvitation(t.Context(), w.OrganizationID, "orginv_none", w.Admin.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("an invitation: %v", err)
	}
}

func (w ProviderWorld) invite(t *testing.T, email string) identity.Invitation {
	t.Helper()
	sent, err := w.Invite(t.Context(), w.OrganizationID, identity.Invitation{Email: email, Role: identity.RoleViewer, InvitedBy: w.Admin.ID})
	must(t, err)
	return sent
}

func (w ProviderWorld) invites(t *testing.T) {
	if none, err := w.Invitations(t.Context(), w.OrganizationID); err != nil || len(none) != 0 {
		t.Errorf("got %+v, %v", none, err)
	}
	sent := w.invite(t, "new@example.com")
	if sent.ID == "" || sent.Email != "new@example.com" || sent.Role != identity.RoleViewer || sent.InvitedBy != w.Admin.ID ||
		time.Since(sent.CreatedAt).Abs() > time.Minute || sent.ExpiresAt.Before(sent.CreatedAt) {
		t.Errorf("sent %+v", sent)
	}
	got, err := w.Invitation(t.Context(), w.OrganizationID, sent.ID)
	must(t, err)
	same(t, "one", got, sent)
	all, err := w.Invitations(t.Context(), w.OrganizationID)
	must(t, err)
	same(t, "all", all, []identity.Invitation{sent})
}

func (w ProviderWorld) invitesOnce(t *testing.T) {
	w.invite(t, "new@example.com")
	w.invite(t, w.Other.Email)
	for _, email := range []string{"new@example.com", "NEW@example.com", w.Member.Email, strings.ToUpper(w.Member.Email)} {
		_, err := w.Invite(t.Context(), w.OrganizationID, identity.Invitation{Email: email, Role: identity.RoleMember, InvitedBy: w.Admin.ID})
		if !fault.Is(err, fault.Conflict) || len(fault.As(err).Fields) != 1 || fault.As(err).Fields[0].Name != "email" {
			t.Errorf("%s: %v", email, err)
		}
	}
	if all, err := w.Invitations(t.Context(), w.OrganizationID); err != nil || len(all) != 2 {
		t.Errorf("got %+v, %v", all, err)
	}
}

func (w ProviderWorld) revokes(t *testing.T) {
	first, second := w.invite(t, "first@example.com"), w.invite(t, "second@example.com")
	must(t, w.RevokeInvitation(t.Context(), w.OrganizationID, first.ID, w.Admin.ID))
	if err := w.RevokeInvitation(t.Context(), w.OrganizationID, first.ID, w.Admin.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("again: %v", err)
	}
	if _, err := w.Invitation(t.Context(), w.OrganizationID, first.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("is still there: %v", err)
	}
	all, err := w.Invitations(t.Context(), w.OrganizationID)
	must(t, err)
	same(t, "the rest", all, []identity.Invitation{second})
	if again := w.invite(t, "first@example.com"); again.ID == first.ID {
		t.Errorf("a new invitation is the revoked one: %+v", again)
	}
}

func (w ProviderWorld) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, roleErr := w.ChangeRole(ctx, w.OrganizationID, w.Member.ID, "org:admin")
	_, removeErr := w.RemoveMember(ctx, w.OrganizationID, w.Member.ID)
	_, renameErr := w.UpdateOrganization(ctx, w.OrganizationID, identity.SettingsChange{Name: new("Other")})
	deleteErr := w.DeleteOrganization(ctx, w.OrganizationID)
	_, createErr := w.CreateOrganization(ctx, w.Other.ID, "Other", "other")
	_, inviteErr := w.Invite(ctx, w.OrganizationID, identity.Invitation{Email: "new@example.com", Role: identity.RoleMember})
	for _, err := range []error{roleErr, removeErr, renameErr, deleteErr, createErr, inviteErr} {
		if !fault.Is(err, fault.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	after, err := w.Observe(t.Context(), w.OrganizationID, w.Member.ID)
	must(t, err)
	if after.Memberships[0].ProviderRole != "org:member" {
		t.Errorf("the role changed: %+v", after.Memberships)
	}
}
