package clerk

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Envelope is what every webhook says of itself.
type Envelope struct {
	// Type is such as "organization.created".
	Type string
	// OccurredAt is zero when the envelope does not say.
	OccurredAt time.Time
}

// maxTypeLength bounds an event type. Clerk's longest has 35 characters.
const maxTypeLength = 100

type envelope struct {
	Type      string          `json:"type"`
	Timestamp instant         `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

var errEnvelope = fault.New(fault.Invalid, "The event is not valid: want a JSON object with type, data and timestamp.")

// DecodeEnvelope reads the envelope of a webhook's body, of any type. Errors
// have kind fault.Invalid.
func DecodeEnvelope(payload []byte) (Envelope, error) {
	e, err := decodeEnvelope(payload)
	return Envelope{Type: e.Type, OccurredAt: e.Timestamp.Time}, err
}

func decodeEnvelope(payload []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(payload, &e); err != nil {
		return envelope{}, errEnvelope.WithCause(withoutValue(err))
	}
	if e.Type == "" || len(e.Type) > maxTypeLength || strings.ContainsFunc(e.Type, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return envelope{}, errEnvelope.WithCause(errors.New("no usable type"))
	}
	return e, nil
}

// Decode is the [identity.Decoder] of Clerk's webhooks; payload is the whole
// body. Errors have kind fault.Invalid and hold nothing of the payload but the
// names of fields.
func Decode(eventType string, payload []byte) (identity.Observation, error) {
	e, err := decodeEnvelope(payload)
	if err != nil {
		return identity.Observation{}, fault.Wrap("decode "+eventType, err)
	}
	observation, err := decodeData(eventType, e)
	if err != nil {
		invalid := fault.New(fault.Invalid, "The event's data is not valid.").WithCause(withoutValue(err))
		return identity.Observation{}, fault.Wrap("decode "+eventType, invalid)
	}
	return observation, nil
}

func decodeData(eventType string, e envelope) (identity.Observation, error) {
	switch eventType {
	case "user.created", "user.updated":
		var user userResource
		if err := json.Unmarshal(e.Data, &user); err != nil {
			return identity.Observation{}, err
		}
		account, err := user.account()
		return identity.Observation{Accounts: []identity.Account{account}}, err
	case "user.deleted":
		id, at, err := e.deleted()
		return identity.Observation{Accounts: []identity.Account{{ID: id, CreatedAt: at, UpdatedAt: at, DeletedAt: at}}}, err
	case "organization.created", "organization.updated":
		var resource organizationResource
		if err := json.Unmarshal(e.Data, &resource); err != nil {
			return identity.Observation{}, err
		}
		organization, err := resource.organization()
		return identity.Observation{Organizations: []identity.Organization{organization}}, err
	case "organization.deleted":
		id, at, err := e.deleted()
		return identity.Observation{Organizations: []identity.Organization{{ID: id, CreatedAt: at, UpdatedAt: at, DeletedAt: at}}}, err
	case "organizationMembership.created", "organizationMembership.updated":
		var membership membershipResource
		if err := json.Unmarshal(e.Data, &membership); err != nil {
			return identity.Observation{}, err
		}
		return membership.observe()
	case "organizationMembership.deleted":
		return e.deletedMembership()
	}
	// Invitations are known here by the membership that comes of them, and
	// sessions by their tokens.
	return identity.Observation{}, nil
}

// deletedMembership reads the membership as it was. That one was deleted is all
// it says: its organization or account may be gone as well, and other events
// tell of them.
func (e envelope) deletedMembership() (identity.Observation, error) {
	id, at, err := e.deleted()
	if err != nil {
		return identity.Observation{}, err
	}
	var resource membershipResource
	if err := json.Unmarshal(e.Data, &resource); err != nil {
		return identity.Observation{}, err
	}
	return identity.Observation{Memberships: []identity.Membership{{
		ID:             id,
		OrganizationID: usableID(resource.Organization.ID),
		AccountID:      usableID(resource.PublicUserData.UserID),
		CreatedAt:      at,
		UpdatedAt:      at,
		DeletedAt:      at,
	}}}, nil
}

// deleted returns what a deletion is about and when it happened, which only the
// envelope says. One without a time still is a deletion: it wins over every
// other state whatever its time, so the epoch does.
func (e envelope) deleted() (id string, at time.Time, err error) {
	var data struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return "", time.Time{}, err
	}
	if !idPattern.MatchString(data.ID) {
		return "", time.Time{}, errIncomplete
	}
	if at = e.Timestamp.Time; at.IsZero() {
		at = time.UnixMilli(0).UTC()
	}
	return data.ID, at, nil
}

// SessionEndTypes are the types of events that end a session.
var SessionEndTypes = []string{"session.ended", "session.removed", "session.revoked"}

// EndedSession returns the id of the session that an event ended, and "" for
// events that ended none. Tokens of that session are good for another minute,
// unless they are refused by its id. Errors have kind fault.Invalid.
func EndedSession(eventType string, payload []byte) (sessionID string, err error) {
	if !slices.Contains(SessionEndTypes, eventType) {
		return "", nil
	}
	e, err := decodeEnvelope(payload)
	if err != nil {
		return "", fault.Wrap("decode "+eventType, err)
	}
	id, _, err := e.deleted()
	if err != nil {
		invalid := fault.New(fault.Invalid, "The event's data is not valid.").WithCause(withoutValue(err))
		return "", fault.Wrap("decode "+eventType, invalid)
	}
	return id, nil
}

// withoutValue drops what encoding/json repeats of the input: error texts reach
// logs, and payloads carry private metadata.
func withoutValue(err error) error {
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is no %s", mistyped.Field, mistyped.Type)
	}
	if malformed, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("malformed JSON at byte %d", malformed.Offset)
	}
	return err
}
