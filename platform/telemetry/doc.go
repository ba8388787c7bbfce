// Package telemetry sets up what the process tells of itself. It is the log so
// far. Nothing here looks for secrets to redact: what must not be logged is
// either a type that hides itself (config.Secret) or not an argument.
package telemetry
