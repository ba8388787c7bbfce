// Package search finds a tenant's projects and members by what they are called.
//
// It keeps nothing itself: it asks the modules whose things these are, as the
// actor, so that nobody finds what they may not see.
package search
