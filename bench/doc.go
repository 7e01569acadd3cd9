// Package bench measures a PFS cluster over HTTP: small durable writes, small
// reads, and one large file in and out, at several numbers of clients.
//
// Figures depend on the disk's sync time and on how many nodes share the
// machine; a Report carries both. The load is closed: each client sends its
// next request when the last was answered.
package bench
