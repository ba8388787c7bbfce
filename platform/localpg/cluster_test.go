package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

const readyStatus = "4711\n/data/cluster\n1764000000\n54321\n\n127.0.0.1\n  1234567    131072\nready   \n"

func TestParseStatus(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		want    status
		wantErr bool
	}{
		"ready":            {readyStatus, status{54321, true}, false},
		"starting":         {strings.Replace(readyStatus, "ready", "starting", 1), status{54321, false}, false},
		"stopping":         {strings.Replace(readyStatus, "ready   ", "stopping", 1), status{54321, false}, false},
		"half written":     {"4711\n/data/cluster\n1764000000\n54321\n", status{54321, false}, false},
		"barely written":   {"4711\n/data", status{}, true},
		"empty":            {"", status{}, true},
		"no number":        {strings.Replace(readyStatus, "54321", "port", 1), status{}, true},
		"negative":         {strings.Replace(readyStatus, "54321", "-1", 1), status{}, true},
		"beyond any port":  {strings.Replace(readyStatus, "54321", "65536", 1), status{}, true},
		"zeros from crash": {strings.Repeat("\x00", 100), status{}, true},
	} {
		got, err := parseStatus([]byte(test.content))
		if got != test.want || (err != nil) != test.wantErr {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(readyStatus))
	f.Add([]byte("\n\n\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := parseStatus(content)
		if got.port < 0 || got.port > 65535 || err != nil && got != (status{}) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"initdb: error: could not write: No space left on device": "is full",
		"FATAL:  could not open directory: Permission denied":     "is not accessible",
		"PANIC:  could not read file \"global/pg_control\"":       "may be damaged",
		"FATAL:  invalid value for parameter \"work_mem\"":        "work_mem",
	} {
		if err := explainOutput("/data", output); !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), output) {
			t.Errorf("%s: %v, want %q", output, err, want)
		}
	}
	for cause, want := range map[error]string{
		syscall.ENOSPC:   "disk is full",
		fs.ErrPermission: "folder of your own",
	} {
		wrapped := fmt.Errorf("write: %w", cause)
		if err := explain(wrapped); !errors.Is(err, cause) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", cause, err, want)
		}
	}
	if lines := lastLines("a\nb\nc\n", 2); lines != "b\nc" {
		t.Errorf("last lines are %q", lines)
	}
}
