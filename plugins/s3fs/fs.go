package s3fs

import (
	"context"
	_ "embed"
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType = "s3fs"
	readmeName = "README"
)

// FS is the filesystem of one bucket, or of a part of it.
type FS struct {
	set  settings
	log  *slog.Logger
	s3   *s3.Client // nil until Start
	http *http.Transport

	started time.Time
	cache   *cache
	slots   chan struct{} // taken by each upload of several parts
}

var (
	_ vfs.Device   = (*FS)(nil)
	_ vfs.Putter   = (*FS)(nil)
	_ vfs.Streamer = (*FS)(nil)
	_ vfs.Tuner    = (*FS)(nil)
	_ vfs.Starter  = (*FS)(nil)
	_ io.Closer    = (*FS)(nil)
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Since: 7,
		Verbs: vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Chmod, vfs.Touch,
			vfs.Remove, vfs.RemoveAll, vfs.Rename),
		Params: params(),
		Place:  func(vfs.Config) (vfs.Placement, error) { return vfs.Shared, nil },
		New: func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			set, err := parse(c)
			if err != nil {
				return nil, err
			}
			return &FS{set: set, log: e.Log, cache: newCache(set), slots: make(chan struct{}, uploads)}, nil
		},
	}
}

// entry is what is at one path.
type entry struct {
	vfs.Info
	etag string // of a file, as the server writes it
}

func (f *FS) meta(role string) vfs.Meta {
	return vfs.Meta{Name: pluginType, Type: role, Content: map[string]string{
		"region": f.set.region, "bucket": f.set.bucket, "prefix": f.set.keys.prefix}}
}

func (f *FS) dirEntry(name string) entry {
	return entry{Info: vfs.Info{Name: name, Mode: vfs.ModeDir | 0o755, ModTime: f.started, Meta: f.meta("s3")}}
}

func (f *FS) fileEntry(name string, size *int64, at *time.Time, etag *string) entry {
	return entry{etag: aws.ToString(etag), Info: vfs.Info{Name: name, Mode: 0o644, Size: aws.ToInt64(size),
		ModTime: aws.ToTime(at).UTC(), Version: version(aws.ToString(etag)), Meta: f.meta("s3")}}
}

// version is the number that stands for an ETag; 0 for none.
func version(etag string) uint64 {
	if etag == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(etag)) // never fails
	return max(h.Sum64(), 1)
}

// look returns what is at p, from the cache where that has it.
func (f *FS) look(ctx context.Context, p vfs.Path) (entry, error) {
	if p.IsRoot() {
		return f.dirEntry("/"), nil
	}
	if e, ok := f.cache.stat(p); ok {
		return e, nil
	}
	return f.lookNow(ctx, p)
}

// lookNow asks the server what is at p, which is not the root.
func (f *FS) lookNow(ctx context.Context, p vfs.Path) (entry, error) {
	if err := f.set.keys.fits(p); err != nil {
		return entry{}, vfs.NotFound // no server has it
	}
	turn := f.cache.turn()
	key := f.set.keys.file(p)
	h, err := f.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &f.set.bucket, Key: &key})
	if err == nil {
		e := f.fileEntry(p.Base(), h.ContentLength, h.LastModified, h.ETag)
		f.cache.keep(turn, p, e)
		return e, nil
	}
	if err = kindOf(err); vfs.KindOf(err) != vfs.NotFound {
		return entry{}, err
	}
	keys, err := f.below(ctx, p, 1)
	switch {
	case err != nil:
		return entry{}, err
	case len(keys) == 0:
		return entry{}, vfs.NotFound
	}
	e := f.dirEntry(p.Base())
	f.cache.keep(turn, p, e)
	return e, nil
}

// below returns up to n keys of the directory p, its marker included.
func (f *FS) below(ctx context.Context, p vfs.Path, n int32) ([]string, error) {
	out, err := f.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &f.set.bucket, Prefix: aws.String(f.set.keys.dir(p)), MaxKeys: &n})
	if err != nil {
		return nil, kindOf(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, aws.ToString(o.Key))
	}
	return keys, nil
}

// doc reports whether p is the page about this plugin: its root has one, unless
// the bucket has a file of that name. It is in no listing.
func doc(p vfs.Path, err error) bool {
	return p == vfs.Root.Child(readmeName) && vfs.KindOf(err) == vfs.NotFound
}

// Stat describes what is at p.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	e, err := f.look(ctx, p)
	if doc(p, err) {
		return vfs.Info{Name: readmeName, Size: int64(len(readme)), Mode: 0o444, Version: 1, ModTime: f.started,
			Meta: f.meta("doc")}, nil
	}
	return e.Info, err
}
