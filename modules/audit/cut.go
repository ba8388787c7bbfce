package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Anchor stands in place of the entries up to a number, which were cut off.
type Anchor struct {
	// Seq and Hash are the last one's that was cut off.
	Seq  int64
	Hash Hash
	// CutAt is when that was, in microseconds.
	CutAt time.Time
	// PublicKey and Signature (Ed25519) say who did it.
	PublicKey ed25519.PublicKey
	Signature []byte
}

// message is what is signed. It names the tenant, so that an anchor is good for no
// other one.
func (a Anchor) message(schema tenant.Schema) []byte {
	return fmt.Appendf(nil, "tenon audit anchor v1\n%s\n%d\n%s\n%d\n", schema, a.Seq, a.Hash, a.CutAt.UnixMicro())
}

func (a Anchor) isSigned(schema tenant.Schema) bool {
	return len(a.PublicKey) == ed25519.PublicKeySize && ed25519.Verify(a.PublicKey, a.message(schema), a.Signature)
}

// Cutter cuts off what is older than a record is to be kept.
type Cutter struct {
	log     Log
	key     ed25519.PrivateKey
	trusted []ed25519.PublicKey
	now     func() time.Time
}

// NewCutter returns a cutter that signs by key. Records that were cut by others of
// the trusted keys before are cut further; key itself is trusted.
func NewCutter(log Log, key ed25519.PrivateKey, trusted ...ed25519.PublicKey) *Cutter {
	return &Cutter{log: log, key: key, trusted: append(trusted, PublicKeyOf(key)), now: time.Now}
}

// PublicKeyOf returns the half of a key that verifies what the other half signs.
func PublicKeyOf(key ed25519.PrivateKey) ed25519.PublicKey {
	public, _ := key.Public().(ed25519.PublicKey) // it is one, says its documentation
	return public
}

// Cut removes the entries of the tenant in ctx that are older than before, and
// returns how many. A record that is not whole is left as it is: an error of kind
// [fault.Conflict] says what is wrong, since its evidence would go.
func (c *Cutter) Cut(ctx context.Context, before time.Time) (removed int, err error) {
	schema, ok := tenant.FromContext(ctx)
	if !ok {
		return 0, fmt.Errorf("audit: the context names no tenant")
	}
	oldest, err := c.log.After(ctx, 0, 1)
	if err != nil || len(oldest) == 0 || !oldest[0].At.Before(before) {
		return 0, fault.Wrap("cut audit log", err) // without a look through all of it
	}
	newest, err := c.log.List(ctx, Listing{Filter: Filter{Until: before}, Limit: 1})
	if err != nil || len(newest) == 0 {
		return 0, fault.Wrap("cut audit log", err)
	}
	last := newest[0]
	found, err := Verify(ctx, c.log, c.trusted, nil)
	if err != nil {
		return 0, fault.Wrap("cut audit log", err)
	}
	if len(found.Problems) > 0 {
		return 0, fault.Newf(fault.Conflict, "The audit log is not whole and is left as it is: %s.", found.Problems[0])
	}
	anchor := Anchor{Seq: last.Seq, Hash: last.Hash, CutAt: c.now().UTC().Truncate(time.Microsecond), PublicKey: PublicKeyOf(c.key)}
	anchor.Signature = ed25519.Sign(c.key, anchor.message(schema))
	if err := c.log.Cut(ctx, anchor); err != nil {
		return 0, fault.Wrap("cut audit log", err)
	}
	return found.Entries - int(found.Head.Seq-last.Seq), nil
}
