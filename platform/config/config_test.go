package config_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/config"
)

const (
	secretKey     = "sk_test_4uOm7kQm2vZ"
	webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

var publishableKey = "pk_test_" + base64.StdEncoding.EncodeToString([]byte("ready-fox-1.clerk.accounts.dev$"))

// environ is the smallest environment that works, changed by overrides of the
// form NAME=value; NAME= takes a variable away.
func environ(overrides ...string) []string {
	return append([]string{
		"PATH=/usr/bin",
		"PUBLIC_URL=https://app.example.com/",
		"DATABASE_URL=postgres://tenon:hunter2@db.internal:5432/tenon",
		"CLERK_SECRET_KEY=" + secretKey,
		"CLERK_PUBLISHABLE_KEY=" + publishableKey,
		"CLERK_WEBHOOK_SECRET=" + webhookSecret,
	}, overrides...)
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load(environ())
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"public URL":         {c.PublicURL.String(), "https://app.example.com"},
		"listen address":     {c.ListenAddr, ":8080"},
		"request timeout":    {c.RequestTimeout, 30 * time.Second},
		"database":           {string(c.DatabaseURL), "postgres://tenon:hunter2@db.internal:5432/tenon"},
		"connections":        {c.DatabaseMaxConns, 20},
		"lifetime":           {c.DatabaseConnLifetime, 5 * time.Minute},
		"Backend API":        {c.ClerkAPIURL.String(), "https://api.clerk.com"},
		"Frontend API":       {c.ClerkFrontendAPI().String(), "https://ready-fox-1.clerk.accounts.dev"},
		"authorized parties": {fmt.Sprint(c.ClerkAuthorizedParties), "[https://app.example.com]"},
		"trusted proxies":    {len(c.TrustedProxies), 0},
		"level":              {c.LogLevel, slog.LevelInfo},
		"format":             {c.LogFormat, "json"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", name, pair[0], pair[1])
		}
	}
}

// TestOriginsAreSpelledAsBrowsersDo, who leave out the port of a scheme: to the letter,
// nobody's session would be good at another spelling.
func TestOriginsAreSpelledAsBrowsersDo(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://app.example.com:443/": "https://app.example.com",
		"https://app.example.com:":     "https://app.example.com",
		"http://localhost:80":          "http://localhost",
		"http://localhost:443":         "http://localhost:443",
		"https://[2001:db8::1]:443":    "https://[2001:db8::1]",
		"https://[2001:db8::1]:8443":   "https://[2001:db8::1]:8443",
	} {
		c, err := config.Load(environ("PUBLIC_URL=" + url))
		if err != nil {
			t.Fatal(err)
		}
		if c.PublicURL.String() != want || fmt.Sprint(c.ClerkAuthorizedParties) != "["+want+"]" {
			t.Errorf("%s: public %s, parties %s", url, c.PublicURL, c.ClerkAuthorizedParties)
		}
		if c, err = config.Load(environ("CLERK_AUTHORIZED_PARTIES=" + url)); err != nil || fmt.Sprint(c.ClerkAuthorizedParties) != "["+want+"]" {
			t.Errorf("%s: parties %s, %v", url, c.ClerkAuthorizedParties, err)
		}
	}
}

func TestLoadOverrides(t *testing.T) {
	t.Parallel()
	c, err := config.Load(environ(
		"PUBLIC_URL= http://LOCALHOST:3000 ",
		"TRUSTED_PROXIES=10.1.2.3/8, 127.0.0.1,fd00::/8",
		"CLERK_AUTHORIZED_PARTIES=https://a.example.com, https://b.example.com/",
		"CLERK_PROXY_URL=http://localhost:3000/__clerk",
		"CLERK_API_URL=http://127.0.0.1:4000",
		"CLERK_WEBHOOK_SECRET_PREVIOUS=whsec_c2VjcmV0",
		"LOG_LEVEL=DEBUG", "LOG_FORMAT=text",
		"SHUTDOWN_TIMEOUT=3s", "LISTEN_ADDR=[::1]:0",
	))
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"public URL":         {c.PublicURL.String(), "http://localhost:3000"},
		"trusted proxies":    {fmt.Sprint(c.TrustedProxies), "[10.0.0.0/8 127.0.0.1/32 fd00::/8]"},
		"authorized parties": {fmt.Sprint(c.ClerkAuthorizedParties), "[https://a.example.com https://b.example.com]"},
		"Frontend API":       {c.ClerkFrontendAPI().String(), "http://localhost:3000/__clerk"},
		"level":              {c.LogLevel, slog.LevelDebug},
		"previous secret":    {string(c.ClerkWebhookSecretPrevious), "whsec_c2VjcmV0"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestLoadNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"PUBLIC_URL": {"", "app.example.com", "ftp://app.example.com", "https://", "https://app.example.com/base",
			"https://user:pw@app.example.com", "https://app.example.com?x=1", "https://app.example.com:99999", "://zz%"},
		"TENANT_DOMAIN":                 {"localhost", "https://example.com", "example.com:8080", "other.com", "Example.com", "evilexample.com", "1.2.3.4", ".example.com", "*.example.com"},
		"LISTEN_ADDR":                   {"8080", "localhost", "localhost:", "localhost:http-but-not", "1.2.3.4:70000"},
		"TRUSTED_PROXIES":               {"10.0.0.0/33", "proxy.internal", "10.0.0.1,,10.0.0.2", "fe80::1%eth0"},
		"REQUEST_TIMEOUT":               {"30", "-1s", "0s", "11m", "soon"},
		"SHUTDOWN_DELAY":                {"-1s", "1h"},
		"SHUTDOWN_TIMEOUT":              {"0", "1h"},
		"DATABASE_URL":                  {"", "mysql://db.internal/tenon", "db.internal/tenon", "postgres://db.internal", "postgres:///tenon", "postgres://u:%zz@db.internal/tenon"},
		"RATE_LIMIT_ADDRESS":            {"-1", "many", "1000001", "1.5"},
		"RATE_LIMIT_SIGN_IN":            {"-1", "many", "1000001", "1.5"},
		"RATE_LIMIT_WEBHOOK":            {"-1", "many", "1000001", "1.5"},
		"REDIS_URL":                     {"localhost:6379", "http://localhost:6379", "redis://", "redis:///0", "redis://localhost/x", "redis://localhost/-1", "redis://local host/0"},
		"RATE_LIMIT_PERSON":             {"-1", "many", "1000001", "1.5"},
		"RATE_LIMIT_KEY":                {"-1", "many", "1000001", "1.5"},
		"RATE_LIMIT_TENANT":             {"-1", "many", "1000001", "1.5"},
		"DATABASE_MAX_CONNS":            {"0", "-5", "many", "1001", "99999999999999999999"},
		"DATABASE_CONN_LIFETIME":        {"1s", "25h"},
		"DATABASE_TENANT_CONNS":         {"-1", "1001", "half"},
		"DATABASE_TENANT_GROUPS":        {"0", "-1", "11", "some"},
		"TENANT_ROLES":                  {"yes", "ON", "auto,on"},
		"TENANT_PURGE_AFTER":            {"59m", "90000h"},
		"SERVER_TIMING":                 {"yes", "2"},
		"AUDIT_RETENTION":               {"-1h", "23h", "1000000h", "a year"},
		"AUDIT_SIGNING_KEY":             {"x", "c2hvcnQ="},
		"AUDIT_TRUSTED_KEYS":            {"x", "YSBzZWVkIG9mIDMyIGJ5dGVzIGZvciB0aGUgdGVzdHM=,x"},
		"RECONCILE_HOUR":                {"-2", "24", "midnight"},
		"OPERATORS":                     {"ada lovelace", "@", "ada@example.com,"},
		"CLERK_SECRET_KEY":              {"", "pk_test_abcdefgh", "sk_abcdefgh", "sk_test_", "abcdefgh"},
		"CLERK_PUBLISHABLE_KEY":         {"", "pk_test_", "pk_test_!!!!", "pk_test_" + base64.StdEncoding.EncodeToString([]byte("no-dollar.example.com")), "pk_test_" + base64.StdEncoding.EncodeToString([]byte("a/b$")), strings.Replace(publishableKey, "test", "live", 1)},
		"CLERK_WEBHOOK_SECRET":          {"", "MfKQ9r8GKYqrTwjU", "whsec_", "whsec_not base64!"},
		"CLERK_WEBHOOK_SECRET_PREVIOUS": {"MfKQ9r8GKYqrTwjU", webhookSecret},
		"CLERK_API_URL":                 {"api.clerk.com", "https://api.clerk.com/v1"},
		"CLERK_PROXY_URL":               {"/__clerk"},
		"CLERK_JS_URL":                  {"/npm", "file:///npm"},
		"CLERK_AUTHORIZED_PARTIES":      {"app.example.com", "https://app.example.com/base", "https://a.example.com,"},
		"LOG_LEVEL":                     {"verbose", "info+2"},
		"DATABASE_DIRECT_URL":           {"mysql://db/tenon"},
		"ACCESS_CACHE_SIZE":             {"-1", "many"},
		"ACCESS_CACHE_TTL":              {"0s", "1h"},
		"METRICS_ADDR":                  {"9090", "localhost:http:x"},
		"SLOW_STATEMENT":                {"-1s", "11m", "fast"},
		"CATALOG_MEMORY":                {"0", "4GiB"},
		"LOG_FORMAT":                    {"logfmt"},
	}
	var everything []string
	for _, v := range config.Variables() {
		if tests[v.Name] == nil {
			t.Errorf("no wrong value of %s is tried", v.Name)
			continue
		}
		everything = append(everything, v.Name+"="+tests[v.Name][0])
		for _, value := range tests[v.Name] {
			_, err := config.Load(environ(v.Name + "=" + value))
			problems, ok := errors.AsType[*config.Error](err)
			if !ok || len(problems.Problems) != 1 || problems.Problems[0].Variable != v.Name {
				t.Errorf("%s=%s: %v, want this one problem", v.Name, value, err)
				continue
			}
			if len(value) > 6 && strings.Contains(problems.Problems[0].Wrong, value) || value != "" && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the error repeats the value: %v", v.Name, err)
			}
			missing := problems.Problems[0].Wrong == "is missing"
			if missing != (value == "") {
				t.Errorf("%s=%s: %v", v.Name, value, err)
			}
		}
	}
	_, err := config.Load(everything)
	problems, ok := errors.AsType[*config.Error](err)
	if !ok || len(problems.Problems) != len(config.Variables()) {
		t.Errorf("all at once: %v", err)
	}
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	c, err := config.Load(environ())
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.ClerkSecretKey, "config", c)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		log.String(), string(encoded),
		fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q %x", c, c, c.DatabaseURL, c.DatabaseURL, c.DatabaseURL),
	} {
		for _, secret := range []string{"hunter2", secretKey, webhookSecret, fmt.Sprintf("%x", "hunter2")} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is shown in %s", secret, text)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("PUBLIC_URL", "https://app.example.com")
	f.Add("CLERK_PUBLISHABLE_KEY", "pk_test_Zm9vJA==")
	f.Add("TRUSTED_PROXIES", "::ffff:10.0.0.1/120")
	f.Fuzz(func(t *testing.T, name, value string) {
		c, err := config.Load(environ(name + "=" + value))
		if _, ok := errors.AsType[*config.Error](err); err != nil && !ok {
			t.Fatalf("not a list of problems: %v", err)
		}
		if err == nil && (c.PublicURL.Host == "" || c.ClerkFrontendAPI().Host == "") {
			t.Errorf("accepted %s=%q without a host", name, value)
		}
	})
}

var update = flag.Bool("update", false, "rewrite .env.example and the README's table")

// TestDocuments keeps .env.example and the README's table what the struct
// says. task generate runs it with -update.
func TestDocuments(t *testing.T) {
	t.Parallel()
	compare(t, "../../.env.example", func(string) (string, bool) { return config.Example(), true })
	compare(t, "../../README.md", func(readme string) (string, bool) {
		const begin, end = "<!-- configuration -->\n", "<!-- /configuration -->"
		before, rest, found := strings.Cut(readme, begin)
		_, after, closed := strings.Cut(rest, end)
		return before + begin + "\n" + config.Markdown() + "\n" + end + after, found && closed
	})
}

// compare checks the file against want's idea of it, where want applies.
func compare(t *testing.T, path string, want func(string) (string, bool)) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	wanted, applies := want(string(content))
	if !applies || string(content) == wanted {
		return
	}
	if !*update {
		t.Errorf("%s is not what platform/config says; run: go test ./platform/config -run TestDocuments -update", path)
		return
	}
	if err := os.WriteFile(path, []byte(wanted), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestExampleLoads(t *testing.T) {
	t.Parallel()
	var environ []string
	for _, v := range config.Variables() {
		if v.Doc == "" || v.Want == "" || v.Example == "" {
			t.Errorf("%s is not documented", v.Name)
		}
		environ = append(environ, v.Name+"="+strings.ReplaceAll(v.Example, "whsec_…", webhookSecret))
	}
	_, err := config.Load(environ)
	problems, _ := errors.AsType[*config.Error](err)
	if problems == nil || len(problems.Problems) != 1 || problems.Problems[0].Variable != "CLERK_WEBHOOK_SECRET_PREVIOUS" {
		t.Errorf("only the webhook secret, the same twice here, may be wrong: %v", err)
	}
}
