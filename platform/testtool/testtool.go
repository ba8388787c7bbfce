// Package testtool finds the programs that some tests need.
package testtool

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Path returns the path of the first of the named programs that is installed,
// on PATH or in a folder for administrators that an ordinary user's PATH leaves
// out. Without any, the test is skipped with a reason, or fails when
// TENON_REQUIRE_TOOLS is set, so that a machine meant to run every test cannot
// pass by running fewer.
func Path(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, folder := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
				return path
			}
		}
	}
	missing(t, strings.Join(names, " or ")+" is not installed")
	return ""
}

// missing skips the test for what the machine lacks, or fails it where every
// test has to run.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("TENON_REQUIRE_TOOLS") != "" {
		t.Fatal(what + ", and TENON_REQUIRE_TOOLS is set")
	}
	t.Skip(what)
}
