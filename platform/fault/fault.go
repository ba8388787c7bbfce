package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in terms a caller can act on. The set is closed:
// whoever maps kinds to something else (an HTTP status, an exit code) handles
// every one of [Kinds], and a test of theirs walks that list.
type Kind uint8

const (
	// Internal is anything nobody foresaw. It is the zero value, so an error
	// that was never classified is never shown as the client's mistake.
	Internal Kind = iota
	// Invalid is input that breaks a rule; [Error.Fields] names the rules.
	Invalid
	// Unauthenticated is a request whose sender is not known.
	Unauthenticated
	// Forbidden is a request by a known sender who lacks the permission.
	Forbidden
	// Suspended is a request by a member of a tenant that is switched off.
	Suspended
	// NotFound is a thing that does not exist for the sender, including
	// things that exist in other tenants.
	NotFound
	// Conflict is a request that contradicts the current state, such as a
	// slug that is taken.
	Conflict
	// PreconditionFailed is a change based on a state that has moved on.
	PreconditionFailed
	// TooLarge is input over a size limit.
	TooLarge
	// RateLimited is a sender who has to slow down; see [Error.RetryAfter].
	RateLimited
	// Unavailable is a dependency that is away or too slow; trying again
	// later is right.
	Unavailable
	// Canceled is work whose caller went away. Nobody reads the answer.
	Canceled
)

var kindNames = [...]string{
	Internal:           "internal",
	Invalid:            "invalid",
	Unauthenticated:    "unauthenticated",
	Forbidden:          "forbidden",
	Suspended:          "suspended",
	NotFound:           "not_found",
	Conflict:           "conflict",
	PreconditionFailed: "precondition_failed",
	TooLarge:           "too_large",
	RateLimited:        "rate_limited",
	Unavailable:        "unavailable",
	Canceled:           "canceled",
}

// Kinds returns every kind, for tests that prove a mapping complete.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kinds {
		kinds[i] = Kind(i)
	}
	return kinds
}

// String is the kind's snake_case name, stable enough for logs, metrics and
// problem types.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Field is one rule that one input value breaks.
type Field struct {
	// Name is the input's name as the client sent it, such as "slug".
	Name string
	// Message tells the client what would be right. It never repeats the
	// submitted value.
	Message string
}

// Error is an error with a kind and a message that may be shown to a client.
// What happened underneath is in the wrapped error, for the log alone.
type Error struct {
	// Kind decides the status that a client sees.
	Kind Kind
	// Message is safe to show: no SQL, no stack, no other tenant's data.
	Message string
	// Fields lists what to mend, for kinds [Invalid] and [Conflict].
	Fields []Field
	// RetryAfter is how long to wait before trying again; 0 says nothing.
	RetryAfter time.Duration

	cause error
}

// Error includes the cause, so it is for logs; clients get [Error.Message].
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = e.Kind.String()
	}
	for _, field := range e.Fields {
		text += "; " + field.Name + ": " + field.Message
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// New returns an error of kind whose message may be shown to clients.
func New(kind Kind, message string) *Error {
	return &Error{Kind: kind, Message: message}
}

// Newf is [New] with formatting. Arguments must be as safe to show as the
// message: never a submitted value, never another tenant's data.
func Newf(kind Kind, format string, args ...any) *Error {
	return New(kind, fmt.Sprintf(format, args...))
}

// InvalidFields returns an [Invalid] error that names what to mend.
func InvalidFields(fields ...Field) *Error {
	return &Error{Kind: Invalid, Message: "Some values are not valid.", Fields: fields}
}

// WithCause returns a copy of e that wraps cause. The cause shows up in logs
// and for errors.Is, never in the message for clients.
func (e *Error) WithCause(cause error) *Error {
	clone := *e
	clone.cause = cause
	return &clone
}

// WithField returns a copy of e with one more field.
func (e *Error) WithField(name, message string) *Error {
	clone := *e
	clone.Fields = append(append([]Field(nil), e.Fields...), Field{Name: name, Message: message})
	return &clone
}

// WithRetryAfter returns a copy of e that asks the client to wait for d.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	clone := *e
	clone.RetryAfter = d
	return &clone
}

// JoinInvalid returns one error of kind [Invalid] with the fields of all of errs that
// are not nil, and nil when all are. They are of kind [Invalid].
func JoinInvalid(errs ...error) error {
	var fields []Field
	for _, err := range errs {
		if err != nil {
			fields = append(fields, As(err).Fields...)
		}
	}
	if fields == nil {
		return nil
	}
	return InvalidFields(fields...)
}

// As returns the first *Error in err's tree. For any other error it returns
// one of [KindOf]'s kind that wraps err and says nothing of it to clients.
// For nil it returns nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindOf(err), cause: err}
}

// KindOf returns the kind of the first *Error in err's tree; without one, a
// cancelled context is [Canceled], an exceeded deadline [Unavailable], and
// everything else [Internal].
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Internal
}

// Is reports whether err is of kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Wrap puts the operation in front of err for the log and leaves its kind,
// message and fields as they are. A nil err stays nil.
func Wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
