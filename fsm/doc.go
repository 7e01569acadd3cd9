// Package fsm folds the log into the state: a Machine takes batches of Events,
// routes their Ops through the mount table, and keeps what they leave behind in
// a store, together with the index of the last entry it took.
//
// Invariants:
//
//   - What a batch changes, the applied index, its term and the raft
//     configuration are one commit. Entries at or below the applied index are
//     skipped. A crash loses a suffix of entries, which the log gives again.
//   - An Event commits whole or changes nothing: not the number, not the time.
//     Only its outcome is remembered, if it came with an idempotency key.
//   - The fold depends on the state and the Event alone. No clock, randomness,
//     environment or order of a map reaches it; a Device is never called.
//   - An entry that cannot be read, or a fault of the store, ends the node
//     before anything is changed. It is never an answer.
//   - Readers see Images: the table and the state at one index. They are made
//     when asked for, shared, and never wait for the writer.
//
// The machine itself folds the verbs Mount, Unmount, Begin, Member, Stage,
// Commit and Sweep; all others belong to the [vfs.Table].
package fsm
