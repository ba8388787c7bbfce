package clerk_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"

	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
)

// scripted answers calls with statuses in turn, and 200 from then on; a negative
// one is a connection that breaks.
type scripted struct {
	mu         sync.Mutex
	statuses   []int
	retryAfter int
	calls      []time.Time
}

func (s *scripted) Call(context.Context, *sdk.APIRequest, sdk.ResponseReader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, time.Now())
	if len(s.statuses) == 0 {
		return nil
	}
	status := s.statuses[0]
	s.statuses = s.statuses[1:]
	switch {
	case status < 0:
		return errors.New("connection reset")
	case status == http.StatusOK:
		return nil
	}
	header := http.Header{}
	if s.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(s.retryAfter))
	}
	return &sdk.APIErrorResponse{HTTPStatusCode: status, APIResource: sdk.APIResource{Response: &sdk.APIResponse{Header: header}}}
}

func TestPaceKeepsToARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend, began := new(scripted), time.Now()
		paced := clerk.Pace(backend, 50)
		var group sync.WaitGroup
		for range 101 {
			group.Go(func() {
				if err := paced.Call(t.Context(), sdk.NewAPIRequest("GET", "/users"), nil); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if took := time.Since(began).Round(time.Millisecond); took != 2*time.Second || len(backend.calls) != 101 {
			t.Errorf("%d calls in %v", len(backend.calls), took)
		}
	})
}

func TestPaceWaitsAsLongAsClerkAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend, began := &scripted{statuses: []int{429, 429}, retryAfter: 7}, time.Now()
		paced := clerk.Pace(backend, 50)
		// Writes as well: Clerk did nothing.
		if err := paced.Call(t.Context(), sdk.NewAPIRequest("POST", "/users"), nil); err != nil {
			t.Fatal(err)
		}
		var at []time.Duration
		for _, call := range backend.calls {
			at = append(at, call.Sub(began))
		}
		if !slices.Equal(at, []time.Duration{0, 7 * time.Second, 14 * time.Second}) {
			t.Errorf("calls at %v", at)
		}
		// One that is told to wait makes all of them wait.
		backend.statuses, began = []int{429}, time.Now()
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { _ = paced.Call(t.Context(), sdk.NewAPIRequest("GET", "/users"), nil) })
		}
		group.Wait()
		if took := time.Since(began); took < 7*time.Second || len(backend.calls) != 6 {
			t.Errorf("%d calls, %v", len(backend.calls), took)
		}
	})
}

func TestPaceTriesReadsAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method   string
		statuses []int
		calls    int
		fails    bool
	}{
		"away for a while":         {"GET", []int{503, 500, -1, 502}, 5, false},
		"away":                     {"GET", slices.Repeat([]int{503}, 20), 9, true},
		"never has time":           {"GET", slices.Repeat([]int{429}, 20), 9, true},
		"a write that may be done": {"PATCH", []int{503}, 1, true},
		"not there":                {"GET", []int{404}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				backend := &scripted{statuses: test.statuses}
				err := clerk.Pace(backend, 50).Call(t.Context(), sdk.NewAPIRequest(test.method, "/users"), nil)
				if (err != nil) != test.fails || len(backend.calls) != test.calls {
					t.Errorf("%d calls, %v", len(backend.calls), err)
				}
			})
		})
	}
	t.Run("whoever asked went away", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			for _, status := range []int{429, 503} {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				err := clerk.Pace(&scripted{statuses: []int{status}}, 50).Call(ctx, sdk.NewAPIRequest("GET", "/users"), nil)
				if cancel(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%d: %v", status, err)
				}
			}
		})
	})
}
