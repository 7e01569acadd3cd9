package streamfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

// The rows of files for mounts outside the log. id is the stream's file and the
// index of its file, eight bytes each.
const (
	rowSpool = 'p' // id -> spool
	rowPiece = 'q' // id, then as package content has it
	rowOpen  = 'u' // id -> since when it takes bytes, in Unix nanoseconds
	rowWhole = 'w' // Event in which it was complete, id -> nothing
	rowGone  = 'x' // id -> nothing: some of its pieces are to be freed
	rowHeld  = 'h' // -> bytes of all spools
	rowCan   = 'v' // -> nothing: every member of the cluster knows these rows
)

// spoolLevel is the feature level that brought files outside the log.
const spoolLevel = 14

// Targets of a Reap, beside those of streamfs.
const (
	reapPieces = "pieces"  // frees some of a file that was written
	reapOld    = "old"     // ends the files that are too old for more
	reapDone   = "shipped" // Data is the key of a shipment that was written
)

// spool is a file for a mount outside the log, as far as it has come.
type spool struct {
	size int64
	path vfs.Path
}

func spoolID(file, index uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, file), index)
}

func row(space byte, id []byte) []byte { return append([]byte{space}, id...) }

func findSpool(v vfs.View, id []byte) (s spool, ok bool) {
	b, ok := v.Get(row(rowSpool, id))
	if !ok {
		return s, false
	}
	if len(b) < 1+8 || b[0] != format {
		panic(corrupt())
	}
	return spool{int64(binary.BigEndian.Uint64(b[1:])), vfs.Path(b[1+8:])}, true
}

func (s spool) put(tx vfs.Tx, id []byte) {
	b := binary.BigEndian.AppendUint64([]byte{format}, uint64(s.size))
	tx.Put(row(rowSpool, id), append(b, s.path...))
}

// held returns how many bytes wait to be written outside the log.
func held(v vfs.View) int64 {
	b, ok := v.Get([]byte{rowHeld})
	if !ok {
		return 0
	}
	if len(b) != 8 {
		panic(corrupt())
	}
	return int64(binary.BigEndian.Uint64(b))
}

func hold(tx vfs.Tx, n int64) {
	tx.Put([]byte{rowHeld}, binary.BigEndian.AppendUint64(nil, uint64(held(tx)+n)))
}

// Level tells the mount the feature level of the cluster. That of a cluster
// that has just begun is 0: its members are of this version.
func (f *Rotating) Level(tx vfs.Tx, level uint64) {
	if level == 0 || level >= spoolLevel {
		tx.Put([]byte{rowCan}, nil)
	}
}

// Spool keeps what a stream brings to a file outside the log.
func (f *Rotating) Spool(tx vfs.Tx, op vfs.Op, r vfs.Result) error {
	if _, ok := tx.Get([]byte{rowCan}); !ok {
		return vfs.Unsupported.With("files outside the log need every member to be of this version")
	}
	if n := held(tx) + op.Size(); n > f.to.spool {
		return vfs.NoSpace.Withf("%d bytes wait to be written to %s, and spool_size is %d", held(tx), f.to.dir, f.to.spool)
	}
	o := findOutput(tx, r.File)
	id := spoolID(r.File, o.index)
	s, ok := findSpool(tx, id)
	if !ok {
		tx.Put(row(rowOpen, id), binary.BigEndian.AppendUint64(nil, uint64(o.since)))
	}
	end, err := content.Write(tx, row(rowPiece, id), s.size, s.size, op.Data, op.Refs)
	if err != nil {
		return err
	}
	spool{end, op.Path}.put(tx, id)
	hold(tx, op.Size())
	return nil
}

// complete says that nothing more comes to a file, if it is one outside the log
// that was not complete before.
func complete(tx vfs.Tx, id []byte) {
	open := row(rowOpen, id)
	if _, ok := tx.Get(open); ok {
		tx.Delete(open)
		tx.Put(append(binary.BigEndian.AppendUint64([]byte{rowWhole}, tx.Seq()), id...), nil)
	}
}

// Ship names the file that was complete first.
func (f *Rotating) Ship(v vfs.View) (vfs.Shipment, bool) {
	for k := range v.Scan([]byte{rowWhole}, nil) {
		if len(k) != 1+3*8 {
			panic(corrupt())
		}
		s, ok := findSpool(v, k[1+8:])
		if !ok {
			panic(corrupt())
		}
		key := bytes.Clone(k)
		return vfs.Shipment{To: s.path, Size: s.size, Key: key,
			Done: vfs.Op{Verb: vfs.Reap, Path: vfs.Root, Target: reapDone, Data: key}}, true
	}
	return vfs.Shipment{}, false
}

// ReadShipment reads a file that Ship has named; NotFound once it was written,
// perhaps by another leader.
func (f *Rotating) ReadShipment(ctx context.Context, v vfs.View, s vfs.Shipment, b []byte, off int64) (int, error) {
	if _, ok := v.Get(s.Key); !ok {
		return 0, vfs.NotFound.With("the file was written")
	}
	return content.ReadAt(ctx, v, f.chunks, row(rowPiece, s.Key[1+8:]), s.Size, b, off)
}

// shipped forgets a file that was written. A second time changes nothing.
func shipped(tx vfs.Tx, k []byte) error {
	if len(k) != 1+3*8 || k[0] != rowWhole {
		return vfs.Invalid.With("not a shipment")
	}
	if _, ok := tx.Get(k); !ok {
		return nil
	}
	id := k[1+8:]
	s, ok := findSpool(tx, id)
	if !ok {
		panic(corrupt())
	}
	tx.Delete(k)
	tx.Delete(row(rowSpool, id))
	tx.Put(row(rowGone, id), nil)
	hold(tx, -s.size)
	return nil
}

// freePieces frees some of the first file that was written.
func freePieces(tx vfs.Tx) {
	var gone []byte
	for k := range tx.Scan([]byte{rowGone}, nil) {
		gone = bytes.Clone(k)
		break
	}
	if gone != nil && content.Remove(tx, row(rowPiece, gone[1:]), -1, freeRows) {
		tx.Delete(gone)
	}
}

// endOld ends files outside the log that are too old for more.
func (f *Rotating) endOld(tx vfs.Tx) {
	var old [][]byte
	for k, b := range tx.Scan([]byte{rowOpen}, nil) {
		if len(old) < freeRows && !f.to.end(b).After(tx.Now()) {
			old = append(old, bytes.Clone(k[1:]))
		}
	}
	for _, id := range old {
		complete(tx, id)
	}
}

// end returns until when a file takes bytes, of the row that says since when.
func (to rotation) end(since []byte) time.Time {
	if len(since) != 8 {
		panic(corrupt())
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(since))).Add(to.interval)
}

// Due asks for what streamfs asks for, and for the ends of files and of what was
// written outside the log.
func (f *Rotating) Due(v vfs.View, now time.Time) (ops []vfs.Op, next time.Time) {
	ops, next = f.FS.Due(v, now)
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for range v.Scan([]byte{rowGone}, nil) {
		ops = append(ops, vfs.Op{Verb: vfs.Reap, Path: vfs.Root, Target: reapPieces})
		sooner(now.Add(time.Second))
		break
	}
	if f.to.interval == 0 {
		return ops, next
	}
	old := false
	for _, b := range v.Scan([]byte{rowOpen}, nil) {
		if end := f.to.end(b); end.After(now) {
			sooner(end)
		} else {
			old = true
		}
	}
	if old {
		ops = append(ops, vfs.Op{Verb: vfs.Reap, Path: vfs.Root, Target: reapOld})
		sooner(now.Add(time.Second))
	}
	return ops, next
}

// Check names the first broken invariant of the state. It reads all of it.
func (f *Rotating) Check(v vfs.View) error {
	if err := f.FS.Check(v); err != nil {
		return err
	}
	sum := int64(0)
	for k := range v.Scan([]byte{rowSpool}, nil) {
		s, _ := findSpool(v, k[1:])
		if err := content.Check(v, row(rowPiece, k[1:]), s.size); err != nil {
			return err
		}
		sum += s.size
	}
	if sum != held(v) {
		return fmt.Errorf("streamrotatefs: %d bytes wait, not %d", sum, held(v))
	}
	return nil
}

// Apply folds one Op in.
func (f *Rotating) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if op.Verb == vfs.Reap {
		switch op.Target {
		case reapPieces:
			freePieces(tx)
			return vfs.Result{}, nil
		case reapOld:
			f.endOld(tx)
			return vfs.Result{}, nil
		case reapDone:
			return vfs.Result{}, shipped(tx, op.Data)
		}
	}
	return f.FS.Apply(tx, op)
}
