// Package streamfs keeps append-only streams, folded from the log: bytes have
// offsets that never change, the last of them are kept (the ring), and any
// number of readers on any node follow the state of their own node.
//
// Names, ids and times are those of package tree; the bytes of a stream are rows
// of package content under the id of its file. Every Write appends, whatever its
// offset, and forgets what is more than the ring behind the new end: at once for
// readers, row by row in that and later Events. A stream that is removed is gone
// at once, and its rows by later Reaps.
//
// Readers have no part in the state: they cannot hold up a writer, and what they
// have not read when it is forgotten they are told of, never served something
// else in its place.
package streamfs
