// Package modules is the map of the monolith: which modules there are, and what
// each may know of the others. README.md beside this file says how to add one;
// boundaries_test.go holds everybody to the rules.
package modules
