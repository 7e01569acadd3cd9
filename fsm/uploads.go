package fsm

import (
	"encoding/binary"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	// MaxStaged bounds the references of one upload: 1 TiB in full chunks.
	MaxStaged = 1 << 18
	refBytes  = 32 + 4 + 4
	// maxDropped bounds the parts of uploads that one Sweep drops.
	maxDropped = 16
)

// upload is the row of an upload under way. Stage appends parts, which hold
// their chunks against sweeping; Commit hands them to a Write.
type upload struct {
	time  uint64 // of the last Stage
	refs  uint64
	parts uint64
	dead  uint64 // 1 once a Sweep has begun to drop it
}

func (e *event) upload(id uint64) (u upload, ok bool) {
	n, ok := getNums(e.tx, numKey(rowUpload, id), 4)
	return upload{n[0], n[1], n[2], n[3]}, ok
}

func (e *event) putUpload(id uint64, u upload) {
	e.tx.Put(numKey(rowUpload, id), be64(u.time, u.refs, u.parts, u.dead))
}

// stage appends op.Refs to the upload op.File, which the first one makes. All
// but the first say in op.Off how many references were staged before: if those
// are gone the content must not go on without its beginning. A
// repeated Stage appends again: an upload whose Stage has an unknown outcome
// is given up, or repeated under an idempotency key.
func (e *event) stage(op vfs.Op) (vfs.Result, error) {
	u, _ := e.upload(op.File)
	switch {
	case op.File == 0:
		return vfs.Result{}, vfs.Invalid.With("upload without an id")
	case len(op.Refs) == 0 || len(op.Data) > 0:
		return vfs.Result{}, vfs.Invalid.With("nothing to stage")
	case u.dead != 0, op.Off != 0 && op.Off != int64(u.refs):
		return vfs.Result{}, vfs.Unavailable.With("upload has run out")
	case u.refs+uint64(len(op.Refs)) > MaxStaged:
		return vfs.Result{}, vfs.TooLarge.With("upload has too many chunks")
	}
	row := make([]byte, 0, len(op.Refs)*refBytes)
	for _, r := range op.Refs {
		e.tx.Retain(r)
		row = append(row, r.Hash[:]...)
		row = binary.BigEndian.AppendUint32(row, r.Off)
		row = binary.BigEndian.AppendUint32(row, r.Len)
	}
	e.tx.Put(numKey(rowPart, op.File, be64(u.parts)...), row)
	e.putUpload(op.File, upload{nanos(e.tx.Now()), u.refs + uint64(len(op.Refs)), u.parts + 1, 0})
	return vfs.Result{N: op.Size()}, nil
}

func (e *event) part(id, n uint64) []vfs.ChunkRef {
	b, ok := e.tx.Get(numKey(rowPart, id, be64(n)...))
	if !ok || len(b)%refBytes != 0 {
		broken("part %d of upload %d", n, id)
	}
	refs := make([]vfs.ChunkRef, 0, len(b)/refBytes)
	for ; len(b) > 0; b = b[refBytes:] {
		refs = append(refs, vfs.ChunkRef{Hash: [32]byte(b),
			Off: binary.BigEndian.Uint32(b[32:]), Len: binary.BigEndian.Uint32(b[36:])})
	}
	return refs
}

// join gives the one Write of an Event with a Commit the refs that were staged
// before its own. The limit on the refs of an Op is one of the log, and does
// not hold in the fold. ops is returned as it is when it has no Commit.
func (e *event) join(ops []vfs.Op) ([]vfs.Op, error) {
	commit, write, n := -1, -1, 0
	for i := range ops {
		switch ops[i].Verb {
		case vfs.Commit:
			n++
			commit = i
		case vfs.Write:
			n++
			write = i
		}
	}
	if commit < 0 {
		return ops, nil
	}
	if n != 2 || write < 0 || len(ops[write].Data) > 0 {
		return nil, vfs.Invalid.With("commit belongs to one write of chunks")
	}
	id := ops[commit].File
	u, ok := e.upload(id)
	if !ok || u.dead != 0 {
		return nil, vfs.Unavailable.With("upload has run out")
	}
	refs := make([]vfs.ChunkRef, 0, int(u.refs)+len(ops[write].Refs))
	for n := range u.parts {
		refs = append(refs, e.part(id, n)...)
	}
	out := append([]vfs.Op(nil), ops...)
	out[write].Refs = append(refs, ops[write].Refs...)
	return out, nil
}

// commit drops the upload op.File: the Write of the same Event has its refs.
func (e *event) commit(op vfs.Op) (vfs.Result, error) {
	u, ok := e.upload(op.File)
	if !ok {
		return vfs.Result{}, vfs.Unavailable.With("upload has run out")
	}
	e.dropParts(op.File, u, u.parts)
	return vfs.Result{}, nil
}

// dropParts releases the last n parts of an upload, and the upload with its
// last one.
func (e *event) dropParts(id uint64, u upload, n uint64) {
	for ; n > 0; n-- {
		u.parts--
		for _, r := range e.part(id, u.parts) {
			e.tx.Release(r)
		}
		e.tx.Delete(numKey(rowPart, id, be64(u.parts)...))
	}
	if u.parts == 0 {
		e.tx.Delete(numKey(rowUpload, id))
		return
	}
	u.dead = 1
	e.putUpload(id, u)
}

// dropUploads drops a bounded number of parts of uploads whose last Stage was
// before the given time, and returns how many.
func (e *event) dropUploads(before time.Time) (dropped int64) {
	var stale []uint64
	for k, v := range e.tx.Scan(sysKey(rowUpload), nil) {
		if len(k) != 10 || len(v) != 32 {
			broken("upload at %x", k)
		}
		if binary.BigEndian.Uint64(v) < nanos(before) {
			stale = append(stale, binary.BigEndian.Uint64(k[2:]))
		}
		if len(stale) == maxDropped {
			break
		}
	}
	for _, id := range stale {
		u, _ := e.upload(id)
		n := min(u.parts, uint64(maxDropped-dropped))
		if n == 0 {
			break
		}
		e.dropParts(id, u, n)
		dropped += int64(n)
	}
	return dropped
}

// StaleUpload reports whether the state v has an upload whose last Stage was
// before the given log time: one that a Sweep with that time drops.
func StaleUpload(v vfs.View, before time.Time) bool {
	for _, row := range v.Scan(sysKey(rowUpload), nil) {
		if len(row) == 32 && binary.BigEndian.Uint64(row) < nanos(before) {
			return true
		}
	}
	return false
}
