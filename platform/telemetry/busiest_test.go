package telemetry

import (
	"fmt"
	"testing"
	"time"
)

func TestBusiestForgets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	b := busiest{now: func() time.Time { return now }}
	for minute := range 3 * busyMinutes {
		b.add("org_steady", time.Second)
		if minute < 2 {
			b.add("org_early", time.Second)
		}
		now = now.Add(time.Minute)
	}
	now = now.Add(-time.Minute)
	if got := fmt.Sprint(b.top(10, false)); got != "[{org_steady 15 15}]" {
		t.Error(got)
	}
	now = now.Add(busyMinutes * time.Minute)
	if got := b.top(10, false); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
