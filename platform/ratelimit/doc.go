// Package ratelimit bounds how often one sender may ask: in a sliding window, which
// counts what the window before was left with as far as it reaches into the last
// [Window].
//
// A [Limiter] counts in its process, by httprate's counter. With a [Redis] all
// processes count together: one script looks and counts in one step, by the clock
// of the server, in windows of the same kind. While Redis cannot be reached, each
// process counts by itself, as if there were none: whoever keeps Redis away gets as
// many limits as there are processes, and nobody is kept out. That is told to the
// log and the metrics.
package ratelimit
