// Package content keeps the bytes of a file as extents, one row each, in a
// [vfs.Tx].
//
// The rows of a file share a prefix and are keyed by the offset at which the
// extent ends, eight bytes, big endian. An extent is a few inline bytes, a
// slice of a chunk kept beside the log, or a hole that reads as zeros.
//
// Invariants:
//
//   - The extents of a file tile it: they start at 0, end at its size, and
//     neither overlap nor leave gaps.
//   - Every chunk row is counted once by Retain; nothing else is.
//   - A splice touches the rows it overlaps and their two neighbours, whatever
//     the length of the file. No chunk is read to change a file.
//   - The meaning of a row's tag never changes; a new form gets a new tag.
package content
