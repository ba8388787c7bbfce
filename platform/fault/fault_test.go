package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/fault"
)

func TestKindSurvivesWrapping(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		err := fault.Wrap("projects.create", fmt.Errorf("insert: %w", fault.New(kind, "shown")))
		if got := fault.KindOf(err); got != kind {
			t.Errorf("KindOf = %v, want %v", got, kind)
		}
		if got := fault.As(err).Message; got != "shown" {
			t.Errorf("%v: message %q, want the one given", kind, got)
		}
		if strings.HasPrefix(kind.String(), "kind(") {
			t.Errorf("kind %d has no name", kind)
		}
	}
}

func TestKindOfForeignErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"unclassified", io.ErrUnexpectedEOF, fault.Internal},
		{"cancelled", fmt.Errorf("query: %w", context.Canceled), fault.Canceled},
		{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), fault.Unavailable},
		{"classified over a cancelled cause", fault.New(fault.Conflict, "x").WithCause(context.Canceled), fault.Conflict},
		{"joined", errors.Join(io.EOF, fault.New(fault.NotFound, "x")), fault.NotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := fault.KindOf(test.err); got != test.want {
				t.Errorf("KindOf(%v) = %v, want %v", test.err, got, test.want)
			}
		})
	}
	if fault.As(nil) != nil || fault.Wrap("op", nil) != nil || fault.Is(nil, fault.Internal) {
		t.Error("nil must stay nil")
	}
}

func TestCauseStaysOutOfTheMessage(t *testing.T) {
	t.Parallel()
	secret := errors.New(`duplicate key in "tenant_acme"`)
	err := fault.New(fault.Conflict, "The slug is taken.").WithCause(secret).WithField("slug", "is taken")

	if strings.Contains(err.Message, "tenant_acme") {
		t.Error("the message for clients shows the cause")
	}
	if !errors.Is(err, secret) || !strings.Contains(err.Error(), "tenant_acme") {
		t.Error("the log must keep the cause")
	}
	if unclassified := fault.As(secret); unclassified.Message != "" || unclassified.Kind != fault.Internal {
		t.Errorf("an unclassified error shows %q as %v, want nothing as internal", unclassified.Message, unclassified.Kind)
	}
}

func TestWithersLeaveTheOriginalAlone(t *testing.T) {
	t.Parallel()
	original := fault.InvalidFields(fault.Field{Name: "name", Message: "is required"})
	_ = original.WithField("slug", "is too long").WithCause(io.EOF).WithRetryAfter(1)
	if len(original.Fields) != 1 || errors.Unwrap(original) != nil || original.RetryAfter != 0 {
		t.Errorf("original changed: %+v", original)
	}
}

func TestJoinInvalid(t *testing.T) {
	t.Parallel()
	if err := fault.JoinInvalid(nil, nil); err != nil {
		t.Errorf("nothing is wrong, and it says %v", err)
	}
	a, b := fault.InvalidFields(fault.Field{Name: "a"}), fault.InvalidFields(fault.Field{Name: "b"}, fault.Field{Name: "c"})
	err := fault.JoinInvalid(nil, a, fault.Wrap("parse", b))
	if got := fault.As(err).Fields; !fault.Is(err, fault.Invalid) || len(got) != 3 || got[0].Name != "a" || got[2].Name != "c" {
		t.Errorf("%v with %v", err, got)
	}
}
