package streamfs

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

const (
	freeRows = 1000    // that one Event frees of what is forgotten
	reapRest = "bytes" // target of a Reap that frees such rows; others are the tree's
)

// Apply folds one Op in. Write appends, and makes a stream where there is none;
// Truncate, with which a shell may begin, changes nothing.
func (f *FS) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	switch op.Verb {
	case vfs.Mount:
		return f.FS.Apply(tx, op)
	case vfs.Reap:
		if op.Target == reapRest {
			return f.reap(tx)
		}
		return f.FS.Apply(tx, op)
	}
	at := op.Path
	if op.File != 0 {
		at, _ = f.PathOf(tx, op.File)
	}
	if at == readmePath && verbs.Has(op.Verb) {
		return vfs.Result{}, vfs.Permission.With("README is read-only")
	}
	switch op.Verb {
	case vfs.Write:
		return f.append(tx, op)
	case vfs.Truncate:
		op.Verb, op.Flag = vfs.Write, 0
		op.Data, op.Refs = nil, nil
		r, err := f.name(tx, op)
		r.N = 0
		return r, err
	case vfs.Create, vfs.Touch:
		return f.name(tx, op)
	}
	return f.FS.Apply(tx, op)
}

// name makes or changes the file of a stream, without its bytes.
func (f *FS) name(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	op.Off, op.Data, op.Refs = 0, nil, nil
	op.Flag &^= vfs.FlagTruncate | vfs.FlagAppend
	r, err := f.FS.Apply(tx, op)
	if err != nil {
		return r, err
	}
	if _, ok := find(tx, r.File); ok {
		return r, nil
	}
	p, _ := f.PathOf(tx, r.File)
	if i, err := f.FS.Stat(context.Background(), tx, p); err != nil || i.IsDir() {
		return r, err
	}
	stream{}.put(tx, r.File)
	tx.Put([]byte{rowMade}, binary.BigEndian.AppendUint64(nil, tx.Seq()))
	return r, nil
}

// append puts bytes behind the end, and forgets what the ring does not hold.
func (f *FS) append(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	r, err := f.name(tx, op)
	if err != nil {
		return r, err
	}
	s, _ := find(tx, r.File)
	rows := key(rowBytes, r.File)
	end, err := content.Write(tx, rows, s.end, s.end, op.Data, op.Refs)
	if err != nil {
		return vfs.Result{}, err
	}
	s = stream{max(s.oldest, end-f.ring), end}
	s.put(tx, r.File)
	if !content.Forget(tx, rows, s.oldest, freeRows) {
		tx.Put(key(rowRest, r.File), nil)
	}
	r.N = op.Size()
	return r, nil
}

// freed ends the stream of a file that is gone.
func freed(tx vfs.Tx, file uint64) {
	if _, ok := find(tx, file); ok {
		tx.Delete(key(rowStream, file))
		tx.Put(key(rowRest, file), nil)
	}
}

// reap frees rows of the first stream that has some to free.
func (f *FS) reap(tx vfs.Tx) (vfs.Result, error) {
	file, ok := rest(tx)
	if !ok {
		return vfs.Result{}, nil
	}
	before := int64(vfs.MaxSize) + 1
	if s, ok := find(tx, file); ok {
		before = s.oldest
	}
	if content.Forget(tx, key(rowBytes, file), before, freeRows) {
		tx.Delete(key(rowRest, file))
	}
	return vfs.Result{}, nil
}

func rest(v vfs.View) (file uint64, ok bool) {
	for k := range v.Scan([]byte{rowRest}, nil) {
		if len(k) != 1+8 {
			panic(corrupt())
		}
		return binary.BigEndian.Uint64(k[1:]), true
	}
	return 0, false
}

// Due asks for what the tree waits for, and for rows to be freed.
func (f *FS) Due(v vfs.View, now time.Time) (ops []vfs.Op, next time.Time) {
	ops, next = f.FS.Due(v, now)
	if _, ok := rest(v); ok {
		ops = append(ops, vfs.Op{Verb: vfs.Reap, Path: vfs.Root, Target: reapRest})
		next = now.Add(time.Second)
	}
	return ops, next
}

// Check names the first broken invariant of the state. It reads all of it.
func (f *FS) Check(v vfs.View) error {
	if err := f.FS.Check(v); err != nil {
		return err
	}
	for k := range v.Scan([]byte{rowStream}, nil) {
		file := binary.BigEndian.Uint64(k[1:])
		s, _ := find(v, file)
		if s.oldest > s.end || s.end-s.oldest > f.ring {
			return fmt.Errorf("streamfs: stream %d keeps [%d, %d), its ring %d", file, s.oldest, s.end, f.ring)
		}
		if at := tail(v, file); at != s.end {
			return fmt.Errorf("streamfs: the bytes of stream %d end at %d, not at %d", file, at, s.end)
		}
	}
	return nil
}

// tail returns where the rows of a stream end.
func tail(v vfs.View, file uint64) (end int64) {
	prefix := key(rowBytes, file)
	for k := range v.Scan(prefix, nil) {
		end = int64(binary.BigEndian.Uint64(k[len(prefix):]))
	}
	return end
}
