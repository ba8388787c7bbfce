package background_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenonhq/tenon/platform/background"
)

func TestTask(t *testing.T) {
	t.Parallel()
	ended := false
	task := background.New(func(ctx context.Context) {
		<-ctx.Done()
		ended = true
	})
	task.Start()
	if err := task.Stop(t.Context()); err != nil || !ended {
		t.Errorf("ended: %v, %v", ended, err)
	}
}

func TestATaskThatDoesNotEndIsLeft(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	task := background.New(func(context.Context) { <-release })
	task.Start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := task.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	group := background.NewGroup()
	ended := make(chan struct{}, 2)
	for range 2 {
		group.Go(func(ctx context.Context) {
			<-ctx.Done()
			ended <- struct{}{}
		})
	}
	if err := group.Stop(t.Context()); err != nil || len(ended) != 2 {
		t.Errorf("%d ended, %v", len(ended), err)
	}
	stuck := background.NewGroup()
	release := make(chan struct{})
	defer close(release)
	stuck.Go(func(context.Context) { <-release })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stuck.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
