package idempotency

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

// Store keeps keys in the table public.idempotency_keys. Each method is one
// statement but for [Store.Begin], which looks at the key when it is not free.
type Store struct{ db *database.DB }

// NewStore returns a store over a migrated database.
func NewStore(db *database.DB) *Store { return &Store{db: db} }

// Begin claims r's key for at most hold. It returns the claim if the request is
// to run, and otherwise the answer that it had. Errors: [ErrInFlight],
// [ErrReused].
func (s *Store) Begin(ctx context.Context, r Request, hold time.Duration) (Claim, *Answer, error) {
	// A key that is given back between the two statements is tried again.
	for range 3 {
		claim, err := s.claim(ctx, r, hold)
		if err == nil || !errors.Is(err, sql.ErrNoRows) {
			return claim, nil, fault.Wrap("claim idempotency key", database.Classify(err))
		}
		answer, err := s.answer(ctx, r)
		if err == nil || !errors.Is(err, sql.ErrNoRows) {
			return "", answer, err
		}
	}
	return "", nil, ErrInFlight
}

func (s *Store) claim(ctx context.Context, r Request, hold time.Duration) (Claim, error) {
	claim := Claim(rand.Text())
	var claimed string
	err := s.db.Registry().NewRaw(`
		INSERT INTO idempotency_keys AS k (tenant_id, account_id, key, claim, fingerprint, expires_at)
		VALUES (?0, ?1, ?2, ?3, ?4, now() + make_interval(secs => ?5))
		ON CONFLICT (tenant_id, account_id, key) DO UPDATE SET
			claim = excluded.claim, fingerprint = excluded.fingerprint, status = 0, header = '{}', body = '',
			created_at = now(), expires_at = excluded.expires_at
		WHERE k.expires_at <= now()
		RETURNING claim`,
		r.Tenant, r.Account, r.Key, string(claim), r.Fingerprint[:], hold.Seconds()).Scan(ctx, &claimed)
	return claim, err
}

// answer returns what the key, which somebody has, says about r.
func (s *Store) answer(ctx context.Context, r Request) (*Answer, error) {
	var fingerprint, header []byte
	answer := new(Answer)
	err := s.db.Registry().NewRaw(`
		SELECT fingerprint, status, header::text, body FROM idempotency_keys
		WHERE tenant_id = ? AND account_id = ? AND key = ? AND expires_at > now()`,
		r.Tenant, r.Account, r.Key).Scan(ctx, &fingerprint, &answer.Status, &header, &answer.Body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, err
	case err != nil:
		return nil, fault.Wrap("select idempotency key", database.Classify(err))
	case string(fingerprint) != string(r.Fingerprint[:]):
		return nil, ErrReused
	case answer.Status == 0:
		return nil, ErrInFlight
	}
	if err := json.Unmarshal(header, &answer.Header); err != nil {
		return nil, fault.Wrap("decode the header of an idempotency key", err)
	}
	return answer, nil
}

// Finish keeps the answer to r for keep. It does nothing when the claim has
// lapsed and somebody else has the key.
func (s *Store) Finish(ctx context.Context, r Request, claim Claim, answer Answer, keep time.Duration) error {
	header, err := json.Marshal(answer.Header)
	if err != nil {
		return fault.Wrap("encode the header of an idempotency key", err)
	}
	_, err = s.db.Registry().NewRaw(`
		UPDATE idempotency_keys SET status = ?, header = ?, body = coalesce(?::bytea, ''), expires_at = now() + make_interval(secs => ?)
		WHERE tenant_id = ? AND account_id = ? AND key = ? AND claim = ?`,
		answer.Status, string(header), answer.Body, keep.Seconds(), r.Tenant, r.Account, r.Key, string(claim)).Exec(ctx)
	return fault.Wrap("finish idempotency key", database.Classify(err))
}

// Release gives the key of a run back that changed nothing.
func (s *Store) Release(ctx context.Context, r Request, claim Claim) error {
	_, err := s.db.Registry().NewRaw(`
		DELETE FROM idempotency_keys WHERE tenant_id = ? AND account_id = ? AND key = ? AND claim = ?`,
		r.Tenant, r.Account, r.Key, string(claim)).Exec(ctx)
	return fault.Wrap("release idempotency key", database.Classify(err))
}

// Sweep deletes the keys that have expired and returns how many there were.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	result, err := s.db.Registry().NewRaw(`DELETE FROM idempotency_keys WHERE expires_at <= now()`).Exec(ctx)
	if err != nil {
		return 0, fault.Wrap("sweep idempotency keys", database.Classify(err))
	}
	n, err := result.RowsAffected()
	return int(n), fault.Wrap("sweep idempotency keys", err)
}

// sweepInterval is how often expired keys are deleted. An expired key is free
// whether or not it is still there, so nobody waits for it.
const sweepInterval = 10 * time.Minute

// RunSweeper sweeps until ctx ends.
func (s *Store) RunSweeper(ctx context.Context, logger *slog.Logger) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "expired idempotency keys could not be deleted", "error", err)
			}
		}
	}
}
