package s3fs

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pfs-project/pfs/vfs"
)

const (
	copies   = 8       // requests of one rename at once
	maxMoved = 100_000 // objects of one rename
)

// copy has the server copy an object, if it still has the ETag. Nothing of it
// passes through here.
func (f *FS) copy(ctx context.Context, from, to, etag string, size int64) error {
	if strings.HasSuffix(from, "/") && size == 0 {
		return f.marker(ctx, to) // not every server copies what marks a directory
	}
	if size > f.set.copyMost {
		return f.copyParts(ctx, from, to, etag, size)
	}
	source := escape(f.set.bucket + "/" + from)
	in := &s3.CopyObjectInput{Bucket: &f.set.bucket, Key: &to, CopySource: &source, CopySourceIfMatch: given(etag)}
	if from == to {
		in.MetadataDirective = types.MetadataDirectiveReplace // or the server sees nothing to do
	}
	_, err := f.s3.CopyObject(ctx, in)
	return changedMeanwhile(kindOf(err))
}

// changedMeanwhile: the condition of a copy is ours, not the client's.
func changedMeanwhile(err error) error {
	if vfs.KindOf(err) == vfs.Stale {
		return vfs.Conflict.With("the object has changed meanwhile; try again")
	}
	return err
}

// escape writes a bucket and key as the source of a copy. A plus is a space to
// some servers.
func escape(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
}

// rename copies and then removes: a file at once, a directory file by file.
// What fails before all is copied leaves the old name as it was.
func (f *FS) rename(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if op.Path.IsRoot() || op.To.IsRoot() {
		return vfs.Result{}, vfs.Permission.With("mount point")
	}
	e, err := f.lookNow(ctx, op.Path)
	if err == nil {
		_, err = f.condition(op, e)
	}
	switch {
	case err != nil:
		return vfs.Result{}, err
	case op.To == op.Path:
		return vfs.Result{Version: e.Version}, nil
	case e.IsDir() && op.To.Under(op.Path):
		return vfs.Result{}, vfs.Invalid.With("into itself")
	}
	if err := f.place(ctx, e, op.To); err != nil {
		return vfs.Result{}, err
	}
	defer f.cache.changed(op.Path, op.To)
	if e.IsDir() {
		return vfs.Result{}, f.moveAll(ctx, op)
	}
	from, to := f.set.keys.file(op.Path), f.set.keys.file(op.To)
	if err := f.copy(ctx, from, to, e.etag, e.Size); err != nil {
		return vfs.Result{}, err
	}
	if err := f.drop(ctx, []string{from}); err != nil {
		return vfs.Result{}, err
	}
	now, err := f.lookNow(ctx, op.To)
	return vfs.Result{Version: now.Version}, err
}

// place returns nil if e may have the name to.
func (f *FS) place(ctx context.Context, e entry, to vfs.Path) error {
	old, err := f.lookNow(ctx, to)
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		return f.inDir(ctx, to)
	case err != nil:
		return err
	case e.IsDir() && !old.IsDir():
		return vfs.NotDirectory
	case !e.IsDir() && old.IsDir():
		return vfs.IsDirectory
	case old.IsDir():
		return f.empty(ctx, to)
	}
	return nil
}

// moveAll moves all objects of a directory. Copies are made before anything is
// removed, and taken back if one fails. Only what was copied is removed.
func (f *FS) moveAll(ctx context.Context, op vfs.Op) error {
	from, to := f.set.keys.dir(op.Path), f.set.keys.dir(op.To)
	name := func(key string) string { return to + strings.TrimPrefix(key, from) }
	var olds, news []string
	err := f.each(ctx, from, func(objects []types.Object) error {
		if len(olds)+len(objects) > maxMoved {
			return vfs.TooLarge.Withf("the directory has more than %d objects; move it in parts", maxMoved)
		}
		for _, o := range objects {
			olds, news = append(olds, aws.ToString(o.Key)), append(news, name(aws.ToString(o.Key)))
		}
		return f.copyAll(ctx, objects, name)
	})
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		return errors.Join(err, f.dropAll(ctx, news))
	}
	return f.dropAll(ctx, olds)
}

// copyAll copies objects, several at a time.
func (f *FS) copyAll(ctx context.Context, objects []types.Object, name func(key string) string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(objects))
	slots := make(chan struct{}, copies)
	for _, o := range objects {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			key := aws.ToString(o.Key)
			to := name(key)
			if len(to) > maxKey {
				errs <- vfs.Invalid.Withf("a key would be longer than %d bytes", maxKey)
				return
			}
			errs <- f.copy(ctx, key, to, aws.ToString(o.ETag), aws.ToInt64(o.Size))
		}()
	}
	var first error
	for range objects {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}
