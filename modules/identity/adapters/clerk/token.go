package clerk

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of what is decoded before any signature was checked. Browsers drop
// cookies over 4 KiB, so no session token is longer; a handshake's token holds
// several of them, in base64 once more.
const (
	maxTokenBytes          = 8 << 10
	maxHandshakeTokenBytes = 4 * maxTokenBytes
)

// Token categories, in the protected header. Clerk signs several classes of
// tokens with one key; only the category tells them apart.
const (
	categorySession = "cl_B7d4PD111AAA"
	// categoryIgnore is on every class of an instance that opted out, so it
	// says nothing; sid is required anyway, and templates carry none.
	categoryIgnore = "cl_I7d4PD111III"
)

// token is a JWT that was taken apart. Nothing of it is to be trusted.
type token struct {
	header map[string]any
	claims map[string]any
}

var errMalformed = errors.New("not a JSON web token")

// decodeToken takes a token apart: three parts of base64url without padding, as
// RFC 7515 has it, the first two JSON objects.
func decodeToken(raw string) (token, error) { return decodeTokenUpTo(maxTokenBytes, raw) }

func decodeTokenUpTo(limit int, raw string) (token, error) {
	if len(raw) > limit {
		return token{}, fmt.Errorf("%w: %d bytes are over the limit of %d", errMalformed, len(raw), limit)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return token{}, fmt.Errorf("%w: %d parts", errMalformed, len(parts))
	}
	var t token
	for i, into := range []any{&t.header, &t.claims, nil} {
		data, err := decodeBase64URL(parts[i])
		if err != nil {
			return token{}, fmt.Errorf("%w: part %d: %w", errMalformed, i, err)
		}
		if into == nil {
			continue
		}
		if err := json.Unmarshal(data, into); err != nil {
			return token{}, fmt.Errorf("%w: part %d is no JSON object", errMalformed, i)
		}
	}
	if t.header == nil || t.claims == nil { // JSON null
		return token{}, errMalformed
	}
	return t, nil
}

func decodeBase64URL(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // which encoding/base64 skips
		return nil, base64.CorruptInputError(strings.IndexAny(part, "\r\n"))
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

func (t token) keyID() string     { return text(t.header["kid"]) }
func (t token) algorithm() string { return text(t.header["alg"]) }
func (t token) issuer() string    { return text(t.claims["iss"]) }

// issuedAt is the iat claim in seconds; ok is false without one.
func (t token) issuedAt() (seconds float64, ok bool) {
	seconds, ok = t.claims["iat"].(float64)
	return seconds, ok
}

// expired reports whether the token says that it is past its time; one that
// does not say is not.
func (t token) expired(now time.Time) bool {
	exp, ok := t.claims["exp"].(float64)
	return ok && exp <= float64(now.Unix())
}

// isSession reports whether the token can be a session's: neither a JWT
// template's nor a machine's, all of which the same key signs.
func (t token) isSession() bool {
	if category, ok := t.header["cat"]; ok && category != categorySession && category != categoryIgnore {
		return false
	}
	switch t.header["typ"] {
	case "at+jwt", "application/at+jwt": // OAuth access tokens, RFC 9068
		return false
	}
	return !strings.HasPrefix(text(t.claims["sub"]), "mch_")
}

// text is value when it is a string, and "" otherwise.
func text(value any) string { s, _ := value.(string); return s }
