// Package apikeys lets programs act in a tenant. A key stands for the member who
// made it, within the permissions it was given: on each request it allows what
// both the key and the member's role at that moment do, see
// [identity.Actor.Allows]. Whoever leaves, or is given less to do, takes their keys
// along.
//
// A key is a [Token]: shown once, when it is made, and kept as its hash. What
// decides about a request is in the [Index], outside of every tenant, because a
// key has to be found before it is known which tenant it is for; what people read
// about it is in the tenant's own [Repository]. Both are written in one
// transaction, and whatever is not in the index is not valid.
//
// A key makes no keys, whatever it was given: otherwise whoever steals one keeps
// another when it is revoked.
package apikeys
