// Package vfs holds the words of PFS: names, changes, state, filesystems and
// the table that mounts them into one tree.
//
// Everything here is a value or a contract. The package imports only the
// standard library, does no input or output of its own, starts no goroutine
// and keeps no state, so the state machine may call any of it.
//
// Invariants:
//
//   - A [Path] is clean and rooted; only [ParsePath] makes one.
//   - A [Folder] is a pure function of its [Tx] and the [Op]: the same Events
//     give the same state on every node.
//   - An Op that fails leaves its Tx to be dropped; the caller drops it.
//   - Errors carry a [Kind]; the [Table] adds verb and path, once.
package vfs
