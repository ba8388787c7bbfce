package clerkdev

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"strings"
	"time"
)

// ksuidEpoch is where the time inside a KSUID starts.
const ksuidEpoch = 1400000000

// newID returns an identifier shaped like Clerk's: a prefix and a KSUID, that
// is 27 base62 digits of which the first ones grow with time.
func newID(prefix string) string {
	var raw [20]byte
	binary.BigEndian.PutUint32(raw[:4], uint32(time.Now().Unix()-ksuidEpoch))
	rand.Read(raw[4:])
	return prefix + "_" + base62(raw[:], 27)
}

// base62 writes b as a number of width digits, in the order 0–9, A–Z, a–z.
func base62(b []byte, width int) string {
	digits := new(big.Int).SetBytes(b).Text(62)
	// math/big puts lower case first; KSUIDs put upper case first.
	digits = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, digits)
	if missing := width - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	return digits
}

// newSecret returns 256 random bits as text for a URL, a cookie or a header.
func newSecret() string {
	var raw [32]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
