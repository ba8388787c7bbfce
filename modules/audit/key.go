package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
)

// A key is written as base64: of the 32 bytes of its seed (RFC 8032, section 5.1.5)
// when it signs, of the 32 bytes of the public half when it only verifies.
var keyEncoding = base64.StdEncoding.Strict()

// keyLength is that of a key as it is written: the decoder would skip line breaks.
const keyLength = 44

var errKey = errors.New("audit: want base64 of 32 bytes, as `tenon audit key` prints it")

// NewKey returns a key that signs, and how it is written.
func NewKey() (key ed25519.PrivateKey, text string) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails, says its documentation
	return ed25519.NewKeyFromSeed(seed), keyEncoding.EncodeToString(seed)
}

// ParseKey reads a key that signs. The error does not repeat it.
func ParseKey(text string) (ed25519.PrivateKey, error) {
	seed, err := keyEncoding.DecodeString(text)
	if err != nil || len(text) != keyLength || len(seed) != ed25519.SeedSize {
		return nil, errKey
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// ParsePublicKey reads a key that verifies.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	key, err := keyEncoding.DecodeString(text)
	if err != nil || len(text) != keyLength || len(key) != ed25519.PublicKeySize {
		return nil, errKey
	}
	return key, nil
}

// ParsePublicKeys reads several, with or without space around them.
func ParsePublicKeys(texts []string) ([]ed25519.PublicKey, error) {
	keys := make([]ed25519.PublicKey, len(texts))
	for i, text := range texts {
		var err error
		if keys[i], err = ParsePublicKey(strings.TrimSpace(text)); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// PublicKeyText returns how the half that verifies is written.
func PublicKeyText(key ed25519.PublicKey) string { return keyEncoding.EncodeToString(key) }
