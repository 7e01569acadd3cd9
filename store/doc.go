// Package store keeps the replicated state of one node in a pebble database:
// one ordered key space, read through views and changed by whole batches.
//
// Invariants:
//
//   - One writer. Commit takes the changes of a batch of log entries and the
//     keys that say which entries those were, and writes them as one batch: a
//     crash leaves all of it or none, and never a later batch without an
//     earlier one.
//   - Commits are not synced: the raft log is what makes them durable. Sync is,
//     and the log may be cut only behind what a Sync has covered.
//   - A Snapshot is one moment; any number of goroutines may read it.
//   - Small rows that were read are kept in memory for all views, within a bound.
//     A view that finds one reads what the database holds at its moment: Commit,
//     the one way to write, tells that cache before it tells the database.
//   - The first fault is final: Options.Fatal hears of it once, every later
//     Commit and Sync fails, and no fault is ever read as absence.
//   - Keys starting with a zero byte are the node's own and are no part of the
//     Digest; all others are equal on all nodes at one index.
package store
