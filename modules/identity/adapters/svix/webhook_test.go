package svix_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	svixwebhooks "github.com/svix/svix-webhooks/go"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/svix"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
)

const (
	currentSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	previousSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	unknownSecret  = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
	body           = `{"type":"organization.created","timestamp":1716883200,"data":{"id":"org_1","private_metadata":{"secret":"hunter2"}}}`
)

// inbox keeps events by id, as the real one does.
type inbox struct {
	mu     sync.Mutex
	events map[string]identity.InboxEvent
	err    error
}

func (i *inbox) Add(_ context.Context, event identity.InboxEvent) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return false, i.err
	}
	if _, ok := i.events[event.ID]; ok {
		return false, nil
	}
	i.events[event.ID] = event
	return true, nil
}

type endpoint struct {
	http.Handler

	inbox *inbox
	wakes int
	log   bytes.Buffer
}

func newEndpoint(tb testing.TB) *endpoint {
	tb.Helper()
	e := &endpoint{inbox: &inbox{events: map[string]identity.InboxEvent{}}}
	logger := slog.New(slog.NewTextHandler(&e.log, nil))
	handler, err := svix.NewWebhookHandler(svix.Config{
		Secrets: []string{currentSecret, previousSecret},
		Inbox:   e.inbox,
		Wake:    func() { e.wakes++ },
		Errors:  &httpserver.ErrorWriter{Logger: logger},
		Logger:  logger,
	})
	if err != nil {
		tb.Fatal(err)
	}
	e.Handler = handler
	return e
}

func sign(tb testing.TB, secret, id string, at time.Time, body string) http.Header {
	tb.Helper()
	signer, err := svixwebhooks.NewWebhook(secret)
	if err != nil {
		tb.Fatal(err)
	}
	signature, err := signer.Sign(id, at, []byte(body))
	if err != nil {
		tb.Fatal(err)
	}
	return http.Header{
		"Svix-Id": {id}, "Svix-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Svix-Signature": {signature},
	}
}

func (e *endpoint) post(header http.Header, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/webhooks/clerk", body)
	r.Header = header
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func TestStoresWhatIsSigned(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		secret, body, wantType string
		occurredAt             time.Time
	}{
		"current secret":            {currentSecret, body, "organization.created", time.Unix(1716883200, 0)},
		"previous secret":           {previousSecret, body, "organization.created", time.Unix(1716883200, 0)},
		"timestamp in milliseconds": {currentSecret, `{"type":"user.deleted","timestamp":1716883200123,"data":{}}`, "user.deleted", time.UnixMilli(1716883200123)},
		"unknown type":              {currentSecret, `{"type":"waitlistEntry.invented","data":null}`, "waitlistEntry.invented", time.Time{}},
		"just below the size limit": {currentSecret, `{"type":"x","timestamp":1716883200,"data":"` + strings.Repeat("a", svix.MaxBodyBytes-60) + `"}`, "x", time.Unix(1716883200, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			w := e.post(sign(t, test.secret, "msg_1", time.Now(), test.body), strings.NewReader(test.body))
			if w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			event := e.inbox.events["msg_1"]
			if event.Type != test.wantType || string(event.Payload) != test.body {
				t.Errorf("stored %q, %d bytes", event.Type, len(event.Payload))
			}
			if !test.occurredAt.IsZero() && !event.OccurredAt.Equal(test.occurredAt) {
				t.Errorf("occurred at %s, want %s", event.OccurredAt, test.occurredAt)
			}
			if event.OccurredAt.IsZero() || event.ReceivedAt.IsZero() {
				t.Errorf("times %s and %s", event.OccurredAt, event.ReceivedAt)
			}
			if e.wakes != 1 {
				t.Errorf("woke the worker %d times", e.wakes)
			}
		})
	}
}

func TestARepetitionIsAnsweredAndStoredOnce(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	for range 3 {
		if w := e.post(sign(t, currentSecret, "msg_1", time.Now(), body), strings.NewReader(body)); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if len(e.inbox.events) != 1 || e.wakes != 1 {
		t.Errorf("%d events, %d wakes", len(e.inbox.events), e.wakes)
	}
}

func TestRefusesWithoutATrace(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tampered := strings.Replace(body, "org_1", "org_2", 1)
	oversized := `{"type":"x","data":"` + strings.Repeat("a", svix.MaxBodyBytes) + `"}`
	for name, test := range map[string]struct {
		header http.Header
		body   string
		want   int
	}{
		"no signature":        {http.Header{}, body, http.StatusUnauthorized},
		"unknown secret":      {sign(t, unknownSecret, "msg_1", now, body), body, http.StatusUnauthorized},
		"changed body":        {sign(t, currentSecret, "msg_1", now, body), tampered, http.StatusUnauthorized},
		"too old":             {sign(t, currentSecret, "msg_1", now.Add(-6*time.Minute), body), body, http.StatusUnauthorized},
		"from the future":     {sign(t, currentSecret, "msg_1", now.Add(6*time.Minute), body), body, http.StatusUnauthorized},
		"too large":           {sign(t, currentSecret, "msg_1", now, oversized), oversized, http.StatusRequestEntityTooLarge},
		"signed, no JSON":     {sign(t, currentSecret, "msg_1", now, "{"), "{", http.StatusUnprocessableEntity},
		"signed, empty":       {sign(t, currentSecret, "msg_1", now, ""), "", http.StatusUnprocessableEntity},
		"signed, no object":   {sign(t, currentSecret, "msg_1", now, "[]"), "[]", http.StatusUnprocessableEntity},
		"signed, no type":     {sign(t, currentSecret, "msg_1", now, `{"data":{}}`), `{"data":{}}`, http.StatusUnprocessableEntity},
		"signed, type no key": {sign(t, currentSecret, "msg_1", now, `{"type":"a\u0000b"}`), `{"type":"a\u0000b"}`, http.StatusUnprocessableEntity},
		"signed, year 10000":  {sign(t, currentSecret, "msg_1", now, `{"type":"x","timestamp":253402300800000}`), `{"type":"x","timestamp":253402300800000}`, http.StatusUnprocessableEntity},
		"signed, no UTF-8":    {sign(t, currentSecret, "msg_1", now, "{\"type\":\"x\",\"data\":\"\xff\"}"), "{\"type\":\"x\",\"data\":\"\xff\"}", http.StatusUnprocessableEntity},
		"signed, id too long": {sign(t, currentSecret, strings.Repeat("m", 256), now, body), body, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			w := e.post(test.header, strings.NewReader(test.body))
			if w.Code != test.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, test.want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if len(e.inbox.events) != 0 || e.wakes != 0 {
				t.Errorf("%d events stored, %d wakes", len(e.inbox.events), e.wakes)
			}
			if strings.Contains(e.log.String(), "hunter2") || strings.Contains(w.Body.String(), "hunter2") {
				t.Error("the payload was repeated")
			}
		})
	}
}

func TestAFailingInboxIsAskedAgain(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	e.inbox.err = fault.New(fault.Unavailable, "The database is away.").WithCause(errors.New("connection refused"))
	if w := e.post(sign(t, currentSecret, "msg_1", time.Now(), body), strings.NewReader(body)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d, want 503 so that Svix repeats it", w.Code)
	}
	e.inbox.err = nil
	if w := e.post(sign(t, currentSecret, "msg_1", time.Now(), body), strings.NewReader(body)); w.Code != http.StatusOK {
		t.Errorf("the repetition: %d", w.Code)
	}
}

func TestABodyThatBreaksOffIsNotStored(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	broken := io.MultiReader(strings.NewReader(body[:20]), iotest.ErrReader(io.ErrUnexpectedEOF))
	if w := e.post(sign(t, currentSecret, "msg_1", time.Now(), body), broken); w.Code == http.StatusOK || len(e.inbox.events) != 0 {
		t.Errorf("%d, %d events", w.Code, len(e.inbox.events))
	}
}

func TestToleranceIsFiveMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		header := sign(t, currentSecret, "msg_1", time.Now(), body)
		time.Sleep(5 * time.Minute)
		if w := e.post(header, strings.NewReader(body)); w.Code != http.StatusOK {
			t.Errorf("after five minutes: %d", w.Code)
		}
		time.Sleep(time.Second)
		if w := e.post(header, strings.NewReader(body)); w.Code != http.StatusUnauthorized {
			t.Errorf("after that, a replay: %d", w.Code)
		}
	})
}

func TestSecretsAreChecked(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]string{nil, {""}, {currentSecret, "whsec_%%%"}} {
		_, err := svix.NewWebhookHandler(svix.Config{Secrets: secrets})
		if err == nil {
			t.Errorf("%d secrets were accepted", len(secrets))
			continue
		}
		if strings.Contains(err.Error(), "%%%") || strings.Contains(err.Error(), currentSecret) {
			t.Error("the error repeats a secret")
		}
	}
}

// TestStandardWebhooksVector checks the signature against the specification's
// published example, by way of its own header names.
func TestStandardWebhooksVector(t *testing.T) {
	t.Parallel()
	signer, err := svixwebhooks.NewWebhook(currentSecret)
	if err != nil {
		t.Fatal(err)
	}
	got, err := signer.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
	e := newEndpoint(t)
	header := sign(t, currentSecret, "msg_1", time.Now(), body)
	for _, name := range []string{"Id", "Timestamp", "Signature"} {
		header["Webhook-"+name] = header["Svix-"+name]
		delete(header, "Svix-"+name)
	}
	header.Set("Svix-Id", "msg_unsigned")
	if w := e.post(header, strings.NewReader(body)); w.Code != http.StatusOK || e.inbox.events["msg_1"].Type == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func BenchmarkWebhook(b *testing.B) {
	e := newEndpoint(b)
	e.log.Grow(1 << 20)
	header := sign(b, currentSecret, "msg_1", time.Now(), body)
	b.ReportAllocs()
	for b.Loop() {
		e.log.Reset()
		if w := e.post(header, strings.NewReader(body)); w.Code != http.StatusOK {
			b.Fatal(fmt.Sprint(w.Code))
		}
	}
}
