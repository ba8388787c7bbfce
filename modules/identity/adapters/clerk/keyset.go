package clerk

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"golang.org/x/sync/singleflight"
)

// Limits of the key cache. They are not settings: each is a security property.
const (
	// keyTTL is how long a key is trusted without asking again, and so how
	// long one stays trusted that was removed at Clerk. Nothing extends it.
	keyTTL = 5 * time.Minute
	// keyStale is how long known keys are still trusted, counted from the last
	// answer, when Clerk does not answer.
	keyStale = time.Hour
	// keyPause lies between two requests for keys while some are known, so
	// that tokens with invented key ids cannot make us flood Clerk.
	keyPause = 30 * time.Second
	// keyRetry is that pause while no key was ever loaded.
	keyRetry = time.Second
	// keyTimeout bounds one request for keys.
	keyTimeout = 5 * time.Second
)

var errKeyUnknown = errors.New("no key has the token's key id")

// keyset is a cache of the instance's public keys. It is safe for concurrent
// use.
type keyset struct {
	client *jwks.Client
	now    func() time.Time

	flight singleflight.Group

	mu        sync.RWMutex
	keys      map[string]*clerk.JSONWebKey
	loadedAt  time.Time // of the last answer
	attempted time.Time // start of the last request
	failure   error     // of the last request
}

func newKeyset(backend clerk.Backend, now func() time.Time) *keyset {
	return &keyset{client: &jwks.Client{Backend: backend}, now: now}
}

// get returns the key called id. It fails with errKeyUnknown when Clerk has no
// such key as far as is known, and with another error when Clerk could not be
// asked.
func (s *keyset) get(ctx context.Context, id string) (*clerk.JSONWebKey, error) {
	if key, done, err := s.lookup(id); done {
		return key, err
	}
	// The request serves everybody who waits for it, so it outlives whoever
	// happened to be first.
	loaded := s.flight.DoChan("", func() (any, error) {
		if _, done, _ := s.lookup(id); !done { // somebody may have loaded meanwhile
			s.load(context.WithoutCancel(ctx))
		}
		return nil, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-loaded:
	}
	key, _, err := s.lookup(id)
	return key, err
}

// lookup answers from what is known; done is false when Clerk has to be asked
// first.
func (s *keyset) lookup(id string) (key *clerk.JSONWebKey, done bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	age := now.Sub(s.loadedAt)
	key = s.keys[id]
	if key != nil && age < keyTTL {
		return key, true, nil
	}
	pause := keyPause
	if s.keys == nil {
		pause = keyRetry
	}
	done = !s.attempted.IsZero() && now.Sub(s.attempted) < pause
	switch {
	case s.failure == nil && key == nil:
		return nil, done, errKeyUnknown
	case s.failure == nil: // known, and so long ago that it must be asked again
		return nil, false, errKeyUnknown
	case key != nil && age < keyStale:
		return key, done, nil
	}
	return nil, done, s.failure
}

func (s *keyset) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	started := s.now()
	set, err := s.client.Get(ctx, &jwks.GetParams{})
	var keys map[string]*clerk.JSONWebKey
	if err == nil {
		keys, err = usableKeys(set)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempted = started
	if err != nil {
		s.failure = fmt.Errorf("load the signing keys: %w", err)
		return
	}
	s.keys, s.loadedAt, s.failure = keys, started, nil
}

// usableKeys returns the set's RSA signature keys by id. Anything else is left
// out: a symmetric key in the set would let a token pick its own algorithm.
func usableKeys(set *clerk.JSONWebKeySet) (map[string]*clerk.JSONWebKey, error) {
	keys := make(map[string]*clerk.JSONWebKey, len(set.Keys))
	for _, key := range set.Keys {
		if key == nil || key.KeyID == "" || key.Use != "sig" && key.Use != "" {
			continue
		}
		if _, ok := key.Key.(*rsa.PublicKey); !ok {
			continue
		}
		if key.Algorithm == "" {
			key.Algorithm = "RS256"
		}
		keys[key.KeyID] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set holds no RSA signature key")
	}
	return keys, nil
}
