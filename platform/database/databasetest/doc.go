// Package databasetest gives tests a database of their own and runs the
// isolation contract: [RunIsolation] takes any repository of tenant tables and
// proves that nothing of one tenant reaches another, whatever goes wrong.
package databasetest
