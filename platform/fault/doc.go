// Package fault is the one vocabulary of errors that crosses package borders.
//
// Every error that leaves a use case has a [Kind] from one closed set. Kinds
// are decided where the facts are known (an adapter that sees a unique
// violation, a use case that sees a missing permission) and read in one place
// for each outside world: platform/httpserver turns them into statuses and
// problem details, cmd/tenon into exit codes.
//
// An [Error] carries two texts and keeps them apart. Its Message and Fields
// are written for the client. Its cause is written for the operator's log and
// may hold SQL or a tenant's name; nothing that answers a client reads it.
package fault
