// Package background runs work beside the requests, from the application's start
// to its end. Where it panics, the log has it and the process goes on.
package background

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// restartPause is how long a [Task] that panicked is left alone: it may well panic
// again.
const restartPause = time.Minute

// Task is one function that runs until it is told to stop. Its methods fit an fx
// lifecycle's start and stop.
type Task struct {
	log    *slog.Logger
	run    func(ctx context.Context)
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a task that is not running. run has to return soon after its
// context ends. After a panic it begins again, a minute later.
func New(log *slog.Logger, run func(ctx context.Context)) *Task {
	return &Task{log: log, run: run, done: make(chan struct{})}
}

// Start begins the work and returns at once. It may be called once.
func (t *Task) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	go func() {
		defer close(t.done)
		for !finished(ctx, t.log, t.run) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(restartPause):
			}
		}
	}()
}

// finished reports whether work came to its end, and logs it when it panicked.
func finished(ctx context.Context, log *slog.Logger, work func(ctx context.Context)) bool {
	err := fault.Recovered(func() error {
		work(ctx)
		return nil
	})
	if err != nil {
		log.ErrorContext(ctx, "work in the background panicked", "error", err)
	}
	return err == nil
}

// Stop tells the work to end and waits for it, no longer than ctx.
func (t *Task) Stop(ctx context.Context) error {
	t.cancel()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Group runs what requests begin and do not wait for.
type Group struct {
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// NewGroup returns a group in which nothing runs.
func NewGroup(log *slog.Logger) *Group {
	g := &Group{log: log}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Go runs work on a context that ends with the group.
func (g *Group) Go(work func(ctx context.Context)) {
	g.wait.Go(func() { finished(g.ctx, g.log, work) })
}

// Stop tells all work to end and waits for it, no longer than ctx.
func (g *Group) Stop(ctx context.Context) error {
	g.cancel()
	done := make(chan struct{})
	go func() {
		g.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
