package database_test

import (
	"testing"

	"github.com/tenonhq/tenon/platform/database"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		budget         int64
		conns, tenants int
		want           int
	}{
		{budget: 4 << 30, conns: 20, tenants: 1000, want: 2744},
		{budget: 4 << 30, conns: 20, tenants: 10_000, want: 0},
		{budget: 1 << 20, conns: 0, tenants: 0, want: 18},
	} {
		if got := database.Room(test.budget, test.conns, test.tenants); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}
