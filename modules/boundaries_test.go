package modules_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importOf is one import statement: the folder of the file that has it, relative
// to the top of the tree, and what it imports.
type importOf struct {
	folder string
	path   string
	test   bool // in a _test.go file
}

// ours returns the imported folder of this tree, "" for everybody else's.
func (i importOf) ours() string {
	folder, ok := strings.CutPrefix(i.path, "github.com/tenonhq/tenon/")
	if !ok {
		return ""
	}
	return folder
}

// isStandard reports whether the import is the standard library's.
func (i importOf) isStandard() bool {
	first, _, _ := strings.Cut(i.path, "/")
	return !strings.Contains(first, ".")
}

func (i importOf) isOf(modules ...string) bool {
	return slices.ContainsFunc(modules, func(module string) bool {
		return i.path == module || strings.HasPrefix(i.path, module+"/")
	})
}

// matches reports whether folder is or lies below one of the patterns, which
// are of path.Match.
func matches(folder string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		depth := strings.Count(pattern, "/") + 1
		parts := strings.Split(folder, "/")
		if len(parts) < depth {
			return false
		}
		ok, err := path.Match(pattern, strings.Join(parts[:depth], "/"))
		return ok && err == nil
	})
}

// moduleOf returns the name of the module that folder belongs to.
func moduleOf(folder string) string {
	parts := strings.Split(folder, "/")
	if len(parts) < 2 || parts[0] != "modules" {
		return ""
	}
	return parts[1]
}

func isModuleRoot(folder string) bool {
	return moduleOf(folder) != "" && strings.Count(folder, "/") == 1
}

// only returns a rule that lets nobody but the folders import the libraries.
func only(libraries []string, folders ...string) func(importOf) bool {
	return func(i importOf) bool { return i.isOf(libraries...) && !matches(i.folder, folders...) }
}

// rules are what the architecture forbids. Each has imports that it must report,
// so that a rule that stopped finding anything is noticed.
var rules = []struct {
	name    string
	broken  func(importOf) bool
	planted []importOf
}{
	{
		name: "a module's root package is plain Go",
		broken: func(i importOf) bool {
			if !isModuleRoot(i.folder) || i.test {
				return false
			}
			if folder := i.ours(); folder != "" {
				return !isModuleRoot(folder) && folder != "platform/fault" && folder != "platform/tenant" && folder != "platform/origin" && folder != "platform/parallel"
			}
			if i.isStandard() {
				return i.isOf("net", "database", "html", "os", "syscall") && i.path != "net/mail"
			}
			return !i.isOf("golang.org/x/text")
		},
		planted: []importOf{
			{folder: "modules/projects", path: "github.com/uptrace/bun"},
			{folder: "modules/projects", path: "net/http"},
			{folder: "modules/projects", path: "database/sql"},
			{folder: "modules/tenancy", path: "github.com/tenonhq/tenon/platform/database"},
			{folder: "modules/tenancy", path: "github.com/tenonhq/tenon/modules/identity/adapters/clerk"},
			{folder: "modules/tenancy", path: "go.uber.org/fx"},
		},
	},
	{
		name: "the platform knows no module",
		broken: func(i importOf) bool {
			return matches(i.folder, "platform", "migrations") && matches(i.ours(), "modules", "cmd")
		},
		planted: []importOf{
			{folder: "platform/httpserver", path: "github.com/tenonhq/tenon/modules/identity"},
			{folder: "platform/web/ui", path: "github.com/tenonhq/tenon/modules"},
			{folder: "platform/migrate", path: "github.com/tenonhq/tenon/modules/tenancy", test: true},
		},
	},
	{
		name: "a module reaches another through its root package alone",
		broken: func(i importOf) bool {
			from, to := moduleOf(i.folder), moduleOf(i.ours())
			isTest := i.test || matches(i.folder, "modules/*/*test")
			return from != "" && to != "" && from != to && !isModuleRoot(i.ours()) && !isTest
		},
		planted: []importOf{
			{folder: "modules/projects/adapters/web", path: "github.com/tenonhq/tenon/modules/identity/adapters/web"},
			{folder: "modules/projects/projectsfx", path: "github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"},
		},
	},
	{
		name: "modules depend on each other in one direction: operations and search, projects and API keys, identity, tenancy",
		broken: func(i importOf) bool {
			from, to := moduleOf(i.folder), moduleOf(i.ours())
			above := to == "search" || to == "projects" || to == "operations" || to == "apikeys"
			isBelow := from == "identity" || from == "projects" || from == "apikeys"
			return from == "tenancy" && to != "" && to != "tenancy" || isBelow && above && from != to
		},
		planted: []importOf{
			{folder: "modules/tenancy", path: "github.com/tenonhq/tenon/modules/identity"},
			{folder: "modules/identity/adapters/web", path: "github.com/tenonhq/tenon/modules/projects"},
			{folder: "modules/projects", path: "github.com/tenonhq/tenon/modules/operations"},
			{folder: "modules/projects/adapters/web", path: "github.com/tenonhq/tenon/modules/search"},
			{folder: "modules/identity/adapters/web", path: "github.com/tenonhq/tenon/modules/apikeys"},
		},
	},
	{
		name: "fx stays in cmd and in the packages that wire",
		broken: func(i importOf) bool {
			return i.folder != "modules" && only([]string{"go.uber.org/fx", "go.uber.org/dig"}, "cmd", "modules/*/*fx")(i)
		},
		planted: []importOf{
			{folder: "modules/projects/adapters/rest", path: "go.uber.org/fx"},
			{folder: "platform/database", path: "go.uber.org/fx"},
		},
	},
	{
		name:   "Bun stays in repositories and the migration engine",
		broken: only([]string{"github.com/uptrace/bun"}, "platform/database", "platform/migrate", "modules/*/adapters/bunrepo"),
		planted: []importOf{
			{folder: "modules/projects/adapters/web", path: "github.com/uptrace/bun"},
			{folder: "platform/httpserver", path: "github.com/uptrace/bun/dialect/pgdialect"},
		},
	},
	{
		name:    "nobody but platform/database and the engine, which reads its errors, knows the driver",
		broken:  only([]string{"github.com/uptrace/bun/driver"}, "platform/database", "platform/migrate"),
		planted: []importOf{{folder: "modules/projects/adapters/bunrepo", path: "github.com/uptrace/bun/driver/pgdriver"}},
	},
	{
		name:    "Clerk's SDK stays in its adapter, the emulator and the command that seeds",
		broken:  only([]string{"github.com/clerk/clerk-sdk-go/v2"}, "modules/identity/adapters/clerk", "modules/identity/identityfx", "platform/clerkdev", "cmd/tenon"),
		planted: []importOf{{folder: "modules/identity/adapters/web", path: "github.com/clerk/clerk-sdk-go/v2/user"}},
	},
	{
		name: "Svix stays in its adapter and the emulator",
		broken: func(i importOf) bool {
			return !i.test && only([]string{"github.com/svix/svix-webhooks"}, "modules/identity/adapters/svix", "platform/clerkdev")(i)
		},
		planted: []importOf{{folder: "modules/identity/adapters/clerk", path: "github.com/svix/svix-webhooks/go"}},
	},
	{
		name:    "Redis stays with the limits",
		broken:  only([]string{"github.com/redis/go-redis/v9"}, "platform/ratelimit"),
		planted: []importOf{{folder: "modules/apikeys/adapters/bunrepo", path: "github.com/redis/go-redis/v9"}},
	},
	{
		name: "Atlas stays in the migration engine",
		broken: func(i importOf) bool {
			return !i.test && only([]string{"ariga.io/atlas"}, "platform/migrate")(i)
		},
		planted: []importOf{{folder: "cmd/tenon", path: "ariga.io/atlas/sql/migrate"}},
	},
	{
		name:    "huma stays in REST adapters, what mounts them and the edge",
		broken:  only([]string{"github.com/danielgtaylor/huma/v2"}, "platform/httpserver", "modules/*/adapters/rest", "modules/*/*fx", "modules/projects/projectstest", "cmd/tenon"),
		planted: []importOf{{folder: "modules/projects/adapters/web", path: "github.com/danielgtaylor/huma/v2"}},
	},
	{
		name:    "requests do several things at once by platform/parallel, which hands panics on",
		broken:  only([]string{"golang.org/x/sync/errgroup"}, "platform/parallel", "platform/migrate", "cmd/tenon"),
		planted: []importOf{{folder: "modules/projects/adapters/web", path: "golang.org/x/sync/errgroup"}},
	},
	{
		name: "the in-memory adapters need no database",
		broken: func(i importOf) bool {
			return matches(i.folder, "modules/*/adapters/memory") && (i.isOf("database/sql") || i.ours() == "platform/database")
		},
		planted: []importOf{{folder: "modules/projects/adapters/memory", path: "github.com/tenonhq/tenon/platform/database"}},
	},
	{
		name: "the emulator is for development: only commands and tests start it",
		broken: func(i importOf) bool {
			return i.ours() == "platform/clerkdev" && !i.test && !matches(i.folder, "cmd", "platform/clerkdev")
		},
		planted: []importOf{{folder: "modules/identity/identityfx", path: "github.com/tenonhq/tenon/platform/clerkdev"}},
	},
}

func TestEveryRuleReportsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	for _, rule := range rules {
		if len(rule.planted) == 0 {
			t.Errorf("%s: nothing is planted", rule.name)
		}
		for _, planted := range rule.planted {
			if !rule.broken(planted) {
				t.Errorf("%s: %s importing %s is not reported", rule.name, planted.folder, planted.path)
			}
		}
	}
}

func TestBoundaries(t *testing.T) {
	t.Parallel()
	imports := importsOf(t, "..")
	if len(imports) < 500 {
		t.Fatalf("only %d imports were found: the tree is not read", len(imports))
	}
	for _, found := range imports {
		for _, rule := range rules {
			if rule.broken(found) {
				t.Errorf("%s: %s imports %s", rule.name, found.folder, found.path)
			}
		}
	}
}

// TestEveryModuleIsComplete holds that a module has the parts that README.md
// promises, so that a new one is not begun without its tests.
func TestEveryModuleIsComplete(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	modules := 0
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		modules++
		name := entry.Name()
		parts := []string{"doc.go", name + "fx/module.go"}
		if _, err := os.Stat(filepath.Join(name, "adapters/bunrepo")); err == nil { // it keeps something
			parts = append(parts, "ports.go", "adapters/memory", name+"test")
		}
		for _, part := range parts {
			if _, err := os.Stat(filepath.Join(name, part)); err != nil {
				t.Errorf("module %s has no %s", name, part)
			}
		}
	}
	if modules < 3 {
		t.Errorf("only %d modules were found", modules)
	}
}

// importsOf reads the imports of every Go file below root.
func importsOf(t *testing.T, root string) []importOf {
	t.Helper()
	var imports []importOf
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return errors.New(name + ": " + spec.Path.Value + " is no import path")
			}
			imports = append(imports, importOf{
				folder: filepath.ToSlash(folder), path: imported, test: strings.HasSuffix(name, "_test.go"),
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}
