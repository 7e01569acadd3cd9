// Package sqldb opens the databases that plugins keep their data in: a SQLite
// file on this node, or a server that speaks the MySQL protocol.
//
// Invariants:
//
//   - A commit that was acknowledged is synced by SQLite; by a server as it is
//     set to.
//   - Settings reach no file but the one they name, and no driver option that
//     reads files or sends passwords in the clear.
//   - No error text holds a password or a data source name.
package sqldb
