package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/jackc/pgx/v5"
)

// binary builds the program once for all tests that start it as a process.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "tenon-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "tenon")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // the system's temporary folder is swept anyway
	}
	os.Exit(code)
}

// devProcess is `tenon dev` as a process of its own, on a PostgreSQL of its own.
type devProcess struct {
	*product
	command *exec.Cmd
	stderr  *bytes.Buffer
}

func startProcess(t *testing.T, data string, args ...string) *devProcess {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &devProcess{command: exec.Command(path, append([]string{"dev", "--json", "--addr", "localhost:0", "--data", data}, args...)...), stderr: new(bytes.Buffer)}
	p.command.Env = append(os.Environ(), "DATABASE_URL=")
	p.command.Stderr = p.stderr
	output, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // has ended in most tests
		_ = p.command.Wait()
	})
	p.product = new(product)
	if err := json.NewDecoder(output).Decode(&p.readyLine); err != nil {
		_ = p.command.Wait()
		t.Fatalf("tenon dev does not get ready: %v\n%s", err, p.stderr)
	}
	p.seeder = newSeeder(p.readyLine)
	return p
}

// dataDir is a folder that PostgreSQL's own account can reach.
func dataDir(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "tenon-data-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o711); err != nil { // postgres has to pass through
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return filepath.Join(folder, "data")
}

// postgresGone waits until nobody answers at a database's address.
func postgresGone(t *testing.T, databaseURL string) {
	t.Helper()
	eventually(t, "PostgreSQL's end", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, databaseURL)
		if err == nil {
			_ = conn.Close(ctx)
		}
		return err != nil
	})
}

func TestDevProcess(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	first := startProcess(t, data)
	var list struct{ Items []struct{ Slug string } }
	adaSees := func(p *devProcess) int {
		t.Helper()
		found, err := p.person(t.Context(), demo[0].people[0])
		if err != nil {
			t.Fatal(err)
		}
		acme, err := p.organizations.Get(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		made, err := p.signIn(t.Context(), found, acme.ID)
		if err != nil {
			t.Fatal(err)
		}
		token, err := p.sessionToken(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := p.call(t, http.MethodGet, "/api/tenants/acme/projects", token, nil)
		got.decode(t, &list)
		return len(list.Items)
	}
	before := adaSees(first)
	if before < 5 {
		t.Errorf("the demo has %d projects", before)
	}

	// Killed, it leaves no PostgreSQL behind, and its data to the next.
	if err := first.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	postgresGone(t, first.DatabaseURL)
	second := startProcess(t, data)
	if after := adaSees(second); after != before {
		t.Errorf("%d projects before the kill, %d after", before, after)
	}

	// Another one on the same folder is refused in a sentence.
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(path, "dev", "--addr", "localhost:0", "--data", data)
	other.Env = second.command.Env
	if output, err := other.CombinedOutput(); err == nil || !bytes.Contains(output, []byte("another `tenon dev` runs")) {
		t.Errorf("%v: %s", err, output)
	}

	// Ctrl-C stops everything.
	if err := second.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := second.command.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, second.stderr)
	}
	postgresGone(t, second.DatabaseURL)

	// --reset starts over.
	third := startProcess(t, data, "--reset", "--no-seed")
	if users, err := third.users.List(t.Context(), &user.ListParams{}); err != nil || users.TotalCount != 0 {
		t.Errorf("%v users after a reset: %v", users, err)
	}
}

// TestSeedingIsCompleted kills it while it seeds, again and again.
func TestSeedingIsCompleted(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data := dataDir(t)
	startProcess(t, data, "--no-seed").stop(t) // what takes long is done
	for _, delay := range []int{150, 250, 350, 450, 600} {
		killed := exec.Command(path, "dev", "--json", "--addr", "localhost:0", "--data", data)
		killed.Env = append(os.Environ(), "DATABASE_URL=")
		if err := killed.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(delay)*time.Millisecond, func() { _ = killed.Process.Kill() })
		_ = killed.Wait() // it was killed
		timer.Stop()
	}
	last := startProcess(t, data)
	conn, err := pgx.Connect(t.Context(), last.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, o := range demo {
		want := 0
		for _, person := range o.people {
			want += len(person.projects)
		}
		var schema string
		if err := conn.QueryRow(t.Context(), `SELECT schema_name FROM public.tenants WHERE slug = $1`, o.slug).Scan(&schema); err != nil {
			t.Fatal(err)
		}
		var projects, users int
		name := pgx.Identifier{schema}.Sanitize()
		err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM `+name+`.projects), (SELECT count(*) FROM `+name+`.users WHERE is_active)`).Scan(&projects, &users)
		if err != nil || projects != want || users != len(o.people) {
			t.Errorf("%s has %d projects, want %d, and %d people, want %d: %v", o.slug, projects, want, users, len(o.people), err)
		}
	}
}

func (p *devProcess) stop(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr)
	}
}
