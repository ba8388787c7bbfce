package operations

import (
	"slices"
	"strings"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Operators are the people who may see the operators' pages. The zero value is
// nobody.
type Operators struct{ list []string }

// NewOperators returns the people who are listed by their account's id or by the
// primary email address of their account.
func NewOperators(list []string) Operators {
	operators := Operators{}
	for _, entry := range list {
		if entry = strings.TrimSpace(entry); entry != "" {
			operators.list = append(operators.list, entry)
		}
	}
	return operators
}

// Include reports whether an account is an operator's. An account that was
// deleted, or that is known from somebody else's summary alone, is nobody's
// address.
func (o Operators) Include(account identity.Account) bool {
	return account.ID != "" && !account.Deleted() && slices.ContainsFunc(o.list, func(entry string) bool {
		return entry == account.ID || account.Email != "" && !account.Stub && strings.EqualFold(entry, account.Email)
	})
}

// ErrNotFound is what everybody else gets: that there is such a page is nobody's
// business.
var ErrNotFound = fault.New(fault.NotFound, "There is no such page.")
