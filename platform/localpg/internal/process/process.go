package process

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a running server.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Command prepares a program to run as account, in a process group of its own
// so that the terminal's Ctrl-C reaches this program alone, and with an
// environment that carries no PG… variable and no locale of the user's.
func Command(account *Account, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	// The current folder may be one that account cannot enter.
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account.credential(), Setpgid: true}
	return cmd
}

// Start runs a command made by [Command]. When this program ends, however it
// ends, the server gets SIGINT.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel watches the thread that forked, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		release, err := start(cmd)
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // Success tells
		release()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Done is closed once the process has exited.
func (p *Process) Done() <-chan struct{} { return p.done }

// Success reports whether a process that is done exited with status 0.
func (p *Process) Success() bool { return p.cmd.ProcessState.Success() }

// Signal sends a signal. A server that has exited is no error.
func (p *Process) Signal(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
