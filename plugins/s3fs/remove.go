package s3fs

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pfs-project/pfs/vfs"
)

func (f *FS) remove(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	e, err := f.removable(ctx, op)
	if err != nil {
		return vfs.Result{}, err
	}
	defer f.cache.changed(op.Path)
	if e.IsDir() {
		if err := f.empty(ctx, op.Path); err != nil {
			return vfs.Result{}, err
		}
		return vfs.Result{}, f.drop(ctx, []string{f.set.keys.dir(op.Path)})
	}
	return vfs.Result{}, f.drop(ctx, []string{f.set.keys.file(op.Path)})
}

func (f *FS) removable(ctx context.Context, op vfs.Op) (entry, error) {
	if op.Path.IsRoot() {
		return entry{}, vfs.Permission.With("mount point")
	}
	e, err := f.lookNow(ctx, op.Path)
	if err == nil {
		_, err = f.condition(op, e)
	}
	return e, err
}

// empty returns nil if the directory at p has nothing but its marker.
func (f *FS) empty(ctx context.Context, p vfs.Path) error {
	keys, err := f.below(ctx, p, 2)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k != f.set.keys.dir(p) {
			return vfs.NotEmpty
		}
	}
	return nil
}

func (f *FS) removeAll(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	e, err := f.removable(ctx, op)
	if err != nil {
		return vfs.Result{}, err
	}
	defer f.cache.changed(op.Path)
	if !e.IsDir() { // there may be objects below its name, too
		if err := f.drop(ctx, []string{f.set.keys.file(op.Path)}); err != nil {
			return vfs.Result{}, err
		}
	}
	return vfs.Result{}, f.dropBelow(ctx, f.set.keys.dir(op.Path))
}

// each hands on all objects with a prefix, page by page.
func (f *FS) each(ctx context.Context, prefix string, do func([]types.Object) error) error {
	pages := s3.NewListObjectsV2Paginator(f.s3, &s3.ListObjectsV2Input{Bucket: &f.set.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return kindOf(err)
		}
		if err := do(out.Contents); err != nil {
			return err
		}
	}
	return nil
}

// dropBelow removes all objects with a prefix.
func (f *FS) dropBelow(ctx context.Context, prefix string) error {
	return f.each(ctx, prefix, func(objects []types.Object) error {
		keys := make([]string, len(objects))
		for i, o := range objects {
			keys[i] = aws.ToString(o.Key)
		}
		return f.dropAll(ctx, keys)
	})
}

// dropAll removes objects page by page, the last first: a directory goes after
// what is in it.
func (f *FS) dropAll(ctx context.Context, keys []string) error {
	slices.Reverse(keys)
	for some := range slices.Chunk(keys, page) {
		if err := f.drop(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// drop removes objects, at most one page of them. Keys that are gone are fine.
func (f *FS) drop(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	if len(keys) == 1 {
		_, err := f.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.set.bucket, Key: &keys[0]})
		if err = kindOf(err); vfs.KindOf(err) == vfs.NotFound {
			return nil
		}
		return err
	}
	var list types.Delete
	for i := range keys {
		list.Objects = append(list.Objects, types.ObjectIdentifier{Key: &keys[i]})
	}
	list.Quiet = aws.Bool(true)
	out, err := f.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &f.set.bucket, Delete: &list})
	if err != nil {
		return kindOf(err)
	}
	for _, e := range out.Errors {
		if code := aws.ToString(e.Code); code != "NoSuchKey" {
			if known := codes[code]; known != nil {
				return known
			}
			return vfs.Internal.Withf("the S3 server does not remove an object: %s", code)
		}
	}
	return nil
}
