package localpg

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/testtool"
)

// programs writes a folder of programs that each print one line.
func programs(t *testing.T, lines map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, line := range lines {
		script := "#!/bin/sh\necho '" + line + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func postgresPrograms(t *testing.T, version string) string {
	t.Helper()
	return programs(t, map[string]string{
		"postgres": "postgres (PostgreSQL) " + version,
		"initdb":   "initdb (PostgreSQL) " + version,
	})
}

func TestInspect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		lines map[string]string
		want  string // version, or part of the error
	}{
		{"both", map[string]string{"postgres": "postgres (PostgreSQL) 16.9 (Debian 16.9-1)", "initdb": "initdb (PostgreSQL) 16.9 (Debian 16.9-1)"}, "16.9"},
		{"beta", map[string]string{"postgres": "postgres (PostgreSQL) 19beta1", "initdb": "initdb (PostgreSQL) 19beta1"}, "19beta1"},
		{"no initdb", map[string]string{"postgres": "postgres (PostgreSQL) 16.9"}, "no "},
		{"no postgres", map[string]string{"initdb": "initdb (PostgreSQL) 16.9"}, "no "},
		{"two versions", map[string]string{"postgres": "postgres (PostgreSQL) 16.9", "initdb": "initdb (PostgreSQL) 16.8"}, "one version"},
		{"too old", map[string]string{"postgres": "postgres (PostgreSQL) 11.22", "initdb": "initdb (PostgreSQL) 11.22"}, "12 or later"},
		{"something else", map[string]string{"postgres": "hello", "initdb": "initdb (PostgreSQL) 16.9"}, "not PostgreSQL"},
		{"empty folder", nil, "no "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found, err := inspect(t.Context(), programs(t, test.lines))
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				return
			}
			if found.version != test.want {
				t.Errorf("found %q, want %q", found.version, test.want)
			}
		})
	}
	broken := postgresPrograms(t, "16.9")
	if err := os.WriteFile(filepath.Join(broken, "initdb"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := inspect(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "run ") {
		t.Errorf("an initdb that cannot run: %v", err)
	}
}

func TestInspectProgramFollowsLinks(t *testing.T) {
	t.Parallel()
	real := postgresPrograms(t, "17.2")
	// The link's own folder holds another version's initdb.
	links := programs(t, map[string]string{"initdb": "initdb (PostgreSQL) 14.1"})
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	found, err := inspectProgram(t.Context(), filepath.Join(links, "postgres"))
	if err != nil || found.dir != real {
		t.Errorf("found %q, %v, want %q", found.dir, err, real)
	}
}

func TestNewestOf(t *testing.T) {
	t.Parallel()
	silent := slog.New(slog.DiscardHandler)
	nine, fifteen, broken := postgresPrograms(t, "9.6"), postgresPrograms(t, "15.13"), programs(t, nil)
	found, ok := newestOf(t.Context(), silent, []string{nine, broken, postgresPrograms(t, "14.99"), fifteen})
	if !ok || found.dir != fifteen {
		t.Errorf("found %+v, %v", found, ok)
	}
	if found, ok := newestOf(t.Context(), silent, []string{nine, broken, "/nowhere/*/bin"}); ok {
		t.Errorf("found %+v", found)
	}
}

func TestFindBinariesByEnvironment(t *testing.T) {
	dir := postgresPrograms(t, "99.1")
	silent := slog.New(slog.DiscardHandler)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("TENON_POSTGRES_BIN", "")
	if found, err := findBinaries(t.Context(), silent); err != nil || found.dir != dir {
		t.Errorf("on PATH found %+v, %v", found, err)
	}
	other := postgresPrograms(t, "98.1")
	t.Setenv("TENON_POSTGRES_BIN", other)
	if found, err := findBinaries(t.Context(), silent); err != nil || found.dir != other {
		t.Errorf("in TENON_POSTGRES_BIN found %+v, %v", found, err)
	}
	t.Setenv("TENON_POSTGRES_BIN", "/nowhere")
	if _, err := findBinaries(t.Context(), silent); err == nil || !strings.Contains(err.Error(), "TENON_POSTGRES_BIN") {
		t.Errorf("a TENON_POSTGRES_BIN without programs: %v", err)
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	archive := downloadArchive(t)
	served := 0
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			fmt.Fprintf(w, "%x", sha256.Sum256(archive))
			return
		}
		_, _ = w.Write(archive)
	}))
	defer repository.Close()
	silent := slog.New(slog.DiscardHandler)
	cache := filepath.Join(t.TempDir(), "cache")
	for range 2 {
		found, err := download(t.Context(), silent, cache, repository.URL)
		if err != nil || found.version != "18.3" || !strings.HasPrefix(found.dir, cache) {
			t.Fatalf("found %+v, %v", found, err)
		}
	}
	if served != 2 { // archive and checksum
		t.Errorf("%d requests for two calls", served)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "download-*")); left != nil {
		t.Errorf("left %v", left)
	}
}

func TestDownloadFails(t *testing.T) {
	t.Parallel()
	archive := downloadArchive(t)
	for name, answer := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"no archive": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>sign in to the network</html>")
		},
		"wrong checksum": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".sha256") {
				fmt.Fprint(w, strings.Repeat("0", 64))
				return
			}
			_, _ = w.Write(archive)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := httptest.NewServer(answer)
			defer repository.Close()
			cache := t.TempDir()
			if found, err := download(t.Context(), slog.New(slog.DiscardHandler), cache, repository.URL); err == nil {
				t.Errorf("found %+v", found)
			}
			if left, _ := os.ReadDir(cache); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := download(ctx, slog.New(slog.DiscardHandler), t.TempDir(), "http://127.0.0.1:1"); err == nil {
		t.Error("a cancelled download succeeded")
	}
}

// downloadArchive makes what the library downloads: a zip with a .txz inside.
func downloadArchive(t *testing.T) []byte {
	t.Helper()
	testtool.Path(t, "xz")
	dir := postgresPrograms(t, "18.3")
	packed, err := exec.Command("tar", "-cJf", "-", "-C", filepath.Dir(dir), "bin").Output()
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	file, err := writer.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(packed); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func FuzzParseVersion(f *testing.F) {
	for _, seed := range []string{"postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n", "initdb (PostgreSQL) 18beta1", "postgres (PostgreSQL) 99999999999999999999", "postgres (EnterpriseDB) 15", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, output string) {
		version, major, ok := parseVersion(output)
		if ok && (major < 0 || !strings.HasPrefix(strings.TrimLeft(version, "0"), strings.TrimLeft(fmt.Sprint(major), "0"))) {
			t.Errorf("%q: version %q of major %d", output, version, major)
		}
	})
}
