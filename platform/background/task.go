// Package background runs work beside the requests, from the application's start
// to its end.
package background

import (
	"context"
	"sync"
)

// Task is one function that runs until it is told to stop. Its methods fit an fx
// lifecycle's start and stop.
type Task struct {
	run    func(ctx context.Context)
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a task that is not running. run has to return soon after its
// context ends.
func New(run func(ctx context.Context)) *Task { return &Task{run: run, done: make(chan struct{})} }

// Start begins the work and returns at once. It may be called once.
func (t *Task) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	go func() {
		defer close(t.done)
		t.run(ctx)
	}()
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
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// NewGroup returns a group in which nothing runs.
func NewGroup() *Group {
	g := new(Group)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Go runs work on a context that ends with the group.
func (g *Group) Go(work func(ctx context.Context)) {
	g.wait.Go(func() { work(g.ctx) })
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
