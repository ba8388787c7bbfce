package migrate

// Serves reports whether a program with this engine's migrations can work on a
// tenant's schema at version: from the oldest that it was told of, by [Oldest],
// to the newest that it has, and on. Newer ones are served because migrations go
// first and programs follow: a migration that breaks the program before it has to
// come in two, of which the second waits (`tenon migrate lint` reports it).
// Versions are times, so they compare as text.
func (e *Engine) Serves(version string) bool { return version >= e.oldest }

// WithOldest sets the oldest version of a tenant's schema that the program can
// work on; without it every one is served.
func WithOldest(version string) Option { return func(e *Engine) { e.oldest = version } }
