package platform_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryThreatHasItsTests holds that SECURITY.md names only tests that exist,
// and that no threat goes without one.
func TestEveryThreatHasItsTests(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(name)
		for _, match := range declaration.FindAllStringSubmatch(string(content), -1) {
			declared[match[1]] = true
		}
		return err
	})
	if err != nil || len(declared) < 100 {
		t.Fatalf("%d tests are found: %v", len(declared), err)
	}
	threats := 0
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	for line := range strings.Lines(string(document)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.Contains(line, "proved by") {
			continue
		}
		threats++
		tests := named.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 {
			t.Errorf("nothing proves %q", strings.TrimSpace(cells[1]))
		}
		for _, test := range tests {
			if !declared[test[1]] {
				t.Errorf("%q is said to be proved by %s, which does not exist", strings.TrimSpace(cells[1]), test[1])
			}
		}
	}
	if threats < 20 {
		t.Errorf("only %d threats are read", threats)
	}
}
