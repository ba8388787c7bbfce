package clerkdev

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Delivery says how unpleasant the way to the application is. The zero value is
// the best that a network can be.
type Delivery struct {
	// Hold keeps events back until it is taken away again.
	Hold bool
	// Duplicate sends every event twice.
	Duplicate bool
	// Shuffle sends what waits in a random order.
	Shuffle bool
	// Delay is how old an event is when it is sent first.
	Delay time.Duration
}

// dispatcher delivers the events of one instance. Its lock is taken under the
// instance's, never around it.
type dispatcher struct {
	client *http.Client
	waker  chan struct{}

	mu       sync.Mutex
	delivery Delivery
	planned  map[string]plan // by event id, of those that wait for their time
	unsaved  bool            // deliveries that the state file does not know of
}

// plan is when and how often an event is sent next.
type plan struct {
	at    time.Time
	twice bool
}

func newDispatcher() dispatcher {
	return dispatcher{
		client: &http.Client{
			Timeout: 15 * time.Second, // Svix waits as long
			// To Svix a redirect is a failure.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		waker:   make(chan struct{}, 1),
		planned: map[string]plan{},
	}
}

// SetDelivery changes how events are delivered from now on.
func (e *Emulator) SetDelivery(delivery Delivery) {
	e.delivery.mu.Lock()
	e.delivery.delivery = delivery
	e.delivery.mu.Unlock()
	e.wake()
}

// Delivery returns what [Emulator.SetDelivery] set.
func (e *Emulator) Delivery() Delivery {
	e.delivery.mu.Lock()
	defer e.delivery.mu.Unlock()
	return e.delivery.delivery
}

// Resend sends an event again at once, whether it was accepted or not.
func (e *Emulator) Resend(id string) error { return e.Replay(Delivery{}, id) }

// Replay sends events again, whether they were accepted or not, in the order of
// the ids. This once they are delivered as how says, where Delay counts from
// now: a late event is then older than what overtook it. Either all of them are
// sent, or an unknown one is the error and none is.
func (e *Emulator) Replay(how Delivery, ids ...string) error {
	if how.Hold {
		return errValue("hold", "Events that are sent again cannot be held back.")
	}
	return e.update(sender{}, func(t *tx) error {
		places := make([]int, len(ids))
		for n, id := range ids {
			places[n] = slices.IndexFunc(t.Events, func(event *Event) bool { return event.ID == id })
			if places[n] < 0 {
				return errNotFound("event")
			}
		}
		if how.Shuffle {
			rand.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
		}
		e.delivery.mu.Lock()
		defer e.delivery.mu.Unlock()
		at := time.Now().Add(how.Delay)
		for n, place := range places {
			again := *t.Events[place]
			again.DeliveredAt, again.LastError = 0, ""
			t.Events[place] = &again
			// Times that differ by next to nothing are an order, and none of them
			// is still to come when there is no delay.
			e.delivery.planned[again.ID] = plan{at.Add(time.Duration(n - len(places))), how.Duplicate}
		}
		t.emitted = true
		return nil
	})
}

// wake makes Run look at what waits. It never blocks.
func (e *Emulator) wake() {
	select {
	case e.delivery.waker <- struct{}{}:
	default:
	}
}

const (
	// The first wait before an event is sent again, and the longest. Svix' own
	// schedule reaches from seconds to hours; here somebody is watching.
	firstRetry   = 100 * time.Millisecond
	longestRetry = 5 * time.Second
	// saveAfter is how long nothing has to happen before deliveries are saved
	// without a change to save them with.
	saveAfter = time.Second
	idle      = time.Hour
)

// Run delivers events until ctx ends, and then saves what was delivered. Without
// a webhook URL it only waits. An instance has one Run at a time. With it an
// outage ends, so that no server waits for those who wait for an answer.
func (e *Emulator) Run(ctx context.Context) error {
	defer e.outage.set(Outage{})
	for {
		wait := e.deliverDue(ctx)
		if ctx.Err() != nil {
			return e.saveDeliveries()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-e.delivery.waker:
		case <-timer.C:
			if err := e.saveDeliveries(); err != nil {
				e.logger.ErrorContext(ctx, "clerkdev: deliveries are not saved", slog.Any("error", err))
			}
		}
		timer.Stop()
	}
}

func (e *Emulator) saveDeliveries() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.delivery.mu.Lock()
	unsaved := e.delivery.unsaved
	e.delivery.unsaved = false
	e.delivery.mu.Unlock()
	if !unsaved {
		return nil
	}
	return e.save()
}

// deliverDue sends what is due and returns how long there is nothing to do.
func (e *Emulator) deliverDue(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		event, more, wait := e.nextEvent()
		if event == nil {
			return wait
		}
		for range 1 + more {
			err := e.send(ctx, event)
			if err != nil && ctx.Err() != nil {
				return 0 // given up, not failed
			}
			e.record(ctx, event, err)
		}
	}
	return 0
}

// nextEvent returns a copy of the event that is due first and how often to send
// it beyond the one time, or how long there is nothing to do.
func (e *Emulator) nextEvent() (event *Event, more int, wait time.Duration) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	d := &e.delivery
	d.mu.Lock()
	defer d.mu.Unlock()
	wait = idle
	if d.unsaved {
		wait = saveAfter
	}
	if e.webhookURL == "" || d.delivery.Hold {
		return nil, 0, wait
	}
	var first *Event
	var firstAt time.Time
	now, due := time.Now(), 0
	for _, candidate := range e.state.Events {
		if candidate.Delivered() {
			continue
		}
		at := d.planned[candidate.ID].at
		if at.IsZero() && d.delivery.Delay > 0 {
			at = time.UnixMilli(candidate.CreatedAt).Add(d.delivery.Delay)
		}
		if at.After(now) {
			wait = min(wait, at.Sub(now))
			continue
		}
		due++
		switch {
		case d.delivery.Shuffle && rand.N(due) > 0: // so that each is as likely
		case d.delivery.Shuffle, first == nil, at.Before(firstAt):
			first, firstAt = candidate, at
		}
		if at.IsZero() && !d.delivery.Shuffle {
			break // nothing is due before an event that nobody planned
		}
	}
	if first == nil {
		return nil, 0, wait
	}
	if d.delivery.Duplicate || d.planned[first.ID].twice {
		more = 1
	}
	delete(d.planned, first.ID) // so that record sees what is planned meanwhile
	return new(*first), more, 0
}

// send posts an event once.
func (e *Emulator) send(ctx context.Context, event *Event) error {
	signer, err := newSigner(e.WebhookSecret())
	if err != nil {
		return err
	}
	now := time.Now()
	signature, err := signer.Sign(event.ID, now, event.Payload)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.webhookURL, bytes.NewReader(event.Payload))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Svix-Webhooks/1.0 (clerkdev)")
	request.Header.Set("svix-id", event.ID)
	request.Header.Set("svix-timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("svix-signature", signature)
	response, err := e.delivery.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection is used again
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the application answered %s", response.Status)
	}
	return nil
}

// record notes how an attempt went. It is saved with the next change, or soon
// after: after a crash in between an event is delivered once more, as with any
// at-least-once delivery.
func (e *Emulator) record(ctx context.Context, event *Event, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.delivery.mu.Lock()
	defer e.delivery.mu.Unlock()
	at := slices.IndexFunc(e.state.Events, func(known *Event) bool { return known.ID == event.ID })
	if at < 0 {
		return // taken back with a change that could not be saved
	}
	changed := *e.state.Events[at]
	changed.Attempts++
	e.delivery.unsaved = true
	switch {
	case err == nil:
		changed.LastError = ""
		if _, again := e.delivery.planned[event.ID]; !again {
			changed.DeliveredAt = time.Now().UnixMilli()
		}
	case !changed.Delivered():
		changed.LastError = err.Error()
		wait := min(firstRetry<<min(changed.Attempts-1, 10), longestRetry)
		e.delivery.planned[event.ID] = plan{at: time.Now().Add(wait)}
		e.logger.WarnContext(ctx, "a webhook was not accepted and will be sent again",
			slog.String("event", event.ID), slog.String("type", event.Type), slog.Int("attempt", changed.Attempts),
			slog.Duration("wait", wait), slog.Any("error", err))
	}
	e.state.Events[at] = &changed
}
