package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Variable is one environment variable as documentation shows it.
type Variable struct {
	// Name is the variable's name, Doc what it is for.
	Name, Doc string
	// Want says what a value must be; Example is one.
	Want, Example string
	// Default is the value that an unset variable has, "" for none.
	Default string
	// Required tells that there is no starting without it.
	Required bool
}

// Variables returns every variable in the order of [Config].
func Variables() []Variable {
	var variables []Variable
	for field := range reflect.TypeFor[Config]().Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		variables = append(variables, Variable{
			Name:     name,
			Doc:      field.Tag.Get("doc"),
			Want:     field.Tag.Get("want"),
			Example:  field.Tag.Get("example"),
			Default:  field.Tag.Get("envDefault"),
			Required: options == "required",
		})
	}
	return variables
}

// variableOf returns the variable of the struct field called name.
func variableOf(name string) string {
	field, _ := reflect.TypeFor[Config]().FieldByName(name)
	variable, _, _ := strings.Cut(field.Tag.Get("env"), ",")
	return variable
}

// Markdown returns the variables as a table for the README.
func Markdown() string {
	var table strings.Builder
	table.WriteString("| variable | default | what it is |\n|---|---|---|\n")
	for _, v := range Variables() {
		value := "—"
		switch {
		case v.Required:
			value = "**required**"
		case v.Default != "":
			value = "`" + v.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s (%s) |\n", v.Name, value, v.Doc, v.Want)
	}
	return table.String()
}

// Example returns the variables as an example of an environment file. Those
// with a default are commented out.
func Example() string {
	var file strings.Builder
	file.WriteString("# Configuration of `tenon serve`. `tenon dev` needs none of it.\n" +
		"# Nothing reads this file by itself: set -a; . ./.env; set +a\n" +
		"# Made from platform/config; change it there.\n")
	for _, v := range Variables() {
		fmt.Fprintf(&file, "\n# %s.\n# Want: %s.\n", v.Doc, v.Want)
		switch {
		case v.Required:
			fmt.Fprintf(&file, "%s=%s\n", v.Name, v.Example)
		case v.Default != "":
			fmt.Fprintf(&file, "# %s=%s\n", v.Name, v.Default)
		default:
			fmt.Fprintf(&file, "# %s=%s\n", v.Name, v.Example)
		}
	}
	return file.String()
}
