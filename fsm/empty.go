package fsm

import (
	"bytes"
	"context"
	"iter"

	"github.com/pfs-project/pfs/vfs"
)

// passing are the kinds of rows that an empty cluster may have beside its own:
// its mounts, which are looked at, and what uploads and answers leave behind.
const passing = string(rowMount) + string(rowWindow) + string(rowChunk) + string(rowZero) + string(rowUpload) + string(rowPart)

// empty returns nil if nobody has written anything yet: every mount is one that
// a configuration file asks for, and holds byte for byte what mounting it made;
// nothing was unmounted, linked, or answered under an idempotency key.
func (e *event) empty() error {
	for kind := range 256 {
		k := sysKey(byte(kind))
		if own(k) || bytes.IndexByte([]byte(passing), byte(kind)) >= 0 {
			continue
		}
		for range e.tx.Scan(k, nil) {
			return notEmpty("something was linked, unmounted, or written under an idempotency key")
		}
	}
	fresh := newTx(nothing{}, 0, 0)
	for _, mt := range e.table.Mounts() {
		rec, ok := e.record(mt.Path)
		if !ok || !rec.Spec.FromFile {
			return notEmpty("mount " + string(mt.Path) + " was made by request")
		}
		if folder, ok := mt.FS.(vfs.Folder); ok {
			fresh.now, fresh.seq = rec.Time, rec.Seq
			op := vfs.Op{Verb: vfs.Mount, Mount: rec.ID, Path: vfs.Root, Data: e.readme(folder, rec)}
			if _, err := folder.Apply(vfs.SubTx(fresh, vfs.MountPrefix(rec.ID)), op); err != nil {
				return notEmpty("mount " + string(mt.Path) + " is not as it was made")
			}
			e.tellLevel(fresh, mt)
		}
	}
	if !samePairs(fresh, e.tx, []byte{vfs.MountSpace}) {
		return notEmpty("there are files in it")
	}
	return nil
}

// readme returns the text that came with the Mount, which is not kept, from
// the file that was made of it.
func (e *event) readme(folder vfs.Folder, rec record) []byte {
	const name vfs.Path = "/README"
	v, ctx := vfs.Sub(e.tx, vfs.MountPrefix(rec.ID)), context.Background()
	info, err := folder.Stat(ctx, v, name)
	if err != nil || info.Version != rec.Seq || info.Size > vfs.MaxInline {
		return nil // there is none, or it is another: the rows will tell
	}
	b := make([]byte, info.Size)
	n, _ := folder.ReadAt(ctx, v, name, b, 0)
	return b[:n]
}

func notEmpty(why string) error {
	return vfs.NotEmpty.With("a backup is restored into an empty cluster only, and this one is not: " + why)
}

// samePairs reports whether two Views hold the same below a prefix.
func samePairs(a, b vfs.View, prefix []byte) bool {
	next, stop := iter.Pull2(b.Scan(prefix, nil))
	defer stop()
	for k, v := range a.Scan(prefix, nil) {
		bk, bv, ok := next()
		if !ok || !bytes.Equal(k, bk) || !bytes.Equal(v, bv) {
			return false
		}
	}
	_, _, more := next()
	return !more
}

// nothing is a View of nothing.
type nothing struct{}

// Get finds nothing.
func (nothing) Get([]byte) ([]byte, bool) { return nil, false }

// Scan yields nothing.
func (nothing) Scan(_, _ []byte) iter.Seq2[[]byte, []byte] { return func(func(k, v []byte) bool) {} }
