package telemetry_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/telemetry"
)

func TestNewLogger(t *testing.T) {
	t.Parallel()
	const hostile = "x\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\ntime=now level=ERROR"
	for _, format := range []string{"json", "text"} {
		var log strings.Builder
		logger, err := telemetry.NewLogger(&log, format, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		logger.Debug("too detailed")
		logger.Info("hello", "input", hostile)
		if lines := strings.Count(log.String(), "\n"); lines != 1 {
			t.Errorf("%s: %d lines, want 1:\n%s", format, lines, log.String())
		}
		if isJSON := json.Valid([]byte(log.String())); isJSON != (format == "json") {
			t.Errorf("%s: %s", format, log.String())
		}
	}
	if _, err := telemetry.NewLogger(new(strings.Builder), "xml", slog.LevelInfo); err == nil {
		t.Error("an unknown format must be an error")
	}
}
