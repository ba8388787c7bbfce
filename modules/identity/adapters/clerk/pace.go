package clerk

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"golang.org/x/time/rate"
)

// DefaultRate is how many calls a second leave as many to the requests of people:
// Clerk allows 1,000 in 10 seconds to an instance in production.
const DefaultRate = 50

// maxRetries is how often in a row a paced call is made again.
const maxRetries = 8

// Pace returns a backend that makes at most perSecond calls in a second, and for
// as long as Clerk asks to wait, none. A call that Clerk had no time for is made
// again, and so is one that only reads and failed at Clerk, with pauses that
// double from a second.
func Pace(backend clerk.Backend, perSecond int) clerk.Backend {
	return &pacedBackend{backend: backend, limiter: rate.NewLimiter(rate.Limit(perSecond), 1)}
}

type pacedBackend struct {
	backend clerk.Backend
	limiter *rate.Limiter

	mu     sync.Mutex
	paused time.Time // no call before
}

// Call implements [clerk.Backend].
func (b *pacedBackend) Call(ctx context.Context, request *clerk.APIRequest, into clerk.ResponseReader) error {
	for attempt := 0; ; attempt++ {
		if err := b.wait(ctx); err != nil {
			return err
		}
		err := b.backend.Call(ctx, request, into)
		if err == nil || ctx.Err() != nil || attempt == maxRetries {
			return err
		}
		var pause time.Duration
		answer, answered := errors.AsType[*clerk.APIErrorResponse](err)
		switch {
		case answered && answer.HTTPStatusCode == http.StatusTooManyRequests:
			b.pause(time.Now().Add(retryAfter(answer)))
			continue
		case request.Method == http.MethodGet && (!answered || answer.HTTPStatusCode >= http.StatusInternalServerError):
			pause = min(time.Second<<attempt, 15*time.Second)
		default:
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// pause lets nobody make a call until a time.
func (b *pacedBackend) pause(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until.After(b.paused) {
		b.paused = until
	}
}

// wait returns when a call may be made.
func (b *pacedBackend) wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		pause := time.Until(b.paused)
		b.mu.Unlock()
		if pause <= 0 {
			return b.limiter.Wait(ctx)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
