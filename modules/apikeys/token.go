package apikeys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
)

// TokenPrefix is what every token begins with, so that people and scanners of
// repositories know one when they see it.
const TokenPrefix = "tenon_"

// A token is the prefix, its id, its secret and a checksum of both, all of them in
// the letters of base32: tenon_[A-Z2-7]{49}.
const (
	idLength       = 16 // 80 bits, which nobody has to keep secret
	secretLength   = 26 // 130 bits
	checksumLength = 7  // CRC-32
	tokenLength    = len(TokenPrefix) + idLength + secretLength + checksumLength
)

// Token is an API key as its holder has it. However it is printed, logged or
// encoded, its secret stays out: only [Token.Reveal] gives it away.
type Token struct{ id, secret string }

// NewToken returns a token that nobody can guess.
func NewToken() Token {
	return Token{id: rand.Text()[:idLength], secret: rand.Text()[:secretLength]}
}

// ParseToken returns the token that text is, and [ErrInvalidToken] for any other
// text. The checksum is no protection: it spares a search for what was mistyped,
// and lets a scanner be sure of what it found.
func ParseToken(text string) (Token, error) {
	rest, ok := strings.CutPrefix(text, TokenPrefix)
	if !ok || len(text) != tokenLength {
		return Token{}, ErrInvalidToken
	}
	token := Token{id: rest[:idLength], secret: rest[idLength : idLength+secretLength]}
	if token.Reveal() != text || strings.Trim(token.id+token.secret, base32Letters) != "" {
		return Token{}, ErrInvalidToken
	}
	return token, nil
}

const base32Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// ID names the key, in lists and addresses.
func (t Token) ID() string { return t.id }

// Reveal returns all of the token.
func (t Token) Reveal() string {
	checksum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(t.id+t.secret)))
	return TokenPrefix + t.id + t.secret + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(checksum)
}

// hash is what is kept of a token. A fast hash is the right one: nobody tries 2^130
// secrets out, however fast, and each request pays for a slow one.
func (t Token) hash() Hash { return sha256.Sum256([]byte(t.Reveal())) }

// Hash is the SHA-256 of a whole token.
type Hash [sha256.Size]byte

// Hint returns what is shown of the token of the key with id.
func Hint(id string) string { return TokenPrefix + id + "…" }

// String returns the token's [Hint].
func (t Token) String() string { return Hint(t.id) }

// Format prints the hint whatever the verb: some of them look into structs.
func (t Token) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, t.String()) // the printer's own buffer
}

// LogValue keeps the secret out of every slog handler.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText keeps the secret out of JSON.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
