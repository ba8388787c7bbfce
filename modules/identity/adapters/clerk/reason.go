package clerk

import (
	"fmt"

	"github.com/tenonhq/tenon/platform/fault"
)

// Reason says why a token was refused or a request is not signed in, in the
// words of Clerk's own backend library, so that its documentation and its
// handshake endpoint understand them.
type Reason string

// Reasons to refuse a token.
const (
	TokenExpired             Reason = "token-expired"
	TokenNotActiveYet        Reason = "token-not-active-yet"
	TokenIssuedInTheFuture   Reason = "token-iat-in-the-future"
	TokenInvalid             Reason = "token-invalid"
	TokenInvalidAlgorithm    Reason = "token-invalid-algorithm"
	TokenInvalidSignature    Reason = "token-invalid-signature"
	TokenInvalidIssuer       Reason = "token-invalid-issuer"
	TokenUnauthorizedParty   Reason = "token-invalid-authorized-parties"
	TokenVerificationFailed  Reason = "token-verification-failed"
	TokenTypeMismatch        Reason = "token-type-mismatch"
	KeyUnknown               Reason = "jwk-kid-mismatch"
	KeysUnavailable          Reason = "jwk-remote-failed-to-load"
	SessionPending           Reason = "session-pending" // Clerk calls such a request signed in and hides its session
	SessionTokenMissing      Reason = "session-token-missing"
	SessionTokenExpired      Reason = "session-token-expired"
	SessionTokenNotActiveYet Reason = "session-token-nbf"
	SessionTokenFromFuture   Reason = "session-token-iat-in-the-future"
)

// TokenError is the refusal of a token. Its kind is fault.Unauthenticated, or
// fault.Unavailable when the reason is [KeysUnavailable]: then nothing is known
// of the token.
type TokenError struct {
	Reason Reason

	fault *fault.Error
}

// Error names the reason and the detail. It never holds the token.
func (e *TokenError) Error() string { return fmt.Sprintf("clerk: %s: %v", e.Reason, e.fault) }

// Unwrap gives the error its kind.
func (e *TokenError) Unwrap() error { return e.fault }

var (
	errUnauthenticated = fault.New(fault.Unauthenticated, "Your session is not valid. Sign in again.")
	errKeysUnavailable = fault.New(fault.Unavailable, "Your session cannot be checked right now. Try again in a moment.")
)

func refuse(reason Reason, cause error) error {
	if reason == KeysUnavailable {
		return &TokenError{Reason: reason, fault: errKeysUnavailable.WithCause(cause)}
	}
	return &TokenError{Reason: reason, fault: errUnauthenticated.WithCause(cause)}
}

func refusef(reason Reason, format string, args ...any) error {
	return refuse(reason, fmt.Errorf(format, args...))
}
