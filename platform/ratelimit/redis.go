package ratelimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is where limiters of several processes count together. A nil Redis counts
// nothing. It is safe for concurrent use.
type Redis struct {
	client  *redis.Client
	timeout time.Duration
	logger  *slog.Logger

	opened    time.Time
	retryAt   atomic.Int64 // when it is asked again, as [Redis.elapsed] has it; 0 while it answers
	fallbacks atomic.Int64
}

const (
	// redisTimeout is how long a request waits for a count, unless the URL says
	// otherwise. A limit is not worth more than that.
	redisTimeout = 100 * time.Millisecond
	// redisPause is how long nobody asks a server that did not answer.
	redisPause = time.Second
)

// OpenRedis returns a Redis at a redis:// or rediss:// URL, in which read_timeout is
// how long a request waits for a count; 100 ms by default. It connects to nothing
// yet. An error does not have the URL, which may hold a password.
func OpenRedis(url string, logger *slog.Logger) (*Redis, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("ratelimit: the URL of Redis is not valid")
	}
	options.ClientName = "tenon"
	options.MaxRetries = -1 // a request has better things to do than to wait for the next try
	options.ContextTimeoutEnabled = true
	timeout := options.ReadTimeout
	if timeout <= 0 {
		timeout = redisTimeout
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = timeout, timeout, timeout, timeout
	options.DialerRetries = 1
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(silence{}) // what matters comes back as an error
	return &Redis{client: redis.NewClient(options), timeout: timeout, logger: logger, opened: time.Now()}, nil
}

// silence is a log for the library, which has one for all clients.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Close gives the connections back.
func (r *Redis) Close() error { return r.client.Close() }

// Shared reports whether Redis answered when it was last asked, so that limits are
// those of all processes together.
func (r *Redis) Shared() bool { return r.retryAt.Load() == 0 }

// Fallbacks returns how many requests were counted in this process alone.
func (r *Redis) Fallbacks() int64 { return r.fallbacks.Load() }

//go:embed window.lua
var windowSource string

// window looks and counts in one step. go-redis sends its hash, and the whole of it
// once the server does not know it.
var window = redis.NewScript(windowSource)

// take counts a request of key; ok is false when the caller has to count by itself.
func (r *Redis) take(ctx context.Context, name, key string, limit int) (v verdict, ok bool) {
	if r == nil {
		return verdict{}, false
	}
	retryAt := r.retryAt.Load()
	now := r.elapsed()
	// Of those who come when the pause is over, one tries.
	if retryAt != 0 && (now < retryAt || !r.retryAt.CompareAndSwap(retryAt, now+int64(redisPause))) {
		r.fallbacks.Add(1)
		return verdict{}, false
	}
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answer, err := window.Run(limited, r.client, []string{"tenon:limit:" + name + ":" + key}, limit, Window.Milliseconds()).Int64Slice()
	if err == nil && len(answer) != 3 {
		err = fmt.Errorf("an answer of %d values", len(answer))
	}
	if err != nil {
		r.fallbacks.Add(1)
		// That a client has gone says nothing of the server.
		if ctx.Err() == nil {
			r.failed(ctx, err)
		}
		return verdict{}, false
	}
	if retryAt != 0 && r.retryAt.Swap(0) != 0 {
		r.logger.InfoContext(ctx, "Redis answers again: limits are shared by all processes")
	}
	return verdict{allowed: answer[0] == 1, remaining: int(answer[1]), reset: time.Duration(answer[2]) * time.Millisecond}, true
}

// elapsed is a time in nanoseconds that goes on whatever the machine's clock is set
// to: set back, it would keep Redis from being asked for as long.
func (r *Redis) elapsed() int64 { return int64(time.Since(r.opened)) }

// failed raises the alarm, once for each time that Redis goes away.
func (r *Redis) failed(ctx context.Context, err error) {
	if r.retryAt.Swap(r.elapsed()+int64(redisPause)) == 0 {
		r.logger.ErrorContext(ctx, "Redis does not answer: until it does, each process has limits of its own", "error", err)
	}
}
