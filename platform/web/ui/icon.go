package ui

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/a-h/templ"
)

type icon struct{ name, shapes string }

func findIcon(name string) (icon, bool) {
	i, found := slices.BinarySearchFunc(icons[:], name, func(i icon, name string) int {
		return strings.Compare(i.name, name)
	})
	if !found {
		return icon{}, false
	}
	return icons[i], true
}

// Icon draws the Lucide icon called name, hidden from screen readers: whatever
// it stands for is said in text beside it. A name that is not one of
// [IconNames] is an error of rendering, so that no page goes out without it.
func Icon(name string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		icon, ok := findIcon(name)
		if !ok {
			return fmt.Errorf("ui.Icon: no icon %q", name)
		}
		_, err := io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">`+icon.shapes+`</svg>`)
		return err
	})
}

// IconNames returns the names of the icons there are, in order. More come from
// the list in assets/build.mjs.
func IconNames() []string {
	names := make([]string, len(icons))
	for i := range icons {
		names[i] = icons[i].name
	}
	return names
}
