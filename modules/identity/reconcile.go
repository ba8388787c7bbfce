package identity

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/parallel"
)

// DriftKind is a way in which what is known here is not what the provider says.
type DriftKind string

// The kinds of drift. All but the last are found by asking the provider.
const (
	DriftTenantMissing     DriftKind = "tenant missing"     // the provider has an organization without a tenant
	DriftTenantChanged     DriftKind = "tenant changed"     // another name, slug or picture
	DriftTenantDeleted     DriftKind = "tenant deleted"     // the provider has no such organization any more
	DriftMembershipMissing DriftKind = "membership missing" // the provider has a member more
	DriftMembershipSurplus DriftKind = "membership surplus" // the provider has a member less
	DriftMembershipRole    DriftKind = "membership role"    // another role
	DriftAccountChanged    DriftKind = "account changed"    // another name, address, number, picture or way of signing in
	DriftAccountDeleted    DriftKind = "account deleted"    // the provider has no such account any more
	DriftUsers             DriftKind = "users"              // a tenant's own row of a member is not what the directory makes of it
	DriftUnknown           DriftKind = "unknown"            // it could not be found out
)

// Drift is one difference between what is known here and what the provider says.
type Drift struct {
	Kind DriftKind
	// OrganizationID is "" for what is about an account alone, AccountID for
	// what is about an organization.
	OrganizationID string
	AccountID      string
	// Repaired is whether it is gone; otherwise Reason says why not.
	Repaired bool
	Reason   string
}

func (d Drift) about() [3]string { return [3]string{string(d.Kind), d.OrganizationID, d.AccountID} }

// Why drift is left.
const (
	reasonDryRun  = "this is a dry run"
	reasonNewer   = "what is known here is newer than what the provider says"
	reasonDeleted = "it was deleted here, for which there is no way back"
	reasonMany    = "so much is missing at the provider that its key may be that of another instance; allow deletions if it is not"
)

// ReconcileOptions say how to reconcile. The zero value repairs.
type ReconcileOptions struct {
	// DryRun repairs nothing.
	DryRun bool
	// AllowDeletions repairs even when most of what is known here is not known
	// to the provider.
	AllowDeletions bool
	// Found is told of each drift, and Observe how far it is; neither is called
	// twice at once, and both may be nil.
	Found   func(Drift)
	Observe func(ReconcileProgress)
}

// ReconcileProgress is how far a reconciliation is.
type ReconcileProgress struct {
	Done, Total    int // organizations
	Repaired, Left int
}

// Reconciler finds what webhooks did not bring, by asking the provider for
// everything, and repairs it by [Sync.Apply], as the webhooks would have: what
// is known here and newer stays as it is.
//
// What is known is read before the provider is asked, so that something new is
// never taken for something that was deleted; what seems deleted is asked for
// once more by its id. Since a deletion is for ever, nothing is deleted when so
// much is missing that the provider may be the wrong one.
type Reconciler struct {
	directory Directory
	provider  Provider
	sync      *Sync
	ledger    Reconciliations
	log       *slog.Logger
	now       func() time.Time
	worker    string
}

// NewReconciler returns the use cases over their ports. The provider should
// keep to its rate limits by itself: it is asked for a lot. worker names the
// process in the ledger, and no other one.
func NewReconciler(directory Directory, provider Provider, sync *Sync, ledger Reconciliations, worker string, log *slog.Logger) *Reconciler {
	return &Reconciler{directory: directory, provider: provider, sync: sync, ledger: ledger, log: log, now: time.Now, worker: worker}
}

// reconcileLease is how long a reconciliation stays a process' that is not heard
// of.
const reconcileLease = 2 * time.Minute

// reconcileBatch is how many organizations are done between two records of the
// place, and reconcileParallel how many of them at once.
const (
	reconcileBatch    = 20
	reconcileParallel = 4
)

// Tenant reconciles one organization, with the accounts of everybody who is or
// was a member, and returns the drift. Errors: [fault.NotFound] for an
// organization that neither side knows, and the provider's.
func (r *Reconciler) Tenant(ctx context.Context, organizationID string, options ReconcileOptions) ([]Drift, error) {
	var found []Drift
	report := options.Found
	options.Found = func(d Drift) {
		found = append(found, d)
		if report != nil {
			report(d)
		}
	}
	w := &walk{Reconciler: r, options: options}
	return found, fault.Wrap("reconcile "+organizationID, w.tenant(ctx, organizationID))
}

// All reconciles everything. Unless it is a dry run, it goes on where the last
// one was interrupted, and an error leaves it to be gone on with. Errors:
// [ErrReconciling], and the provider's.
func (r *Reconciler) All(ctx context.Context, options ReconcileOptions) (Reconciliation, error) {
	w := &walk{Reconciler: r, options: options}
	w.StartedAt = r.now()
	if !options.DryRun {
		var err error
		if w.Reconciliation, err = r.ledger.Begin(ctx, r.worker, r.now(), r.now().Add(-reconcileLease)); err != nil {
			return w.Reconciliation, fault.Wrap("reconcile", err)
		}
	}
	err := w.all(ctx)
	if err == nil {
		w.FinishedAt = r.now()
		err = w.save(ctx)
	} else if !options.DryRun && !errors.Is(err, ErrReconciling) {
		// Somebody else may go on at once.
		w.HeartbeatAt = time.Time{}
		err = cmp.Or(err, r.ledger.Save(context.WithoutCancel(ctx), w.Reconciliation))
	}
	return w.Reconciliation, fault.Wrap("reconcile", err)
}

// walk is one reconciliation under way.
type walk struct {
	*Reconciler
	Reconciliation

	options ReconcileOptions
	mu      sync.Mutex // guards the counts and the calls of the options' functions
}

func (w *walk) save(ctx context.Context) error {
	if w.options.DryRun {
		return nil
	}
	w.HeartbeatAt = w.now()
	return w.ledger.Save(ctx, w.Reconciliation)
}

func (w *walk) found(drifts ...Drift) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range drifts {
		if d.Repaired {
			w.Repaired++
		} else {
			w.Left++
		}
		if w.options.Found != nil {
			w.options.Found(d)
		}
	}
}

func (w *walk) progress(total int) {
	if w.options.Observe != nil {
		w.options.Observe(ReconcileProgress{Done: w.Organizations, Total: total, Repaired: w.Repaired, Left: w.Left})
	}
}

func (w *walk) all(ctx context.Context) error {
	// First of all what is known here, so that nothing that came meanwhile
	// seems to be missing at the provider.
	live, err := everyID(ctx, w.directory.LiveOrganizations)
	if err != nil {
		return err
	}
	there, err := w.list(ctx)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(live, func(id string) bool { _, ok := there[id]; return ok })
	refused := !w.options.AllowDeletions && tooMany(len(missing), len(live))
	if refused && len(missing) == len(live) {
		// Nothing here is the provider's, so nothing of the provider's is ours.
		for _, id := range missing {
			w.found(Drift{Kind: DriftTenantDeleted, OrganizationID: id, Reason: reasonMany})
		}
		return nil
	}

	todo := keys(there)
	total := len(todo)
	after, done := slices.BinarySearch(todo, w.Cursor)
	if done {
		after++
	}
	todo = todo[after:]
	w.Organizations = after
	w.progress(total)
	for batch := range slices.Chunk(todo, reconcileBatch) {
		if err := w.batch(ctx, there, batch); err != nil {
			return err
		}
		w.Cursor = batch[len(batch)-1]
		w.Organizations += len(batch)
		if err := w.save(ctx); err != nil {
			return err
		}
		w.progress(total)
	}

	for _, id := range missing {
		if refused {
			w.found(Drift{Kind: DriftTenantDeleted, OrganizationID: id, Reason: reasonMany})
			continue
		}
		if err := w.tenant(ctx, id); err != nil {
			return err
		}
	}
	return w.accounts(ctx)
}

// batch reconciles some organizations, several at once. The first error ends it.
func (w *walk) batch(ctx context.Context, there map[string]Organization, ids []string) error {
	return parallel.Each(ctx, reconcileParallel, ids, func(ctx context.Context, id string) error {
		return w.organization(ctx, there[id], false)
	})
}

// tooMany reports whether so many of those known are missing at the provider
// that it may be another one's.
func tooMany(missing, known int) bool {
	return missing > 0 && missing == known || missing > 10 && missing*10 > known
}

// everyID reads a listing of ids to its end.
func everyID(ctx context.Context, list func(ctx context.Context, after string, limit int) ([]string, error)) ([]string, error) {
	const page = 1000
	var all []string
	for {
		after := ""
		if len(all) > 0 {
			after = all[len(all)-1]
		}
		ids, err := list(ctx, after, page)
		all = append(all, ids...)
		if err != nil || len(ids) < page {
			return all, err
		}
	}
}

// list returns the provider's organizations. One that ends while they are listed
// may hide another one on the next page: what is known of those is asked for one
// by one, and the others come with the next reconciliation.
func (w *walk) list(ctx context.Context) (map[string]Organization, error) {
	const page = 500
	there := map[string]Organization{}
	for offset := 0; ; offset += page {
		organizations, err := w.provider.ListOrganizations(ctx, offset, page)
		if err != nil {
			return nil, err
		}
		for _, o := range organizations {
			there[o.ID] = o
		}
		if len(organizations) < page {
			return there, nil
		}
	}
}

// tenant reconciles an organization that may be gone at the provider.
func (w *walk) tenant(ctx context.Context, id string) error {
	before, err := w.sync.look(ctx, id)
	if errors.Is(err, tenancy.ErrOutdated) {
		w.found(Drift{Kind: DriftUnknown, OrganizationID: id, Reason: fault.As(err).Message})
		return nil
	}
	if err != nil {
		return err
	}
	organization, err := w.provider.ObserveOrganization(ctx, id)
	switch {
	case err == nil:
		return w.organization(ctx, organization, true)
	case !fault.Is(err, fault.NotFound) || before.Organization.ID == "":
		return err
	case before.Organization.Deleted():
		return nil
	}
	gone := Drift{Kind: DriftTenantDeleted, OrganizationID: id, Reason: reasonDryRun}
	if !w.options.DryRun {
		at := w.now().UTC()
		err := w.sync.Apply(ctx, Observation{Organizations: []Organization{{ID: id, CreatedAt: at, UpdatedAt: at, DeletedAt: at}}})
		if err := w.outcome(&gone, err); err != nil {
			return err
		}
	}
	w.found(gone)
	return nil
}

// outcome records in a drift whether repairing it worked. It returns errors that
// the next organization would get as well.
func (w *walk) outcome(d *Drift, err error) error {
	switch {
	case err == nil:
		d.Repaired, d.Reason = true, ""
	case stops(err):
		return err
	default:
		d.Reason = fault.As(err).Error()
	}
	return nil
}

// stops reports whether an error is not about one organization alone.
func stops(err error) bool {
	return !errors.Is(err, tenancy.ErrOutdated) &&
		(fault.Is(err, fault.Unavailable) || fault.Is(err, fault.RateLimited) || fault.Is(err, fault.Canceled))
}

// organization reconciles one organization that the provider has. With accounts,
// those of its members are looked at as well, and otherwise only those of which
// too little is known to be a member.
func (w *walk) organization(ctx context.Context, said Organization, accounts bool) error {
	err := w.reconcile(ctx, said, accounts)
	if err != nil && !stops(err) {
		w.found(Drift{Kind: DriftUnknown, OrganizationID: said.ID, Reason: fault.As(err).Error()})
		w.log.WarnContext(ctx, "an organization cannot be reconciled", "organization", said.ID, "error", err)
		return nil
	}
	return err
}

func (w *walk) reconcile(ctx context.Context, organization Organization, accounts bool) error {
	before, err := w.sync.look(ctx, organization.ID)
	if err != nil {
		return err
	}
	said, err := w.provider.ObserveMembers(ctx, organization.ID)
	if fault.Is(err, fault.NotFound) {
		return w.tenant(ctx, organization.ID) // it was deleted a moment ago
	}
	if err != nil {
		return err
	}
	said.Organizations = []Organization{organization}
	if said.Accounts, err = w.accountsOf(ctx, before, said.Memberships, accounts); err != nil {
		return err
	}
	if err := w.addEnded(ctx, before, &said); err != nil {
		return err
	}

	drifts, repair := compare(before, said)
	if !w.options.DryRun {
		if err := w.sync.Apply(ctx, repair); err != nil {
			return err
		}
	}
	if len(drifts) == 0 {
		return nil
	}
	if !w.options.DryRun {
		after, err := w.sync.look(ctx, organization.ID)
		if err != nil {
			return err
		}
		left, _ := compare(after, said)
		for i := range drifts {
			at := slices.IndexFunc(left, func(d Drift) bool { return d.about() == drifts[i].about() })
			if drifts[i].Repaired = at < 0; at >= 0 {
				drifts[i].Reason = cmp.Or(left[at].Reason, "the repair did not help")
			} else {
				drifts[i].Reason = ""
			}
		}
	} else {
		for i := range drifts {
			drifts[i].Reason = cmp.Or(drifts[i].Reason, reasonDryRun)
		}
	}
	w.found(drifts...)
	return nil
}

// accountsOf returns the accounts of members that are not known here, and with
// all, those of everybody who is or was one.
func (w *walk) accountsOf(ctx context.Context, before known, memberships []Membership, all bool) ([]Account, error) {
	whole := map[string]bool{}
	var ids []string
	for _, account := range before.Accounts {
		whole[account.ID] = account.Deleted() || !account.Stub && !all
		if all {
			ids = append(ids, account.ID)
		}
	}
	for _, m := range memberships {
		ids = append(ids, m.AccountID)
	}
	// The directory may know an account that is new in this organization.
	ids = slices.DeleteFunc(sortedIDs(ids), func(id string) bool { return whole[id] })
	var found []Account
	for batch := range slices.Chunk(ids, MaxObservedAccounts) {
		accounts, err := w.provider.ObserveAccounts(ctx, batch)
		if err != nil {
			return nil, err
		}
		found = append(found, accounts...)
	}
	if !all {
		return found, nil
	}
	for _, account := range before.Accounts {
		if account.Deleted() || slices.ContainsFunc(found, func(a Account) bool { return a.ID == account.ID }) {
			continue
		}
		ended, err := w.ended(ctx, account.ID)
		if err != nil {
			return nil, err
		}
		found = append(found, ended...)
	}
	return found, nil
}

// ended returns the tombstone of an account, and none if the provider knows it
// after all.
func (w *walk) ended(ctx context.Context, id string) ([]Account, error) {
	_, err := w.provider.ObserveAccount(ctx, id)
	if !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	at := w.now().UTC()
	return []Account{{ID: id, CreatedAt: at, UpdatedAt: at, DeletedAt: at}}, nil
}

// addEnded adds tombstones of the memberships that were known before and are not
// among those that the provider says.
func (w *walk) addEnded(ctx context.Context, before known, said *Observation) error {
	candidates := slices.Clone(before.Memberships)
	// Whoever created an organization is taken for a member until anything is
	// known of their membership, of which all may have been lost.
	creator := said.Organizations[0].CreatedBy
	if creator != "" && !slices.ContainsFunc(before.Memberships, func(m Membership) bool { return m.AccountID == creator }) {
		organizationID := said.Organizations[0].ID
		candidates = append(candidates, Membership{ID: "unheard_of:" + organizationID + ":" + creator, OrganizationID: organizationID, AccountID: creator})
	}
	there := map[string]bool{}
	for _, m := range said.Memberships {
		there[m.ID], there[m.AccountID] = true, true
	}
	for _, m := range candidates {
		if m.Deleted() || there[m.ID] || m.UpdatedAt.IsZero() && there[m.AccountID] {
			continue
		}
		now, err := w.provider.Observe(ctx, m.OrganizationID, m.AccountID)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil && (m.UpdatedAt.IsZero() || slices.ContainsFunc(now.Memberships, func(n Membership) bool { return n.ID == m.ID })) {
			continue
		}
		at := w.now().UTC()
		said.Memberships = append(said.Memberships, Membership{
			ID: m.ID, OrganizationID: m.OrganizationID, AccountID: m.AccountID, CreatedAt: at, UpdatedAt: at, DeletedAt: at,
		})
	}
	return nil
}

// compare returns the differences between what is known of an organization and
// what the provider says, and what of the latter makes up for them.
func compare(k known, said Observation) (drifts []Drift, repair Observation) {
	organization := said.Organizations[0]
	add := func(kind DriftKind, accountID, reason string) {
		drifts = append(drifts, Drift{Kind: kind, OrganizationID: organization.ID, AccountID: accountID, Reason: reason})
	}
	merged := k.Organization.Merge(organization)
	switch {
	case k.Organization.ID == "", k.tenant.ID == "" && !k.Organization.Deleted():
		add(DriftTenantMissing, "", "")
	case k.Organization.Deleted():
		add(DriftTenantMissing, "", reasonDeleted)
		return drifts, repair
	case !k.Organization.sameAs(organization):
		add(DriftTenantChanged, "", left(merged.sameAs(organization)))
	case k.renamed:
		add(DriftTenantChanged, "", "")
	}
	memberships := mergeByID(nil, k.Memberships, membershipID, Membership.Merge)
	for _, m := range said.Memberships {
		before, ok := memberships[m.ID]
		switch {
		case before.Deleted() && m.Deleted():
			continue
		case m.Deleted():
			add(DriftMembershipSurplus, m.AccountID, "")
		case !ok:
			add(DriftMembershipMissing, m.AccountID, "")
		case before.Deleted():
			add(DriftMembershipMissing, m.AccountID, reasonDeleted)
			continue
		case before.ProviderRole != m.ProviderRole:
			add(DriftMembershipRole, m.AccountID, left(before.Merge(m).ProviderRole == m.ProviderRole))
		case before.Merge(m) == before:
			continue
		}
		repair.Memberships = append(repair.Memberships, m)
	}
	accountDrifts, accounts := compareAccounts(k.Accounts, said.Accounts)
	for _, d := range accountDrifts {
		add(d.Kind, d.AccountID, d.Reason)
	}
	repair.Accounts = accounts
	for _, id := range k.outdated {
		if !slices.ContainsFunc(drifts, func(d Drift) bool { return d.AccountID == id }) {
			add(DriftUsers, id, "")
		}
	}
	// With any drift, so that the tenant's own rows are looked at. What says
	// the same at a later time is worth knowing: an older event may still come.
	if len(drifts) > 0 || merged.compare(k.Organization) != 0 {
		repair.Organizations = said.Organizations
	}
	return drifts, repair
}

// compareAccounts returns the differences between what is known of accounts and
// what the provider says, and what of that makes up for them. An account that is
// not known here is no drift: the membership that brings it is.
func compareAccounts(before, said []Account) (drifts []Drift, repair []Account) {
	known := mergeByID(nil, before, accountID, Account.Merge)
	for _, account := range said {
		before, ok := known[account.ID]
		drift := Drift{AccountID: account.ID}
		switch {
		case !ok:
		case account.Deleted() && before.Deleted():
			continue
		case account.Deleted():
			drift.Kind = DriftAccountDeleted
		case before.Deleted():
			drift.Kind, drift.Reason = DriftAccountChanged, reasonDeleted
		case before.Stub, !before.sameAs(account):
			drift.Kind, drift.Reason = DriftAccountChanged, left(before.Merge(account).sameAs(account))
		case before.Merge(account) == before:
			continue
		}
		if drift.Kind != "" {
			drifts = append(drifts, drift)
		}
		repair = append(repair, account)
	}
	return drifts, repair
}

// left is why what was merged is not what the provider says.
func left(agrees bool) string {
	if agrees {
		return ""
	}
	return reasonNewer
}

// accounts reconciles every account that is known here, also those who are no
// members any more: their names and addresses are kept here.
func (w *walk) accounts(ctx context.Context) error {
	live, err := everyID(ctx, w.directory.LiveAccounts)
	if err != nil {
		return err
	}
	var missing []string
	for batch := range slices.Chunk(live, MaxObservedAccounts) {
		before, err := w.directory.Accounts(ctx, batch)
		if err != nil {
			return err
		}
		said, err := w.provider.ObserveAccounts(ctx, batch)
		if err != nil {
			return err
		}
		there := mergeByID(nil, said, accountID, Account.Merge)
		for _, id := range batch {
			if _, ok := there[id]; !ok {
				missing = append(missing, id)
			}
		}
		if err := w.repairAccounts(ctx, before, said); err != nil {
			return err
		}
	}
	refused := !w.options.AllowDeletions && tooMany(len(missing), len(live))
	for _, id := range missing {
		if refused {
			w.found(Drift{Kind: DriftAccountDeleted, AccountID: id, Reason: reasonMany})
			continue
		}
		gone, err := w.ended(ctx, id)
		if err != nil {
			return err
		}
		before, err := w.directory.Accounts(ctx, []string{id})
		if err != nil {
			return err
		}
		if err := w.repairAccounts(ctx, before, gone); err != nil {
			return err
		}
	}
	return w.save(ctx)
}

func (w *walk) repairAccounts(ctx context.Context, before, said []Account) error {
	drifts, repair := compareAccounts(before, said)
	if w.options.DryRun {
		for i := range drifts {
			drifts[i].Reason = cmp.Or(drifts[i].Reason, reasonDryRun)
		}
		w.found(drifts...)
		return nil
	}
	// One at a time: an account may be in many organizations, of which one may
	// be in the middle of a rollout.
	for _, account := range repair {
		err := w.sync.Apply(ctx, Observation{Accounts: []Account{account}})
		at := slices.IndexFunc(drifts, func(d Drift) bool { return d.AccountID == account.ID })
		switch {
		case err != nil && stops(err):
			return err
		case at < 0 || drifts[at].Reason != "":
		default:
			if err := w.outcome(&drifts[at], err); err != nil {
				return err
			}
		}
	}
	w.found(drifts...)
	return nil
}

// sameAs reports whether two states of an organization say the same.
func (o Organization) sameAs(p Organization) bool {
	return o.Name == p.Name && o.Slug == p.Slug && o.ImageURL == p.ImageURL
}

// sameAs reports whether two states of an account say the same.
func (a Account) sameAs(b Account) bool {
	return a.Email == b.Email && a.FirstName == b.FirstName && a.LastName == b.LastName && a.AvatarURL == b.AvatarURL && a.Phone == b.Phone &&
		a.TwoFactor == b.TwoFactor
}
