package httpserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/idempotency"
)

// Caller is who sends a request.
type Caller struct {
	// Account is the person's id, "" before anybody is known.
	Account string
	// Key is the id of the API key that stands for the person, "" without one.
	Key string
	// Tenant is the tenant's id, "" outside of tenants.
	Tenant string
}

// sender is who the request counts for: a person, and each of their keys by
// itself.
func (c Caller) sender() string {
	if c.Key != "" {
		return "key:" + c.Key // no account has such an id
	}
	return c.Account
}

// IdempotencyStore remembers answers under keys; *idempotency.Store and
// *idempotency.Memory do.
type IdempotencyStore interface {
	Begin(ctx context.Context, r idempotency.Request, hold time.Duration) (idempotency.Claim, *idempotency.Answer, error)
	Finish(ctx context.Context, r idempotency.Request, claim idempotency.Claim, answer idempotency.Answer, keep time.Duration) error
	Release(ctx context.Context, r idempotency.Request, claim idempotency.Claim) error
}

const (
	idempotencyKeyHeader = "Idempotency-Key"
	// keepAnswers is how long a request may be sent again.
	keepAnswers = 24 * time.Hour
	// maxIdempotencyKey is the longest key, in bytes.
	maxIdempotencyKey = 255
	// finishTimeout bounds how long an answer waits for being remembered. The
	// client may have gone by then; that is when it matters most.
	finishTimeout = 5 * time.Second
)

// keptHeaders are the headers of an answer that are part of what it says.
var keptHeaders = []string{"Content-Type", "ETag", "Link", "Location", "Preference-Applied"}

// answerOnce makes a POST with an Idempotency-Key happen once: whoever sends it
// again gets the first answer. It comes after the operation's own checks, so
// that nobody gets an answer that they may no longer see. Only what succeeded is
// remembered; anything else gives the key back, so that the request can be mended
// and sent again.
func answerOnce(ctx huma.Context, next func(huma.Context)) {
	r, _ := humachi.Unwrap(ctx)
	state := stateFrom(r.Context())
	key := r.Header.Get(idempotencyKeyHeader)
	if ctx.Method() != http.MethodPost || key == "" || state == nil || state.idempotency == nil {
		next(ctx)
		return
	}
	request, err := keyedRequest(r, state.caller(r.Context()), key)
	if err != nil {
		writeHumaError(ctx, err)
		return
	}
	running, stop := toItsEnd(ctx.Context())
	defer stop()
	claim, answer, err := state.idempotency.Begin(running, request, state.hold)
	switch {
	case err != nil:
		writeHumaError(ctx, err)
		return
	case answer != nil:
		replay(ctx, *answer)
		return
	}
	run := &keyedRun{state: state, request: request, claim: claim, keep: keepAnswers}
	defer run.end(r.Context())
	recorded := &recordingContext{humaContext: huma.WithContext(ctx, running)}
	next(recorded)
	if recorded.status/100 == 2 {
		run.answer = recorded.answer()
		if err := redactAnswer(ctx.Operation(), run.answer); err != nil {
			state.errors.logger().ErrorContext(r.Context(), "an answer could not be stripped of what is not to be kept", "request_id", state.id, "error", err)
			run.answer.Body = nil
		}
	}
	run.end(r.Context())
	recorded.send()
}

// toItsEnd returns the context of what runs under a key. It has the request's deadline
// and does not end with its client, who sends the request again when they did not wait:
// broken off, it would give the key back with half of its work done, or all of it.
func toItsEnd(ctx context.Context) (running context.Context, stop context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// keyedRequest reads r's body for its fingerprint and puts it back.
func keyedRequest(r *http.Request, caller Caller, key string) (idempotency.Request, error) {
	if len(key) > maxIdempotencyKey || !isPrintable(key) {
		return idempotency.Request{}, fault.InvalidFields(fault.Field{
			Name: idempotencyKeyHeader, Message: "Use 1 to 255 printable ASCII characters, such as a UUID.",
		})
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return idempotency.Request{}, bodyError(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	hash := sha256.New()
	// Each part with its length, so that no two requests read the same.
	for _, part := range []string{r.Method, pathWithoutSlug(r), r.URL.RawQuery, r.Header.Get("Content-Type"), string(body)} {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write([]byte(part))
	}
	request := idempotency.Request{Tenant: caller.Tenant, Account: caller.sender(), Key: key}
	hash.Sum(request.Fingerprint[:0])
	return request, nil
}

func isPrintable(key string) bool {
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

const withoutKey = "tenon:without"

// KeepWithout makes an operation's answers be remembered under an Idempotency-Key
// as without returns their bodies: for secrets that are shown once.
func KeepWithout(op *huma.Operation, without func(body []byte) ([]byte, error)) {
	op.Metadata = maps.Clone(op.Metadata)
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[withoutKey] = without
}

func redactAnswer(op *huma.Operation, answer *idempotency.Answer) (err error) {
	if without, ok := op.Metadata[withoutKey].(func([]byte) ([]byte, error)); ok {
		answer.Body, err = without(answer.Body)
	}
	return err
}

// replay answers what was answered the first time.
func replay(ctx huma.Context, answer idempotency.Answer) {
	_, w := humachi.Unwrap(ctx)
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Idempotency-Replayed", "true")
	ctx.SetStatus(answer.Status)
	_, _ = ctx.BodyWriter().Write(answer.Body) // fails only when the client has gone
}

// keyedRun is one run of a request under a key.
type keyedRun struct {
	state   *requestState
	request idempotency.Request
	claim   idempotency.Claim
	answer  *idempotency.Answer // nil unless it succeeded
	keep    time.Duration
	ended   bool
}

// end remembers the answer or gives the key back, once; also of a run that
// panicked.
func (k *keyedRun) end(ctx context.Context) {
	if k.ended {
		return
	}
	k.ended = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	var err error
	if k.answer != nil {
		err = k.state.idempotency.Finish(ctx, k.request, k.claim, *k.answer, k.keep)
	} else {
		err = k.state.idempotency.Release(ctx, k.request, k.claim)
	}
	if err != nil {
		// The request was done, so its answer goes out; the claim lapses.
		k.state.errors.logger().ErrorContext(ctx, "an idempotency key could not be finished", "request_id", k.state.id, "error", err)
	}
}

// recordingContext holds an answer back until it was remembered.
type recordingContext struct {
	humaContext

	status int
	body   bytes.Buffer
}

// Unwrap is how humachi finds its own context.
func (c *recordingContext) Unwrap() huma.Context { return c.humaContext }

func (c *recordingContext) SetStatus(status int) { c.status = status }

func (c *recordingContext) Status() int { return c.status }

func (c *recordingContext) BodyWriter() io.Writer { return &c.body }

func (c *recordingContext) answer() *idempotency.Answer {
	_, w := humachi.Unwrap(c)
	answer := &idempotency.Answer{Status: c.status, Header: http.Header{}, Body: bytes.Clone(c.body.Bytes())}
	for _, name := range keptHeaders {
		if values := w.Header().Values(name); len(values) > 0 {
			answer.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return answer
}

// send lets the answer go. There is none if an error was written past this
// context.
func (c *recordingContext) send() {
	if c.status == 0 {
		return
	}
	c.humaContext.SetStatus(c.status)
	_, _ = c.humaContext.BodyWriter().Write(c.body.Bytes()) // fails only when the client has gone
}

// documentIdempotency adds the key to every POST.
func documentIdempotency(document *huma.OpenAPI, op *huma.Operation) {
	if op.Method != http.MethodPost {
		return
	}
	op.Parameters = append(op.Parameters, headerParameter(idempotencyKeyHeader,
		"Makes the request safe to send again: for 24 hours the same request under the same key gets the first answer, with Idempotency-Replayed: true. "+
			"Another request under it gets 422, and one that comes while the first still runs 409. Keys are yours in this organization. "+
			"Only success is remembered; after anything else the key is free again.", "8f14e45f-ceea-467f-9e0b-4d1c6b2a9d3c"))
	documentProblem(document, op, "409", http.StatusText(http.StatusConflict))
}
