// Package operations is for the people who run the product: who they are, and
// what they see across all tenants. They have no way into any tenant's data by
// it; for that they need to be members like everybody else.
package operations
