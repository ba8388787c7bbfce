package clerkdev

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
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
	// Delay is how old an event is when it is first sent.
	Delay time.Duration
}

// dispatcher delivers the events of one instance.
type dispatcher struct {
	client *http.Client
	waker  chan struct{}

	mu       sync.Mutex
	delivery Delivery
	retryAt  map[string]time.Time // by event id, of those that failed
}

func newDispatcher() dispatcher {
	return dispatcher{
		client:  &http.Client{Timeout: 15 * time.Second}, // Svix waits as long
		waker:   make(chan struct{}, 1),
		retryAt: map[string]time.Time{},
	}
}

// SetDelivery changes how events are delivered from now on.
func (e *Emulator) SetDelivery(delivery Delivery) {
	e.delivery.mu.Lock()
	e.delivery.delivery = delivery
	e.delivery.mu.Unlock()
	e.wake()
}

// wake makes Run look at what waits. It never blocks.
func (e *Emulator) wake() {
	select {
	case e.delivery.waker <- struct{}{}:
	default:
	}
}

// The first wait before an event is sent again, and the longest. Svix' own
// schedule reaches from seconds to hours; here somebody is watching.
const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 5 * time.Second
)

// Run delivers events until ctx ends, and then saves what was delivered. Without
// a webhook URL it only waits.
func (e *Emulator) Run(ctx context.Context) error {
	for {
		next := e.deliverDue(ctx)
		if ctx.Err() != nil {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.save()
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-e.delivery.waker:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// deliverDue sends what is due and returns how long nothing will be.
func (e *Emulator) deliverDue(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		event, wait := e.nextEvent()
		if event == nil {
			return wait
		}
		repeat := 1
		e.delivery.mu.Lock()
		if e.delivery.delivery.Duplicate {
			repeat = 2
		}
		e.delivery.mu.Unlock()
		for range repeat {
			e.record(event, e.send(ctx, event))
		}
	}
	return 0
}

// nextEvent returns a copy of an event that is due, or how long to wait.
func (e *Emulator) nextEvent() (*Event, time.Duration) {
	const idle = time.Hour
	e.delivery.mu.Lock()
	defer e.delivery.mu.Unlock()
	delivery := e.delivery.delivery
	if e.webhookURL == "" || delivery.Hold {
		return nil, idle
	}
	now, wait := time.Now(), idle
	var due []Event
	e.view(func(s *state) {
		for _, event := range s.Events {
			if event.Delivered() {
				continue
			}
			at := time.UnixMilli(event.CreatedAt).Add(delivery.Delay)
			if delivery.Delay == 0 {
				at = now // the instance's clock may run ahead
			}
			if retry := e.delivery.retryAt[event.ID]; retry.After(at) {
				at = retry
			}
			if at.After(now) {
				wait = min(wait, at.Sub(now))
				continue
			}
			if due = append(due, *event); !delivery.Shuffle {
				return
			}
		}
	})
	if len(due) == 0 {
		return nil, wait
	}
	return &due[rand.N(len(due))], 0
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

// record notes how an attempt went. It is saved with the next change, or when
// Run ends: after a crash in between an event is delivered once more, as with
// any at-least-once delivery.
func (e *Emulator) record(event *Event, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	attempts := 0
	for i, known := range e.state.Events {
		if known.ID != event.ID {
			continue
		}
		changed := *known
		changed.Attempts++
		changed.LastError = ""
		if err == nil {
			changed.DeliveredAt = time.Now().UnixMilli()
		} else if !changed.Delivered() {
			changed.LastError = err.Error()
		}
		e.state.Events[i], attempts = &changed, changed.Attempts
	}
	e.delivery.mu.Lock()
	defer e.delivery.mu.Unlock()
	if err == nil {
		delete(e.delivery.retryAt, event.ID)
		return
	}
	wait := min(firstRetry<<min(attempts-1, 10), longestRetry)
	e.delivery.retryAt[event.ID] = time.Now().Add(wait)
	e.logger.Warn("a webhook was not accepted and will be sent again", "event", event.ID, "type", event.Type, "attempt", attempts, "wait", wait, "error", err)
}
