package prochost

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// maxRewrite is how long a file may be that is written again to change a part of
// it, in bytes: the protocol only writes from the beginning to the end.
const maxRewrite = 16 << 20

// do makes one change. Nothing else is under way.
func (f *f4) do(ctx context.Context, op vfs.Op, began time.Time) (r vfs.Result, err error) {
	do := map[vfs.Verb]func(context.Context, vfs.Op, time.Time) (int64, error){
		vfs.Create: f.create, vfs.Mkdir: f.create, vfs.Write: f.writeOp, vfs.Truncate: f.truncate,
		vfs.Remove: f.remove, vfs.RemoveAll: f.remove, vfs.Rename: f.rename,
	}[op.Verb]
	if do == nil {
		return r, vfs.Unsupported
	}
	ctx, cancel := f.within(context.WithoutCancel(ctx))
	defer cancel()
	r.N, err = do(ctx, op, began)
	return r, hide(err)
}

// parent checks that a file can be made at p: plugins make them anywhere.
func (f *f4) parent(ctx context.Context, p vfs.Path, began time.Time) error {
	i, err := f.stat(ctx, p.Dir(), began)
	if err == nil && !i.IsDir() {
		return vfs.NotDirectory
	}
	return err
}

// create makes an empty file or a directory where there is nothing.
func (f *f4) create(ctx context.Context, op vfs.Op, began time.Time) (int64, error) {
	if err := vfs.MayMake(f.stat(ctx, op.Path, began)); err != nil {
		return 0, err
	}
	if err := f.parent(ctx, op.Path, began); err != nil {
		return 0, err
	}
	if op.Verb == vfs.Create {
		return f.replace(ctx, op.Path, bytes.NewReader(nil), 0)
	}
	_, err := f.ask(ctx, methodMkdir, f.at(op.Path)...)
	return 0, err
}

// remove looks first: what is not there is removed without a word.
func (f *f4) remove(ctx context.Context, op vfs.Op, began time.Time) (int64, error) {
	if op.Path.IsRoot() {
		return 0, vfs.Permission.With("mount point")
	}
	if op.Verb == vfs.RemoveAll {
		return 0, f.removeAll(ctx, op.Path, began)
	}
	i, err := f.stat(ctx, op.Path, began)
	if err == nil && i.IsDir() {
		var list []vfs.Info
		if list, err = f.list(ctx, op.Path, began); err == nil && len(list) > 0 {
			err = vfs.NotEmpty
		}
	}
	if err != nil {
		return 0, err
	}
	_, err = f.ask(ctx, methodRemove, f.at(op.Path)...)
	return 0, err
}

func (f *f4) rename(ctx context.Context, op vfs.Op, began time.Time) (int64, error) {
	if op.Path.IsRoot() || op.To.IsRoot() {
		return 0, vfs.Permission.With("mount point")
	}
	from, err := f.stat(ctx, op.Path, began)
	if err != nil || op.Path == op.To {
		return 0, err
	}
	if from.IsDir() && op.To.Under(op.Path) {
		return 0, vfs.Invalid.With("a directory cannot be moved into itself")
	}
	if err := f.parent(ctx, op.To, began); err != nil {
		return 0, err
	}
	switch to, err := f.stat(ctx, op.To, began); {
	case err != nil && vfs.KindOf(err) != vfs.NotFound:
		return 0, err
	case err == nil && (to.IsDir() || from.IsDir()):
		return 0, vfs.Exists
	}
	_, err = f.ask(ctx, methodRename, field{"Drive", f.drive}, field{"Old", string(op.Path)}, field{"New", string(op.To)})
	return 0, err
}

// target looks at a file that is to be written: there is one, or it may be made.
func (f *f4) target(ctx context.Context, op vfs.Op, began time.Time) (info vfs.Info, err error) {
	info, err = f.stat(ctx, op.Path, began)
	missing, err := op.MayWrite(info, err)
	if err == nil && missing {
		err = f.parent(ctx, op.Path, began)
	}
	return info, err
}

// writeOp writes as the Op says; a part of a file by writing all of it again.
func (f *f4) writeOp(ctx context.Context, op vfs.Op, began time.Time) (int64, error) {
	if f.puts && op.Flag&vfs.FlagTruncate != 0 && op.Off == 0 {
		if n, err := f.putFile(ctx, op, op.Data); !errors.Is(err, errMethod) {
			return n, err
		} // it has named what it does not have, so nothing was done
	}
	info, err := f.target(ctx, op, began)
	if err != nil {
		return 0, err
	}
	var old []byte
	if op.Flag&vfs.FlagTruncate == 0 {
		if old, err = f.whole(ctx, op.Path, info.Size, began); err != nil {
			return 0, err
		}
	}
	off := op.Off
	if op.Appends() {
		off = int64(len(old))
	}
	end := off + int64(len(op.Data))
	if end > maxRewrite || off < 0 {
		return 0, errRewrite
	}
	if int64(len(old)) < end {
		old = append(old, make([]byte, end-int64(len(old)))...)
	}
	copy(old[off:], op.Data)
	_, err = f.replace(ctx, op.Path, bytes.NewReader(old), int64(len(old)))
	return int64(len(op.Data)), err
}

var errRewrite = vfs.TooLarge.Withf("this plugin only replaces files: a part of one of more than %d bytes cannot be changed", maxRewrite)

// whole reads a file that is to be written again.
func (f *f4) whole(ctx context.Context, p vfs.Path, size int64, began time.Time) ([]byte, error) {
	if size > maxRewrite {
		return nil, errRewrite
	}
	if size == 0 {
		return nil, nil
	}
	b := make([]byte, size)
	n, err := f.read(ctx, p, b, 0, began)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

func (f *f4) truncate(ctx context.Context, op vfs.Op, began time.Time) (int64, error) {
	op.Flag = 0
	info, err := f.target(ctx, op, began)
	switch {
	case err != nil:
		return 0, err
	case op.Off == info.Size:
		return 0, nil
	case op.Off < 0 || op.Off > maxRewrite:
		return 0, errRewrite
	}
	old, err := f.whole(ctx, op.Path, min(info.Size, op.Off), began)
	if err != nil {
		return 0, err
	}
	_, err = f.replace(ctx, op.Path, bytes.NewReader(append(old, make([]byte, op.Off-int64(len(old)))...)), op.Off)
	return 0, err
}

// put writes a whole file from r.
func (f *f4) put(ctx context.Context, op vfs.Op, r io.ReadSeeker, began time.Time) (int64, error) {
	ctx, cancel := f.within(context.WithoutCancel(ctx))
	defer cancel()
	size, err := r.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = r.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, err
	}
	if f.puts && size <= window {
		data := make([]byte, size)
		if _, err := io.ReadFull(r, data); err != nil {
			return 0, err
		}
		if n, err := f.putFile(ctx, op, data); !errors.Is(err, errMethod) {
			return n, err
		}
		r = bytes.NewReader(data)
	}
	if _, err := f.target(ctx, op, began); err != nil {
		return 0, err
	}
	return f.replace(ctx, op.Path, r, size)
}
