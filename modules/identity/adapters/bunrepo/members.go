package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

var _ identity.Members = (*Members)(nil)

// Members implements [identity.Members]. Whatever could change what somebody may do
// is announced with the change.
type Members struct {
	db       bun.IDB
	announce func(context.Context, tenant.Schema) error
}

// NewMembers returns the users of whichever tenant a context names.
func NewMembers(db *database.DB) *Members { return &Members{db: db.Tenants(), announce: db.Announce} }

type userRow struct {
	bun.BaseModel `bun:"table:users,alias:u"`

	ID         string            `bun:"id,pk"`
	Email      string            `bun:"email"`
	FirstName  string            `bun:"first_name"`
	LastName   string            `bun:"last_name"`
	AvatarURL  string            `bun:"avatar_url"`
	Phone      string            `bun:"phone"`
	Role       string            `bun:"role"`
	Metadata   identity.Metadata `bun:"metadata,type:jsonb"`
	IsActive   bool              `bun:"is_active"`
	LastSeenAt time.Time         `bun:"last_seen_at,nullzero"`
	JoinedAt   time.Time         `bun:"joined_at"`
	CreatedAt  time.Time         `bun:"created_at,nullzero,default:now()"`
	UpdatedAt  time.Time         `bun:"updated_at,nullzero,default:now()"`
}

func userRowOf(m identity.Member) userRow {
	return userRow{
		ID: m.ID, Email: m.Email, FirstName: m.FirstName, LastName: m.LastName, AvatarURL: m.AvatarURL, Phone: m.Phone,
		Role: string(m.Role), Metadata: m.Metadata, IsActive: m.IsActive, JoinedAt: m.JoinedAt,
	}
}

func (row userRow) member() identity.Member {
	return identity.Member{
		ID: row.ID, Email: row.Email, FirstName: row.FirstName, LastName: row.LastName, AvatarURL: row.AvatarURL, Phone: row.Phone,
		Role: identity.Role(row.Role), Metadata: row.Metadata, IsActive: row.IsActive,
		LastSeenAt: row.LastSeenAt, JoinedAt: row.JoinedAt, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
}

// ByID implements [identity.Members].
func (m *Members) ByID(ctx context.Context, id string) (identity.Member, error) {
	var row userRow
	err := m.db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	return one(row, err)
}

func one(row userRow, err error) (identity.Member, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return identity.Member{}, identity.ErrNoMember
	case err != nil:
		return identity.Member{}, fault.Wrap("members", database.Classify(err))
	}
	return row.member(), nil
}

// ByIDs implements [identity.Members].
func (m *Members) ByIDs(ctx context.Context, ids []string) ([]identity.Member, error) {
	return selectByID(ctx, m.db, userRow.member, ids)
}

// All implements [identity.Members].
func (m *Members) All(ctx context.Context) ([]identity.Member, error) {
	return selectAll(ctx, m.db, userRow.member, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.OrderExpr(`id COLLATE "C"`).For("UPDATE")
	})
}

// escapeLike makes a text a pattern that only it matches.
var escapeLike = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// List implements [identity.Members].
func (m *Members) List(ctx context.Context, listing identity.MemberListing) ([]identity.Member, error) {
	return selectAll(ctx, m.db, userRow.member, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("is_active").OrderExpr(`joined_at, id COLLATE "C"`).Limit(int64(listing.Limit))
		if listing.Role != "" {
			q = q.Where("role = ?", string(listing.Role))
		}
		if listing.Search != "" {
			q = q.Where("first_name || ' ' || last_name ILIKE ?0 OR email ILIKE ?0", "%"+escapeLike.Replace(listing.Search)+"%")
		}
		if !listing.After.IsZero() {
			joinedAt, id := listing.After.Position()
			q = q.Where(`(joined_at, id COLLATE "C") > (?, ?)`, joinedAt, id)
		}
		return q
	})
}

// Put implements [identity.Members]. The unique index on addresses is checked
// row by row, so an address that moves is taken from everybody first. Both
// statements are one message and so one transaction.
func (m *Members) Put(ctx context.Context, members []identity.Member) error {
	if len(members) == 0 {
		return nil
	}
	rows := make([]userRow, len(members))
	ids := make([]string, len(members))
	for i, member := range members {
		rows[i], ids[i] = userRowOf(member), member.ID
	}
	insert := m.db.NewInsert().Model(&rows).On("CONFLICT (id) DO UPDATE").Set("updated_at = now()")
	for _, column := range []string{"email", "first_name", "last_name", "avatar_url", "phone", "role", "metadata", "is_active", "joined_at"} {
		insert = insert.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
	}
	_, err := m.db.NewRaw("UPDATE users SET email = '' WHERE id IN (?) AND email <> ''; ?", bun.List(ids), insert).Exec(ctx)
	if database.IsUniqueViolation(err, "users_email_key") {
		return fault.New(fault.Conflict, "Another member has this address.").WithCause(err)
	}
	if err != nil {
		return fault.Wrap("write members", database.Classify(err))
	}
	return fault.Wrap("write members", m.changed(ctx))
}

// changed announces the tenant of ctx, without which no statement got here.
func (m *Members) changed(ctx context.Context) error {
	schema, _ := tenant.FromContext(ctx)
	return m.announce(ctx, schema)
}

// CompleteOnboarding implements [identity.Members].
func (m *Members) CompleteOnboarding(ctx context.Context, id, phone string) (identity.Member, error) {
	query := m.db.NewUpdate().Model((*userRow)(nil)).Where("id = ?", id).Set("updated_at = now()").Returning("*")
	if phone == "" {
		query = query.Set(`metadata = metadata || '{"onboardingComplete": true}'`)
	} else {
		query = query.Set("phone = ?", phone).
			Set(`metadata = metadata || jsonb_build_object('onboardingComplete', true, 'phone', ?::text)`, phone)
	}
	var row userRow
	if err := query.Scan(ctx, &row); err != nil {
		return one(row, err)
	}
	return row.member(), fault.Wrap("complete onboarding", m.changed(ctx))
}

// Touch implements [identity.Members].
func (m *Members) Touch(ctx context.Context, id string, at time.Time) error {
	_, err := m.db.NewUpdate().Model((*userRow)(nil)).Set("last_seen_at = ?", at).
		Where("id = ?", id).Where("last_seen_at IS NULL OR last_seen_at < ?", at).Exec(ctx)
	return fault.Wrap("touch member", database.Classify(err))
}
