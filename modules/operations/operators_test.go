package operations_test

import (
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/operations"
)

func TestOperators(t *testing.T) {
	t.Parallel()
	operators := operations.NewOperators([]string{" ada@example.com ", "user_bob", ""})
	for name, c := range map[string]struct {
		account identity.Account
		want    bool
	}{
		"by address":                   {identity.Account{ID: "user_ada", Email: "Ada@Example.com"}, true},
		"by id":                        {identity.Account{ID: "user_bob"}, true},
		"ids are case-sensitive":       {identity.Account{ID: "user_BOB"}, false},
		"somebody else":                {identity.Account{ID: "user_eve", Email: "eve@example.com"}, false},
		"an address at second hand":    {identity.Account{ID: "user_eve", Email: "ada@example.com", Stub: true}, false},
		"a deleted account":            {identity.Account{ID: "user_bob", DeletedAt: time.Now()}, false},
		"nobody":                       {identity.Account{}, false},
		"an id that is an address":     {identity.Account{ID: "ada@example.com"}, true},
		"an account without anything":  {identity.Account{ID: "user_x"}, false},
		"an address that contains one": {identity.Account{ID: "user_x", Email: "ada@example.com.evil.example"}, false},
	} {
		if got := operators.Include(c.account); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (operations.Operators{}).Include(identity.Account{ID: "user_ada", Email: "ada@example.com"}) {
		t.Error("without a list somebody is an operator")
	}
}
