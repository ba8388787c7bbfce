package clerkdev

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
)

// mountPath is where the application mounts [Emulator.Frontend].
const mountPath = "/__clerk"

// Config says where an emulator lives.
type Config struct {
	// PublicURL is the origin that browsers see the application under, such as
	// "http://localhost:3000". It has to be loopback and have no path.
	PublicURL string
	// TenantDomain is the domain below which the application has hosts beside
	// PublicURL's. Cookies that tell how the browser stands are then the domain's, as
	// with Clerk, and people are led back to those hosts, too. Empty is none.
	TenantDomain string
	// WebhookURL is the application's webhook endpoint. It has to be loopback.
	// Empty, events are only recorded.
	WebhookURL string
	// StateFile keeps everything over restarts, secrets and undelivered events
	// included. It is made with mode 0600. Empty keeps the state in memory.
	StateFile string
	// Development makes a development instance: its publishable key starts
	// with pk_test_ and its browsers carry a __clerk_db_jwt. Otherwise the
	// instance behaves as one in production.
	Development bool
	// Roles are those that organizations have beside org:admin and org:member,
	// as far as the state file does not have them yet. Any other role is refused.
	Roles []Role
	// Scripts is a node_modules folder with @clerk/clerk-js and @clerk/ui, which
	// the Frontend API then serves as Clerk's does. Empty serves none.
	Scripts string
	// Logger gets what an operator wants to see; nil discards it.
	Logger *slog.Logger
}

// Emulator is one Clerk instance. It is safe for concurrent use.
type Emulator struct {
	publicURL   *url.URL
	domain      string // of tenants' hosts; "" for none
	webhookURL  string
	stateFile   string
	development bool
	logger      *slog.Logger

	mu    sync.RWMutex
	state *state
	saved []byte // what the state file holds
	keys  map[string]*rsa.PrivateKey

	nonces      nonces
	attempts    attempts
	scripts     *os.Root // nil for none
	submissions submissions

	delivery dispatcher
	outage   outages
}

// New returns an instance with the state of cfg.StateFile, or a new one with
// random keys. The error says which address is not loopback, or why the state
// file cannot be read; the file is then left as it is.
func New(cfg Config) (*Emulator, error) {
	publicURL, err := loopbackURL(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("clerkdev: PublicURL: %w", err)
	}
	if publicURL.Path != "" && publicURL.Path != "/" || publicURL.RawQuery != "" {
		return nil, errors.New("clerkdev: PublicURL: want an origin without path and query")
	}
	publicURL.Path = ""
	if cfg.WebhookURL != "" {
		if _, err := loopbackURL(cfg.WebhookURL); err != nil {
			return nil, fmt.Errorf("clerkdev: WebhookURL: %w", err)
		}
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	e := &Emulator{
		publicURL:   publicURL,
		domain:      cfg.TenantDomain,
		webhookURL:  cfg.WebhookURL,
		stateFile:   cfg.StateFile,
		development: cfg.Development,
		logger:      logger,
		keys:        map[string]*rsa.PrivateKey{},
		submissions: submissions{accepted: map[string]submission{}},
		delivery:    newDispatcher(),
	}
	if cfg.Scripts != "" {
		if e.scripts, err = os.OpenRoot(cfg.Scripts); err != nil {
			return nil, fmt.Errorf("clerkdev: Scripts: %w", err)
		}
	}
	if err := e.load(); err != nil {
		return nil, err
	}
	for _, role := range cfg.Roles {
		if err := e.ensureRole(role); err != nil {
			return nil, fmt.Errorf("clerkdev: Roles: %w", err)
		}
	}
	return e, nil
}

func (e *Emulator) load() error {
	if e.stateFile != "" {
		read, err := readState(e.stateFile)
		if err != nil {
			return err
		}
		e.state = read
	}
	if e.state == nil {
		e.state = newState()
		pair, key, err := newKeyPair()
		if err != nil {
			return err
		}
		e.state.Keys = []keyPair{pair}
		e.keys[pair.ID] = key
		return e.save()
	}
	e.state.upgrade()
	for _, pair := range e.state.Keys {
		key, err := pair.parse()
		if err != nil {
			return fmt.Errorf("clerkdev: state file %s: signing key: %w", e.stateFile, err)
		}
		e.keys[pair.ID] = key
	}
	return e.save()
}

// loopbackURL parses an http or https URL whose host is this machine.
func loopbackURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return nil, errors.New("want http://HOST:PORT")
	}
	host := strings.ToLower(u.Hostname())
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return u, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLoopback() {
		return u, nil
	}
	return nil, fmt.Errorf("%q is not a loopback address, and the emulator lets anybody sign in as anybody", host)
}

// SecretKey authenticates callers of the Backend API.
func (e *Emulator) SecretKey() (key string) {
	e.view(func(s *state) { key = s.SecretKey })
	return key
}

// PublishableKey names the instance to browsers and decides the suffix of its
// cookies. Clerk's clients require that the Frontend API host in it has a dot
// and use [Emulator.Issuer] as the proxy URL instead of it; the host contains
// PublicURL's port, so that emulators on several ports of one host, which share
// a cookie jar, do not share suffixes.
func (e *Emulator) PublishableKey() string {
	kind := "pk_live_"
	if e.development {
		kind = "pk_test_"
	}
	return kind + base64.StdEncoding.EncodeToString([]byte("clerk."+e.publicURL.Host+"$"))
}

// WebhookSecret is the secret ("whsec_…") that events are signed with.
func (e *Emulator) WebhookSecret() (secret string) {
	e.view(func(s *state) { secret = s.WebhookSecret })
	return secret
}

// Issuer is the iss of every session token. It is also the address of the
// Frontend API: the handshake is at Issuer() + "/v1/client/handshake".
func (e *Emulator) Issuer() string { return e.publicURL.String() + mountPath }

// senderOf names who sent a request, as far as events tell.
func senderOf(remoteAddr, userAgent string) sender {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		host = remoteAddr
	}
	return sender{IP: host, UserAgent: userAgent}
}
