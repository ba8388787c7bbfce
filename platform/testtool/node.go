package testtool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Node returns the path of node once the packages of folder's package-lock.json
// are installed in it, which takes seconds the first time and nothing later. A
// machine without Node, or that cannot install them, skips the test or fails
// it, as for [Path].
func Node(t testing.TB, folder string) string {
	t.Helper()
	node, npm := Path(t, "node"), Path(t, "npm")
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	want := []byte(hex.EncodeToString(sum[:]))
	release := lockFile(t, filepath.Join(os.TempDir(), "tenon-npm-"+hex.EncodeToString(sum[:8])+".lock"))
	defer release()
	installed := filepath.Join(folder, "node_modules", ".installed")
	if have, err := os.ReadFile(installed); err == nil && bytes.Equal(have, want) {
		return node
	}
	install := exec.Command(npm, "ci", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = folder
	if output, err := install.CombinedOutput(); err != nil {
		missing(t, "npm ci failed in "+folder+": "+err.Error()+"\n"+string(output))
	}
	if err := os.WriteFile(installed, want, 0o600); err != nil {
		t.Fatal(err)
	}
	return node
}

// lockFile keeps other test processes out until release is called.
func lockFile(t testing.TB, path string) (release func()) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { _ = file.Close() }
}
