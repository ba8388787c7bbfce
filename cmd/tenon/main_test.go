package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// execute runs a command line in this process.
func execute(t testing.TB, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = run(t.Context(), append([]string{"tenon"}, args...), surroundings{environ: environ, stdout: &out, stderr: &errors})
	return code, out.String(), errors.String()
}

func TestCommandLinesThatAreWrong(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for name, c := range map[string]struct {
		environ []string
		args    []string
		want    string
	}{
		"an unknown command":               {nil, []string{"deploy"}, "deploy"},
		"an unknown command of migrate":    {nil, []string{"migrate", "sideways"}, "sideways"},
		"an unknown flag":                  {nil, []string{"dev", "--fast"}, "--help"},
		"an argument that nobody wants":    {nil, []string{"dev", "now"}, "takes no argument"},
		"an address without a port":        {nil, []string{"dev", "--addr", "localhost"}, "HOST:PORT"},
		"a port that is none":              {nil, []string{"dev", "--addr", "localhost:99999"}, "port is not valid"},
		"an address for everybody":         {nil, []string{"dev", "--addr", "0.0.0.0:3000"}, "loopback"},
		"another machine":                  {nil, []string{"dev", "--addr", "192.0.2.1:3000"}, "loopback"},
		"a reset of somebody's database":   {[]string{"DATABASE_URL=postgres://u@localhost/db"}, []string{"dev", "--addr", "localhost:0", "--reset"}, "never deleted"},
		"two databases":                    {[]string{"DATABASE_URL=postgres://u@localhost/db"}, []string{"dev", "--addr", "localhost:0", "--data", "x"}, "one or the other"},
		"a log level that is none":         {[]string{"LOG_LEVEL=loud"}, []string{"dev"}, "LOG_LEVEL"},
		"a log format that is none":        {[]string{"LOG_FORMAT=xml"}, []string{"dev"}, "LOG_FORMAT"},
		"a diff without a name":            {nil, []string{"migrate", "diff"}, "add_phone"},
		"a folder without migrations":      {nil, []string{"migrate", "validate", "--dir", "nowhere"}, "--dir"},
		"a target that is none":            {nil, []string{"migrate", "new", "--target", "private", "x"}, "public or tenant"},
		"no workers":                       {nil, []string{"migrate", "up", "--workers", "0"}, "1 or more"},
		"a certificate that is not there":  {[]string{"DATABASE_URL=postgres://x@y/z?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"}, []string{"migrate", "up"}, "tenon: DATABASE_URL: database: sslrootcert: open /nowhere/ca.pem: no such file or directory"},
		"a port that is taken":             {[]string{"DATABASE_URL=postgres://x@127.0.0.1:1/z"}, []string{"dev", "--addr", taken.Addr().String()}, "tenon: --addr: listen tcp " + taken.Addr().String() + ": bind: address already in use"},
		"an emulator's port that is taken": {nil, []string{"clerk-emulator", "--addr", taken.Addr().String()}, "tenon: --addr: listen tcp " + taken.Addr().String() + ": bind: address already in use"},
		"a database URL that is none":      {[]string{"DATABASE_URL=mysql://x/y"}, []string{"migrate", "up"}, "DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := execute(t, c.environ, c.args...)
			if code == 0 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if strings.Contains(stderr, "goroutine") || strings.Count(strings.TrimSpace(stderr), "\n") > 20 {
				t.Errorf("not a sentence: %s", stderr)
			}
		})
	}
}

// TestServeNamesEverythingThatIsWrong holds that nobody mends one variable to
// hear of the next.
func TestServeNamesEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	code, _, stderr := execute(t, []string{"REQUEST_TIMEOUT=never", "CLERK_SECRET_KEY=hunter2"}, "serve")
	if code != exitUsage {
		t.Errorf("exit %d", code)
	}
	for _, name := range []string{"PUBLIC_URL", "DATABASE_URL", "CLERK_SECRET_KEY", "CLERK_PUBLISHABLE_KEY", "CLERK_WEBHOOK_SECRET", "REQUEST_TIMEOUT"} {
		if !strings.Contains(stderr, name) {
			t.Errorf("%s is not named:\n%s", name, stderr)
		}
	}
	if strings.Contains(stderr, "hunter2") {
		t.Error("the secret is shown")
	}
}

// servable is an environment that `tenon serve` takes, changed by overrides.
func servable(overrides ...string) []string {
	return append([]string{
		"PUBLIC_URL=https://app.example.com", "LISTEN_ADDR=127.0.0.1:0", "DATABASE_URL=postgres://tenon@127.0.0.1:1/tenon", "LOG_FORMAT=text",
		"CLERK_SECRET_KEY=sk_test_4uOm7kQm2vZ", "CLERK_PUBLISHABLE_KEY=pk_test_Y2xlcmsuZXhhbXBsZS5jb20k", "CLERK_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	}, overrides...)
}

// TestServeRefusesInASentence sets each variable wrong in turn, and what it names
// that is not there.
func TestServeRefusesInASentence(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	addr := taken.Addr().String()
	redis := "redis://localhost:6379?read_timeout=soon"
	cases := map[string]string{ // what has to be said, by what is set
		"LISTEN_ADDR=" + addr:  "LISTEN_ADDR: listen tcp " + addr + ": bind: address already in use",
		"METRICS_ADDR=" + addr: "METRICS_ADDR: listen tcp " + addr + ": bind: address already in use",
		"REDIS_URL=" + redis:   "REDIS_URL: it is not valid",
		"DATABASE_URL=postgres://tenon@db.internal/tenon?sslmode=verify-full&sslrootcert=/nowhere/ca.pem":                  "DATABASE_URL: sslrootcert: open /nowhere/ca.pem: no such file or directory",
		"DATABASE_URL=postgres://tenon@db.internal/tenon?sslmode=verify-full&sslcert=/nowhere/a.crt&sslkey=/nowhere/a.key": "DATABASE_URL: sslcert: open /nowhere/a.crt: no such file or directory",
		"DATABASE_DIRECT_URL=postgres://tenon@db.internal/tenon?sslmode=verify-full&sslrootcert=/nowhere/ca.pem":           "DATABASE_DIRECT_URL: sslrootcert: open /nowhere/ca.pem: no such file or directory",
		"DATABASE_URL=postgres://tenon@db.internal/tenon?sslmode=sometimes":                                                "DATABASE_URL: ",
	}
	for _, v := range config.Variables() {
		cases[v.Name+"=!"] = "the configuration is not usable (1 to mend):\n  " + v.Name + " is not valid; want "
	}
	for setting, want := range cases {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // should it start
			defer cancel()
			var out, errors bytes.Buffer
			code := run(ctx, []string{"tenon", "serve"}, surroundings{environ: servable(setting), stdout: &out, stderr: &errors})
			stdout, stderr := out.String(), errors.String()
			if code != exitUsage || !strings.HasPrefix(stderr, "tenon: "+want) || stdout != "" {
				t.Errorf("exit %d: %s%s\nwant: %s", code, stdout, stderr, want)
			}
			if lines := strings.Count(stderr, "\n"); lines > 2 || strings.Contains(stderr, ".go:") {
				t.Errorf("not a sentence: %s", stderr)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"dev", "--help"}, {"serve", "--help"}, {"migrate", "--help"}, {"migrate", "up", "--help"}, {"version"}} {
		code, stdout, stderr := execute(t, nil, args...)
		if code != 0 || !strings.Contains(stdout, "tenon") || stderr != "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

func TestMigrateCommands(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=" + localpgtest.NewDatabase(t)}
	if code, _, stderr := execute(t, environ, "migrate", "up"); code != 0 || !strings.Contains(stderr, "public: applied") {
		t.Errorf("the first time: exit %d: %s", code, stderr)
	}
	if code, _, stderr := execute(t, environ, "migrate", "up", "--exit-code"); code != exitNothingDone || !strings.Contains(stderr, "latest version") {
		t.Errorf("the second time: exit %d: %s", code, stderr)
	}
}

// TestServe holds that production's command starts without its migrations, says
// that it is not ready, and gets ready by them.
func TestServe(t *testing.T) {
	t.Parallel()
	databaseURL := localpgtest.NewDatabase(t)
	environ := servable("DATABASE_URL=" + databaseURL)
	log := new(syncBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, []string{"tenon", "serve"}, surroundings{environ: environ, stdout: log, stderr: log})
	}()
	address := ""
	eventually(t, "serving", func() bool {
		_, rest, found := strings.Cut(log.String(), "addr=")
		address, _, _ = strings.Cut(rest, " ")
		return found
	})
	p := &product{readyLine: readyLine{URL: "http://" + address}}
	healthcheck := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := execute(t, []string{"LISTEN_ADDR=" + address}, append([]string{"healthcheck"}, args...)...)
		if code != want {
			t.Errorf("healthcheck %v: exit %d: %s", args, code, stderr)
		}
		return stdout + stderr
	}
	healthcheck(0)
	if said := healthcheck(exitFailed, "--ready"); !strings.Contains(said, "migrations") {
		t.Error(said)
	}
	if got := p.call(t, "GET", "/healthz", "", nil); got.status != 200 {
		t.Errorf("/healthz: %d %s", got.status, got.body)
	}
	if got := p.call(t, "GET", "/readyz", "", nil); got.status != 503 || !strings.Contains(got.body, "migrations") {
		t.Errorf("/readyz before the migrations: %d %s", got.status, got.body)
	}
	if code, _, stderr := execute(t, environ, "migrate", "up"); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if got := p.call(t, "GET", "/readyz", "", nil); got.status != 200 {
		t.Errorf("/readyz after the migrations: %d %s", got.status, got.body)
	}
	// A program of tomorrow's migrates: today's serves on, and changes nothing.
	db, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	if _, err := db.Exec(t.Context(), `INSERT INTO _migrations (filename, hash) VALUES ('29991231235959_later.up.sql', 'x')`); err != nil {
		t.Fatal(err)
	}
	if got := p.call(t, "GET", "/readyz", "", nil); got.status != 200 {
		t.Errorf("/readyz on a newer database: %d %s", got.status, got.body)
	}
	for _, args := range [][]string{{"migrate", "up"}, {"seed"}} {
		const want = "public has a migration that this binary does not: 29991231235959_later.up.sql; the database is newer\n"
		if code, stdout, stderr := execute(t, environ, args...); code != exitFailed || !strings.HasSuffix(stderr, want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
	}
	if got := p.call(t, "GET", "/", "", nil); got.status != 200 || !strings.Contains(got.header.Get("Strict-Transport-Security"), "max-age") {
		t.Errorf("/: %d %v", got.status, got.header)
	}
	cancel()
	if code := <-exit; code != 0 {
		t.Errorf("exit %d: %s", code, log)
	}
	healthcheck(exitFailed)
	if code, _, stderr := execute(t, []string{"LISTEN_ADDR=8080"}, "healthcheck"); code != exitUsage || !strings.Contains(stderr, "LISTEN_ADDR") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
