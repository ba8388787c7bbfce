package clerkdev

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v3"
)

// The cat header says what a token is for. Every kind is signed by the same
// key, so it is the only difference between them.
const (
	categorySession  = "cl_B7d4PD111AAA"
	categoryTemplate = "cl_B7d4PD222AAA"
)

// tokenLifetime is how long a session token lives unless asked otherwise.
const tokenLifetime = time.Minute

// TokenOptions varies a session token. The zero value is the token a browser
// gets: version 2, one minute, of the session's active organization.
type TokenOptions struct {
	// Version is 1 or 2; 0 is 2.
	Version int
	// Lifetime is how long the token is valid; 0 is one minute. A negative one
	// makes a token that has already expired.
	Lifetime time.Duration
	// AuthorizedParty is the azp claim, the origin of the page that asked for
	// the token. Empty leaves it out, as Clerk's Backend API does.
	AuthorizedParty string
	// OrganizationID replaces the session's active organization.
	OrganizationID string
	// Status is the sts claim; empty is what it is: "active", or "pending" while
	// the user has a task left.
	Status string
	// Template makes a token of the JWT template of this name, which is
	// signed by the same key but is not a session token.
	Template string
}

// SessionToken returns a signed token for a session that is active.
func (e *Emulator) SessionToken(sessionID string, options TokenOptions) (token string, err error) {
	e.view(func(s *state) { token, err = e.sign(s, sessionID, options) })
	return token, err
}

// RotateKeys replaces the signing key: the JWKS then holds the new key alone,
// and tokens of the old one are worth nothing as soon as caches notice.
func (e *Emulator) RotateKeys() error {
	pair, key, err := newKeyPair()
	if err != nil {
		return err
	}
	return e.update(sender{}, func(t *tx) error {
		e.keys[pair.ID] = key
		t.Keys = []keyPair{pair}
		return nil
	})
}

func newKeyPair() (keyPair, *rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return keyPair{}, nil, fmt.Errorf("clerkdev: make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, nil, fmt.Errorf("clerkdev: encode signing key: %w", err)
	}
	return keyPair{ID: newID("ins"), PKCS8: der}, key, nil
}

func (p keyPair) parse() (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(p.PKCS8)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return key, nil
}

// jwks returns the public halves of the instance's keys.
func (e *Emulator) jwks(s *state) jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, pair := range s.Keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: e.keys[pair.ID].Public(), KeyID: pair.ID, Algorithm: string(jose.RS256), Use: "sig",
		})
	}
	return set
}

// sessionClaims are the claims of both token versions. Of the fields that
// belong to one version, the other's stay empty.
type sessionClaims struct {
	AuthorizedParty string   `json:"azp,omitempty"`
	Expiry          int64    `json:"exp"`
	Factors         [2]int64 `json:"fva"` // minutes since each factor, -1 never
	IssuedAt        int64    `json:"iat"`
	Issuer          string   `json:"iss"`
	ID              string   `json:"jti"`
	NotBefore       int64    `json:"nbf"`
	SessionID       string   `json:"sid"`
	Status          string   `json:"sts"`
	Subject         string   `json:"sub"`

	Version      int                 `json:"v,omitempty"`
	Features     string              `json:"fea,omitempty"`
	Organization *organizationClaims `json:"o,omitempty"`

	OrganizationID          string   `json:"org_id,omitempty"`
	OrganizationSlug        string   `json:"org_slug,omitempty"`
	OrganizationRole        string   `json:"org_role,omitempty"`
	OrganizationPermissions []string `json:"org_permissions,omitempty"`
}

type organizationClaims struct {
	ID          string `json:"id"`
	Slug        string `json:"slg,omitempty"`
	Role        string `json:"rol"`
	Permissions string `json:"per,omitempty"`
	Mappings    string `json:"fpm,omitempty"`
}

func (e *Emulator) sign(s *state, sessionID string, options TokenOptions) (string, error) {
	current := s.Sessions[sessionID]
	if current == nil {
		return "", errNotFound("session")
	}
	if status := current.status(); status != "active" {
		return "", &apiError{http.StatusUnprocessableEntity, "session_not_active", "Session is not active", "The session is " + status + ".", ""}
	}
	lifetime := options.Lifetime
	if lifetime == 0 {
		lifetime = tokenLifetime
	}
	now := time.Now()
	claims := sessionClaims{
		AuthorizedParty: options.AuthorizedParty,
		Expiry:          now.Add(lifetime).Unix(),
		Factors:         [2]int64{max(0, now.UnixMilli()-current.CreatedAt) / 60_000, -1},
		IssuedAt:        now.Add(min(0, lifetime)).Unix(),
		Issuer:          e.Issuer(),
		ID:              newSecret()[:20],
		NotBefore:       now.Add(min(0, lifetime)).Add(-10 * time.Second).Unix(),
		SessionID:       current.ID,
		Status:          options.Status,
		Subject:         current.UserID,
	}
	if claims.Status == "" {
		claims.Status = "active"
		if s.Users[current.UserID].Task != "" {
			claims.Status = "pending"
		}
	}
	organizationID := options.OrganizationID
	if organizationID == "" {
		organizationID = current.OrganizationID
	}
	member := s.membership(organizationID, current.UserID)
	if options.OrganizationID != "" && member == nil {
		return "", errNotFound("membership of the session's user in this organization")
	}
	switch options.Version {
	case 0, 2:
		claims.Version = 2
		if member != nil {
			claims.setOrganization(s, member)
		}
	case 1:
		if member != nil {
			claims.OrganizationID = member.OrganizationID
			claims.OrganizationSlug = s.Organizations[member.OrganizationID].Slug
			claims.OrganizationRole = member.Role
			claims.OrganizationPermissions = customPermissions(s, member.Role)
		}
	default:
		return "", fmt.Errorf("clerkdev: token version %d, want 1 or 2", options.Version)
	}
	category := categorySession
	if options.Template != "" {
		category = categoryTemplate
	}
	return e.signJWT(s, category, claims)
}

func (c *sessionClaims) setOrganization(s *state, m *membership) {
	c.Organization = &organizationClaims{
		ID:   m.OrganizationID,
		Slug: s.Organizations[m.OrganizationID].Slug,
		Role: strings.TrimPrefix(m.Role, "org:"),
	}
	c.Features, c.Organization.Permissions, c.Organization.Mappings = packPermissions(customPermissions(s, m.Role))
}

// customPermissions returns a role's permissions without Clerk's own
// ("org:sys_…"), which session tokens never carry.
func customPermissions(s *state, roleKey string) []string {
	var custom []string
	if r := s.Roles[roleKey]; r != nil {
		for _, permission := range r.Permissions {
			if !strings.HasPrefix(permission, "org:sys_") {
				custom = append(custom, permission)
			}
		}
	}
	return custom
}

// packPermissions writes permissions ("org:FEATURE:PERMISSION") as version 2
// tokens do: the features, the distinct permissions, and for each feature a
// number of which bit j grants permission j.
func packPermissions(permissions []string) (features, names, mappings string) {
	var featureList, nameList []string
	bits := map[string]uint64{}
	for _, permission := range permissions {
		_, rest, _ := strings.Cut(permission, ":")
		feature, name, _ := strings.Cut(rest, ":")
		if !slices.Contains(featureList, feature) {
			featureList = append(featureList, feature)
		}
		index := slices.Index(nameList, name)
		if index < 0 {
			index = len(nameList)
			nameList = append(nameList, name)
		}
		bits[feature] |= 1 << index
	}
	var mappingList []string
	for n, feature := range featureList {
		mappingList = append(mappingList, strconv.FormatUint(bits[feature], 10))
		featureList[n] = "o:" + feature
	}
	return strings.Join(featureList, ","), strings.Join(nameList, ","), strings.Join(mappingList, ",")
}

// signJWT signs claims with the instance's current key. Without a category the
// token carries no cat header.
func (e *Emulator) signJWT(s *state, category string, claims any) (string, error) {
	pair := s.Keys[len(s.Keys)-1]
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", pair.ID)
	if category != "" {
		options = options.WithHeader("cat", category)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: e.keys[pair.ID]}, options)
	if err != nil {
		return "", fmt.Errorf("clerkdev: sign token: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("clerkdev: sign token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("clerkdev: sign token: %w", err)
	}
	return signed.CompactSerialize()
}

// signedFor reports whether the instance made the token for the session, however
// long ago.
func (e *Emulator) signedFor(sessionID, token string) bool {
	parsed, err := jose.ParseSigned(token)
	if err != nil || len(parsed.Signatures) != 1 || parsed.Signatures[0].Header.Algorithm != string(jose.RS256) {
		return false
	}
	key := e.keys[parsed.Signatures[0].Header.KeyID]
	if key == nil {
		return false
	}
	payload, err := parsed.Verify(key.Public())
	var claims sessionClaims
	return err == nil && json.Unmarshal(payload, &claims) == nil && claims.SessionID == sessionID
}
