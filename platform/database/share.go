package database

import (
	"context"
	"sync"

	"github.com/tenonhq/tenon/platform/tenant"
)

// shares bound how many connections one tenant's statements hold at once, so that a
// tenant with a hundred slow requests leaves connections for the others. What is
// beyond its share waits in front of the pool, no longer than its context.
type shares struct {
	size int // 0 is no bound

	mu    sync.Mutex
	taken map[tenant.Schema]*share // of tenants that hold or wait for a connection
}

// newShares lets a tenant have what cfg says, and no more than half of a group's
// connections where there are groups, lest it takes all that its neighbours have.
func newShares(cfg Config) *shares {
	size := cfg.MaxTenantConns
	if half := max(cfg.MaxOpenConns/cfg.TenantGroups/2, 1); cfg.TenantGroups > 1 && (size == 0 || size > half) {
		size = half
	}
	return &shares{size: size, taken: map[tenant.Schema]*share{}}
}

type share struct {
	slots chan struct{}
	users int // who holds a slot or waits for one
}

// lease is a part of a tenant's share, given back once.
type lease struct{ release func() }

type leaseKey struct{}

// leaseFrom returns what ctx's statement holds; nil for nothing.
func leaseFrom(ctx context.Context) *lease {
	l, _ := ctx.Value(leaseKey{}).(*lease)
	return l
}

// end gives the lease back. It is safe on nil, and to call again.
func (l *lease) end() {
	if l != nil {
		l.release()
	}
}

// take waits for a part of the share of the tenant that a statement or transaction
// of the scope is for, and returns a context that carries it. When ctx ends first
// nothing is held, and whatever is done with the context fails by that.
func (s *shares) take(ctx context.Context, scope scope) (context.Context, *lease) {
	schema, ok := tenant.FromContext(ctx)
	if s.size == 0 || scope != tenantScope || !ok {
		return ctx, nil
	}
	mine := s.enter(schema)
	select {
	case mine.slots <- struct{}{}:
	case <-ctx.Done():
		s.leave(schema, mine)
		return ctx, nil
	}
	l := &lease{release: sync.OnceFunc(func() {
		<-mine.slots
		s.leave(schema, mine)
	})}
	return context.WithValue(ctx, leaseKey{}, l), l
}

func (s *shares) enter(schema tenant.Schema) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := s.taken[schema]
	if mine == nil {
		mine = &share{slots: make(chan struct{}, s.size)}
		s.taken[schema] = mine
	}
	mine.users++
	return mine
}

func (s *shares) leave(schema tenant.Schema, mine *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(s.taken, schema)
	}
}
