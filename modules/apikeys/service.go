package apikeys

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"slices"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Service makes keys, lists and revokes them, and knows them again.
type Service struct {
	tx         Transactor
	repository Repository
	index      Index
	log        *slog.Logger
	now        func() time.Time
}

// NewService returns the use cases over their ports.
func NewService(tx Transactor, repository Repository, index Index, log *slog.Logger) *Service {
	return &Service{tx: tx, repository: repository, index: index, log: log, now: time.Now}
}

// usedInterval is how exact the time of a key's last use is: more often it is not
// written, so that reading does not become writing.
const usedInterval = 5 * time.Minute

// AuthorizeManage returns nil if the actor may see and revoke the tenant's keys.
// Errors: of kind [fault.Forbidden].
func (s *Service) AuthorizeManage(actor identity.Actor) error {
	return actor.Require(identity.APIKeysManage)
}

// AuthorizeCreate returns nil if the actor may make keys, which takes a person.
// Errors: of kind [fault.Forbidden].
func (s *Service) AuthorizeCreate(actor identity.Actor) error {
	if err := s.AuthorizeManage(actor); err != nil {
		return err
	}
	return actor.RequirePerson()
}

// List returns the keys of the tenant, the newest first, expired ones included.
// Errors: of kind [fault.Forbidden].
func (s *Service) List(ctx context.Context, access identity.Access) ([]Key, error) {
	if err := s.AuthorizeManage(access.Actor()); err != nil {
		return nil, err
	}
	keys, err := s.repository.List(ctx)
	if err != nil {
		return nil, fault.Wrap("list API keys", err)
	}
	used, err := s.index.Used(ctx, access.Tenant.ID)
	if err != nil {
		return nil, fault.Wrap("list API keys", err)
	}
	for i := range keys {
		keys[i].LastUsedAt = used[keys[i].ID]
	}
	return keys, nil
}

// Key returns a key of the tenant. Errors: [ErrNotFound], and of kind
// [fault.Forbidden].
func (s *Service) Key(ctx context.Context, access identity.Access, id string) (Key, error) {
	if err := s.AuthorizeManage(access.Actor()); err != nil {
		return Key{}, err
	}
	key, err := s.repository.ByID(ctx, id)
	if err != nil {
		return Key{}, fault.Wrap("get API key", err)
	}
	used, err := s.index.Used(ctx, access.Tenant.ID)
	if err != nil {
		return Key{}, fault.Wrap("get API key", err)
	}
	key.LastUsedAt = used[key.ID]
	return key, nil
}

// Create makes a key that stands for the actor, and returns it with its token,
// which nobody can be shown again. Errors: of kind [fault.Forbidden],
// [fault.Invalid], [ErrTooMany].
func (s *Service) Create(ctx context.Context, access identity.Access, draft Draft) (Key, Token, error) {
	if err := s.AuthorizeCreate(access.Actor()); err != nil {
		return Key{}, Token{}, err
	}
	key, err := draft.parse(access.Actor(), s.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return Key{}, Token{}, err
	}
	token := NewToken()
	key.ID = token.ID()
	err = s.inTx(ctx, access, func(ctx, inTenant context.Context) error {
		known, err := s.repository.List(inTenant)
		switch {
		case err != nil:
			return err
		case len(known) >= MaxKeys:
			return ErrTooMany
		}
		if err := s.repository.Insert(inTenant, key); err != nil {
			return err
		}
		return s.index.Insert(ctx, Entry{
			ID: key.ID, TenantID: access.Tenant.ID, AccountID: key.CreatedBy, Hash: token.hash(),
			Permissions: slices.Clone(key.Permissions), CreatedAt: key.CreatedAt, ExpiresAt: key.ExpiresAt,
		})
	})
	if err != nil {
		return Key{}, Token{}, fault.Wrap("create API key", err)
	}
	return key, token, nil
}

// Revoke makes a key invalid at once and for good. Errors: [ErrNotFound], and of
// kind [fault.Forbidden].
func (s *Service) Revoke(ctx context.Context, access identity.Access, id string) (Key, error) {
	if err := s.AuthorizeManage(access.Actor()); err != nil {
		return Key{}, err
	}
	var revoked Key
	err := s.inTx(ctx, access, func(ctx, inTenant context.Context) (err error) {
		if revoked, err = s.repository.Delete(inTenant, id); err != nil {
			return err
		}
		return s.index.Delete(ctx, access.Tenant.ID, id)
	})
	if err != nil {
		return Key{}, fault.Wrap("revoke API key", err)
	}
	return revoked, nil
}

// inTx runs fn in a transaction over both stores. fn is given a context that is in
// no tenant, with the tenant's beside it.
func (s *Service) inTx(ctx context.Context, access identity.Access, fn func(ctx, inTenant context.Context) error) error {
	// The transaction names its tenants itself.
	return s.tx.InSystemTx(tenant.NewContext(ctx, tenant.Schema{}), func(ctx context.Context) error {
		return fn(ctx, tenant.NewContext(ctx, access.Tenant.Schema))
	})
}

// Authenticate returns the session that a token stands for. Whether its tenant is
// the one that is asked for, and what the key's maker is there, decides
// [identity.Service.Enter]. Errors: [ErrInvalidToken].
func (s *Service) Authenticate(ctx context.Context, text string) (identity.Session, error) {
	token, err := ParseToken(text)
	if err != nil {
		return identity.Session{}, err
	}
	entry, err := s.index.Find(ctx, token.ID())
	switch {
	case fault.Is(err, fault.NotFound):
		return identity.Session{}, ErrInvalidToken
	case err != nil:
		return identity.Session{}, fault.Wrap("authenticate API key", err)
	}
	hash, now := token.hash(), s.now()
	if subtle.ConstantTimeCompare(hash[:], entry.Hash[:]) != 1 || !now.Before(entry.ExpiresAt) {
		return identity.Session{}, ErrInvalidToken
	}
	if now.Sub(entry.LastUsedAt) >= usedInterval {
		// It must not stand in the way of what the program came for.
		if err := s.index.Touch(ctx, entry.ID, now); err != nil {
			s.log.WarnContext(ctx, "the use of an API key is not written", "key", entry.ID, "error", err)
		}
	}
	return identity.Session{
		AccountID: entry.AccountID, IssuedAt: entry.CreatedAt, ExpiresAt: entry.ExpiresAt,
		Key: &identity.Key{ID: entry.ID, TenantID: entry.TenantID, Permissions: entry.Permissions, CreatedAt: entry.CreatedAt},
	}, nil
}
