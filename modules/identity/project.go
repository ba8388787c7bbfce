package identity

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// User is what the directory says of one person in one tenant.
type User struct {
	ID              string
	Email           string
	FirstName       string
	LastName        string
	AvatarURL       string
	Phone           string
	TwoFactor       bool
	Role            Role
	Active          bool
	EmailSuperseded bool
	Deleted         bool // the account is gone: nothing personal may stay
	JoinedAt        time.Time
}

// Project computes a tenant's users from all that is known of its organization.
// It depends on nothing else, so whoever knows the same computes the same. The
// users are ordered by id.
//
//   - Everybody who ever was a member has a row; who has no live membership, or
//     whose account was deleted, is inactive. A deleted account is anonymised.
//   - Until anything is known of a membership of the person who created the
//     organization, they are taken for an administrator, so that they do not
//     wait for a second event.
//   - Owners are the live administrators who were made owners here, in the
//     membership that they have now: who was removed and added again is what the
//     provider says. Without any owner, it is the administrator who has been a
//     member for longest, first of all whoever created the organization; the
//     provider knows no owners.
//   - An address belongs to one active member: to the account that was created
//     last, because an earlier one with the same address must have lost it.
func Project(view View) []User {
	accounts := make(map[string]Account, len(view.Accounts))
	for _, account := range view.Accounts {
		accounts[account.ID] = account
	}

	latest := view.standing()
	users := make([]User, 0, len(latest))
	for id, membership := range latest {
		account := accounts[id]
		user := User{ID: id, Role: RoleViewer, JoinedAt: membership.CreatedAt}
		if account.Deleted() {
			user.Deleted = true
		} else {
			user.Email, user.Phone, user.TwoFactor = account.Email, account.Phone, account.TwoFactor
			user.FirstName, user.LastName, user.AvatarURL = account.FirstName, account.LastName, account.AvatarURL
			if !membership.Deleted() {
				user.Active, user.Role = true, RoleOf(membership.ProviderRole)
			}
		}
		users = append(users, user)
	}
	slices.SortFunc(users, func(a, b User) int { return cmp.Compare(a.ID, b.ID) })
	electOwners(users, view, latest)
	settleEmails(users, accounts)
	return users
}

// standing returns the membership of each account that counts. Whoever created
// the organization has one even before anything is known of it.
func (v View) standing() map[string]Membership {
	latest := map[string]Membership{}
	for _, m := range v.Memberships {
		if m.AccountID == "" {
			continue // a tombstone of a membership that nothing else is known of
		}
		if known, ok := latest[m.AccountID]; !ok || compareStanding(m, known) > 0 {
			latest[m.AccountID] = m
		}
	}
	creator := v.Organization.CreatedBy
	if _, known := latest[creator]; !known && creator != "" {
		latest[creator] = Membership{
			AccountID:    creator,
			ProviderRole: "org:admin",
			CreatedAt:    v.Organization.CreatedAt,
		}
	}
	return latest
}

// compareStanding orders an account's memberships of one organization by which
// of them counts: a live one before a tombstone, then the later one.
func compareStanding(a, b Membership) int {
	return cmp.Or(
		compareBool(!a.Deleted(), !b.Deleted()),
		a.CreatedAt.Compare(b.CreatedAt),
		cmp.Compare(a.ID, b.ID),
	)
}

func electOwners(users []User, view View, standing map[string]Membership) {
	var heir *User
	elected := false
	for i := range users {
		user := &users[i]
		decision, decided := view.Ownerships[user.ID]
		decided = decided && (decision.MembershipID == "" || decision.MembershipID == standing[user.ID].ID)
		switch {
		case user.Role != RoleAdmin:
		case decided && decision.Owner:
			user.Role, elected = RoleOwner, true
		case decided: // was an owner and gave it up
		case heir == nil || comesBefore(*user, *heir, view.Organization.CreatedBy):
			heir = user
		}
	}
	if !elected && heir != nil {
		heir.Role = RoleOwner
	}
}

// comesBefore orders those who may inherit an organization.
func comesBefore(a, b User, creator string) bool {
	return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), compareBool(b.ID == creator, a.ID == creator), cmp.Compare(a.ID, b.ID)) < 0
}

func settleEmails(users []User, accounts map[string]Account) {
	holders := map[string]*User{}
	for i := range users {
		user := &users[i]
		if !user.Active || user.Email == "" {
			continue
		}
		address := strings.ToLower(user.Email)
		holder := holders[address]
		loser := user
		if holder == nil || accounts[user.ID].CreatedAt.After(accounts[holder.ID].CreatedAt) {
			holders[address], loser = user, holder
		}
		if loser != nil {
			loser.Email, loser.EmailSuperseded = "", true
		}
	}
}

// Onto returns the member that m becomes under the projection. What is the
// tenant's own stays, but for a deleted account: then nothing personal does.
func (u User) Onto(m Member) Member {
	m.ID, m.Email, m.FirstName, m.LastName = u.ID, u.Email, u.FirstName, u.LastName
	m.AvatarURL, m.Role, m.IsActive, m.JoinedAt = u.AvatarURL, u.Role, u.Active, u.JoinedAt
	m.Metadata.EmailSuperseded, m.Metadata.TwoFactor = u.EmailSuperseded, u.TwoFactor
	if u.Deleted {
		m.Metadata.Phone = ""
	}
	m.Phone = cmp.Or(m.Metadata.Phone, u.Phone)
	return m
}
