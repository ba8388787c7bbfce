package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// childMode makes this test program a child that leaves a grandchild behind.
const childMode = "PROCESS_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		if err := leaveGrandchild(mode); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("started")
		select {}
	}
	os.Exit(m.Run())
}

func leaveGrandchild(mode string) error {
	account, err := Unprivileged()
	if err != nil {
		return err
	}
	cmd := Command(account, "/bin/sleep", "600")
	cmd.Stdout = os.Stdout
	switch mode {
	case "start":
		_, err = Start(cmd)
	case "watch":
		if err = cmd.Start(); err == nil {
			_, err = watch(cmd.Process.Pid)
		}
	}
	return err
}

func TestNothingOutlivesAKilledProgram(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"start", "watch"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			child := exec.Command(program)
			child.Env = append(os.Environ(), childMode+"="+mode)
			stdout, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			said := make([]byte, len("started\n"))
			if _, err := io.ReadFull(stdout, said); err != nil || string(said) != "started\n" {
				t.Fatalf("the child says %q, %v", said, err)
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			// The grandchild holds the pipe open until it ends.
			if _, err := io.Copy(io.Discard, stdout); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait()
		})
	}
}

func TestReleasedWatchSendsNoSignal(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release, err := watch(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	release() // returns when the shell has ended
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process that was no longer watched ended with %v", err)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	account, err := Unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]bool{"exit 0": true, "exit 3": false, `test -z "$PGHOST$LANG"`: true} {
		p, err := Start(Command(account, "/bin/sh", "-c", script))
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if p.Success() != want {
			t.Errorf("%s: success %v", script, p.Success())
		}
		if err := p.Signal(os.Interrupt); err != nil {
			t.Errorf("a signal to a process that has ended: %v", err)
		}
	}
	if _, err := Start(Command(account, "/no/such/program")); err == nil {
		t.Error("started a program that does not exist")
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	open, err := os.MkdirTemp("", "reaches-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(open) })
	closed := filepath.Join(open, "closed")
	inside := filepath.Join(closed, "inside")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for folder, mode := range map[string]os.FileMode{open: 0o711, closed: 0o700} {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
	}
	// An account that owns nothing, in a group that nothing belongs to.
	stranger := &Account{Name: "stranger", UID: 1 << 30, GID: 1 << 30}
	owner := &Account{Name: "owner", UID: os.Geteuid(), GID: os.Getegid()}
	if err := stranger.Reaches(open); err != nil {
		t.Error(err)
	}
	if err := stranger.Reaches(inside); err == nil || !strings.Contains(err.Error(), "may not pass through "+closed+" ") {
		t.Errorf("through a closed folder: %v", err)
	}
	if err := owner.Reaches(inside); err != nil {
		t.Error(err)
	}
	if err := (*Account)(nil).Reaches("/no/such/folder"); err != nil {
		t.Error(err)
	}
	if err := stranger.Reaches(filepath.Join(open, "missing")); err == nil {
		t.Error("reached a folder that does not exist")
	}
}
