package fault

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Panic is a panic on its way to the log. It has no kind of its own, whatever its
// value is, so it is [Internal].
type Panic struct {
	Value any
	// Stack is the goroutine's that panicked, as [debug.Stack] prints it.
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// LogValue adds the stack, which the error's text leaves out.
func (p *Panic) LogValue() slog.Value { return slog.StringValue(p.Error() + "\n" + string(p.Stack)) }

// PanicOf returns what recover returned as an error. One that has crossed from one
// goroutine to another keeps the stack of the first.
func PanicOf(recovered any) *Panic {
	if p, ok := recovered.(*Panic); ok {
		return p
	}
	return &Panic{Value: recovered, Stack: debug.Stack()}
}

// Recovered returns fn's error, and a panic of fn as a [*Panic].
func Recovered(fn func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = PanicOf(value)
		}
	}()
	return fn()
}
