package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/ratelimit/redistest"
)

// TestTwoInstancesHaveOneLimit runs the product twice on one Redis, and then without
// it.
func TestTwoInstancesHaveOneLimit(t *testing.T) {
	redis := redistest.Start(t)
	environ := func() []string {
		return []string{"DATABASE_URL=" + localpgtest.NewDatabase(t), "REDIS_URL=" + redis.URL(), "RATE_LIMIT_ADDRESS=3"}
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	instances := []*product{startCommand(t, environ(), "--no-seed")}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	instances = append(instances, startCommand(t, environ(), "--no-seed"))
	let := func() (n int) {
		for i := range 20 {
			got := instances[i%2].call(t, "GET", "/api/openapi.json", "", nil)
			switch got.status {
			case http.StatusOK:
				n++
			case http.StatusTooManyRequests:
				if got.header.Get("Retry-After") == "" || got.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(got.body, "rate-limited") {
					t.Errorf("%v %s", got.header, got.body)
				}
			default:
				t.Fatalf("%d %s", got.status, got.body)
			}
		}
		return n
	}
	// A window that ends meanwhile lets as many through again.
	if n := let(); n < 3 || n > 6 {
		t.Errorf("two instances let %d through, want 3", n)
	}
	page := instances[0].call(t, "GET", "/", "", nil, "Accept", "text/html")
	if page.status == http.StatusTooManyRequests && !strings.Contains(page.body, "<main") {
		t.Errorf("a person is shown %.300s", page.body)
	}
	redis.Stop()
	if n := let(); n < 6 { // each its own again
		t.Errorf("without Redis %d get through, want 3 at each", n)
	}
	for i, instance := range instances {
		if !strings.Contains(instance.log.String(), "Redis does not answer") {
			t.Errorf("instance %d raises no alarm:\n%s", i, instance.log)
		}
		if metrics := instance.scrape(t); !strings.Contains(metrics, "tenon_rate_limit_shared 0") {
			t.Errorf("instance %d exports that its limits are shared", i)
		}
	}
}
