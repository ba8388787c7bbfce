package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/uptrace/bun/driver/pgdriver"

	"github.com/tenonhq/tenon/platform/fault"
)

// SQLSTATE codes, from the manual's appendix "PostgreSQL Error Codes".
const (
	codeUniqueViolation = "23505"
	codeQueryCanceled   = "57014"
	codeLockUnavailable = "55P03"
	classConnection     = "08"
	classResources      = "53"
	classOperator       = "57P"
	classRollback       = "40"
)

var (
	unavailable = fault.New(fault.Unavailable, "The database cannot be reached right now. Please try again.")
	conflicting = fault.New(fault.Conflict, "Somebody changed the same data at the same time. Please try again.")
)

// Classify gives err a fault kind where the database alone decides it:
// Unavailable for a server that refuses, ends or runs out of connections, for a
// lock or a statement that took too long; Conflict for a serialization failure
// or a deadlock, after which the whole transaction may be tried again. A
// context's end keeps the kind fault.KindOf gives it. Every other error, and
// one that has a kind, comes back as it is: only the repository knows what a
// violated constraint or a missing row means.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, classified := errors.AsType[*fault.Error](err); classified {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch code := SQLState(err); {
	case strings.HasPrefix(code, classRollback):
		return conflicting.WithCause(err)
	case strings.HasPrefix(code, classConnection), strings.HasPrefix(code, classResources),
		strings.HasPrefix(code, classOperator), code == codeQueryCanceled, code == codeLockUnavailable:
		return unavailable.WithCause(err)
	case code != "":
		return err
	}
	_, isNet := errors.AsType[net.Error](err)
	if isNet || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return unavailable.WithCause(err)
	}
	return err
}

// IsUniqueViolation reports whether err is a duplicate key of the unique
// constraint or index called constraint; "" stands for any.
func IsUniqueViolation(err error, constraint string) bool {
	pgErr, ok := errors.AsType[pgdriver.Error](err)
	return ok && pgErr.Field('C') == codeUniqueViolation &&
		(constraint == "" || pgErr.Field('n') == constraint)
}

// SQLState returns the five-character code of the server's error in err's tree,
// "" when there is none. The codes are in the manual's appendix "PostgreSQL
// Error Codes".
func SQLState(err error) string {
	if pgErr, ok := errors.AsType[pgdriver.Error](err); ok {
		return pgErr.Field('C')
	}
	return ""
}
