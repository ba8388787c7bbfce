package clerkdev

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// arrival is one webhook as the application got it.
type arrival struct {
	id string
	at time.Duration // since the start
}

// application takes webhooks without a network, so that time can be synctest's.
// Its answers are 200 unless respond says otherwise.
type application struct {
	began time.Time

	mu       sync.Mutex
	arrivals []arrival
	respond  func(attempt int, id string) (status int, err error)
}

func (a *application) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id := r.Header.Get("svix-id")
	a.arrivals = append(a.arrivals, arrival{id, time.Since(a.began)})
	status := http.StatusOK
	if a.respond != nil {
		attempt := 0
		for _, before := range a.arrivals {
			if before.id == id {
				attempt++
			}
		}
		var err error
		if status, err = a.respond(attempt, id); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: r,
		Header: http.Header{"Location": {"http://localhost:3000/elsewhere"}}, Body: io.NopCloser(strings.NewReader("")),
	}, nil
}

// take returns what arrived since it was last called.
func (a *application) take() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.arrivals
	a.arrivals = nil
	return taken
}

func (a *application) takeIDs() (ids []string) {
	for _, arrived := range a.take() {
		ids = append(ids, arrived.id)
	}
	return ids
}

func (a *application) responds(respond func(attempt int, id string) (int, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.respond = respond
}

// dispatching is an emulator that runs, within a synctest bubble.
func dispatching(t *testing.T, cfg Config) (*Emulator, *application) {
	cfg.PublicURL, cfg.WebhookURL = "http://localhost:3000", "http://localhost:3000/hook"
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := &application{began: time.Now()}
	e.delivery.client.Transport = a
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return e, a
}

// happen makes n events and returns their ids.
func happen(t *testing.T, e *Emulator, n int) (ids []string) {
	t.Helper()
	known := len(e.Events())
	err := e.update(sender{}, func(t *tx) error {
		for range n {
			if err := t.emit("user.updated", struct{}{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range e.Events()[known:] {
		ids = append(ids, event.ID)
	}
	return ids
}

func TestDeliveryIsImmediateAndInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, a := dispatching(t, Config{})
		want := happen(t, e, 20)
		synctest.Wait() // no time passes
		if got := a.takeIDs(); !slices.Equal(got, want) || time.Since(a.began) != 0 {
			t.Errorf("%v arrived after %v, want %v", got, time.Since(a.began), want)
		}
		for _, event := range e.Events() {
			if !event.Delivered() || event.Attempts != 1 {
				t.Errorf("%+v", event)
			}
		}
	})
}

// TestRetries holds that an event is sent until it is accepted, less and less
// often, under the same id, and that it holds up no other.
func TestRetries(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]func() (int, error){
		"an error":       func() (int, error) { return http.StatusInternalServerError, nil },
		"a refusal":      func() (int, error) { return http.StatusBadRequest, nil },
		"a redirect":     func() (int, error) { return http.StatusFound, nil },
		"no application": func() (int, error) { return 0, errors.New("connection refused") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e, a := dispatching(t, Config{})
				e.SetDelivery(Delivery{Hold: true})
				ids := happen(t, e, 2)
				a.responds(func(attempt int, id string) (int, error) {
					if id == ids[0] && attempt <= 10 {
						return failure()
					}
					return http.StatusOK, nil
				})
				e.SetDelivery(Delivery{})
				synctest.Wait()
				if event := e.Events()[0]; event.Delivered() || event.LastError == "" {
					t.Errorf("%+v", event)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if event := e.Events()[0]; !event.Delivered() || event.LastError != "" || event.Attempts != 11 {
					t.Errorf("%+v", event)
				}
				arrivals := a.take()
				if len(arrivals) != 12 || arrivals[1].id != ids[1] {
					t.Fatalf("%v arrived of %v", arrivals, ids)
				}
				attempts := slices.Delete(arrivals, 1, 2)
				var waits []time.Duration
				for n := 1; n < len(attempts); n++ {
					waits = append(waits, attempts[n].at-attempts[n-1].at)
				}
				if !slices.IsSorted(waits) || waits[0] != firstRetry || waits[len(waits)-1] != longestRetry {
					t.Errorf("it was sent again after %v", waits)
				}
			})
		})
	}
}

func TestDeliverySwitches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, a := dispatching(t, Config{})

		e.SetDelivery(Delivery{Duplicate: true})
		ids := happen(t, e, 2)
		synctest.Wait()
		if got, want := a.takeIDs(), []string{ids[0], ids[0], ids[1], ids[1]}; !slices.Equal(got, want) {
			t.Errorf("duplicated: %v, want %v", got, want)
		}

		e.SetDelivery(Delivery{Hold: true})
		ids = happen(t, e, 100)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := a.take(); len(got) != 0 {
			t.Errorf("%d events arrive while all are held back", len(got))
		}
		e.SetDelivery(Delivery{Shuffle: true})
		synctest.Wait()
		got := a.takeIDs()
		if slices.Equal(got, ids) {
			t.Error("a hundred events keep their order by chance")
		}
		slices.Sort(got)
		slices.Sort(ids)
		if !slices.Equal(got, ids) {
			t.Error("not every event arrives once")
		}

		e.SetDelivery(Delivery{Delay: 10 * time.Second})
		began := time.Since(a.began)
		ids = happen(t, e, 1)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := a.take(); len(got) != 0 {
			t.Errorf("an event comes early: %v", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		// The instance's clock ticks in milliseconds.
		if late := a.take(); len(late) != 1 || late[0].id != ids[0] || (late[0].at-began-10*time.Second).Abs() > time.Millisecond {
			t.Errorf("%v, want one after 10 seconds", late)
		}
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, a := dispatching(t, Config{})
		ids := happen(t, e, 3)
		synctest.Wait()
		a.take()

		again := func(how Delivery, ids ...string) []string {
			t.Helper()
			if err := e.Replay(how, ids...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return a.takeIDs()
		}
		if got, want := again(Delivery{}, ids[2], ids[0]), []string{ids[2], ids[0]}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if got, want := again(Delivery{Duplicate: true}, ids[1]), []string{ids[1], ids[1]}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if got := again(Delivery{Shuffle: true}, ids...); len(got) != 3 {
			t.Errorf("%v", got)
		}
		if got := again(Delivery{Delay: time.Minute}, ids[0]); len(got) != 0 {
			t.Errorf("%v comes at once", got)
		}
		later := happen(t, e, 1)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, want := a.takeIDs(), []string{later[0], ids[0]}; !slices.Equal(got, want) {
			t.Errorf("%v, want the new one to overtake: %v", got, want)
		}
		for name, err := range map[string]error{"unknown": e.Replay(Delivery{}, ids[0], "msg_unknown"), "held": e.Replay(Delivery{Hold: true}, ids[0])} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		synctest.Wait()
		if got := a.takeIDs(); len(got) != 0 {
			t.Errorf("%v is sent by what was refused", got)
		}
		// An event that is asked for while it is on its way is sent once more.
		a.responds(func(attempt int, id string) (int, error) {
			if attempt == 1 {
				if err := e.Resend(id); err != nil {
					t.Error(err)
				}
			}
			return http.StatusOK, nil
		})
		if got, want := again(Delivery{}, ids[0]), []string{ids[0], ids[0]}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// TestDeliveriesAreSaved holds that what was delivered is not sent again by the
// next process, though nothing else changed, and that what was not, is.
func TestDeliveriesAreSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "clerk.json")
		e, a := dispatching(t, Config{StateFile: file})
		happen(t, e, keptEvents+50)
		synctest.Wait()
		e.SetDelivery(Delivery{Hold: true})
		bad := happen(t, e, 1)[0]
		a.responds(func(_ int, id string) (int, error) {
			if id == bad {
				return http.StatusServiceUnavailable, nil
			}
			return http.StatusOK, nil
		})
		e.SetDelivery(Delivery{})
		time.Sleep(time.Minute)
		synctest.Wait()
		// As after a kill: what is in the file and nothing else.
		next, err := New(Config{PublicURL: "http://localhost:3000", StateFile: file})
		if err != nil {
			t.Fatal(err)
		}
		var waiting []string
		for _, event := range next.Events() {
			if !event.Delivered() {
				waiting = append(waiting, event.ID)
			}
		}
		if !slices.Equal(waiting, []string{bad}) || len(next.Events()) != keptEvents+1 {
			t.Errorf("%v of %d events wait", waiting, len(next.Events()))
		}
	})
}
