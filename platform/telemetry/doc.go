// Package telemetry is what the process tells of itself: the log, [Metrics] for
// Prometheus, and traces for whatever speaks OTLP.
//
// None of the metrics has a tenant as a label: ten thousand tenants times routes
// and buckets would cost more than everything else that is measured. Who is busy
// is counted apart, and asked for by itself ([Metrics.Handler]).
//
// Nothing here looks for secrets to redact: what must not be told is either a
// type that hides itself (config.Secret), or was not an argument, or, in the text
// of a statement, is a literal, which database.Message leaves out.
package telemetry
