package parallel_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/parallel"
)

var errFailed = errors.New("failed")

func TestDo(t *testing.T) {
	t.Parallel()
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fails := func(context.Context) error { return errFailed }
	works := func(context.Context) error { return nil }
	for name, test := range map[string]struct {
		functions []func(context.Context) error
		want      error
	}{
		"nothing":                       {nil, nil},
		"all work":                      {[]func(context.Context) error{works, works}, nil},
		"one fails":                     {[]func(context.Context) error{works, fails}, errFailed},
		"one fails and the others wait": {[]func(context.Context) error{waits, fails, waits}, errFailed},
	} {
		if err := parallel.Do(t.Context(), test.functions...); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := parallel.Do(ended, works); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing was done, and that is %v", err)
	}
}

// TestAPanicIsTheCallers and no end of the process, however many there are.
func TestAPanicIsTheCallers(t *testing.T) {
	t.Parallel()
	panics := func(context.Context) error { panic("boom") }
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, functions := range map[string][]func(context.Context) error{
		"one": {panics}, "beside one that waits": {waits, panics}, "two": {panics, panics},
	} {
		func() {
			defer func() {
				panicked, ok := recover().(*fault.Panic)
				if !ok || panicked.Value != "boom" || !strings.Contains(string(panicked.Stack), "TestAPanicIsTheCallers") {
					t.Errorf("%s: %v", name, panicked)
				}
			}()
			err := parallel.Do(t.Context(), functions...)
			t.Errorf("%s: no panic, and %v", name, err)
		}()
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	var running, most, done atomic.Int64
	items := make([]int, 20)
	err := parallel.Each(t.Context(), 3, items, func(context.Context, int) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		done.Add(1)
		return nil
	})
	if err != nil || done.Load() != 20 || most.Load() > 3 {
		t.Errorf("%d done, %d at once, %v", done.Load(), most.Load(), err)
	}
	done.Store(0)
	err = parallel.Each(t.Context(), 1, items, func(context.Context, int) error {
		if done.Add(1) == 5 {
			return errFailed
		}
		return nil
	})
	if !errors.Is(err, errFailed) || done.Load() > 6 {
		t.Errorf("%d done after an error, %v", done.Load(), err)
	}
}
