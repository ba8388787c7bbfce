// Package bunrepo reads the audit log in PostgreSQL: the tables "audit_log" and
// "audit_anchors" of each tenant's schema, whose triggers write it.
package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/origin"
)

var _ audit.Log = (*Log)(nil)

// Log implements [audit.Log].
type Log struct{ db, owner bun.IDB }

// NewLog returns the record of whichever tenant a context names.
func NewLog(db *database.DB) *Log { return &Log{db: db.Tenants(), owner: db.Owner()} }

type entryRow struct {
	bun.BaseModel `bun:"table:audit_log,alias:e"`

	Seq       int64     `bun:"seq,pk"`
	At        time.Time `bun:"at"`
	ActorKind string    `bun:"actor_kind"`
	Actor     string    `bun:"actor"`
	APIKey    string    `bun:"api_key"`
	IP        string    `bun:"ip"`
	RequestID string    `bun:"request_id"`
	Action    string    `bun:"action"`
	Subject   string    `bun:"subject"`
	Label     string    `bun:"label"`
	Changes   string    `bun:"changes"`
	Hash      []byte    `bun:"hash"`
}

func (row entryRow) entry() audit.Entry {
	return audit.Entry{
		Seq: row.Seq, At: row.At.UTC(),
		Origin: audit.Origin{Kind: origin.Kind(row.ActorKind), Actor: row.Actor, APIKey: row.APIKey, IP: row.IP, RequestID: row.RequestID},
		Action: row.Action, Subject: row.Subject, Label: row.Label, Changes: row.Changes, Hash: hashOf(row.Hash),
	}
}

// hashOf is the zero hash for bytes that are none, which no entry can have.
func hashOf(raw []byte) (hash audit.Hash) {
	if len(raw) == len(hash) {
		copy(hash[:], raw)
	}
	return hash
}

func entriesOf(rows []entryRow) []audit.Entry {
	entries := make([]audit.Entry, len(rows))
	for i, row := range rows {
		entries[i] = row.entry()
	}
	return entries
}

// List implements [audit.Log].
func (l *Log) List(ctx context.Context, listing audit.Listing) ([]audit.Entry, error) {
	var rows []entryRow
	query := l.db.NewSelect().Model(&rows).OrderExpr("seq DESC").Limit(int64(listing.Limit))
	if listing.Before > 0 {
		query = query.Where("seq < ?", listing.Before)
	}
	if listing.Actor != "" {
		query = query.Where("actor = ?", listing.Actor)
	}
	switch {
	case strings.Contains(listing.Action, "."):
		query = query.Where("action = ?", listing.Action)
	case listing.Action != "":
		query = query.Where("split_part(action, '.', 1) = ?", listing.Action)
	}
	if listing.Subject != "" {
		query = query.Where("subject = ?", listing.Subject)
	}
	if !listing.From.IsZero() {
		query = query.Where("at >= ?", listing.From)
	}
	if !listing.Until.IsZero() {
		query = query.Where("at < ?", listing.Until)
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fault.Wrap("select audit log", database.Classify(err))
	}
	return entriesOf(rows), nil
}

// Daily implements [audit.Log].
func (l *Log) Daily(ctx context.Context, since time.Time) (map[time.Time]int, error) {
	var rows []struct {
		Day     time.Time `bun:"day"`
		Changes int       `bun:"changes"`
	}
	err := l.db.NewSelect().Model((*entryRow)(nil)).ColumnExpr("date_trunc('day', at AT TIME ZONE 'UTC') AS day").ColumnExpr("count(*) AS changes").
		Where("at >= ?", since).GroupExpr("1").Scan(ctx, &rows)
	if err != nil {
		return nil, fault.Wrap("count audit log", database.Classify(err))
	}
	days := make(map[time.Time]int, len(rows))
	for _, row := range rows {
		days[row.Day.UTC()] = row.Changes
	}
	return days, nil
}

// BySeq implements [audit.Log].
func (l *Log) BySeq(ctx context.Context, seq int64) (audit.Entry, error) {
	var row entryRow
	switch err := l.db.NewSelect().Model(&row).Where("seq = ?", seq).Scan(ctx); {
	case errors.Is(err, sql.ErrNoRows):
		return audit.Entry{}, audit.ErrNotFound
	case err != nil:
		return audit.Entry{}, fault.Wrap("select audit entry", database.Classify(err))
	}
	return row.entry(), nil
}

// After implements [audit.Log].
func (l *Log) After(ctx context.Context, seq int64, limit int) ([]audit.Entry, error) {
	var rows []entryRow
	if err := l.db.NewSelect().Model(&rows).Where("seq > ?", seq).OrderExpr("seq").Limit(int64(limit)).Scan(ctx); err != nil {
		return nil, fault.Wrap("select audit log", database.Classify(err))
	}
	return entriesOf(rows), nil
}

type anchorRow struct {
	bun.BaseModel `bun:"table:audit_anchors,alias:a"`

	Seq       int64     `bun:"seq,pk"`
	Hash      []byte    `bun:"hash"`
	CutAt     time.Time `bun:"cut_at"`
	PublicKey []byte    `bun:"public_key"`
	Signature []byte    `bun:"signature"`
}

// Anchors implements [audit.Log].
func (l *Log) Anchors(ctx context.Context) ([]audit.Anchor, error) {
	var rows []anchorRow
	if err := l.db.NewSelect().Model(&rows).OrderExpr("seq").Scan(ctx); err != nil {
		return nil, fault.Wrap("select anchors", database.Classify(err))
	}
	anchors := make([]audit.Anchor, len(rows))
	for i, row := range rows {
		anchors[i] = audit.Anchor{Seq: row.Seq, Hash: hashOf(row.Hash), CutAt: row.CutAt.UTC(), PublicKey: row.PublicKey, Signature: row.Signature}
	}
	return anchors, nil
}

// Record implements [audit.Log]. What the triggers call does it, by the owner's rights.
// A statement that began with SELECT would be taken for one that changes nothing.
func (l *Log) Record(ctx context.Context, action, subject string, values map[string]any) error {
	changes, err := audit.ChangesOf(values)
	if err != nil {
		return fault.Wrap("record "+action, err)
	}
	_, err = l.owner.NewRaw("WITH recorded AS (SELECT public.audit_append(current_schema(), ?, ?, '', ?)) SELECT FROM recorded", action, subject, changes).Exec(ctx)
	return fault.Wrap("record "+action, database.Classify(err))
}

// Cut implements [audit.Log]. A tenant's own role may not, its schema's owner may.
func (l *Log) Cut(ctx context.Context, anchor audit.Anchor) error {
	err := l.owner.RunInTx(ctx, nil, func(ctx context.Context, _ bun.Tx) error {
		there, err := l.owner.NewSelect().Model((*entryRow)(nil)).Where("seq = ?", anchor.Seq).Where("hash = ?", anchor.Hash[:]).Exists(ctx)
		switch {
		case err != nil:
			return err
		case !there:
			return audit.ErrNotThere
		}
		row := anchorRow{Seq: anchor.Seq, Hash: anchor.Hash[:], CutAt: anchor.CutAt, PublicKey: anchor.PublicKey, Signature: anchor.Signature}
		switch _, err := l.owner.NewInsert().Model(&row).Exec(ctx); {
		case database.IsUniqueViolation(err, "audit_anchors_pkey"): // cut at this entry since it was looked for
			return audit.ErrNotThere
		case err != nil:
			return err
		}
		_, err = l.owner.NewDelete().Model((*entryRow)(nil)).Where("seq <= ?", anchor.Seq).Exec(ctx)
		return err
	})
	return fault.Wrap("cut audit log", database.Classify(err))
}
