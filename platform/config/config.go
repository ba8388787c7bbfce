package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Config is the application's configuration. Each field that comes from the
// environment carries the variable's name and default (env, envDefault), what
// it is for (doc), what a value must be (want) and one that would do (example).
type Config struct {
	PublicURL       *url.URL       `env:"PUBLIC_URL,required" want:"the http or https origin that browsers see, without a path" example:"https://app.example.com" doc:"Where people reach the application; its origin is trusted for changes and for sessions"`
	TenantDomain    string         `env:"TENANT_DOMAIN" want:"PUBLIC_URL's host, or a domain that it is below; with a dot in it and without scheme and port" example:"example.com" doc:"Domain below which tenants have hosts of their own: acme.example.com/dashboard is then what PUBLIC_URL/acme/dashboard is. Without it paths alone name tenants"`
	ListenAddr      string         `env:"LISTEN_ADDR" envDefault:":8080" want:"host:port, or :port for every interface" example:"127.0.0.1:8080" doc:"Address the server listens on"`
	TrustedProxies  []netip.Prefix `env:"TRUSTED_PROXIES" want:"addresses or CIDR ranges, separated by commas" example:"10.0.0.0/8,127.0.0.1" doc:"Proxies whose X-Forwarded-For and X-Request-Id are believed; empty believes nobody"`
	RequestTimeout  time.Duration  `env:"REQUEST_TIMEOUT" envDefault:"30s" want:"a duration from 1s to 10m" example:"30s" doc:"Deadline of one request"`
	ShutdownDelay   time.Duration  `env:"SHUTDOWN_DELAY" envDefault:"0s" want:"a duration from 0s to 5m" example:"5s" doc:"How long to go on accepting after /readyz has turned unready, for load balancers to notice"`
	ShutdownTimeout time.Duration  `env:"SHUTDOWN_TIMEOUT" envDefault:"10s" want:"a duration from 1s to 10m" example:"10s" doc:"How long running requests may take to finish at shutdown"`

	RedisURL         Secret `env:"REDIS_URL" want:"a redis:// or rediss:// URL" example:"rediss://:secret@localhost:6379/0" doc:"Redis, for limits that all processes share; without it, and while it is away, each process counts by itself. A request waits 100 ms for it, or read_timeout of the URL"`
	RateLimitAddress int    `env:"RATE_LIMIT_ADDRESS" envDefault:"1800" want:"a whole number from 0 to 1000000; 0 is no limit" example:"1800" doc:"Most requests a minute from one client address, a /64 of IPv6"`
	RateLimitSignIn  int    `env:"RATE_LIMIT_SIGN_IN" envDefault:"60" want:"a whole number from 0 to 1000000; 0 is no limit" example:"60" doc:"Most requests a minute from one client address to sign in, up and out"`
	RateLimitWebhook int    `env:"RATE_LIMIT_WEBHOOK" envDefault:"1200" want:"a whole number from 0 to 1000000; 0 is no limit" example:"1200" doc:"Most webhooks a minute from one client address"`
	RateLimitPerson  int    `env:"RATE_LIMIT_PERSON" envDefault:"600" want:"a whole number from 0 to 1000000; 0 is no limit" example:"600" doc:"Most requests a minute of one person"`
	RateLimitKey     int    `env:"RATE_LIMIT_KEY" envDefault:"600" want:"a whole number from 0 to 1000000; 0 is no limit" example:"600" doc:"Most requests a minute with one API key"`
	RateLimitTenant  int    `env:"RATE_LIMIT_TENANT" envDefault:"6000" want:"a whole number from 0 to 1000000; 0 is no limit" example:"6000" doc:"Most requests a minute in one tenant"`

	DatabaseURL          Secret        `env:"DATABASE_URL,required" want:"a postgres:// URL with a host and a database" example:"postgres://tenon:secret@localhost:5432/tenon?sslmode=verify-full" doc:"PostgreSQL, directly or through PgBouncer in transaction mode"`
	DatabaseDirectURL    Secret        `env:"DATABASE_DIRECT_URL" want:"a postgres:// URL with a host and a database" example:"postgres://tenon:secret@localhost:5432/tenon?sslmode=verify-full" doc:"PostgreSQL itself, where DATABASE_URL leads through a pooler: for what needs a session, such as hearing of other processes' changes; by default DATABASE_URL"`
	DatabaseMaxConns     int           `env:"DATABASE_MAX_CONNS" envDefault:"20" want:"a whole number from 1 to 1000" example:"20" doc:"Most connections this process opens"`
	DatabaseTenantConns  int           `env:"DATABASE_TENANT_CONNS" envDefault:"10" want:"a whole number from 0 to 1000; 0 is no bound" example:"10" doc:"Most of this process' connections that one tenant holds at once, so that the others find some; more of its requests wait, no longer than their deadline"`
	DatabaseTenantGroups int           `env:"DATABASE_TENANT_GROUPS" envDefault:"1" want:"a whole number from 1 to half of DATABASE_MAX_CONNS" example:"4" doc:"How many groups tenants are divided into, each with its part of the connections: PostgreSQL keeps as much less memory, and a tenant finds as many fewer connections. For thousands of tenants, and without a pooler in between"`
	DatabaseConnLifetime time.Duration `env:"DATABASE_CONN_LIFETIME" envDefault:"5m" want:"a duration from 10s to 24h" example:"5m" doc:"Age at which a connection is replaced, which gives back the memory it holds for each tenant it has served"`

	TenantRoles string `env:"TENANT_ROLES" envDefault:"auto" want:"on, off or auto" example:"on" doc:"Whether each tenant's statements run with the rights of a database role of its own, so that PostgreSQL itself refuses another tenant's tables; auto is on where the login may make roles, every tenant has one (tenon tenants roles create), and the server bears as many"`

	Operators       []string      `env:"OPERATORS" want:"email addresses or account ids, separated by commas" example:"ada@example.com,user_2abc" doc:"Who sees the operators' pages, such as /admin/fleet; nobody when it is empty"`
	AccessCacheSize int           `env:"ACCESS_CACHE_SIZE" envDefault:"50000" want:"a whole number from 0 to 10000000; 0 keeps none" example:"50000" doc:"How many people's access to tenants is kept in memory; changes are heard of at once"`
	AccessCacheTTL  time.Duration `env:"ACCESS_CACHE_TTL" envDefault:"30s" want:"a duration from 1s to 10m" example:"30s" doc:"How long access is kept at most, should a change not have been heard of"`

	TenantPurgeAfter time.Duration `env:"TENANT_PURGE_AFTER" envDefault:"720h" want:"a duration from 1h to 87600h" example:"720h" doc:"How long the data of a deleted organization is kept"`

	AuditRetention   time.Duration `env:"AUDIT_RETENTION" envDefault:"0s" want:"a duration from 24h to 876000h; 0s is for ever" example:"8760h" doc:"How long entries of tenants' audit logs are kept; needs AUDIT_SIGNING_KEY"`
	AuditSigningKey  Secret        `env:"AUDIT_SIGNING_KEY" want:"base64 of 32 bytes, as tenon audit key prints it; with AUDIT_RETENTION it is needed" example:"YW4gZXhhbXBsZSBrZXksIG5vdCB0byBiZSB1c2VkISE=" doc:"Key that signs what stands in place of entries that were cut off an audit log. Keep it out of the database and its backups"`
	AuditTrustedKeys []string      `env:"AUDIT_TRUSTED_KEYS" want:"base64 of public keys of 32 bytes, separated by commas" example:"YW4gZXhhbXBsZSBrZXksIG5vdCB0byBiZSB1c2VkISE=" doc:"Public halves of the keys that signed before, as tenon audit key prints them"`

	ReconcileHour int `env:"RECONCILE_HOUR" envDefault:"3" want:"a whole number from 0 to 23; -1 is never" example:"3" doc:"Hour of the day (UTC) from which what Clerk's webhooks did not bring is looked for and repaired, by one process at a time"`

	ClerkSecretKey             Secret   `env:"CLERK_SECRET_KEY,required" want:"a key that starts with sk_live_ or sk_test_" example:"sk_test_…" doc:"Secret key of the Clerk instance"`
	ClerkPublishableKey        string   `env:"CLERK_PUBLISHABLE_KEY,required" want:"a key that starts with pk_live_ or pk_test_, complete and of the same instance as CLERK_SECRET_KEY" example:"pk_test_Y2xlcmsuZXhhbXBsZS5jb20k" doc:"Publishable key of the Clerk instance"`
	ClerkWebhookSecret         Secret   `env:"CLERK_WEBHOOK_SECRET,required" want:"whsec_ and base64" example:"whsec_…" doc:"Signing secret of the webhook endpoint"`
	ClerkWebhookSecretPrevious Secret   `env:"CLERK_WEBHOOK_SECRET_PREVIOUS" want:"whsec_ and base64, other than CLERK_WEBHOOK_SECRET" example:"whsec_…" doc:"The secret before, accepted as well while it is being replaced"`
	ClerkAPIURL                *url.URL `env:"CLERK_API_URL" envDefault:"https://api.clerk.com" want:"an http or https origin, without a path" example:"https://api.clerk.com" doc:"Clerk's Backend API"`
	ClerkProxyURL              *url.URL `env:"CLERK_PROXY_URL" want:"an http or https URL" example:"https://app.example.com/__clerk" doc:"Clerk's Frontend API when it is served through a proxy; by default the host in the publishable key"`
	ClerkJSURL                 *url.URL `env:"CLERK_JS_URL" want:"an http or https URL" example:"https://clerk.example.com/npm" doc:"Where pages load ClerkJS from; by default /npm of Clerk's Frontend API"`
	ClerkAuthorizedParties     Origins  `env:"CLERK_AUTHORIZED_PARTIES" want:"origins, separated by commas" example:"https://app.example.com" doc:"Origins whose sessions are accepted; by default PUBLIC_URL's"`

	MetricsAddr   string        `env:"METRICS_ADDR" want:"host:port" example:"127.0.0.1:9090" doc:"Address of metrics, busiest tenants and profiles, for operators alone: they need no authentication; none when it is empty"`
	SlowStatement time.Duration `env:"SLOW_STATEMENT" envDefault:"1s" want:"a duration from 0s to 10m; 0s logs none" example:"500ms" doc:"Statements that take longer are logged, with their tenant and route and without their arguments"`
	CatalogMemory int           `env:"CATALOG_MEMORY" envDefault:"4096" want:"a whole number of MiB from 1 to 10000000" example:"4096" doc:"Memory that the database server has for the catalog caches of this process' connections, which tells how many more tenants there is room for"`

	ServerTiming bool `env:"SERVER_TIMING" envDefault:"false" want:"true or false" example:"true" doc:"Whether answers say what the server and the database took for them (Server-Timing), for development"`

	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info" want:"debug, info, warn or error" example:"info" doc:"Least severe level that is logged"`
	LogFormat string     `env:"LOG_FORMAT" envDefault:"json" want:"json or text" example:"json" doc:"Form of the log on standard error"`
}

// Origins are such as "https://app.example.com": a scheme, a host and perhaps a
// port.
type Origins []string

// Secret is a value that must not be printed: fmt, slog and encoders show a
// placeholder. string(s) is the value.
type Secret string

const placeholder = "[secret]"

// String returns the placeholder, "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return placeholder
}

// GoString is for the %#v of whatever holds the secret.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue keeps the secret out of every slog handler.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the secret out of JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ClerkFrontendAPI returns the URL of the instance's Frontend API, which is
// also the issuer of its session tokens.
func (c *Config) ClerkFrontendAPI() *url.URL {
	if c.ClerkProxyURL != nil {
		return c.ClerkProxyURL
	}
	host, _ := frontendAPIHost(c.ClerkPublishableKey) // checked by Load
	return &url.URL{Scheme: "https", Host: host}
}

// Problem is one variable that is missing or wrong.
type Problem struct {
	// Variable is the variable's name.
	Variable string
	// Wrong says what the matter is, such as "is missing", without the value.
	Wrong string
	// Want says what would be right.
	Want string
}

// Error is every problem of an environment at once, in the order of [Config].
type Error struct{ Problems []Problem }

// Error has one line a problem.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the configuration is not usable (%d to mend):", len(e.Problems))
	for _, p := range e.Problems {
		fmt.Fprintf(&text, "\n  %s %s; want %s", p.Variable, p.Wrong, p.Want)
	}
	return text.String()
}

// Load reads the configuration from environ, which is in os.Environ's form. A
// variable that is empty counts as not set, and space around a value is
// ignored. The error is an [*Error] with everything that is wrong.
func Load(environ []string) (Config, error) {
	values := map[string]string{}
	for name, value := range env.ToMap(environ) {
		if value = strings.TrimSpace(value); value != "" {
			values[name] = value
		}
	}
	var c Config
	wrong := map[string]string{}
	err := env.ParseWithOptions(&c, env.Options{Environment: values, FuncMap: parsers})
	if aggregate, ok := errors.AsType[env.AggregateError](err); ok {
		for _, err := range aggregate.Errors {
			if missing, ok := errors.AsType[env.VarIsNotSetError](err); ok {
				wrong[missing.Key] = "is missing"
				continue
			}
			malformed, ok := errors.AsType[env.ParseError](err)
			if !ok {
				return Config{}, fmt.Errorf("config: %w", err) // the struct's tags are wrong
			}
			// The parser's error quotes the value.
			wrong[variableOf(malformed.Name)] = "is not valid"
		}
	} else if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	for _, rule := range rules {
		if wrong[rule.variable] == "" && !rule.holds(&c) {
			wrong[rule.variable] = "is not valid"
		}
	}
	if len(wrong) > 0 {
		var problems []Problem
		for _, v := range Variables() {
			if text := wrong[v.Name]; text != "" {
				problems = append(problems, Problem{Variable: v.Name, Wrong: text, Want: v.Want + ", such as " + v.Example})
			}
		}
		return Config{}, &Error{Problems: problems}
	}
	if c.DatabaseDirectURL == "" {
		c.DatabaseDirectURL = c.DatabaseURL
	}
	c.PublicURL.Host = browserHost(c.PublicURL)
	if len(c.ClerkAuthorizedParties) == 0 {
		c.ClerkAuthorizedParties = Origins{origin(c.PublicURL)}
	}
	return c, nil
}

// parsers replace env's where its own are too lenient.
var parsers = map[reflect.Type]env.ParserFunc{
	reflect.TypeFor[url.URL]():        func(s string) (any, error) { return parseURL(s) },
	reflect.TypeFor[[]netip.Prefix](): func(s string) (any, error) { return parsePrefixes(s) },
	reflect.TypeFor[Origins]():        func(s string) (any, error) { return parseOrigins(s) },
}

var errNotValid = errors.New("not valid")

func parseURL(text string) (url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return url.URL{}, errNotValid
	}
	if port := u.Port(); port != "" {
		if _, err := net.LookupPort("tcp", port); err != nil {
			return url.URL{}, errNotValid
		}
	}
	u.Host = strings.ToLower(u.Host)
	u.Path = strings.TrimRight(u.Path, "/")
	return *u, nil
}

func parsePrefixes(text string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, err := netip.ParseAddr(part)
			if err != nil || addr.Zone() != "" {
				return nil, errNotValid
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

func parseOrigins(text string) (Origins, error) {
	var origins Origins
	for part := range strings.SplitSeq(text, ",") {
		u, err := parseURL(strings.TrimSpace(part))
		if err != nil || u.Path != "" {
			return nil, errNotValid
		}
		origins = append(origins, origin(&u))
	}
	return origins, nil
}

func origin(u *url.URL) string { return u.Scheme + "://" + browserHost(u) }

// browserHost is u's host as browsers spell it in an origin: without the port that its
// scheme has anyway.
func browserHost(u *url.URL) string {
	switch port := u.Port(); {
	case port == "", u.Scheme == "https" && port == "443", u.Scheme == "http" && port == "80":
		return strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.Host
}

// rules are what a well-formed value must fulfil besides.
var rules = []struct {
	variable string
	holds    func(*Config) bool
}{
	{"PUBLIC_URL", func(c *Config) bool { return c.PublicURL.Path == "" }},
	{"TENANT_DOMAIN", func(c *Config) bool { return c.TenantDomain == "" || isTenantDomain(c.TenantDomain, c.PublicURL) }},
	{"LISTEN_ADDR", func(c *Config) bool { return isListenAddr(c.ListenAddr) }},
	{"REQUEST_TIMEOUT", func(c *Config) bool { return between(c.RequestTimeout, time.Second, 10*time.Minute) }},
	{"SHUTDOWN_DELAY", func(c *Config) bool { return between(c.ShutdownDelay, 0, 5*time.Minute) }},
	{"SHUTDOWN_TIMEOUT", func(c *Config) bool { return between(c.ShutdownTimeout, time.Second, 10*time.Minute) }},
	{"REDIS_URL", func(c *Config) bool { return c.RedisURL == "" || isRedisURL(string(c.RedisURL)) }},
	{"RATE_LIMIT_ADDRESS", func(c *Config) bool { return isLimit(c.RateLimitAddress) }},
	{"RATE_LIMIT_SIGN_IN", func(c *Config) bool { return isLimit(c.RateLimitSignIn) }},
	{"RATE_LIMIT_WEBHOOK", func(c *Config) bool { return isLimit(c.RateLimitWebhook) }},
	{"RATE_LIMIT_PERSON", func(c *Config) bool { return isLimit(c.RateLimitPerson) }},
	{"RATE_LIMIT_KEY", func(c *Config) bool { return isLimit(c.RateLimitKey) }},
	{"RATE_LIMIT_TENANT", func(c *Config) bool { return isLimit(c.RateLimitTenant) }},
	{"DATABASE_URL", func(c *Config) bool { return isDatabaseURL(string(c.DatabaseURL)) }},
	{"DATABASE_DIRECT_URL", func(c *Config) bool { return c.DatabaseDirectURL == "" || isDatabaseURL(string(c.DatabaseDirectURL)) }},
	{"DATABASE_MAX_CONNS", func(c *Config) bool { return c.DatabaseMaxConns >= 1 && c.DatabaseMaxConns <= 1000 }},
	{"DATABASE_TENANT_CONNS", func(c *Config) bool { return c.DatabaseTenantConns >= 0 && c.DatabaseTenantConns <= 1000 }},
	{"DATABASE_TENANT_GROUPS", func(c *Config) bool {
		conns := c.DatabaseMaxConns
		if conns < 1 { // which is a problem of its own
			conns = 1000
		}
		return c.DatabaseTenantGroups == 1 || c.DatabaseTenantGroups > 1 && 2*c.DatabaseTenantGroups <= conns
	}},
	{"DATABASE_CONN_LIFETIME", func(c *Config) bool { return between(c.DatabaseConnLifetime, 10*time.Second, 24*time.Hour) }},
	{"ACCESS_CACHE_SIZE", func(c *Config) bool { return c.AccessCacheSize >= 0 && c.AccessCacheSize <= 10_000_000 }},
	{"ACCESS_CACHE_TTL", func(c *Config) bool { return between(c.AccessCacheTTL, time.Second, 10*time.Minute) }},
	{"TENANT_ROLES", func(c *Config) bool { return slices.Contains([]string{"on", "off", "auto"}, c.TenantRoles) }},
	{"TENANT_PURGE_AFTER", func(c *Config) bool { return between(c.TenantPurgeAfter, time.Hour, 87600*time.Hour) }},
	{"AUDIT_RETENTION", func(c *Config) bool {
		return c.AuditRetention == 0 || between(c.AuditRetention, 24*time.Hour, 876000*time.Hour)
	}},
	{"AUDIT_SIGNING_KEY", func(c *Config) bool {
		return c.AuditSigningKey == "" && !between(c.AuditRetention, 24*time.Hour, 876000*time.Hour) || isKey(string(c.AuditSigningKey))
	}},
	{"AUDIT_TRUSTED_KEYS", func(c *Config) bool {
		return !slices.ContainsFunc(c.AuditTrustedKeys, func(key string) bool { return !isKey(strings.TrimSpace(key)) })
	}},
	{"RECONCILE_HOUR", func(c *Config) bool { return c.ReconcileHour >= -1 && c.ReconcileHour <= 23 }},
	{"OPERATORS", func(c *Config) bool {
		return !slices.ContainsFunc(c.Operators, func(who string) bool { return !isPerson(who) })
	}},
	{"CLERK_SECRET_KEY", func(c *Config) bool { return clerkKind("sk_", string(c.ClerkSecretKey)) != "" }},
	{"CLERK_PUBLISHABLE_KEY", isPublishableKey},
	{"CLERK_WEBHOOK_SECRET", func(c *Config) bool { return isWebhookSecret(c.ClerkWebhookSecret) }},
	{"CLERK_WEBHOOK_SECRET_PREVIOUS", func(c *Config) bool {
		previous := c.ClerkWebhookSecretPrevious
		return previous == "" || isWebhookSecret(previous) && previous != c.ClerkWebhookSecret
	}},
	{"CLERK_API_URL", func(c *Config) bool { return c.ClerkAPIURL.Path == "" }},
	{"METRICS_ADDR", func(c *Config) bool { return c.MetricsAddr == "" || isListenAddr(c.MetricsAddr) }},
	{"SLOW_STATEMENT", func(c *Config) bool { return between(c.SlowStatement, 0, 10*time.Minute) }},
	{"CATALOG_MEMORY", func(c *Config) bool { return c.CatalogMemory >= 1 && c.CatalogMemory <= 10_000_000 }},
	{"LOG_LEVEL", func(c *Config) bool {
		switch c.LogLevel {
		case slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError:
			return true
		}
		return false
	}},
	{"LOG_FORMAT", func(c *Config) bool { return c.LogFormat == "json" || c.LogFormat == "text" }},
}

var domainPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// isTenantDomain reports whether hosts below domain can be the same site to browsers
// as the public URL's, so that who is signed in there is signed in at both.
func isTenantDomain(domain string, public *url.URL) bool {
	if len(domain) > 189 || !domainPattern.MatchString(domain) { // 253 with a slug in front
		return false
	}
	return public == nil || public.Hostname() == domain || strings.HasSuffix(public.Hostname(), "."+domain) // public's absence is a problem of its own
}

// isKey reports whether text is base64 of 32 bytes.
func isKey(text string) bool {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(key) == 32
}

func isLimit(n int) bool { return n >= 0 && n <= 1_000_000 }

func between(d, least, most time.Duration) bool { return d >= least && d <= most }

var personPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$|^[^@\s]+@[^@\s]+$`)

// isPerson reports whether text can be an account's id or an email address.
func isPerson(text string) bool { return personPattern.MatchString(strings.TrimSpace(text)) }

func isListenAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}

func isDatabaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") &&
		u.Host != "" && strings.Trim(u.Path, "/") != ""
}

func isRedisURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" {
		return false
	}
	database, numbered := strings.CutPrefix(u.Path, "/")
	_, err = strconv.ParseUint(database, 10, 16)
	return !numbered || database == "" || err == nil
}

// clerkKind returns "live" or "test", the kind of instance that key belongs
// to, or "" for what is no key with that prefix.
func clerkKind(prefix, key string) string {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return ""
	}
	kind, value, _ := strings.Cut(rest, "_")
	if value == "" || kind != "live" && kind != "test" {
		return ""
	}
	return kind
}

// isPublishableKey also notices keys of two instances where the keys show it.
// Stand-ins for Clerk may combine kinds.
func isPublishableKey(c *Config) bool {
	if _, ok := frontendAPIHost(c.ClerkPublishableKey); !ok {
		return false
	}
	secretKind := clerkKind("sk_", string(c.ClerkSecretKey))
	isClerk := c.ClerkAPIURL == nil || c.ClerkAPIURL.Host == "api.clerk.com"
	return secretKind == "" || !isClerk || secretKind == clerkKind("pk_", c.ClerkPublishableKey)
}

// frontendAPIHost decodes a publishable key: after the prefix comes the base64
// of the Frontend API's host and a dollar sign.
func frontendAPIHost(key string) (host string, ok bool) {
	kind := clerkKind("pk_", key)
	if kind == "" {
		return "", false
	}
	encoded := strings.TrimRight(strings.TrimPrefix(key, "pk_"+kind+"_"), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", false
	}
	host, ok = strings.CutSuffix(string(decoded), "$")
	u, err := url.Parse("https://" + host)
	if !ok || host == "" || err != nil || u.Host != host {
		return "", false
	}
	return host, true
}

func isWebhookSecret(secret Secret) bool {
	encoded, ok := strings.CutPrefix(string(secret), "whsec_")
	if !ok || encoded == "" {
		return false
	}
	_, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil
}
