package idempotency

import (
	"context"
	"crypto/rand"
	"sync"
	"time"
)

// Memory keeps keys in the process, for tests of what uses them. Its methods do
// what those of [Store] do.
type Memory struct {
	mu   sync.Mutex
	keys map[keyOf]*kept
}

type keyOf struct{ tenant, account, key string }

type kept struct {
	request   Request
	claim     Claim
	answer    *Answer // nil while the request runs
	expiresAt time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{keys: map[keyOf]*kept{}} }

func keyIn(r Request) keyOf { return keyOf{r.Tenant, r.Account, r.Key} }

// Begin is [Store.Begin].
func (m *Memory) Begin(ctx context.Context, r Request, hold time.Duration) (Claim, *Answer, error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.keys[keyIn(r)]
	switch {
	case found == nil || !time.Now().Before(found.expiresAt):
		claim := Claim(rand.Text())
		m.keys[keyIn(r)] = &kept{request: r, claim: claim, expiresAt: time.Now().Add(hold)}
		return claim, nil, nil
	case found.request.Fingerprint != r.Fingerprint:
		return "", nil, ErrReused
	case found.answer == nil:
		return "", nil, ErrInFlight
	}
	return "", new(*found.answer), nil
}

// Finish is [Store.Finish].
func (m *Memory) Finish(ctx context.Context, r Request, claim Claim, answer Answer, keep time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.keys[keyIn(r)]; found != nil && found.claim == claim {
		found.answer, found.expiresAt = &answer, time.Now().Add(keep)
	}
	return nil
}

// Release is [Store.Release].
func (m *Memory) Release(ctx context.Context, r Request, claim Claim) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.keys[keyIn(r)]; found != nil && found.claim == claim {
		delete(m.keys, keyIn(r))
	}
	return nil
}
