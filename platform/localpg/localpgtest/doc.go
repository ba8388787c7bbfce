// Package localpgtest gives tests PostgreSQL databases of their own.
//
// The tests of one package, which is one process, share a server. It starts at
// the first call of [NewDatabase] and ends with the process, however that ends.
// Packages tested at the same time do not share one: none can use up the others'
// connections or meet their roles. Clusters are kept between runs, one for each
// process that ever ran beside another, because starting a server on an old one
// is ten times as fast as making a new one.
//
// TEST_DATABASE_URL names a server to use instead. Its user must be allowed to
// create databases.
package localpgtest
