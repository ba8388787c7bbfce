// Package parallel does several things of one caller at once, without what goes
// statements cost: a panic in a goroutine of its own ends the process, whoever would
// have recovered from it in the caller.
package parallel

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/platform/fault"
)

// Do calls every function at once and waits for all of them. The first error ends the
// context of the others and is returned. A panic of one is an error to the others, and
// then a panic of Do itself, with a [*fault.Panic].
func Do(ctx context.Context, functions ...func(ctx context.Context) error) error {
	return Each(ctx, len(functions), functions, func(ctx context.Context, function func(context.Context) error) error {
		return function(ctx)
	})
}

// Each calls fn with every item, at most limit at once, and is otherwise as [Do]. Once
// the context has ended, items that fn was not called with are left.
func Each[T any](ctx context.Context, limit int, items []T, fn func(ctx context.Context, item T) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(max(limit, 1))
	left := false
	for _, item := range items {
		if left = working.Err() != nil; left {
			break
		}
		group.Go(func() error { return fault.Recovered(func() error { return fn(working, item) }) })
	}
	err := group.Wait()
	if panicked, ok := err.(*fault.Panic); ok { //nolint:errorlint // one that was returned is an error
		panic(panicked)
	}
	if err == nil && left {
		err = context.Cause(ctx)
	}
	return err
}
