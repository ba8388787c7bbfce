package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Head is the last entry of a record. Kept where nobody gets at it who gets at the
// database, it shows later that nothing of the record's end was cut off.
type Head struct {
	Seq  int64
	Hash Hash
}

// Verification is what [Verify] found.
type Verification struct {
	// Entries is how many there are.
	Entries int
	// Head is the last one; Seq is 0 for a record that never had any.
	Head Head
	// Problems are what is wrong, in words, the first of them where it begins; none
	// when the record is whole.
	Problems []string
}

// maxProblems is how many problems are told of one record: behind the first, one
// change can make many.
const maxProblems = 20

const verifyBatch = 1000

// maxCuts is how many times a record is read again because it was cut meanwhile.
const maxCuts = 3

// Verify reads the record of the tenant in ctx from its beginning and checks that
// every entry is what was written, that none is missing between the first and the
// last, that whatever was cut off before the first was cut off by who holds one of the
// keys, and that the record reaches at least to wanted, if that is not nil.
func Verify(ctx context.Context, log Log, trusted []ed25519.PublicKey, wanted *Head) (Verification, error) {
	schema, ok := tenant.FromContext(ctx)
	if !ok {
		return Verification{}, fmt.Errorf("audit: the context names no tenant")
	}
	anchors, err := log.Anchors(ctx)
	for cuts := 0; err == nil; cuts++ {
		v := verifier{trusted: trusted, wanted: wanted}
		for _, anchor := range anchors {
			v.anchor(schema, anchor)
		}
		if err = v.read(ctx, log); err != nil {
			break
		}
		found := v.finish()
		if len(found.Problems) == 0 || cuts == maxCuts {
			return found, nil
		}
		// What is missing may have been cut off while this was reading.
		known := len(anchors)
		if anchors, err = log.Anchors(ctx); err == nil && len(anchors) == known {
			return found, nil
		}
	}
	return Verification{}, fault.Wrap("verify audit log", err)
}

type verifier struct {
	Verification

	head    Head
	trusted []ed25519.PublicKey
	wanted  *Head
	seen    bool // the wanted one
}

func (v *verifier) problem(format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

func (v *verifier) moveTo(head Head) {
	if v.wanted != nil && head.Seq == v.wanted.Seq {
		v.seen = true
		if head.Hash != v.wanted.Hash {
			v.problem("entry %d has another hash than it had when it was noted down", head.Seq)
		}
	}
	v.head = head
}

func (v *verifier) anchor(schema tenant.Schema, a Anchor) {
	switch {
	case !slices.ContainsFunc(v.trusted, func(key ed25519.PublicKey) bool { return key.Equal(a.PublicKey) }):
		v.problem("the entries up to %d were cut off with a key that is not trusted", a.Seq)
	case !a.isSigned(schema):
		v.problem("the entries up to %d were cut off without a valid signature", a.Seq)
	}
	v.moveTo(Head{Seq: a.Seq, Hash: a.Hash})
}

// read looks at every entry behind the anchors.
func (v *verifier) read(ctx context.Context, log Log) error {
	for {
		batch, err := log.After(ctx, v.head.Seq, verifyBatch)
		if err != nil {
			return err
		}
		for _, entry := range batch {
			v.entry(entry)
		}
		if len(batch) < verifyBatch {
			return nil
		}
	}
}

func (v *verifier) entry(e Entry) {
	v.Entries++
	var before *Hash
	if v.head.Seq > 0 {
		before = &v.head.Hash
	}
	switch {
	case e.Seq == v.head.Seq+2:
		v.problem("entry %d is missing", e.Seq-1)
	case e.Seq != v.head.Seq+1:
		v.problem("the entries from %d to %d are missing", v.head.Seq+1, e.Seq-1)
	case e.HashAfter(before) != e.Hash:
		v.problem("entry %d is not what was written, or the one before it is not", e.Seq)
	}
	// Behind a problem the chain is looked at from where it goes on.
	v.moveTo(Head{Seq: e.Seq, Hash: e.Hash})
}

func (v *verifier) finish() Verification {
	v.Head = v.head
	switch {
	case v.wanted == nil || v.seen || v.wanted.Seq == 0:
	case v.wanted.Seq > v.head.Seq:
		v.problem("the record ends with entry %d and had %d", v.head.Seq, v.wanted.Seq)
	}
	return v.Verification
}
