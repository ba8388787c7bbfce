// Package svix receives Clerk's webhooks, which Svix signs and delivers: at
// least once, in no particular order, and again for a day when the answer is
// not 2xx in time.
package svix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	svixwebhooks "github.com/svix/svix-webhooks/go"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// MaxBodyBytes is the largest event that is accepted. Clerk's are a few KiB.
const MaxBodyBytes = 1 << 20

// maxIDLength bounds a delivery's id. Svix's have 31 characters.
const maxIDLength = 255

// Inbox is where received events wait to be applied.
type Inbox interface {
	// Add stores an event. A repetition changes nothing and returns false.
	Add(ctx context.Context, event identity.InboxEvent) (added bool, err error)
}

// Config is what a webhook endpoint needs.
type Config struct {
	// Secrets are the signing secrets ("whsec_…") that are accepted: the
	// current one and, while it is being replaced, the one before.
	Secrets []string
	Inbox   Inbox
	// Wake tells the worker that an event came; it must not block.
	Wake func()
	// Errors answers refusals.
	Errors *httpserver.ErrorWriter
	Logger *slog.Logger
}

// WebhookHandler stores what Clerk sends and answers before anything is made of
// it. It is safe for concurrent use.
type WebhookHandler struct {
	verifiers []*svixwebhooks.Webhook
	inbox     Inbox
	wake      func()
	errors    *httpserver.ErrorWriter
	log       *slog.Logger
}

// NewWebhookHandler returns the endpoint. It fails without a secret, and for
// one that is malformed, which the error does not repeat.
func NewWebhookHandler(cfg Config) (*WebhookHandler, error) {
	h := &WebhookHandler{inbox: cfg.Inbox, wake: cfg.Wake, errors: cfg.Errors, log: cfg.Logger}
	for n, secret := range cfg.Secrets {
		verifier, err := svixwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, fmt.Errorf("svix: webhook secret %d of %d: want whsec_ and base64", n+1, len(cfg.Secrets))
		}
		h.verifiers = append(h.verifiers, verifier)
	}
	if len(h.verifiers) == 0 {
		return nil, errors.New("svix: no webhook secret")
	}
	return h, nil
}

// ServeHTTP implements [http.Handler]: 200 once the event is stored, or was
// before; 401 for a bad signature or a time more than 5 minutes away; 413 for
// a body over [MaxBodyBytes]; 422 for a signed body that is no event. Nothing
// is stored of what is refused. Types that nobody knows are stored as well.
func (h *WebhookHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event, added, err := h.receive(w, r)
	if err != nil {
		h.errors.Write(w, r, err)
		return
	}
	h.log.InfoContext(r.Context(), "webhook received", "event", event.ID, "type", event.Type, "repeated", !added)
	if added {
		h.wake()
	}
	w.WriteHeader(http.StatusOK)
}

func (h *WebhookHandler) receive(w http.ResponseWriter, r *http.Request) (event identity.InboxEvent, added bool, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return event, false, fault.Newf(fault.TooLarge, "The event is larger than %d bytes.", MaxBodyBytes)
	}
	if err != nil {
		return event, false, fault.Wrap("read webhook", errMalformed.WithCause(err))
	}
	if err := h.verify(body, r.Header); err != nil {
		return event, false, err
	}
	if event, err = eventOf(body, r.Header, time.Now()); err != nil {
		return event, false, err
	}
	added, err = h.inbox.Add(r.Context(), event)
	return event, added, fault.Wrap("receive webhook", err)
}

var (
	errMalformed = fault.New(fault.Invalid, "The event could not be read: want a JSON object with a type, in UTF-8.")
	errSignature = fault.New(fault.Unauthenticated, "The signature is not valid, or it is too old.")
)

// verify reports whether any of the secrets signed the body.
func (h *WebhookHandler) verify(body []byte, header http.Header) error {
	var failures []error
	for _, verifier := range h.verifiers {
		err := verifier.Verify(body, header)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return fault.Wrap("verify webhook", errSignature.WithCause(errors.Join(failures...)))
}

// eventOf reads a body whose signature is good. It refuses whatever the inbox
// could not keep, since Svix would send it again for a day.
func eventOf(body []byte, header http.Header, now time.Time) (identity.InboxEvent, error) {
	envelope, err := clerk.DecodeEnvelope(body)
	if err != nil {
		return identity.InboxEvent{}, fault.Wrap("receive webhook", errMalformed.WithCause(err))
	}
	id := deliveryID(header)
	unprintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(id) > maxIDLength || strings.ContainsFunc(id, unprintable) || !utf8.Valid(body) {
		return identity.InboxEvent{}, fault.Wrap("receive webhook", errMalformed)
	}
	event := identity.InboxEvent{ID: id, Type: envelope.Type, Payload: body, OccurredAt: envelope.OccurredAt, ReceivedAt: now}
	if event.OccurredAt.IsZero() {
		event.OccurredAt = now
	}
	return event, nil
}

// deliveryID returns the id that the signature covers. The library reads the
// names of Standard Webhooks when one of Svix's is missing; a lone svix-id
// beside them was signed by nobody.
func deliveryID(header http.Header) string {
	for _, name := range []string{"svix-id", "svix-timestamp", "svix-signature"} {
		if header.Get(name) == "" {
			return header.Get("webhook-id")
		}
	}
	return header.Get("svix-id")
}
