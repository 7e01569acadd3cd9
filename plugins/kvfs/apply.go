package kvfs

import (
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// reapKeys is the target of a Reap that ends keys; others are the tree's.
const reapKeys = "keys"

// Apply folds one Op in. A Write that replaces a key, or makes one, says how
// long it lives: for ever, unless it asks for less. Other changes leave that.
func (f *FS) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if op.Verb == vfs.Reap && op.Target == reapKeys {
		return f.end(tx)
	}
	r, err := f.FS.Apply(tx, op)
	if err != nil || op.Verb != vfs.Write {
		return r, err
	}
	if text, ok := vfs.ParseOptions(op.Target)[optionTTL]; ok {
		d, err := parseTTL(text)
		if err != nil {
			return vfs.Result{}, err
		}
		endAfter(tx, r.File, d)
	} else if op.Flag&vfs.FlagTruncate != 0 {
		forget(tx, r.File)
	}
	return r, nil
}

// end removes keys whose time is over when it is applied. A key below a
// directory that was removed is gone already, and loses its rows when the
// directory is reaped, or here.
func (f *FS) end(tx vfs.Tx) (vfs.Result, error) {
	ids, _ := over(tx, tx.Now(), endedAtOnce)
	for _, id := range ids {
		if p, ok := f.PathOf(tx, id); ok {
			if _, err := f.FS.Apply(tx, vfs.Op{Verb: vfs.Remove, Path: p}); err != nil {
				return vfs.Result{}, err
			}
		}
		forget(tx, id)
	}
	return vfs.Result{N: int64(len(ids))}, nil
}

// Due asks for what the tree waits for, and for the end of keys.
func (f *FS) Due(v vfs.View, now time.Time) (ops []vfs.Op, next time.Time) {
	ops, next = f.FS.Due(v, now)
	ids, at := over(v, now, 1)
	if len(ids) > 0 {
		ops = append(ops, vfs.Op{Verb: vfs.Reap, Path: vfs.Root, Target: reapKeys})
		at = now
	}
	if next.IsZero() || !at.IsZero() && at.Before(next) {
		next = at
	}
	return ops, next
}
