package backup

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// Format is the version of the form that this program writes, and the newest
// that it reads.
const Format = 1

const (
	magic      = "PFSBAK\x00"
	kindHeader = 'H'
	kindRows   = 'R'
	kindChunk  = 'C'
	kindEnd    = 'E'

	headLen  = 1 + 4
	sumLen   = 4
	pairLen  = 4 + 4
	hashLen  = 32
	maxJSON  = 64 << 10
	maxRows  = 8 << 20   // bytes of a record of rows
	fullRows = 256 << 10 // after which the next one begins
	maxChunk = 4 << 20   // bytes of a chunk
)

// The ways in which a stream is no backup.
var (
	// ErrDamaged says that the stream was cut or changed, or never was a backup.
	ErrDamaged = errors.New("damaged backup")
	// ErrNewer says that a later version of this program wrote it.
	ErrNewer = errors.New("backup of a newer version of PFS")
)

// Header says what a backup is of.
type Header struct {
	Format  int       `json:"format"`
	Cluster string    `json:"cluster_id"`
	Node    string    `json:"node_id"` // that wrote it
	Version string    `json:"version"` // of PFS there
	Time    time.Time `json:"time"`    // when the state was this
	Index   uint64    `json:"index"`   // of the last log entry in it
	Term    uint64    `json:"term"`
	Level   uint64    `json:"feature_level,omitempty"` // of the cluster
	Seq     uint64    `json:"seq"`                     // of the last Event in it
	LogTime int64     `json:"log_time"`                // of that Event, nanoseconds since 1970
	Digest  string    `json:"digest"`                  // of the rows, hexadecimal
	Rows    uint64    `json:"rows"`
	Bytes   int64     `json:"row_bytes"` // keys and values
	Chunks  uint64    `json:"chunks"`
}

// Trailer says what a backup holds.
type Trailer struct {
	Rows       uint64 `json:"rows"`
	Chunks     uint64 `json:"chunks"`
	ChunkBytes int64  `json:"chunk_bytes"`
	Bytes      int64  `json:"bytes"`  // before the trailer
	Sum        string `json:"blake3"` // of these, hexadecimal
}

// Source is a backup about to be written.
type Source interface {
	Header() Header
	// Write writes all of it, once, and returns how many bytes that were. After
	// an error what was written is no backup.
	Write(ctx context.Context, w io.Writer) (int64, error)
	// Close lets go of what the backup holds, after Write or in its place.
	io.Closer
}

// Restored says what a restore made.
type Restored struct {
	Index  uint64 `json:"index"`  // of the entry that made it visible
	Seq    uint64 `json:"seq"`    // of the Event that did
	Digest string `json:"digest"` // of the state then: that of the backup
	Rows   uint64 `json:"rows"`
	Chunks uint64 `json:"chunks"`
	Bytes  int64  `json:"bytes"`  // of the backup, without its trailer
	Backup Header `json:"backup"` // what was restored
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
