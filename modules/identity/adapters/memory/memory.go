// Package memory keeps the identity module's data in memory, for tests of use
// cases and of the whole application without a database.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

var (
	_ identity.Directory       = (*Directory)(nil)
	_ identity.Members         = (*Members)(nil)
	_ identity.Inbox           = (*Inbox)(nil)
	_ identity.Provider        = (*Provider)(nil)
	_ identity.Reconciliations = (*Reconciliations)(nil)
	_ memtx.Store              = (*Directory)(nil)
	_ memtx.Store              = (*Members)(nil)
	_ memtx.Store              = (*Inbox)(nil)
)

// Directory keeps what the provider said in memory.
type Directory struct {
	mu            sync.Mutex
	accounts      map[string]identity.Account
	organizations map[string]identity.Organization
	memberships   map[string]identity.Membership
	ownerships    map[ownership]identity.Ownership
}

type ownership struct{ organizationID, accountID string }

// NewDirectory returns an empty directory.
func NewDirectory() *Directory {
	return &Directory{
		accounts:      map[string]identity.Account{},
		organizations: map[string]identity.Organization{},
		memberships:   map[string]identity.Membership{},
		ownerships:    map[ownership]identity.Ownership{},
	}
}

// Snapshot implements [memtx.Store].
func (d *Directory) Snapshot() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	accounts, organizations := maps.Clone(d.accounts), maps.Clone(d.organizations)
	memberships, ownerships := maps.Clone(d.memberships), maps.Clone(d.ownerships)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.accounts, d.organizations, d.memberships, d.ownerships = accounts, organizations, memberships, ownerships
	}
}

// Lock implements [identity.Directory]; a [memtx.Transactor] runs one
// transaction at a time, so there is nothing to wait for.
func (d *Directory) Lock(ctx context.Context, _ ...string) error { return ctx.Err() }

func pick[T any](ctx context.Context, mu *sync.Mutex, from map[string]T, ids []string) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	var found []T
	for _, id := range ids {
		if value, ok := from[id]; ok {
			found = append(found, value)
		}
	}
	return found, nil
}

// Accounts implements [identity.Directory].
func (d *Directory) Accounts(ctx context.Context, ids []string) ([]identity.Account, error) {
	return pick(ctx, &d.mu, d.accounts, ids)
}

// Organizations implements [identity.Directory].
func (d *Directory) Organizations(ctx context.Context, ids []string) ([]identity.Organization, error) {
	return pick(ctx, &d.mu, d.organizations, ids)
}

// Memberships implements [identity.Directory].
func (d *Directory) Memberships(ctx context.Context, ids []string) ([]identity.Membership, error) {
	return pick(ctx, &d.mu, d.memberships, ids)
}

// Put implements [identity.Directory].
func (d *Directory) Put(ctx context.Context, o identity.Observation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, account := range o.Accounts {
		d.accounts[account.ID] = account
	}
	for _, organization := range o.Organizations {
		d.organizations[organization.ID] = organization
	}
	for _, membership := range o.Memberships {
		d.memberships[membership.ID] = membership
	}
	return nil
}

// OrganizationsOf implements [identity.Directory].
func (d *Directory) OrganizationsOf(ctx context.Context, accountIDs []string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := map[string]bool{}
	for _, m := range d.memberships {
		if slices.Contains(accountIDs, m.AccountID) && m.OrganizationID != "" {
			ids[m.OrganizationID] = true
		}
	}
	for _, o := range d.organizations {
		if slices.Contains(accountIDs, o.CreatedBy) {
			ids[o.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids)), nil
}

// LiveOrganizations implements [identity.Directory].
func (d *Directory) LiveOrganizations(ctx context.Context, after string, limit int) ([]string, error) {
	return live(ctx, &d.mu, d.organizations, after, limit)
}

// LiveAccounts implements [identity.Directory].
func (d *Directory) LiveAccounts(ctx context.Context, after string, limit int) ([]string, error) {
	return live(ctx, &d.mu, d.accounts, after, limit)
}

func live[T interface{ Deleted() bool }](ctx context.Context, mu *sync.Mutex, from map[string]T, after string, limit int) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	var ids []string
	for id, value := range from {
		if id > after && !value.Deleted() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), limit)], nil
}

// ActiveOrganizationsOf implements [identity.Directory].
func (d *Directory) ActiveOrganizationsOf(ctx context.Context, accountID string) ([]string, error) {
	candidates, err := d.OrganizationsOf(ctx, []string{accountID})
	if err != nil {
		return nil, err
	}
	var active []string
	for _, id := range candidates {
		view, err := d.View(ctx, id)
		if err != nil {
			return nil, err
		}
		if view.Organization.ID != "" && !view.Organization.Deleted() &&
			slices.ContainsFunc(identity.Project(view), func(u identity.User) bool { return u.ID == accountID && u.Active }) {
			active = append(active, id)
		}
	}
	return active, nil
}

// View implements [identity.Directory].
func (d *Directory) View(ctx context.Context, organizationID string) (identity.View, error) {
	if err := ctx.Err(); err != nil {
		return identity.View{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	view := identity.View{Organization: d.organizations[organizationID], Ownerships: map[string]identity.Ownership{}}
	involved := map[string]bool{view.Organization.CreatedBy: true}
	for _, m := range d.memberships {
		if m.OrganizationID == organizationID {
			view.Memberships = append(view.Memberships, m)
			involved[m.AccountID] = true
		}
	}
	for id := range involved {
		if account, ok := d.accounts[id]; ok {
			view.Accounts = append(view.Accounts, account)
		}
	}
	for key, decision := range d.ownerships {
		if key.organizationID == organizationID {
			view.Ownerships[key.accountID] = decision
		}
	}
	return view, nil
}

// Own implements [identity.Directory].
func (d *Directory) Own(ctx context.Context, organizationID, accountID string, decision identity.Ownership) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ownerships[ownership{organizationID, accountID}] = decision
	return nil
}

// Members keeps the users of every tenant in memory, each tenant's apart.
type Members struct {
	mu      sync.Mutex
	tenants map[tenant.Schema]map[string]identity.Member
}

// NewMembers returns tenants without users.
func NewMembers() *Members {
	return &Members{tenants: map[tenant.Schema]map[string]identity.Member{}}
}

// Snapshot implements [memtx.Store].
func (m *Members) Snapshot() func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	saved := make(map[tenant.Schema]map[string]identity.Member, len(m.tenants))
	for schema, members := range m.tenants {
		saved[schema] = maps.Clone(members)
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.tenants = saved
	}
}

var errNoTenant = errors.New("memory: the context names no tenant")

// of calls fn with the users of the tenant in ctx.
func (m *Members) of(ctx context.Context, fn func(map[string]identity.Member) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	schema, ok := tenant.FromContext(ctx)
	if !ok {
		return errNoTenant
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tenants[schema] == nil {
		m.tenants[schema] = map[string]identity.Member{}
	}
	return fn(m.tenants[schema])
}

// ByID implements [identity.Members].
func (m *Members) ByID(ctx context.Context, id string) (member identity.Member, err error) {
	err = m.of(ctx, func(members map[string]identity.Member) error {
		var ok bool
		if member, ok = members[id]; !ok {
			return identity.ErrNoMember
		}
		return nil
	})
	return member, err
}

// ByIDs implements [identity.Members].
func (m *Members) ByIDs(ctx context.Context, ids []string) (found []identity.Member, err error) {
	err = m.of(ctx, func(members map[string]identity.Member) error {
		for _, id := range ids {
			if member, ok := members[id]; ok {
				found = append(found, member)
			}
		}
		return nil
	})
	return found, err
}

// All implements [identity.Members].
func (m *Members) All(ctx context.Context) (all []identity.Member, err error) {
	err = m.of(ctx, func(members map[string]identity.Member) error {
		all = slices.SortedFunc(maps.Values(members), func(a, b identity.Member) int { return cmp.Compare(a.ID, b.ID) })
		return nil
	})
	return all, err
}

// List implements [identity.Members].
func (m *Members) List(ctx context.Context, listing identity.MemberListing) (found []identity.Member, err error) {
	after, afterID := listing.After.Position()
	err = m.of(ctx, func(members map[string]identity.Member) error {
		for _, member := range members {
			isAfter := cmp.Or(member.JoinedAt.Truncate(time.Microsecond).Compare(after), cmp.Compare(member.ID, afterID)) > 0
			if member.IsActive && (listing.After.IsZero() || isAfter) && (listing.Role == "" || listing.Role == member.Role) && isFound(member, listing.Search) {
				found = append(found, member)
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b identity.Member) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), listing.Limit)], err
}

func isFound(member identity.Member, search string) bool {
	search = strings.ToLower(search)
	return strings.Contains(strings.ToLower(member.FirstName+" "+member.LastName), search) || strings.Contains(strings.ToLower(member.Email), search)
}

// Put implements [identity.Members].
func (m *Members) Put(ctx context.Context, put []identity.Member) error {
	return m.of(ctx, func(members map[string]identity.Member) error {
		after := maps.Clone(members)
		now := time.Now()
		for _, member := range put {
			stored, known := members[member.ID]
			member.LastSeenAt, member.CreatedAt, member.UpdatedAt = stored.LastSeenAt, stored.CreatedAt, now
			if !known {
				member.CreatedAt = now
			}
			after[member.ID] = member
		}
		holders := map[string]bool{}
		for _, member := range after {
			address := strings.ToLower(member.Email)
			if !member.IsActive || address == "" {
				continue
			}
			if holders[address] {
				return fault.New(fault.Conflict, "Another member has this address.")
			}
			holders[address] = true
		}
		maps.Copy(members, after)
		return nil
	})
}

// CompleteOnboarding implements [identity.Members].
func (m *Members) CompleteOnboarding(ctx context.Context, id, phone string) (identity.Member, error) {
	return m.update(ctx, id, func(member *identity.Member) {
		member.Metadata.OnboardingComplete = true
		if phone != "" {
			member.Phone, member.Metadata.Phone = phone, phone
		}
		member.UpdatedAt = time.Now()
	})
}

// Touch implements [identity.Members].
func (m *Members) Touch(ctx context.Context, id string, at time.Time) error {
	_, err := m.update(ctx, id, func(member *identity.Member) {
		if at.After(member.LastSeenAt) {
			member.LastSeenAt = at
		}
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (m *Members) update(ctx context.Context, id string, change func(*identity.Member)) (member identity.Member, err error) {
	err = m.of(ctx, func(members map[string]identity.Member) error {
		var ok bool
		if member, ok = members[id]; !ok {
			return identity.ErrNoMember
		}
		change(&member)
		members[id] = member
		return nil
	})
	return member, err
}

// Inbox keeps events in memory.
type Inbox struct {
	mu     sync.Mutex
	events map[string]inboxRow
}

type inboxRow struct {
	identity.InboxEvent
	state  identity.InboxState
	reason string
	due    time.Time
	done   time.Time
	alone  bool // was added outside of any transaction
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox { return &Inbox{events: map[string]inboxRow{}} }

// Snapshot implements [memtx.Store].
func (i *Inbox) Snapshot() func() {
	i.mu.Lock()
	defer i.mu.Unlock()
	saved := maps.Clone(i.events)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		// An event that came meanwhile is no part of the transaction.
		for id, row := range i.events {
			if _, known := saved[id]; !known && row.alone {
				saved[id] = row
			}
		}
		i.events = saved
	}
}

// Add implements [identity.Inbox].
func (i *Inbox) Add(ctx context.Context, event identity.InboxEvent) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.events[event.ID]; known {
		return false, nil
	}
	i.events[event.ID] = inboxRow{InboxEvent: event, state: identity.InboxPending, due: event.ReceivedAt, alone: !memtx.Within(ctx)}
	return true, nil
}

// Next implements [identity.Inbox]; a [memtx.Transactor] runs one transaction
// at a time, which keeps the event from others.
func (i *Inbox) Next(ctx context.Context, now time.Time) (identity.InboxEvent, bool, error) {
	if err := ctx.Err(); err != nil {
		return identity.InboxEvent{}, false, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var first inboxRow
	ok := false
	for _, row := range i.events {
		if row.due.After(now) && !row.due.After(now.Add(identity.RetryDelay(row.Attempts)+time.Minute)) {
			continue
		}
		if row.state == identity.InboxPending && (!ok || cmp.Or(row.due.Compare(first.due), cmp.Compare(row.ID, first.ID)) < 0) {
			first, ok = row, true
		}
	}
	return first.InboxEvent, ok, nil
}

// Finish implements [identity.Inbox].
func (i *Inbox) Finish(ctx context.Context, id string, state identity.InboxState) error {
	return i.change(ctx, id, func(row *inboxRow) { row.state, row.reason, row.done = state, "", time.Now() })
}

// Fail implements [identity.Inbox].
func (i *Inbox) Fail(ctx context.Context, id, reason string, retryAt time.Time) error {
	return i.change(ctx, id, func(row *inboxRow) {
		row.Attempts++
		row.reason, row.due = reason, retryAt
		if retryAt.IsZero() {
			row.state, row.done = identity.InboxDead, time.Now()
		}
	})
}

func (i *Inbox) change(ctx context.Context, id string, change func(*inboxRow)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if row, ok := i.events[id]; ok && row.state == identity.InboxPending {
		change(&row)
		i.events[id] = row
	}
	return nil
}

func (row inboxRow) record() identity.InboxRecord {
	return identity.InboxRecord{InboxEvent: row.InboxEvent, State: row.state, LastError: row.reason, NextAttemptAt: row.due, FinishedAt: row.done}
}

// List implements [identity.Inbox].
func (i *Inbox) List(ctx context.Context, listing identity.InboxListing) ([]identity.InboxRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	compare := func(a, b identity.InboxPosition) int {
		return cmp.Or(b.ReceivedAt.Compare(a.ReceivedAt), cmp.Compare(a.ID, b.ID))
	}
	var found []identity.InboxRecord
	for _, row := range i.events {
		record := row.record()
		if (len(listing.States) == 0 || slices.Contains(listing.States, record.State)) &&
			(len(listing.Types) == 0 || slices.Contains(listing.Types, record.Type)) && !record.ReceivedAt.Before(listing.Since) &&
			(listing.After == (identity.InboxPosition{}) || compare(record.Position(), listing.After) > 0) {
			found = append(found, record)
		}
	}
	slices.SortFunc(found, func(a, b identity.InboxRecord) int { return compare(a.Position(), b.Position()) })
	return found[:min(len(found), listing.Limit)], nil
}

// Backlog implements [identity.Inbox].
func (i *Inbox) Backlog(ctx context.Context) (backlog identity.InboxBacklog, err error) {
	if err := ctx.Err(); err != nil {
		return backlog, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, row := range i.events {
		switch row.state {
		case identity.InboxDead:
			backlog.Dead++
		case identity.InboxPending:
			if backlog.Pending++; backlog.Pending == 1 || row.ReceivedAt.Before(backlog.Oldest) {
				backlog.Oldest = row.ReceivedAt
			}
		}
	}
	return backlog, nil
}

// Get implements [identity.Inbox].
func (i *Inbox) Get(ctx context.Context, id string) (identity.InboxRecord, error) {
	if err := ctx.Err(); err != nil {
		return identity.InboxRecord{}, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	row, ok := i.events[id]
	if !ok {
		return identity.InboxRecord{}, identity.ErrNoEvent
	}
	return row.record(), nil
}

// Replay implements [identity.Inbox].
func (i *Inbox) Replay(ctx context.Context, id string, due time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	row, ok := i.events[id]
	if !ok {
		return identity.ErrNoEvent
	}
	row.state, row.Attempts, row.reason, row.due, row.done = identity.InboxPending, 0, "", due, time.Time{}
	i.events[id] = row
	return nil
}

// Forget implements [identity.Inbox].
func (i *Inbox) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var done []inboxRow
	for _, row := range i.events {
		if (row.state == identity.InboxApplied || row.state == identity.InboxIgnored) && row.ReceivedAt.Before(before) && row.done.Before(before) {
			done = append(done, row)
		}
	}
	slices.SortFunc(done, func(a, b inboxRow) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	done = done[:min(len(done), limit)]
	for _, row := range done {
		delete(i.events, row.ID)
	}
	return len(done), nil
}

// State returns what became of an event, with the reason of its last failure;
// ok is false for one that never came.
func (i *Inbox) State(id string) (state identity.InboxState, reason string, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	row, ok := i.events[id]
	return row.state, row.reason, ok
}

// Reconciliations keeps the ledger in memory.
type Reconciliations struct {
	mu     sync.Mutex
	latest identity.Reconciliation // ID 0 before the first
}

// NewReconciliations returns an empty ledger.
func NewReconciliations() *Reconciliations { return new(Reconciliations) }

// Begin implements [identity.Reconciliations].
func (r *Reconciliations) Begin(ctx context.Context, worker string, now, before time.Time) (identity.Reconciliation, error) {
	if err := ctx.Err(); err != nil {
		return identity.Reconciliation{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.latest.ID == 0 || !r.latest.FinishedAt.IsZero():
		r.latest = identity.Reconciliation{ID: r.latest.ID + 1, StartedAt: now}
	case !r.latest.HeartbeatAt.Before(before):
		return identity.Reconciliation{}, identity.ErrReconciling
	}
	r.latest.Worker, r.latest.HeartbeatAt = worker, now
	return r.latest, nil
}

// Save implements [identity.Reconciliations].
func (r *Reconciliations) Save(ctx context.Context, saved identity.Reconciliation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if saved.ID != r.latest.ID || saved.Worker != r.latest.Worker || !r.latest.FinishedAt.IsZero() {
		return identity.ErrReconciling
	}
	saved.StartedAt = r.latest.StartedAt
	r.latest = saved
	return nil
}

// Latest implements [identity.Reconciliations].
func (r *Reconciliations) Latest(ctx context.Context) (identity.Reconciliation, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest, r.latest.ID != 0, ctx.Err()
}

// Provider answers from a directory that tests fill.
type Provider struct {
	*Directory
	failure atomic.Pointer[error]

	invitations []sentInvitation // the oldest first
	domains     map[string][]identity.Domain
	barred      map[string]bool
	made        int
}

type sentInvitation struct {
	identity.Invitation
	organizationID string
}

// NewProvider returns a provider that knows nobody.
func NewProvider() *Provider {
	return &Provider{Directory: NewDirectory(), domains: map[string][]identity.Domain{}, barred: map[string]bool{}}
}

// PutDomains makes these the organization's domains, before anybody asks.
func (p *Provider) PutDomains(organizationID string, domains ...identity.Domain) {
	p.domains[organizationID] = domains
}

// Bar makes the account one that may not make organizations.
func (p *Provider) Bar(accountID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.barred[accountID] = true
}

var errBarred = fault.New(fault.Forbidden, "Your account may not make organizations.")

// CreateOrganization implements [identity.Provider].
func (p *Provider) CreateOrganization(ctx context.Context, accountID, name, slug string) (identity.Organization, error) {
	if _, err := p.ObserveAccount(ctx, accountID); err != nil {
		return identity.Organization{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.barred[accountID]:
		return identity.Organization{}, errBarred
	case name == "":
		return identity.Organization{}, fault.InvalidFields(fault.Field{Name: "name", Message: "An organization has a name."})
	case p.slugIsOf(slug, ""):
		return identity.Organization{}, errSlugTaken
	}
	p.made++
	now := time.Now().UTC().Truncate(time.Millisecond)
	o := identity.Organization{ID: fmt.Sprint("org_made_", p.made), Name: name, Slug: slug, CreatedBy: accountID, CreatedAt: now, UpdatedAt: now}
	m := identity.Membership{ID: fmt.Sprint("orgmem_made_", p.made), OrganizationID: o.ID, AccountID: accountID, ProviderRole: "org:admin", CreatedAt: now, UpdatedAt: now}
	p.organizations[o.ID], p.memberships[m.ID] = o, m
	return o, nil
}

// Domains implements [identity.Provider].
func (p *Provider) Domains(ctx context.Context, organizationID string) ([]identity.Domain, error) {
	if _, err := p.ObserveOrganization(ctx, organizationID); err != nil {
		return nil, err
	}
	return slices.Clone(p.domains[organizationID]), nil
}

// Fail makes every call fail with err from now on, or work again with nil.
func (p *Provider) Fail(err error) { p.failure.Store(&err) }

func (p *Provider) failing() error {
	if err := p.failure.Load(); err != nil {
		return *err
	}
	return nil
}

var errUnknown = fault.New(fault.NotFound, "The identity provider does not know that.")

// Observe implements [identity.Provider].
func (p *Provider) Observe(ctx context.Context, organizationID, accountID string) (identity.Observation, error) {
	o, err := p.ObserveAccount(ctx, accountID)
	if err != nil {
		return identity.Observation{}, err
	}
	o.Memberships = slices.DeleteFunc(o.Memberships, func(m identity.Membership) bool { return m.OrganizationID != organizationID })
	o.Organizations = slices.DeleteFunc(o.Organizations, func(o identity.Organization) bool { return o.ID != organizationID })
	if len(o.Memberships) == 0 {
		return identity.Observation{}, errUnknown
	}
	return o, nil
}

// ObserveAccount implements [identity.Provider].
func (p *Provider) ObserveAccount(ctx context.Context, accountID string) (identity.Observation, error) {
	if err := p.failing(); err != nil {
		return identity.Observation{}, err
	}
	accounts, err := p.Accounts(ctx, []string{accountID})
	if err != nil {
		return identity.Observation{}, err
	}
	if len(accounts) == 0 || accounts[0].Deleted() {
		return identity.Observation{}, errUnknown
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := identity.Observation{Accounts: accounts}
	for _, m := range p.memberships {
		if m.AccountID == accountID && !m.Deleted() && !p.organizations[m.OrganizationID].Deleted() {
			o.Memberships = append(o.Memberships, m)
			o.Organizations = append(o.Organizations, p.organizations[m.OrganizationID])
		}
	}
	return o, nil
}

// ListOrganizations implements [identity.Provider].
func (p *Provider) ListOrganizations(ctx context.Context, offset, limit int) ([]identity.Organization, error) {
	if err := cmp.Or(p.failing(), ctx.Err()); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.SortedFunc(maps.Values(p.organizations), func(a, b identity.Organization) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	all = slices.DeleteFunc(all, identity.Organization.Deleted)
	offset = min(offset, len(all))
	return all[offset:min(len(all), offset+limit)], nil
}

// ObserveOrganization implements [identity.Provider].
func (p *Provider) ObserveOrganization(ctx context.Context, organizationID string) (identity.Organization, error) {
	if err := p.failing(); err != nil {
		return identity.Organization{}, err
	}
	found, err := p.Organizations(ctx, []string{organizationID})
	if err == nil && (len(found) == 0 || found[0].Deleted()) {
		err = errUnknown
	}
	if err != nil {
		return identity.Organization{}, err
	}
	return found[0], nil
}

// ObserveMembers implements [identity.Provider].
func (p *Provider) ObserveMembers(ctx context.Context, organizationID string) (identity.Observation, error) {
	organization, err := p.ObserveOrganization(ctx, organizationID)
	if err != nil {
		return identity.Observation{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var o identity.Observation
	for _, m := range p.memberships {
		if account := p.accounts[m.AccountID]; m.OrganizationID == organizationID && !m.Deleted() && !account.Deleted() {
			account.Phone, account.TwoFactor, account.Stub, account.UpdatedAt, account.CreatedAt = "", false, true, m.UpdatedAt, time.Time{}
			o.Accounts, o.Memberships = append(o.Accounts, account), append(o.Memberships, m)
		}
	}
	if len(o.Memberships) > 0 {
		o.Organizations = []identity.Organization{organization}
	}
	return o, nil
}

// ObserveAccounts implements [identity.Provider].
func (p *Provider) ObserveAccounts(ctx context.Context, ids []string) ([]identity.Account, error) {
	if err := p.failing(); err != nil {
		return nil, err
	}
	accounts, err := p.Accounts(ctx, ids)
	return slices.DeleteFunc(accounts, identity.Account.Deleted), err
}

// UpdateName implements [identity.Provider].
func (p *Provider) UpdateName(ctx context.Context, accountID, firstName, lastName string) (identity.Account, error) {
	o, err := p.ObserveAccount(ctx, accountID)
	if err != nil {
		return identity.Account{}, err
	}
	account := o.Accounts[0]
	account.FirstName = cmp.Or(firstName, account.FirstName)
	account.LastName = cmp.Or(lastName, account.LastName)
	account.UpdatedAt = account.UpdatedAt.Add(time.Second)
	return account, p.Put(ctx, identity.Observation{Accounts: []identity.Account{account}})
}

// UpdateOrganization implements [identity.Provider].
func (p *Provider) UpdateOrganization(ctx context.Context, organizationID string, change identity.SettingsChange) (identity.Organization, error) {
	organization, err := p.ObserveOrganization(ctx, organizationID)
	if err != nil {
		return identity.Organization{}, err
	}
	if change.Name != nil {
		organization.Name = *change.Name
	}
	if change.Slug != nil {
		if p.hasSlug(*change.Slug, organizationID) {
			return identity.Organization{}, errSlugTaken
		}
		organization.Slug = *change.Slug
	}
	organization.UpdatedAt = organization.UpdatedAt.Add(time.Second)
	return organization, p.Put(ctx, identity.Observation{Organizations: []identity.Organization{organization}})
}

var errSlugTaken = fault.New(fault.Conflict, "The slug is taken.").WithField("slug", "This slug is taken.")

// hasSlug reports whether another live organization has the slug.
func (p *Provider) hasSlug(slug, organizationID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slugIsOf(slug, organizationID)
}

func (p *Provider) slugIsOf(slug, organizationID string) bool {
	for _, o := range p.organizations {
		if o.Slug == slug && o.ID != organizationID && !o.Deleted() {
			return true
		}
	}
	return false
}

// DeleteOrganization implements [identity.Provider].
func (p *Provider) DeleteOrganization(ctx context.Context, organizationID string) error {
	organization, err := p.ObserveOrganization(ctx, organizationID)
	if err != nil {
		return err
	}
	at := organization.UpdatedAt.Add(time.Second)
	return p.Put(ctx, identity.Observation{Organizations: []identity.Organization{
		{ID: organizationID, CreatedBy: organization.CreatedBy, CreatedAt: at, UpdatedAt: at, DeletedAt: at},
	}})
}

// membership returns a live membership of the provider's.
func (p *Provider) membership(ctx context.Context, organizationID, accountID string) (identity.Observation, error) {
	o, err := p.Observe(ctx, organizationID, accountID)
	return identity.Observation{Organizations: o.Organizations, Memberships: o.Memberships}, err
}

// ChangeRole implements [identity.Provider].
func (p *Provider) ChangeRole(ctx context.Context, organizationID, accountID, providerRole string) (identity.Observation, error) {
	o, err := p.membership(ctx, organizationID, accountID)
	if err != nil {
		return identity.Observation{}, err
	}
	if !slices.Contains([]string{"org:admin", "org:member", "org:viewer"}, providerRole) {
		return identity.Observation{}, fault.InvalidFields(fault.Field{Name: "role", Message: "The identity provider does not have this role."})
	}
	o.Memberships[0].ProviderRole = providerRole
	o.Memberships[0].UpdatedAt = o.Memberships[0].UpdatedAt.Add(time.Second)
	return o, p.Put(ctx, o)
}

// RemoveMember implements [identity.Provider].
func (p *Provider) RemoveMember(ctx context.Context, organizationID, accountID string) (identity.Observation, error) {
	o, err := p.membership(ctx, organizationID, accountID)
	if err != nil {
		return identity.Observation{}, err
	}
	m, at := o.Memberships[0], o.Memberships[0].UpdatedAt.Add(time.Second)
	o = identity.Observation{Memberships: []identity.Membership{{
		ID: m.ID, OrganizationID: organizationID, AccountID: accountID, CreatedAt: at, UpdatedAt: at, DeletedAt: at,
	}}}
	return o, p.Put(ctx, o)
}

// Invitations implements [identity.Provider].
func (p *Provider) Invitations(ctx context.Context, organizationID string) ([]identity.Invitation, error) {
	if err := cmp.Or(p.failing(), ctx.Err()); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []identity.Invitation
	for _, i := range slices.Backward(p.invitations) {
		if i.organizationID == organizationID {
			found = append(found, i.Invitation)
		}
	}
	return found, nil
}

// Invitation implements [identity.Provider].
func (p *Provider) Invitation(ctx context.Context, organizationID, id string) (identity.Invitation, error) {
	all, err := p.Invitations(ctx, organizationID)
	if err != nil {
		return identity.Invitation{}, err
	}
	if i := slices.IndexFunc(all, func(i identity.Invitation) bool { return i.ID == id }); i >= 0 {
		return all[i], nil
	}
	return identity.Invitation{}, errUnknown
}

// Invite implements [identity.Provider].
func (p *Provider) Invite(ctx context.Context, organizationID string, i identity.Invitation) (identity.Invitation, error) {
	pending, err := p.Invitations(ctx, organizationID)
	if err != nil {
		return identity.Invitation{}, err
	}
	taken := slices.ContainsFunc(pending, func(known identity.Invitation) bool { return strings.EqualFold(known.Email, i.Email) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.memberships {
		taken = taken || m.OrganizationID == organizationID && !m.Deleted() && strings.EqualFold(p.accounts[m.AccountID].Email, i.Email)
	}
	if taken {
		return identity.Invitation{}, fault.New(fault.Conflict, "They were invited already.").WithField("email", "This address was invited already.")
	}
	now := time.Now()
	i.ID = fmt.Sprintf("orginv_%d", len(p.invitations)+1)
	i.CreatedAt, i.ExpiresAt = now, now.Add(30*24*time.Hour)
	p.invitations = append(p.invitations, sentInvitation{i, organizationID})
	return i, nil
}

// RevokeInvitation implements [identity.Provider].
func (p *Provider) RevokeInvitation(ctx context.Context, organizationID, id, _ string) error {
	if _, err := p.Invitation(ctx, organizationID, id); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.invitations {
		if p.invitations[i].ID == id {
			p.invitations[i].organizationID = "" // is nobody's any more, and keeps its number
		}
	}
	return nil
}
