package s3fs

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/vfs"
)

// maxGrowth is how many zeros a truncate adds at most.
const maxGrowth = 64 << 20

var errOffset = vfs.Unsupported.With("S3 does not support offset writes; write the whole file")

// Do makes one change.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	do := map[vfs.Verb]func(context.Context, vfs.Op) (vfs.Result, error){
		vfs.Create: f.create, vfs.Mkdir: f.mkdir, vfs.Write: f.write, vfs.Truncate: f.truncate, vfs.Chmod: f.chmod,
		vfs.Touch: f.touch, vfs.Remove: f.remove, vfs.RemoveAll: f.removeAll, vfs.Rename: f.rename,
	}[op.Verb]
	if do == nil || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	if err := errors.Join(f.set.keys.fits(op.Path), f.set.keys.fits(op.To)); err != nil {
		return vfs.Result{}, err
	}
	return do(ctx, op)
}

// free returns nil if nothing is at p and its directory is there.
func (f *FS) free(ctx context.Context, p vfs.Path) error {
	if p.IsRoot() {
		return vfs.Exists.With("directory")
	}
	e, err := f.lookNow(ctx, p)
	switch {
	case err == nil && e.IsDir():
		return vfs.Exists.With("directory")
	case err == nil:
		return vfs.Exists
	case vfs.KindOf(err) != vfs.NotFound:
		return err
	}
	return f.inDir(ctx, p)
}

// inDir returns nil if the directory that p is to be in is there.
func (f *FS) inDir(ctx context.Context, p vfs.Path) error {
	d, err := f.look(ctx, p.Dir())
	if vfs.KindOf(err) == vfs.NotFound {
		if above := f.above(ctx, p.Dir()); above != nil {
			return above
		}
	}
	if err == nil && !d.IsDir() {
		return vfs.NotDirectory
	}
	return err
}

func (f *FS) create(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if err := f.free(ctx, op.Path); err != nil {
		return vfs.Result{}, err
	}
	op.Flag |= vfs.FlagExclusive
	cond, err := f.condition(op, entry{})
	if err != nil {
		return vfs.Result{}, err
	}
	return f.replace(ctx, op, cond, bytes.NewReader(nil))
}

func (f *FS) mkdir(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if err := f.free(ctx, op.Path); err != nil {
		return vfs.Result{}, err
	}
	if _, err := f.condition(op, entry{}); err != nil {
		return vfs.Result{}, err
	}
	return vfs.Result{}, f.mark(ctx, op.Path)
}

// mark makes the object that a directory is if nothing else is in it.
func (f *FS) mark(ctx context.Context, p vfs.Path) error {
	defer f.cache.changed(p)
	return f.marker(ctx, f.set.keys.dir(p))
}

func (f *FS) marker(ctx context.Context, key string) error {
	_, err := f.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &f.set.bucket, Key: &key,
		Body: bytes.NewReader(nil), ContentLength: aws.Int64(0)})
	return kindOf(err)
}

// write takes whole files only.
func (f *FS) write(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	cond, err := f.writable(ctx, op)
	if err != nil {
		return vfs.Result{}, err
	}
	e, err := f.look(ctx, op.Path)
	missing := vfs.KindOf(err) == vfs.NotFound
	switch {
	case err != nil && !missing:
		return vfs.Result{}, err
	case missing && op.Flag&vfs.FlagCreate == 0:
		return vfs.Result{}, vfs.NotFound
	case op.Off < 0 && op.Off != vfs.AtEnd:
		return vfs.Result{}, vfs.Invalid.With("negative offset")
	}
	size := e.Size
	if op.Flag&vfs.FlagTruncate != 0 {
		size = 0
	}
	atEnd := op.Appends()
	if atEnd && size > 0 || !atEnd && (op.Off > 0 || size > int64(len(op.Data))) {
		return vfs.Result{}, errOffset
	}
	return f.replace(ctx, op, cond, bytes.NewReader(op.Data))
}

// file returns the file at the path of op, if its condition holds.
func (f *FS) file(ctx context.Context, op vfs.Op) (entry, error) {
	if op.Path.IsRoot() {
		return entry{}, vfs.IsDirectory
	}
	e, err := f.lookNow(ctx, op.Path)
	if err == nil && e.IsDir() {
		err = vfs.IsDirectory
	}
	if err == nil {
		_, err = f.condition(op, e)
	}
	return e, err
}

// truncate writes the file again, as far as it is to go.
func (f *FS) truncate(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if op.Off < 0 {
		return vfs.Result{}, vfs.Invalid.With("negative size")
	}
	e, err := f.file(ctx, op)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case op.Off-e.Size > maxGrowth:
		return vfs.Result{}, vfs.TooLarge.Withf("a file on S3 grows by %d bytes at most; write it as a whole", maxGrowth)
	case op.Off == e.Size:
		return vfs.Result{Version: e.Version}, nil
	}
	r := io.Reader(bytes.NewReader(nil))
	if kept := min(op.Off, e.Size); kept > 0 {
		old, err := f.open(ctx, op.Path, e.etag, 0, kept)
		if err != nil {
			return vfs.Result{}, err
		}
		defer old.Close()
		r = old
	}
	if op.Off > e.Size {
		r = io.MultiReader(r, io.LimitReader(zeros{}, op.Off-e.Size))
	}
	res, err := f.replace(ctx, op, condition{match: &e.etag}, r)
	res.N = 0
	if op.If.Kind == vfs.Always {
		err = changedMeanwhile(err)
	}
	return res, err
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// chmod does nothing to what is there: objects have no modes.
func (f *FS) chmod(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	e, err := f.look(ctx, op.Path)
	if err == nil {
		_, err = f.condition(op, e)
	}
	return vfs.Result{Version: e.Version}, err
}

// touch gives the object a new time, which takes a copy of it onto itself.
func (f *FS) touch(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if op.Path.IsRoot() {
		return vfs.Result{}, nil
	}
	e, err := f.lookNow(ctx, op.Path)
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		return f.create(ctx, op)
	case err != nil:
		return vfs.Result{}, err
	case e.IsDir():
		return vfs.Result{}, f.mark(ctx, op.Path)
	}
	if _, err := f.condition(op, e); err != nil {
		return vfs.Result{}, err
	}
	key := f.set.keys.file(op.Path)
	defer f.cache.changed(op.Path)
	if err := f.copy(ctx, key, key, e.etag, e.Size); err != nil {
		return vfs.Result{}, err
	}
	now, err := f.lookNow(ctx, op.Path)
	return vfs.Result{Version: now.Version}, err
}
