package identitytest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
)

// History returns events observations as a provider would send them, in the
// order in which things happened there: organizations that are created,
// renamed, swap slugs and are deleted; people who sign up, change their names,
// are deleted and sign up again with the same address; memberships that begin,
// change role, end and begin again. The same seed gives the same history.
func History(seed uint64, events int) []identity.Observation {
	h := &provider{
		rand: rand.New(rand.NewPCG(seed, seed)),
		now:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for len(h.events) < events {
		h.step()
	}
	return h.events[:events]
}

type provider struct {
	rand          *rand.Rand
	now           time.Time
	serial        int
	accounts      []identity.Account
	organizations []identity.Organization
	memberships   []identity.Membership
	events        []identity.Observation
}

var (
	slugPool = []string{"acme", "beta", "api", "gamma", "", "delta-4", "Ünï"}
	rolePool = []string{"org:admin", "org:member", "org:viewer", "org:invented"}
)

func (p *provider) step() {
	// Two things can happen in one moment: the merge must not depend on the
	// provider's clock being finer than its events.
	p.now = p.now.Add(time.Duration(p.rand.IntN(3)) * time.Second)
	switch n := p.rand.IntN(100); {
	case n < 15 || len(p.accounts) < 2:
		p.signUp()
	case n < 25 || len(p.organizations) == 0:
		p.found()
	case n < 40:
		p.rename()
	case n < 50:
		p.renameOrganization()
	case n < 70:
		p.join()
	case n < 82:
		p.changeRole()
	case n < 92:
		p.leave()
	case n < 96:
		p.deleteAccount()
	case n < 98:
		p.deleteOrganization()
	}
}

func (p *provider) id(prefix string) string {
	p.serial++
	return fmt.Sprintf("%s_%04d", prefix, p.serial)
}

func pickLive[T interface{ Deleted() bool }](p *provider, from []T) *T {
	for range 8 {
		if len(from) == 0 {
			return nil
		}
		if value := &from[p.rand.IntN(len(from))]; !(*value).Deleted() {
			return value
		}
	}
	return nil
}

func (p *provider) emit(o identity.Observation) { p.events = append(p.events, o) }

func (p *provider) signUp() {
	account := identity.Account{
		ID: p.id("user"), Email: fmt.Sprintf("Person%d@example.com", p.rand.IntN(12)),
		FirstName: "First", LastName: fmt.Sprint(p.serial), CreatedAt: p.now.Add(time.Duration(p.serial) * time.Microsecond), UpdatedAt: p.now,
	}
	p.accounts = append(p.accounts, account)
	p.emit(identity.Observation{Accounts: []identity.Account{account}})
}

func (p *provider) found() {
	creator := pickLive(p, p.accounts)
	if creator == nil {
		return
	}
	slug := p.freeSlug()
	organization := identity.Organization{
		ID: p.id("org"), Name: "Organization " + fmt.Sprint(p.serial), Slug: slug, CreatedBy: creator.ID, CreatedAt: p.now, UpdatedAt: p.now,
	}
	p.organizations = append(p.organizations, organization)
	p.emit(identity.Observation{Organizations: []identity.Organization{organization}})
	p.add(organization, *creator, "org:admin")
}

// freeSlug returns a slug that no live organization has: the provider keeps
// slugs unique, only its events can contradict each other.
func (p *provider) freeSlug() string {
	slug := slugPool[p.rand.IntN(len(slugPool))]
	for _, o := range p.organizations {
		if o.Slug == slug && slug != "" && !o.Deleted() {
			p.serial++
			return slug + "-" + fmt.Sprint(p.serial)
		}
	}
	return slug
}

func (p *provider) rename() {
	if account := pickLive(p, p.accounts); account != nil {
		account.FirstName, account.UpdatedAt = fmt.Sprintf("Renamed %d", p.rand.IntN(1000)), p.now
		if p.rand.IntN(4) == 0 {
			account.Email = fmt.Sprintf("person%d@example.com", p.rand.IntN(12))
		}
		if p.rand.IntN(4) == 0 {
			account.TwoFactor = !account.TwoFactor
		}
		p.emit(identity.Observation{Accounts: []identity.Account{*account}})
	}
}

func (p *provider) renameOrganization() {
	if o := pickLive(p, p.organizations); o != nil {
		o.Name, o.UpdatedAt = fmt.Sprintf("Renamed %d", p.rand.IntN(1000)), p.now
		if p.rand.IntN(2) == 0 {
			o.Slug = p.freeSlug()
		}
		event := *o
		if p.rand.IntN(2) == 0 {
			event.CreatedBy = "" // not every event says
		}
		p.emit(identity.Observation{Organizations: []identity.Organization{event}})
	}
}

func (p *provider) join() {
	account, organization := pickLive(p, p.accounts), pickLive(p, p.organizations)
	if account == nil || organization == nil {
		return
	}
	for _, m := range p.memberships {
		if m.AccountID == account.ID && m.OrganizationID == organization.ID && !m.Deleted() {
			return
		}
	}
	p.add(*organization, *account, rolePool[p.rand.IntN(len(rolePool))])
}

func (p *provider) add(o identity.Organization, a identity.Account, role string) {
	m := identity.Membership{ID: p.id("orgmem"), OrganizationID: o.ID, AccountID: a.ID, ProviderRole: role, CreatedAt: p.now, UpdatedAt: p.now}
	p.memberships = append(p.memberships, m)
	p.emitMembership(m)
}

// emitMembership sends what the provider embeds: the organization, and a
// summary of the account.
func (p *provider) emitMembership(m identity.Membership) {
	o := identity.Observation{Memberships: []identity.Membership{m}}
	for _, organization := range p.organizations {
		if organization.ID == m.OrganizationID && !organization.Deleted() {
			o.Organizations = append(o.Organizations, organization)
		}
	}
	for _, account := range p.accounts {
		if account.ID == m.AccountID && !account.Deleted() {
			account.Stub, account.UpdatedAt, account.CreatedAt = true, m.UpdatedAt, m.CreatedAt
			o.Accounts = append(o.Accounts, account)
		}
	}
	p.emit(o)
}

func (p *provider) changeRole() {
	if m := pickLive(p, p.memberships); m != nil {
		m.ProviderRole, m.UpdatedAt = rolePool[p.rand.IntN(len(rolePool))], p.now
		p.emitMembership(*m)
	}
}

func (p *provider) leave() {
	if m := pickLive(p, p.memberships); m != nil {
		m.DeletedAt = p.now
		p.emitMembership(*m)
	}
}

func (p *provider) deleteAccount() {
	if account := pickLive(p, p.accounts); account != nil {
		account.DeletedAt = p.now
		p.emit(identity.Observation{Accounts: []identity.Account{{ID: account.ID, DeletedAt: p.now}}})
		for i := range p.memberships {
			if m := &p.memberships[i]; m.AccountID == account.ID && !m.Deleted() {
				m.DeletedAt = p.now
				if p.rand.IntN(2) == 0 {
					p.emitMembership(*m)
				}
			}
		}
	}
}

func (p *provider) deleteOrganization() {
	if o := pickLive(p, p.organizations); o != nil {
		o.DeletedAt = p.now
		p.emit(identity.Observation{Organizations: []identity.Organization{{ID: o.ID, DeletedAt: p.now}}})
	}
}
