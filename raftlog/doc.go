// Package raftlog holds the stores of raft's log and of its vote: one on
// raft-boltdb, one on pebble, and a watch over either.
//
// Invariants:
//
//   - What StoreLogs, DeleteRange or Set said yes to survives a power cut.
//   - An entry is readable only once it is durable.
//   - After the first fault every write fails: a late or repeated success
//     would not prove that what went before is on disk.
//   - An entry that does not match its checksum is [ErrCorrupt], never absent.
package raftlog

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// Store is raft's log and its stable store in one. Entries that are not there
// give raft.ErrLogNotFound; Get and GetUint64 of an unknown key give an error
// with the text "not found", which raft expects. Reads are safe beside writes.
type Store interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// ErrCorrupt says that an entry is there but damaged.
var ErrCorrupt = errors.New("raft log entry is damaged")

// ErrInUse says that another process has the log open.
var ErrInUse = errors.New("raft log is in use")

// ErrClosed is the answer of a Store after Close.
var ErrClosed = errors.New("raft log is closed")
