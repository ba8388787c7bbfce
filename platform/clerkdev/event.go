package clerkdev

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	svix "github.com/svix/svix-webhooks/go"
)

// Event is one webhook, sent or waiting to be.
type Event struct {
	// ID is the delivery's svix-id, the same each time it is sent.
	ID string `json:"id"`
	// Type is such as "organization.created".
	Type string `json:"type"`
	// Payload is the body.
	Payload json.RawMessage `json:"payload"`
	// CreatedAt is when it happened, in milliseconds.
	CreatedAt int64 `json:"created_at"`
	// Attempts is how often it was sent.
	Attempts int `json:"attempts,omitempty"`
	// DeliveredAt is when it was accepted, in milliseconds; 0 while it is to be
	// sent, for the first time or again.
	DeliveredAt int64 `json:"delivered_at,omitempty"`
	// LastError is why the last attempt failed, "" when it did not.
	LastError string `json:"last_error,omitempty"`
}

// Delivered reports whether the application accepted the event.
func (e *Event) Delivered() bool { return e.DeliveredAt != 0 }

// accepted is the time of acceptance, zero before.
func (e *Event) accepted() time.Time {
	if !e.Delivered() {
		return time.Time{}
	}
	return time.UnixMilli(e.DeliveredAt)
}

// times says how often.
func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

// envelope is a webhook's body.
type envelope struct {
	Data            any             `json:"data"`
	EventAttributes eventAttributes `json:"event_attributes"`
	InstanceID      string          `json:"instance_id"`
	Object          string          `json:"object"`
	Timestamp       int64           `json:"timestamp"`
	Type            string          `json:"type"`
}

type eventAttributes struct {
	HTTPRequest struct {
		ClientIP  string `json:"client_ip"`
		UserAgent string `json:"user_agent"`
	} `json:"http_request"`
}

// emit records that something happened. The data is read now: what changes
// later is another event's.
func (t *tx) emit(eventType string, data any) error {
	body := envelope{Data: data, InstanceID: t.InstanceID, Object: "event", Timestamp: t.now, Type: eventType}
	body.EventAttributes.HTTPRequest.ClientIP = t.sender.IP
	body.EventAttributes.HTTPRequest.UserAgent = t.sender.UserAgent
	payload, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("clerkdev: encode %s: %w", eventType, err)
	}
	t.Events = append(t.Events, &Event{ID: newID("msg"), Type: eventType, Payload: payload, CreatedAt: t.now})
	t.emitted = true
	return nil
}

// Events returns what happened, the oldest first.
func (e *Emulator) Events() (events []Event) {
	e.view(func(s *state) {
		for _, event := range s.Events {
			events = append(events, *event)
		}
	})
	return events
}

// newWebhookSecret returns a signing secret as Svix makes them.
func newWebhookSecret() string {
	var raw [24]byte
	rand.Read(raw[:])
	return "whsec_" + base64.StdEncoding.EncodeToString(raw[:])
}

func newSigner(secret string) (*svix.Webhook, error) { return svix.NewWebhook(secret) }
