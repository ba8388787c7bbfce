package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tenonhq/tenon/platform/localpg/internal/process"
)

var errPortTaken = errors.New("the port is taken")

// lentPattern matches the files in which initdb is told the password.
const lentPattern = "initdb-*"

func (f folder) newCluster() string { return filepath.Join(f.path, "cluster.new") }
func (f folder) statusFile() string { return filepath.Join(f.cluster(), "postmaster.pid") }

// initialize makes the cluster under another name first, so that an interrupted
// initdb leaves nothing that looks like one.
func (f folder) initialize(ctx context.Context, programs binaries, lock *os.File) error {
	if err := f.empty(); err != nil {
		return err
	}
	password, err := f.newPassword()
	if err != nil {
		return explain(err)
	}
	if err := os.Mkdir(f.newCluster(), 0o700); err != nil {
		return explain(err)
	}
	if err := f.account.Own(f.newCluster()); err != nil {
		return err
	}
	passwordFile, err := f.lend(password)
	if err != nil {
		return explain(err)
	}
	defer os.Remove(passwordFile)
	args := append([]string{
		"--pgdata=" + f.newCluster(), "--username=" + superuser, "--pwfile=" + passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--lc-messages=C", "--no-sync",
	}, localeArguments(programs.major)...)
	cmd := process.Command(f.account, programs.initdb(), args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.ExtraFiles = []*os.File{lock} // its children work on for a moment when it is killed
	initdb, err := process.Start(cmd)
	if err != nil {
		return fmt.Errorf("run %s: %w", programs.initdb(), err)
	}
	select {
	case <-initdb.Done():
	case <-ctx.Done():
		err := initdb.Signal(os.Kill)
		<-initdb.Done()
		return errors.Join(context.Cause(ctx), err)
	}
	if !initdb.Success() {
		return errors.Join(errors.New("initdb failed"), explainOutput(f.path, output.String()), os.RemoveAll(f.newCluster()))
	}
	return os.Rename(f.newCluster(), f.cluster())
}

// lend writes the password where the server's account can read it.
func (f folder) lend(password string) (path string, err error) {
	file, err := os.CreateTemp(f.path, lentPattern)
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(password)
	if err = errors.Join(err, file.Close(), f.account.Own(file.Name())); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// localeArguments ask for a locale that knows Unicode's letters and sorts by
// code point, the same everywhere; from version 17 on PostgreSQL brings it along.
func localeArguments(major int) []string {
	switch {
	case major >= 17:
		return []string{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}
	case runtime.GOOS == "darwin":
		return []string{"--locale=en_US.UTF-8"}
	default:
		return []string{"--locale=C.UTF-8"}
	}
}

// status is what a server says about itself in postmaster.pid.
type status struct {
	port  int
	ready bool
}

func (f folder) readStatus() (status, error) {
	content, err := os.ReadFile(f.statusFile())
	if err != nil {
		return status{}, err
	}
	return parseStatus(content)
}

// parseStatus reads postmaster.pid, whose lines are listed in PostgreSQL's
// src/include/utils/pidfile.h. The server writes it line by line.
func parseStatus(content []byte) (status, error) {
	const portLine, statusLine = 4, 8
	lines := strings.Split(string(content), "\n")
	if len(lines) < portLine {
		return status{}, errors.New("postmaster.pid is not complete yet")
	}
	port, err := strconv.ParseUint(lines[portLine-1], 10, 16)
	if err != nil {
		return status{}, fmt.Errorf("postmaster.pid: %w", err)
	}
	ready := len(lines) >= statusLine && strings.TrimSpace(lines[statusLine-1]) == "ready"
	return status{port: int(port), ready: ready}, nil
}

// removeStaleStatus removes the postmaster.pid of a server that was killed.
// Holding the lock proves that no server of ours runs; PostgreSQL itself would
// take any process that has got the number since for the server and refuse to
// start. A server that was started by hand still answers, and keeps its file.
func (f folder) removeStaleStatus() error {
	status, err := f.readStatus()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && status.port != 0 {
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(status.port)), time.Second)
		if err == nil {
			conn.Close()
			return nil
		}
	}
	if err := os.Remove(f.statusFile()); err != nil {
		return fmt.Errorf("remove what a killed server left: %w", err)
	}
	return nil
}

// kill makes the server quit without a checkpoint, and returns when it has.
func (s *Server) kill() error {
	if err := s.process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-s.process.Done():
		return nil
	case <-time.After(5 * time.Second):
	}
	if err := s.process.Signal(os.Kill); err != nil {
		return err
	}
	<-s.process.Done()
	return nil
}

// failure explains why a server exited during its start.
func (f folder) failure() error {
	log, err := tail(f.log(), 4<<10)
	if err != nil {
		return fmt.Errorf("the server exited, and its log cannot be read: %w", err)
	}
	if strings.Contains(log, "could not bind") {
		return fmt.Errorf("%w: %s", errPortTaken, lastLines(log, 3))
	}
	return fmt.Errorf("the server exited: %w", explainOutput(f.path, log))
}

func tail(path string, size int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-size), size))
	return string(content), err
}

// signsOfDamage are what a server says that cannot read its own files.
var signsOfDamage = []string{
	"PANIC:", "could not open file", "could not read file", "incorrect checksum",
	"invalid checkpoint record", "invalid magic number", "not a database cluster directory",
}

// explainOutput turns what a program printed into an error.
func explainOutput(path, output string) error {
	text := lastLines(output, 6)
	switch {
	case strings.Contains(output, "No space left on device"):
		return fmt.Errorf("the disk that holds %s is full: %s", path, text)
	case strings.Contains(output, "Permission denied"):
		return fmt.Errorf("%s is not accessible: %s", path, text)
	case slices.ContainsFunc(signsOfDamage, func(sign string) bool { return strings.Contains(output, sign) }):
		return fmt.Errorf("the data folder %s may be damaged; a reset makes a new one: %s", path, text)
	default:
		return errors.New(text)
	}
}

// explain adds advice to errors of the file system.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk is full: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: choose a data folder of your own", err)
	default:
		return err
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
