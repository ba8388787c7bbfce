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
