package localpg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg"
)

// childFolder names the data folder of a child: this test program run again, to
// start a server, print its URL and wait.
const childFolder = "LOCALPG_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		server, err := localpg.Start(context.Background(), localpg.Config{DataDir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(server.URL("postgres"))
		// The one reason to end by itself is a parent that has ended.
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		if err := server.Stop(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs this test program again and returns the URL that it printed.
func child(t *testing.T, cmd *exec.Cmd, dir string) (address string) {
	t.Helper()
	cmd.Env = append(cmd.Environ(), childFolder+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "postgres://") {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// tempDir is t.TempDir, but one that the server's account can pass through.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t testing.TB, cfg localpg.Config) *localpg.Server {
	t.Helper()
	server, err := localpg.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

func stop(t testing.TB, server *localpg.Server) {
	t.Helper()
	if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func connect(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func run(t testing.TB, address, statement string) {
	t.Helper()
	if _, err := connect(t, address).Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func setting(t testing.TB, conn *pgx.Conn, name string) (value string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestStartKeepsDataBetweenRuns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "made", "by", "Start")
	server := start(t, localpg.Config{DataDir: dir})
	run(t, server.URL("postgres"), "CREATE TABLE kept AS SELECT 42 AS n")
	stop(t, server)
	stop(t, server) // no error

	server = start(t, localpg.Config{DataDir: dir, Settings: map[string]string{"work_mem": "7MB"}})
	conn := connect(t, server.URL("postgres"))
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 42 {
		t.Errorf("read %d, %v", n, err)
	}
	if got := setting(t, conn, "work_mem"); got != "7MB" {
		t.Errorf("work_mem is %s", got)
	}
	if got := setting(t, conn, "server_version"); got != server.Version() {
		t.Errorf("Version is %q, the server's is %q", server.Version(), got)
	}
	var upper string
	if err := conn.QueryRow(t.Context(), "SELECT upper('straße, żółw')").Scan(&upper); err != nil || upper != "STRASSE, ŻÓŁW" && upper != "STRAßE, ŻÓŁW" {
		t.Errorf("the cluster's locale does not know letters: %s, %v", upper, err)
	}
}

func TestStartLetsNobodyElseIn(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	server := start(t, localpg.Config{DataDir: dir})
	address, err := url.Parse(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for name, userinfo := range map[string]*url.Userinfo{
		"no password":    url.User("tenon"),
		"wrong password": url.UserPassword("tenon", "guess"),
		"another user":   url.UserPassword("postgres", ""),
	} {
		other := *address
		other.User = userinfo
		if conn, err := pgx.Connect(t.Context(), other.String()); err == nil {
			conn.Close(t.Context())
			t.Errorf("%s: let in", name)
		}
	}
	conn := connect(t, server.URL("postgres"))
	if got := setting(t, conn, "listen_addresses"); got != "127.0.0.1" {
		t.Errorf("listens on %q", got)
	}
	if got := setting(t, conn, "unix_socket_directories"); got != "" {
		t.Errorf("has a socket in %q", got)
	}
	for name, want := range map[string]fs.FileMode{"password": 0o600, "server.log": 0o600, "cluster": 0o700 | fs.ModeDir} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "initdb-*")); left != nil {
		t.Errorf("the password is still lent to initdb in %v", left)
	}
}

func TestStartJoinsARunningServer(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	// All at once on a folder without a cluster: one makes and runs it.
	servers := make([]*localpg.Server, 4)
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() {
			server, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			servers[i] = server
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, server := range servers {
		t.Cleanup(func() { stop(t, server) })
		if server.URL("postgres") != servers[0].URL("postgres") {
			t.Fatal("two servers on one folder")
		}
	}
	link := filepath.Join(tempDir(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	joined := start(t, localpg.Config{DataDir: link})
	if joined.Version() != servers[0].Version() || joined.DataDir() != dir {
		t.Errorf("joined version %q on %s", joined.Version(), joined.DataDir())
	}
	stop(t, joined)
	connect(t, servers[0].URL("postgres"))

	if _, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir, Exclusive: true}); !errors.Is(err, localpg.ErrInUse) {
		t.Errorf("an exclusive start beside a server: %v", err)
	}
	if err := localpg.Reset(localpg.Config{DataDir: dir}); !errors.Is(err, localpg.ErrInUse) {
		t.Errorf("a reset under a server: %v", err)
	}
	connect(t, servers[0].URL("postgres"))
}

// startExclusively waits until the folder is free, which it is when the last
// process of the server that ran there has gone.
func startExclusively(t *testing.T, dir string) *localpg.Server {
	t.Helper()
	for {
		server, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir, Exclusive: true})
		switch {
		case err == nil:
			t.Cleanup(func() { stop(t, server) })
			return server
		case !errors.Is(err, localpg.ErrInUse):
			t.Fatal(err)
		}
	}
}

func TestServerEndsWithItsProgram(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	cmd := exec.Command(executable(t))
	address := child(t, cmd, dir)
	joined := start(t, localpg.Config{DataDir: dir})
	if joined.URL("postgres") != address {
		t.Fatal("did not join the child's server")
	}
	run(t, address, "CREATE TABLE kept (n int)")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	server := startExclusively(t, dir)
	run(t, server.URL("postgres"), "DROP TABLE kept")
	log, err := os.ReadFile(filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "not properly shut down") || !strings.Contains(string(log), "database system was shut down at") {
		t.Errorf("the server of a killed program did not shut down cleanly:\n%s", log)
	}
}

func TestStartAfterACrash(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	server := start(t, localpg.Config{DataDir: dir})
	run(t, server.URL("postgres"), "SET synchronous_commit = on; CREATE TABLE kept AS SELECT 42 AS n")
	pidFile := filepath.Join(dir, "cluster", "postmaster.pid")
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(content), "\n")
	postmaster, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmaster, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	stop(t, server)
	// Since then the number has been given to another process of the server's
	// account, for which PostgreSQL itself would refuse to start.
	other := serverAccountCommand(t, "sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	stale := strings.Replace(string(content), pid, strconv.Itoa(other.Process.Pid), 1)
	if err := os.WriteFile(pidFile, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	server = startExclusively(t, dir)
	var n int
	if err := connect(t, server.URL("postgres")).QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 42 {
		t.Errorf("read %d, %v", n, err)
	}
}

// serverAccountCommand prepares a command to run as the account that root's
// servers run as.
func serverAccountCommand(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, "postgres", "nobody")}
	}
	return cmd
}

func credential(t *testing.T, names ...string) *syscall.Credential {
	t.Helper()
	for _, name := range names {
		if account, err := user.Lookup(name); err == nil {
			uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
			gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
			if uidErr == nil && gidErr == nil {
				return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			}
		}
	}
	t.Fatalf("no account of %v", names)
	return nil
}

func TestStartAsAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("every other test runs as an ordinary user here; as root this one does too")
	}
	home := tempDir(t)
	// The test program lies in a folder that only root can enter.
	program := filepath.Join(home, "program")
	content, err := os.ReadFile(executable(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	account := credential(t, "nobody")
	if err := os.Chown(home, int(account.Uid), int(account.Gid)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	dir := filepath.Join(home, "data")
	connect(t, child(t, cmd, dir))

	if _, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("root joined another user's server: %v", err)
	}
}

func TestStartPort(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = localpg.Start(t.Context(), localpg.Config{DataDir: dir, Port: port})
	if err == nil || !strings.Contains(err.Error(), "port is taken") {
		t.Errorf("on a taken port: %v", err)
	}
	taken.Close()
	server := start(t, localpg.Config{DataDir: dir, Port: port})
	if !strings.Contains(server.URL("x"), fmt.Sprintf("@127.0.0.1:%d/x?", port)) {
		t.Errorf("asked for port %d, got %s", port, server.URL("x"))
	}
	for _, port := range []int{-1, 65536} {
		if _, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir, Port: port}); err == nil {
			t.Errorf("port %d was accepted", port)
		}
	}
}

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := localpg.Start(ctx, localpg.Config{DataDir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled start: %v", err)
	}
	startExclusively(t, dir)
}

func TestStopInAHurry(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	server := start(t, localpg.Config{DataDir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either it was fast enough or it says that it was not; it has ended.
	if err := server.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	startExclusively(t, dir)
}

func TestStartRefusesDamagedAndForeignFolders(t *testing.T) {
	t.Parallel()
	write := func(name, content string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	original := tempDir(t)
	stop(t, start(t, localpg.Config{DataDir: original}))
	for _, test := range []struct {
		name   string
		break_ func(t *testing.T, dir string)
		want   string
	}{
		{"another major version", write("cluster/PG_VERSION", "9\n"), "was made by PostgreSQL 9"},
		{"nonsense for a version", write("cluster/PG_VERSION", "\x00\xff"), "is damaged"},
		{"empty version", write("cluster/PG_VERSION", ""), "is damaged"},
		{"no version", remove("cluster/PG_VERSION"), "is damaged"},
		{"no password", remove("password"), "password"},
		{"empty password", write("password", ""), "is damaged"},
		{"another password", write("password", "guess"), "password authentication failed"},
		{"empty control file", write("cluster/global/pg_control", ""), "may be damaged"},
		{"no configuration", remove("cluster/postgresql.conf"), "exited"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(tempDir(t), "copy")
			if output, err := exec.Command("cp", "-a", original, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			test.break_(t, dir)
			_, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v, want %q", err, test.want)
			}
			if err := localpg.Reset(localpg.Config{DataDir: dir}); err != nil {
				t.Fatal(err)
			}
			start(t, localpg.Config{DataDir: dir})
		})
	}
}

func TestForeignFoldersAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	precious := filepath.Join(dir, "cluster")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"start": func() error {
			_, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir})
			return err
		},
		"reset": func() error { return localpg.Reset(localpg.Config{DataDir: dir}) },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "not made by Tenon") {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder now holds %v, %v", entries, err)
	}
	if err := localpg.Reset(localpg.Config{DataDir: filepath.Join(dir, "missing")}); err != nil {
		t.Errorf("reset of nothing: %v", err)
	}
	if _, err := localpg.Start(t.Context(), localpg.Config{DataDir: precious}); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestStartNamesTheFolderThatIsInTheWay(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(tempDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	want := "may not pass through " + closed
	if os.Geteuid() != 0 {
		want = "permission denied"
		if err := os.Chmod(closed, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	_, err := localpg.Start(t.Context(), localpg.Config{DataDir: filepath.Join(closed, "data")})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestStartKeepsInstancesApart(t *testing.T) {
	t.Parallel()
	if _, err := localpg.Start(t.Context(), localpg.Config{Instance: "../elsewhere"}); err == nil {
		t.Error("an instance may not leave the cache folder")
	}
}

func BenchmarkStart(b *testing.B) {
	for _, bench := range []struct {
		name  string
		fresh bool
	}{{"first", true}, {"later", false}} {
		b.Run(bench.name, func(b *testing.B) {
			cfg := localpg.Config{DataDir: tempDir(b)}
			for b.Loop() {
				if bench.fresh {
					if err := localpg.Reset(cfg); err != nil {
						b.Fatal(err)
					}
				}
				server, err := localpg.Start(b.Context(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				before := time.Now()
				if err := server.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(before).Milliseconds()), "ms/stop")
			}
		})
	}
}
