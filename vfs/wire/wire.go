// Package wire is the one binary form of the values that cross the log and the
// network between nodes: Op, Request, Event, batches of Events, Result,
// Outcome, Info and errors.
//
// Every form starts with a version byte. Numbers are varints in their shortest
// form, signed ones zigzagged; texts and bytes carry their length in front;
// times are nanoseconds since 1970 in eight bytes. A batch is what one raft
// entry holds and ends with a CRC32C of all that comes before.
//
// Invariants:
//
//   - The bytes of a version never change: old logs must read back. The golden
//     bytes in testdata hold this down.
//   - One value has one form: what a decoder accepts, its encoder gives back
//     byte for byte.
//   - Decoders never panic, allocate in proportion to the input however large
//     a count claims to be, and share no memory with it.
//   - A verb, kind, condition or flag of a later version is [ErrVersion];
//     whatever else does not fit is [ErrCorrupt].
//
// Empty slices and maps come back as nil. Paths are carried as given: they
// were parsed before they came here.
package wire

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/pfs-project/pfs/vfs"
)

// Version is the first byte of every form.
const Version = 1

// Overhead is how many bytes a batch takes at most beside those that [Size]
// counts for its Requests.
const Overhead = 1 + binary.MaxVarintLen64 + crcSize

const crcSize = 4

// The ways in which bytes cannot be read.
var (
	// ErrVersion says that the bytes are of a version, or hold a number, that
	// this program does not know. A newer one may.
	ErrVersion = errors.New("wire: unknown version")
	// ErrCorrupt says that the bytes are not what an encoder made.
	ErrCorrupt = errors.New("wire: corrupt")
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// AppendBatch appends the form of events, one raft entry, to b.
func AppendBatch(b []byte, events []vfs.Event) []byte {
	start := len(b)
	b = append(b, Version)
	b = binary.AppendUvarint(b, uint64(len(events)))
	for i := range events {
		b = appendEvent(b, &events[i])
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

// Batch reads what [AppendBatch] wrote. Its checksum is verified first.
func Batch(b []byte) ([]vfs.Event, error) {
	if len(b) < 1+1+crcSize {
		return nil, ErrCorrupt
	}
	if b[0] != Version {
		return nil, ErrVersion
	}
	body, sum := b[:len(b)-crcSize], b[len(b)-crcSize:]
	if crc32.Checksum(body, castagnoli()) != binary.BigEndian.Uint32(sum) {
		return nil, ErrCorrupt
	}
	return whole(body, func(r *reader) []vfs.Event { return list(r, minEvent, (*reader).event) })
}

// AppendRequest appends the form of r to b. Its Sum crosses only with a Key.
func AppendRequest(b []byte, r vfs.Request) []byte { return appendRequest(append(b, Version), &r) }

// Request reads what [AppendRequest] wrote.
func Request(b []byte) (vfs.Request, error) { return whole(b, (*reader).request) }

// AppendEvent appends the form of e to b.
func AppendEvent(b []byte, e vfs.Event) []byte { return appendEvent(append(b, Version), &e) }

// Event reads what [AppendEvent] wrote.
func Event(b []byte) (vfs.Event, error) { return whole(b, (*reader).event) }

// AppendOutcome appends the form of o to b. An Err that is not an [vfs.Error]
// crosses as one, as [vfs.At] would make it.
func AppendOutcome(b []byte, o vfs.Outcome) []byte { return appendOutcome(append(b, Version), &o) }

// Outcome reads what [AppendOutcome] wrote.
func Outcome(b []byte) (vfs.Outcome, error) { return whole(b, (*reader).outcome) }

// AppendOp appends the form of o to b.
func AppendOp(b []byte, o vfs.Op) []byte { return appendOp(append(b, Version), &o) }

// Op reads what [AppendOp] wrote.
func Op(b []byte) (vfs.Op, error) { return whole(b, (*reader).op) }

// AppendResult appends the form of r to b.
func AppendResult(b []byte, r vfs.Result) []byte { return appendResult(append(b, Version), &r) }

// Result reads what [AppendResult] wrote.
func Result(b []byte) (vfs.Result, error) { return whole(b, (*reader).result) }

// AppendInfo appends the form of i to b. Its ModTime comes back in UTC.
func AppendInfo(b []byte, i vfs.Info) []byte { return appendInfo(append(b, Version), &i) }

// Info reads what [AppendInfo] wrote.
func Info(b []byte) (vfs.Info, error) { return whole(b, (*reader).info) }

// AppendError appends the form of an error that a filesystem or the Table
// answered to b; nil has a form too.
func AppendError(b []byte, err error) []byte { return appendError(append(b, Version), err) }

// Error reads what [AppendError] wrote: answer is nil or an *[vfs.Error]; err
// says whether the bytes could be read.
func Error(b []byte) (answer, err error) { return whole(b, (*reader).error) }

// Size returns how many bytes r takes in a batch once it is an Event.
func Size(r vfs.Request) int {
	n := timeSize + uvarintSize(uint64(len(r.Ops))) + bytesSize(len(r.Key))
	if r.Key != "" {
		n += len(r.Sum)
	}
	for i := range r.Ops {
		n += opSize(&r.Ops[i])
	}
	return n
}
