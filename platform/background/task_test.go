package background_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/platform/background"
)

func TestTask(t *testing.T) {
	t.Parallel()
	ended := false
	task := background.New(slog.New(slog.DiscardHandler), func(ctx context.Context) {
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
	task := background.New(slog.New(slog.DiscardHandler), func(context.Context) { <-release })
	task.Start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := task.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestAPanicIsLogged with where it was, and ends nothing else.
func TestAPanicIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		log := slog.New(slog.NewTextHandler(&logged, nil))
		var began []time.Time
		task := background.New(log, func(ctx context.Context) {
			if began = append(began, time.Now()); len(began) < 3 {
				panic("boom")
			}
			<-ctx.Done()
		})
		task.Start()
		time.Sleep(time.Hour)
		if err := task.Stop(t.Context()); err != nil || len(began) != 3 || began[1].Sub(began[0]) != time.Minute {
			t.Errorf("began at %v, %v", began, err)
		}
		if text := logged.String(); strings.Count(text, "level=ERROR") != 2 || strings.Count(text, "panic: boom") != 2 || !strings.Contains(text, "TestAPanicIsLogged") {
			t.Errorf("the log has %s", text)
		}
		stopped := background.New(log, func(context.Context) { panic("boom") })
		stopped.Start()
		synctest.Wait()
		if err := stopped.Stop(t.Context()); err != nil {
			t.Errorf("while it is left alone: %v", err)
		}
		group := background.NewGroup(log)
		group.Go(func(context.Context) { panic("bang") })
		if err := group.Stop(t.Context()); err != nil || !strings.Contains(logged.String(), "panic: bang") {
			t.Errorf("%v", err)
		}
	})
}

func TestGroup(t *testing.T) {
	t.Parallel()
	group := background.NewGroup(slog.New(slog.DiscardHandler))
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
	stuck := background.NewGroup(slog.New(slog.DiscardHandler))
	release := make(chan struct{})
	defer close(release)
	stuck.Go(func(context.Context) { <-release })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stuck.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
