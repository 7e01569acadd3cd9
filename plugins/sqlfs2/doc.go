// Package sqlfs2 lets SQL be spoken through files.
//
// Reading a ctl opens a session: one connection with one transaction, which is
// ended by commit, rollback or close, and by nothing else with success. The mount
// lives on one node, since a session does; all others reach it there.
//
// Invariants:
//
//   - What a session has done is committed by commit and close alone. A session
//     that ends in any other way is rolled back.
//   - Once the database has dropped a transaction, nothing more is done in that
//     session, and nothing committed, before it was told to roll back.
//   - A name from a path reaches SQL only if it is an identifier, and quoted.
package sqlfs2
