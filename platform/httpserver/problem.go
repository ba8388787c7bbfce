package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// StatusClientClosedRequest is what the log shows for a request whose client
// went away; nobody receives it. The number is nginx's.
const StatusClientClosedRequest = 499

// statusOf is indexed by kind, so that a kind without a status is a zero that
// the test over fault.Kinds finds.
var statusOf = [...]int{
	fault.Internal:           http.StatusInternalServerError,
	fault.Invalid:            http.StatusUnprocessableEntity,
	fault.Unauthenticated:    http.StatusUnauthorized,
	fault.Forbidden:          http.StatusForbidden,
	fault.Suspended:          http.StatusForbidden,
	fault.NotFound:           http.StatusNotFound,
	fault.Conflict:           http.StatusConflict,
	fault.PreconditionFailed: http.StatusPreconditionFailed,
	fault.TooLarge:           http.StatusRequestEntityTooLarge,
	fault.RateLimited:        http.StatusTooManyRequests,
	fault.Unavailable:        http.StatusServiceUnavailable,
	fault.Canceled:           StatusClientClosedRequest,
}

// Status returns the HTTP status for kind. It is the one place where kinds
// become statuses, and total: an unknown kind is a 500.
func Status(kind fault.Kind) int {
	if int(kind) < len(statusOf) && statusOf[kind] != 0 {
		return statusOf[kind]
	}
	return http.StatusInternalServerError
}

// titleOf is what a problem says when the error has no message of its own.
var titleOf = map[fault.Kind]string{
	fault.Internal:           "Internal error",
	fault.Invalid:            "Validation failed",
	fault.Unauthenticated:    "Not signed in",
	fault.Forbidden:          "Permission denied",
	fault.Suspended:          "Organization suspended",
	fault.NotFound:           "Not found",
	fault.Conflict:           "Conflict",
	fault.PreconditionFailed: "Precondition failed",
	fault.TooLarge:           "Too large",
	fault.RateLimited:        "Too many requests",
	fault.Unavailable:        "Temporarily unavailable",
	fault.Canceled:           "Request canceled",
}

// problemTypePrefix makes problem types URNs: identifiers that stay the same on
// every installation and that nobody is tempted to fetch.
const problemTypePrefix = "urn:tenon:problem:"

// Problem is an RFC 9457 problem document, the body of every error under /api.
type Problem struct {
	Type      string         `json:"type" format:"uri" example:"urn:tenon:problem:not-found" doc:"Identifies the kind of problem; stable, meant for programs."`
	Title     string         `json:"title" example:"Not found" doc:"The kind of problem in words; the same for every problem of a type."`
	Status    int            `json:"status" example:"404" doc:"The HTTP status."`
	Detail    string         `json:"detail,omitempty" example:"There is no such project." doc:"What happened this time, in words for a person."`
	Errors    []ProblemField `json:"errors,omitempty" doc:"The input values to mend."`
	RequestID string         `json:"request_id,omitempty" example:"J5CXQPR4ZKBH2L6M" doc:"Quote it to support; the log has the same."`

	header http.Header
}

// ProblemField is one input value that breaks a rule.
type ProblemField struct {
	Field   string `json:"field" example:"name" doc:"The value's name as documented for the operation."`
	Message string `json:"message" example:"is required" doc:"What would be right."`
}

// Error is the problem's own text, safe to show.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// GetStatus makes a Problem an error that huma can answer with.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers that belong to the status, such as
// Retry-After.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is RFC 9457's, whatever JSON type was negotiated.
func (p *Problem) ContentType(string) string { return problemContentType }

const problemContentType = "application/problem+json"

// protocolError is a request that HTTP itself rules out, before it reaches any
// use case: there is no fault kind for it, since no domain could produce it.
type protocolError struct {
	status int
	name   string // of the problem type
	title  string
	fault  *fault.Error
	allow  string // for 405
}

func (e *protocolError) Error() string { return e.title + ": " + e.fault.Error() }

// Unwrap lets fault.KindOf and errors.Is see through.
func (e *protocolError) Unwrap() error { return e.fault }

func errMalformed(message string) *protocolError {
	return &protocolError{status: http.StatusBadRequest, name: "malformed-request", title: "Malformed request",
		fault: fault.New(fault.Invalid, message)}
}

func errMethodNotAllowed(allow []string) *protocolError {
	return &protocolError{status: http.StatusMethodNotAllowed, name: "method-not-allowed", title: "Method not allowed",
		fault: fault.New(fault.Invalid, "This address does not take that method; see the Allow header."),
		allow: strings.Join(allow, ", ")}
}

func errBodyTimeout() *protocolError {
	return &protocolError{status: http.StatusRequestTimeout, name: "request-timeout", title: "Request timeout",
		fault: fault.New(fault.Invalid, "The request's body took too long to arrive.")}
}

func errUnsupportedMediaType(accepted []string) *protocolError {
	return &protocolError{status: http.StatusUnsupportedMediaType, name: "unsupported-media-type", title: "Unsupported media type",
		fault: fault.Newf(fault.Invalid, "The body must be %s.", strings.Join(accepted, " or "))}
}

func errEncodedBody() *protocolError {
	return &protocolError{status: http.StatusUnsupportedMediaType, name: "unsupported-media-type", title: "Unsupported media type",
		fault: fault.New(fault.Invalid, "The body must not be compressed.")}
}

func errBodyTooLarge(limit int64) *fault.Error {
	return fault.Newf(fault.TooLarge, "The request's body is over the limit of %d bytes.", limit)
}

// answer is an error as it will be told, before it takes the form of a problem
// document or a page.
type answer struct {
	problem *Problem
	fault   *fault.Error
}

// defaultRetryAfter is told with a 503 that has no better estimate: without one
// clients retry at once and all together.
const defaultRetryAfter = 2 * time.Second

// describe turns err into what the client of ctx's request is told.
func describe(ctx context.Context, err error) answer {
	f := fault.As(err)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok && f.Kind == fault.Internal {
		f = errBodyTooLarge(tooLarge.Limit).WithCause(err)
	}
	if f.Kind == fault.Unavailable && f.RetryAfter == 0 {
		f = f.WithRetryAfter(defaultRetryAfter)
	}
	p := &Problem{
		Type:      problemTypePrefix + strings.ReplaceAll(f.Kind.String(), "_", "-"),
		Title:     titleOf[f.Kind],
		Status:    Status(f.Kind),
		Detail:    f.Message,
		RequestID: RequestID(ctx),
		header:    http.Header{"Cache-Control": {"no-store"}},
	}
	if protocol, ok := errors.AsType[*protocolError](err); ok {
		p.Type, p.Title, p.Status = problemTypePrefix+protocol.name, protocol.title, protocol.status
		if protocol.allow != "" {
			p.header.Set("Allow", protocol.allow)
		}
	}
	if f.Kind == fault.Internal {
		// The message of an unforeseen error was written for nobody.
		p.Detail, f.Message = "", ""
	}
	for _, field := range f.Fields {
		p.Errors = append(p.Errors, ProblemField{Field: field.Name, Message: field.Message})
	}
	if f.RetryAfter > 0 {
		p.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		p.header.Set("WWW-Authenticate", "Bearer")
	}
	return answer{problem: p, fault: f}
}

// level keeps what clients get wrong out of the way of what operators mend.
func (a answer) level() slog.Level {
	switch {
	case a.fault.Kind == fault.Unavailable:
		return slog.LevelWarn
	case a.problem.Status >= http.StatusInternalServerError:
		return slog.LevelError
	}
	return slog.LevelInfo
}
