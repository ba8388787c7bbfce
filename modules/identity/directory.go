package identity

import (
	"cmp"
	"time"
)

// Account is what the directory knows of a person.
type Account struct {
	ID        string
	Email     string // the primary address, "" without one
	FirstName string
	LastName  string
	AvatarURL string
	Phone     string
	// TwoFactor is whether signing in takes a second factor.
	TwoFactor bool
	// Stub marks an account known from a membership's summary alone.
	Stub bool
	// CreatedAt is when the account was created at the provider.
	CreatedAt time.Time
	// UpdatedAt is the provider's time of this state; a newer one wins.
	UpdatedAt time.Time
	// DeletedAt is when the account was deleted; zero while it lives.
	DeletedAt time.Time
}

// Deleted reports whether the account is a tombstone.
func (a Account) Deleted() bool { return !a.DeletedAt.IsZero() }

// Merge returns what is known from both a and b, two states of one account.
// It is commutative, associative and idempotent, so the order in which events
// arrive, and how often, does not matter: a deletion wins over everything, a
// real account over a stub, then the newer state. Two states of the same time
// are ordered by their content.
func (a Account) Merge(b Account) Account {
	if a.Deleted() || b.Deleted() {
		at := earliest(a.DeletedAt, b.DeletedAt)
		return Account{ID: a.ID, CreatedAt: at, UpdatedAt: at, DeletedAt: at}
	}
	if a.compare(b) >= 0 {
		return a
	}
	return b
}

func (a Account) compare(b Account) int {
	return cmp.Or(
		compareBool(!a.Stub, !b.Stub),
		a.UpdatedAt.Compare(b.UpdatedAt),
		cmp.Compare(a.Email, b.Email),
		cmp.Compare(a.FirstName, b.FirstName),
		cmp.Compare(a.LastName, b.LastName),
		cmp.Compare(a.AvatarURL, b.AvatarURL),
		cmp.Compare(a.Phone, b.Phone),
		compareBool(a.TwoFactor, b.TwoFactor),
		a.CreatedAt.Compare(b.CreatedAt),
	)
}

// Organization is what the directory knows of an organization.
type Organization struct {
	ID       string
	Name     string
	Slug     string // the slug it has at the provider, "" without one
	ImageURL string
	// CreatedBy is the account that created it, "" when that is not known.
	CreatedBy string
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt time.Time
}

// Deleted reports whether the organization is a tombstone.
func (o Organization) Deleted() bool { return !o.DeletedAt.IsZero() }

// Merge is for organizations what [Account.Merge] is for accounts. Who created
// it never changes, but not every event says so: any event that does is enough.
func (o Organization) Merge(p Organization) Organization {
	creator := max(o.CreatedBy, p.CreatedBy)
	if o.Deleted() || p.Deleted() {
		at := earliest(o.DeletedAt, p.DeletedAt)
		return Organization{ID: o.ID, CreatedBy: creator, CreatedAt: at, UpdatedAt: at, DeletedAt: at}
	}
	if o.compare(p) < 0 {
		o = p
	}
	o.CreatedBy = creator
	return o
}

func (o Organization) compare(p Organization) int {
	return cmp.Or(
		o.UpdatedAt.Compare(p.UpdatedAt),
		cmp.Compare(o.Name, p.Name),
		cmp.Compare(o.Slug, p.Slug),
		cmp.Compare(o.ImageURL, p.ImageURL),
		o.CreatedAt.Compare(p.CreatedAt),
	)
}

// Membership is what the directory knows of one account's belonging to one
// organization. Somebody who is removed and added again has a new one.
type Membership struct {
	ID             string
	OrganizationID string
	AccountID      string
	ProviderRole   string // such as "org:admin"
	CreatedAt      time.Time
	UpdatedAt      time.Time
	DeletedAt      time.Time
}

// Deleted reports whether the membership is a tombstone.
func (m Membership) Deleted() bool { return !m.DeletedAt.IsZero() }

// Merge is for memberships what [Account.Merge] is for accounts. A tombstone
// keeps whom it was about, so that the user's row can say that they left.
func (m Membership) Merge(n Membership) Membership {
	organization, account := max(m.OrganizationID, n.OrganizationID), max(m.AccountID, n.AccountID)
	if m.Deleted() || n.Deleted() {
		at := earliest(m.DeletedAt, n.DeletedAt)
		return Membership{ID: m.ID, OrganizationID: organization, AccountID: account, CreatedAt: at, UpdatedAt: at, DeletedAt: at}
	}
	if m.compare(n) < 0 {
		m = n
	}
	m.OrganizationID, m.AccountID = organization, account
	return m
}

func (m Membership) compare(n Membership) int {
	return cmp.Or(
		m.UpdatedAt.Compare(n.UpdatedAt),
		cmp.Compare(m.ProviderRole, n.ProviderRole),
		m.CreatedAt.Compare(n.CreatedAt),
	)
}

// Observation is what one event, or one answer of the provider, says. Its
// parts may be about different things, in any order.
type Observation struct {
	Accounts      []Account
	Organizations []Organization
	Memberships   []Membership
}

// IsZero reports whether the observation says nothing.
func (o Observation) IsZero() bool {
	return len(o.Accounts) == 0 && len(o.Organizations) == 0 && len(o.Memberships) == 0
}

// earliest returns the earlier of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
