// Package bunrepo keeps the identity module's data in PostgreSQL: the directory
// and the webhook inbox in public, the members in each tenant's own schema.
package bunrepo

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

var _ identity.Directory = (*Directory)(nil)

// Directory implements [identity.Directory].
type Directory struct{ db bun.IDB }

// NewDirectory returns a directory over the handle for public tables.
func NewDirectory(db *database.DB) *Directory { return &Directory{db: db.Registry()} }

type accountRow struct {
	bun.BaseModel `bun:"table:directory_accounts,alias:a"`

	ID        string    `bun:"id,pk"`
	Email     string    `bun:"email"`
	FirstName string    `bun:"first_name"`
	LastName  string    `bun:"last_name"`
	AvatarURL string    `bun:"avatar_url"`
	Phone     string    `bun:"phone"`
	TwoFactor bool      `bun:"two_factor"`
	IsStub    bool      `bun:"is_stub"`
	CreatedAt time.Time `bun:"created_at"`
	UpdatedAt time.Time `bun:"source_updated_at"`
	DeletedAt time.Time `bun:"deleted_at,nullzero"`
}

func accountRowOf(a identity.Account) accountRow {
	return accountRow{
		ID: a.ID, Email: a.Email, FirstName: a.FirstName, LastName: a.LastName, AvatarURL: a.AvatarURL, Phone: a.Phone,
		TwoFactor: a.TwoFactor, IsStub: a.Stub, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, DeletedAt: a.DeletedAt,
	}
}

func (row accountRow) account() identity.Account {
	return identity.Account{
		ID: row.ID, Email: row.Email, FirstName: row.FirstName, LastName: row.LastName, AvatarURL: row.AvatarURL, Phone: row.Phone,
		TwoFactor: row.TwoFactor, Stub: row.IsStub, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, DeletedAt: row.DeletedAt,
	}
}

type organizationRow struct {
	bun.BaseModel `bun:"table:directory_organizations,alias:o"`

	ID        string    `bun:"id,pk"`
	Name      string    `bun:"name"`
	Slug      string    `bun:"slug"`
	ImageURL  string    `bun:"image_url"`
	CreatedBy string    `bun:"created_by"`
	CreatedAt time.Time `bun:"created_at"`
	UpdatedAt time.Time `bun:"source_updated_at"`
	DeletedAt time.Time `bun:"deleted_at,nullzero"`
}

func organizationRowOf(o identity.Organization) organizationRow {
	return organizationRow{
		ID: o.ID, Name: o.Name, Slug: o.Slug, ImageURL: o.ImageURL, CreatedBy: o.CreatedBy,
		CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, DeletedAt: o.DeletedAt,
	}
}

func (row organizationRow) organization() identity.Organization {
	return identity.Organization{
		ID: row.ID, Name: row.Name, Slug: row.Slug, ImageURL: row.ImageURL, CreatedBy: row.CreatedBy,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, DeletedAt: row.DeletedAt,
	}
}

type membershipRow struct {
	bun.BaseModel `bun:"table:directory_memberships,alias:m"`

	ID             string    `bun:"id,pk"`
	OrganizationID string    `bun:"organization_id"`
	AccountID      string    `bun:"account_id"`
	ProviderRole   string    `bun:"role"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"source_updated_at"`
	DeletedAt      time.Time `bun:"deleted_at,nullzero"`
}

func membershipRowOf(m identity.Membership) membershipRow {
	return membershipRow{
		ID: m.ID, OrganizationID: m.OrganizationID, AccountID: m.AccountID, ProviderRole: m.ProviderRole,
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, DeletedAt: m.DeletedAt,
	}
}

func (row membershipRow) membership() identity.Membership {
	return identity.Membership{
		ID: row.ID, OrganizationID: row.OrganizationID, AccountID: row.AccountID, ProviderRole: row.ProviderRole,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, DeletedAt: row.DeletedAt,
	}
}

type ownershipRow struct {
	bun.BaseModel `bun:"table:directory_ownerships,alias:w"`

	OrganizationID string    `bun:"organization_id,pk"`
	AccountID      string    `bun:"account_id,pk"`
	IsOwner        bool      `bun:"is_owner"`
	MembershipID   string    `bun:"membership_id"`
	DecidedAt      time.Time `bun:"decided_at"`
}

// Lock implements [identity.Directory] by advisory locks of the transaction.
func (d *Directory) Lock(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if _, err := d.db.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", key); err != nil {
			return fault.Wrap("lock directory", database.Classify(err))
		}
	}
	return nil
}

// selectAll reads the rows that query selects and converts them.
func selectAll[Row, T any](ctx context.Context, db bun.IDB, convert func(Row) T, query func(*bun.SelectQuery) *bun.SelectQuery) ([]T, error) {
	var rows []Row
	if err := db.NewSelect().Model(&rows).Apply(query).Scan(ctx); err != nil {
		return nil, fault.Wrap("select directory", database.Classify(err))
	}
	values := make([]T, len(rows))
	for i, row := range rows {
		values[i] = convert(row)
	}
	return values, nil
}

func selectByID[Row, T any](ctx context.Context, db bun.IDB, convert func(Row) T, ids []string) ([]T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return selectAll(ctx, db, convert, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("id IN (?)", bun.List(ids)) })
}

// Accounts implements [identity.Directory].
func (d *Directory) Accounts(ctx context.Context, ids []string) ([]identity.Account, error) {
	return selectByID(ctx, d.db, accountRow.account, ids)
}

// Organizations implements [identity.Directory].
func (d *Directory) Organizations(ctx context.Context, ids []string) ([]identity.Organization, error) {
	return selectByID(ctx, d.db, organizationRow.organization, ids)
}

// Memberships implements [identity.Directory].
func (d *Directory) Memberships(ctx context.Context, ids []string) ([]identity.Membership, error) {
	return selectByID(ctx, d.db, membershipRow.membership, ids)
}

// upsert writes rows over those of the same id.
func upsert[T, Row any](ctx context.Context, db bun.IDB, values []T, convert func(T) Row, columns ...string) error {
	if len(values) == 0 {
		return nil
	}
	rows := make([]Row, len(values))
	for i, value := range values {
		rows[i] = convert(value)
	}
	query := db.NewInsert().Model(&rows).On("CONFLICT (id) DO UPDATE")
	for _, column := range columns {
		query = query.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
	}
	_, err := query.Exec(ctx)
	return fault.Wrap("write directory", database.Classify(err))
}

// Put implements [identity.Directory].
func (d *Directory) Put(ctx context.Context, o identity.Observation) error {
	if err := upsert(ctx, d.db, o.Accounts, accountRowOf,
		"email", "first_name", "last_name", "avatar_url", "phone", "two_factor", "is_stub", "created_at", "source_updated_at", "deleted_at"); err != nil {
		return err
	}
	if err := upsert(ctx, d.db, o.Organizations, organizationRowOf,
		"name", "slug", "image_url", "created_by", "created_at", "source_updated_at", "deleted_at"); err != nil {
		return err
	}
	return upsert(ctx, d.db, o.Memberships, membershipRowOf,
		"organization_id", "account_id", "role", "created_at", "source_updated_at", "deleted_at")
}

// OrganizationsOf implements [identity.Directory].
func (d *Directory) OrganizationsOf(ctx context.Context, accountIDs []string) ([]string, error) {
	if len(accountIDs) == 0 {
		return nil, nil
	}
	var ids []string
	err := d.db.NewRaw(`
		SELECT organization_id FROM directory_memberships WHERE account_id IN (?0) AND organization_id <> ''
		UNION
		SELECT id FROM directory_organizations WHERE created_by IN (?0)
		ORDER BY 1`, bun.List(accountIDs)).Scan(ctx, &ids)
	return ids, fault.Wrap("select organizations of accounts", database.Classify(err))
}

// LiveOrganizations implements [identity.Directory].
func (d *Directory) LiveOrganizations(ctx context.Context, after string, limit int) ([]string, error) {
	return d.live(ctx, (*organizationRow)(nil), after, limit)
}

// LiveAccounts implements [identity.Directory].
func (d *Directory) LiveAccounts(ctx context.Context, after string, limit int) ([]string, error) {
	return d.live(ctx, (*accountRow)(nil), after, limit)
}

// live compares ids by their bytes, as Go does, whatever the database's collation.
func (d *Directory) live(ctx context.Context, model any, after string, limit int) ([]string, error) {
	var ids []string
	err := d.db.NewSelect().Model(model).Column("id").
		Where(`id COLLATE "C" > ?`, after).Where("deleted_at IS NULL").
		OrderExpr(`id COLLATE "C"`).Limit(int64(limit)).Scan(ctx, &ids)
	return ids, fault.Wrap("select live ids", database.Classify(err))
}

// ActiveOrganizationsOf implements [identity.Directory].
func (d *Directory) ActiveOrganizationsOf(ctx context.Context, accountID string) ([]string, error) {
	var ids []string
	// The second part is the rule of identity.Project for somebody of whose
	// membership nothing is known yet.
	err := d.db.NewRaw(`
		SELECT o.id
		FROM directory_organizations o
		WHERE o.deleted_at IS NULL
		  AND NOT EXISTS (SELECT FROM directory_accounts a WHERE a.id = ?0 AND a.deleted_at IS NOT NULL)
		  AND o.id IN (
			SELECT m.organization_id FROM directory_memberships m WHERE m.account_id = ?0 AND m.deleted_at IS NULL
			UNION ALL
			SELECT c.id FROM directory_organizations c
			WHERE c.created_by = ?0
			  AND NOT EXISTS (SELECT FROM directory_memberships m WHERE m.organization_id = c.id AND m.account_id = ?0))
		ORDER BY o.id`, accountID).Scan(ctx, &ids)
	return ids, fault.Wrap("select active organizations", database.Classify(err))
}

// View implements [identity.Directory].
func (d *Directory) View(ctx context.Context, organizationID string) (identity.View, error) {
	view := identity.View{Ownerships: map[string]identity.Ownership{}}
	organizations, err := d.Organizations(ctx, []string{organizationID})
	if err != nil {
		return identity.View{}, err
	}
	if len(organizations) > 0 {
		view.Organization = organizations[0]
	}
	view.Memberships, err = selectAll(ctx, d.db, membershipRow.membership, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("organization_id = ?", organizationID)
	})
	if err != nil {
		return identity.View{}, err
	}
	view.Accounts, err = selectAll(ctx, d.db, accountRow.account, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("id IN (SELECT account_id FROM directory_memberships WHERE organization_id = ? UNION ALL SELECT ?)",
			organizationID, view.Organization.CreatedBy)
	})
	if err != nil {
		return identity.View{}, err
	}
	ownerships, err := selectAll(ctx, d.db, func(row ownershipRow) ownershipRow { return row }, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("organization_id = ?", organizationID)
	})
	for _, row := range ownerships {
		view.Ownerships[row.AccountID] = identity.Ownership{Owner: row.IsOwner, MembershipID: row.MembershipID}
	}
	return view, err
}

// Own implements [identity.Directory].
func (d *Directory) Own(ctx context.Context, organizationID, accountID string, decision identity.Ownership) error {
	row := &ownershipRow{OrganizationID: organizationID, AccountID: accountID, IsOwner: decision.Owner, MembershipID: decision.MembershipID, DecidedAt: time.Now()}
	_, err := d.db.NewInsert().Model(row).
		On("CONFLICT (organization_id, account_id) DO UPDATE").
		Set("is_owner = EXCLUDED.is_owner").Set("membership_id = EXCLUDED.membership_id").Set("decided_at = EXCLUDED.decided_at").
		Exec(ctx)
	return fault.Wrap("write ownership", database.Classify(err))
}
