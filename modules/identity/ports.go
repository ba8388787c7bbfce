package identity

import (
	"context"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
)

// Directory stores what the provider said, in public. Implementations ignore
// the tenant in the context, and are used within a [Transactor]'s transaction
// wherever they write.
type Directory interface {
	// Lock makes transactions that lock one of the same keys wait for each
	// other until they end. Keys are locked in the order given.
	Lock(ctx context.Context, keys ...string) error
	// Accounts, Organizations and Memberships return those that are known,
	// tombstones included, in no particular order.
	Accounts(ctx context.Context, ids []string) ([]Account, error)
	Organizations(ctx context.Context, ids []string) ([]Organization, error)
	Memberships(ctx context.Context, ids []string) ([]Membership, error)
	// Put writes states as they are, over what was stored.
	Put(ctx context.Context, o Observation) error
	// OrganizationsOf returns the ids of the organizations that any of the
	// accounts has or had a membership in, or created.
	OrganizationsOf(ctx context.Context, accountIDs []string) ([]string, error)
	// ActiveOrganizationsOf returns the ids of the live organizations that the
	// account is a member of now.
	ActiveOrganizationsOf(ctx context.Context, accountID string) ([]string, error)
	// LiveOrganizations and LiveAccounts return at most limit ids of those that
	// are known and were not deleted, ordered by id, after the given one; ""
	// starts at the beginning.
	LiveOrganizations(ctx context.Context, after string, limit int) ([]string, error)
	LiveAccounts(ctx context.Context, after string, limit int) ([]string, error)
	// View returns all that is known of one organization. The organization's
	// ID is empty when the directory does not know it.
	View(ctx context.Context, organizationID string) (View, error)
	// Own records a decision on an account's ownership of an organization, over
	// the one before.
	Own(ctx context.Context, organizationID, accountID string, decision Ownership) error
}

// View is all that the directory knows of one organization.
type View struct {
	Organization Organization
	Memberships  []Membership         // tombstones included
	Accounts     []Account            // of the memberships and of who created it
	Ownerships   map[string]Ownership // by account
}

// Ownership is a decision taken here, which the provider does not know of.
type Ownership struct {
	// Owner is whether they were made an owner or ceased to be one.
	Owner bool
	// MembershipID is the membership that it was taken on. Who is removed and
	// added again has another one, which it says nothing of. "" stands for
	// whichever they have: none was known.
	MembershipID string
}

// Members stores the users of the tenant in the context. Without a tenant
// every method fails.
type Members interface {
	// ByID returns a member, inactive ones included, or [ErrNoMember].
	ByID(ctx context.Context, id string) (Member, error)
	// ByIDs returns those of the members that exist, in no particular order.
	ByIDs(ctx context.Context, ids []string) ([]Member, error)
	// All returns every member, inactive ones included, ordered by id. Within a
	// transaction nobody else changes them until it ends.
	All(ctx context.Context) ([]Member, error)
	// List returns the members of a listing, ordered by when they joined and
	// then by id.
	List(ctx context.Context, listing MemberListing) ([]Member, error)
	// Put writes members as they are, over what was stored, but for when they
	// were last seen, and for CreatedAt and UpdatedAt, which it keeps itself.
	// An address may move from one of the members to another.
	Put(ctx context.Context, members []Member) error
	// CompleteOnboarding records that a person was welcomed, and the phone
	// number they gave; an empty one leaves the stored one. Errors: [ErrNoMember].
	CompleteOnboarding(ctx context.Context, id, phone string) (Member, error)
	// Touch records when a member was last seen; an earlier time than the
	// stored one changes nothing.
	Touch(ctx context.Context, id string, at time.Time) error
}

// ErrNoMember is what [Members] returns for somebody who never was a member.
var ErrNoMember = fault.New(fault.NotFound, "There is no such member.")

// Admissions remembers who got into which tenant, until something changes that could
// decide otherwise, and for a short time at most.
type Admissions interface {
	// Now is the moment that what is read from now on is true since.
	Now() Moment
	// Find returns what was kept for a person and a slug, if it is still true.
	Find(slug, accountID string) (Admission, bool)
	// Keep keeps what was true since a moment, unless it changed meanwhile.
	Keep(slug string, admission Admission, since Moment)
}

// Moment is a point in the order of changes.
type Moment uint64

// Admission is an active member of an active tenant.
type Admission struct {
	Tenant tenancy.Tenant
	Member Member
}

// noAdmissions remembers nothing: every request reads what decides it.
type noAdmissions struct{}

func (noAdmissions) Now() Moment                           { return 0 }
func (noAdmissions) Find(string, string) (Admission, bool) { return Admission{}, false }
func (noAdmissions) Keep(string, Admission, Moment)        {}

// Journal is the audit log of the tenant in the context, for what no table of the
// tenant has. The tables' own changes are recorded by the database.
type Journal interface {
	// Record adds an entry: what was done to the thing with id, and what it has, by
	// name.
	Record(ctx context.Context, action, id string, values map[string]any) error
}

// Transactor runs fn in one transaction over the directory, the inbox, the
// registry and every tenant's schema. An error or a panic of fn undoes
// everything; inside a transaction already, it undoes what fn did.
type Transactor interface {
	InSystemTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// InboxEvent is one webhook as it was received.
type InboxEvent struct {
	// ID is the delivery's id, stable over its repetitions (the svix-id).
	ID   string
	Type string // such as "organization.created"
	// Payload is the whole body, as it was signed.
	Payload []byte
	// OccurredAt is the event's own time, ReceivedAt when it came.
	OccurredAt time.Time
	ReceivedAt time.Time
	// Attempts is how often applying it was tried and failed.
	Attempts int
}

// InboxState is what became of an event.
type InboxState string

// The states of an event. Pending ones are tried until they are applied or,
// after the last attempt, dead.
const (
	InboxPending InboxState = "pending"
	InboxApplied InboxState = "applied"
	InboxIgnored InboxState = "ignored" // says nothing that matters here
	InboxDead    InboxState = "dead"
)

// InboxRecord is an event with what became of it.
type InboxRecord struct {
	InboxEvent
	State InboxState
	// LastError is why the last attempt failed, "" once it did not.
	LastError string
	// NextAttemptAt is when a pending event is tried.
	NextAttemptAt time.Time
	// FinishedAt is when an event was done with, zero while it is pending.
	FinishedAt time.Time
}

// InboxListing asks for a part of the inbox.
type InboxListing struct {
	// States and Types are those wanted; none means all.
	States []InboxState
	Types  []string
	// Since leaves out what was received before; the zero time nothing.
	Since time.Time
	// After is the last record of the page before; its zero value starts at the
	// top.
	After InboxPosition
	Limit int
}

// InboxBacklog is what is not done, and how late it is.
type InboxBacklog struct {
	Pending, Dead int
	// Oldest is when the longest-waiting pending event was received; the zero
	// time when nothing waits.
	Oldest time.Time
}

// InboxPosition is a record's place in the inbox.
type InboxPosition struct {
	ReceivedAt time.Time
	ID         string
}

// Position returns the record's place.
func (r InboxRecord) Position() InboxPosition {
	return InboxPosition{ReceivedAt: r.ReceivedAt, ID: r.ID}
}

// ErrNoEvent is what [Inbox] returns for an event that never came.
var ErrNoEvent = fault.New(fault.NotFound, "There is no such event.")

// Inbox keeps received events until they are applied, and for a while after.
type Inbox interface {
	// Add stores an event. A repetition changes nothing and returns false.
	Add(ctx context.Context, event InboxEvent) (added bool, err error)
	// Next returns the longest-waiting pending event that is due at now and
	// keeps it from others until the transaction in ctx ends. ok is false when
	// there is none. One that is to wait for a minute more than [RetryDelay] asks for
	// after its attempts is due as well: a clock that was ahead said so.
	Next(ctx context.Context, now time.Time) (event InboxEvent, ok bool, err error)
	// Finish records that an event is done with.
	Finish(ctx context.Context, id string, state InboxState) error
	// Fail records a failed attempt and when to try again; a zero time makes
	// the event dead. An event that is not pending stays as it is.
	Fail(ctx context.Context, id, reason string, retryAt time.Time) error
	// List returns the records of a listing, those received last first, and of
	// those received at once by id.
	List(ctx context.Context, listing InboxListing) ([]InboxRecord, error)
	// Backlog returns what is not done.
	Backlog(ctx context.Context) (InboxBacklog, error)
	// Get returns one record, or [ErrNoEvent].
	Get(ctx context.Context, id string) (InboxRecord, error)
	// Replay makes an event pending again, with all of its attempts, and due at
	// a time. What failed before is forgotten. Errors: [ErrNoEvent].
	Replay(ctx context.Context, id string, due time.Time) error
	// Forget deletes events that were applied or ignored, and received and done with
	// before a time: at most limit of them, those received first. It returns how
	// many.
	Forget(ctx context.Context, before time.Time, limit int) (int, error)
}

// Reconciliation is one walk of a [Reconciler] through everything.
type Reconciliation struct {
	ID int64
	// Worker is the process that walks.
	Worker string
	// StartedAt is when it began, HeartbeatAt when its worker last lived, and
	// FinishedAt when it was done, zero until then.
	StartedAt   time.Time
	HeartbeatAt time.Time
	FinishedAt  time.Time
	// Cursor is the id of the last organization that was done; they are walked
	// in the order of their ids.
	Cursor string
	// Organizations is how many were done, Repaired and Left how much drift was
	// found and repaired, and found and not.
	Organizations, Repaired, Left int
}

// Reconciliations is the ledger of reconciliations, of which at most one is not
// finished.
type Reconciliations interface {
	// Begin gives the worker the unfinished reconciliation, if its worker has
	// not been heard of since before, and a new one if all are finished. Errors:
	// [ErrReconciling] when another process works on it.
	Begin(ctx context.Context, worker string, now, before time.Time) (Reconciliation, error)
	// Save records how far the reconciliation of r.ID and r.Worker is. Errors:
	// [ErrReconciling] once it is another worker's, or was finished.
	Save(ctx context.Context, r Reconciliation) error
	// Latest returns the one that began last; ok is false before the first.
	Latest(ctx context.Context) (r Reconciliation, ok bool, err error)
}

// ErrReconciling is what a second process gets that would reconcile meanwhile.
var ErrReconciling = fault.New(fault.Conflict, "Another process reconciles at the moment.")

// Decoder reads what an event says. A type that says nothing about accounts,
// organizations or memberships is the zero observation and no error.
type Decoder func(eventType string, payload []byte) (Observation, error)
