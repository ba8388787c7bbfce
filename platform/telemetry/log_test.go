package telemetry_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

func TestTheSameWarningIsNotRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type request struct{}
		var log strings.Builder
		logger, err := telemetry.NewLogger(&log, "text", slog.LevelInfo, func(ctx context.Context) []slog.Attr {
			if ctx.Value(request{}) == nil {
				return nil
			}
			return []slog.Attr{slog.String("request_id", "r")}
		})
		if err != nil {
			t.Fatal(err)
		}
		of := context.WithValue(t.Context(), request{}, true)
		for range 40 {
			logger.WarnContext(t.Context(), "the database is away")
			logger.With("of", "another part").WarnContext(t.Context(), "the database is away")
			logger.WarnContext(t.Context(), "something else")
			logger.InfoContext(t.Context(), "hello")
			logger.WarnContext(of, "somebody's")
			time.Sleep(time.Second)
		}
		for message, want := range map[string]int{"the database is away": 2, "repeated=59": 1, "something else": 2, "hello": 40, "somebody's": 40} {
			if got := strings.Count(log.String(), message); got != want {
				t.Errorf("%q is logged %d times, want %d", message, got, want)
			}
		}
	})
}
