package s3fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/vfs"
)

const (
	stallTime = 30 * time.Second // without a byte of content
	reopens   = 3                // in a row without a byte of content
)

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	r, err := f.open(ctx, p, "", off, int64(len(b)))
	if doc(p, err) {
		return strings.NewReader(readme).ReadAt(b, off)
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Stream reads on from an offset.
func (f *FS) Stream(ctx context.Context, p vfs.Path, want uint64, off int64) (io.ReadCloser, error) {
	etag := ""
	if want != 0 {
		known, ok := f.cache.etag(want)
		if etag = known; !ok {
			e, err := f.look(ctx, p)
			switch {
			case doc(p, err):
				return nil, vfs.Unsupported // it is short
			case err != nil:
				return nil, err
			case e.Version != want:
				return nil, &vfs.Error{Kind: vfs.Stale, Version: e.Version}
			}
			etag = e.etag
		}
	}
	r, err := f.open(ctx, p, etag, off, -1)
	if doc(p, err) {
		return nil, vfs.Unsupported
	}
	if vfs.KindOf(err) == vfs.Stale {
		f.cache.changed(p) // by somebody else
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Tune reads a file from a place on to its end.
func (f *FS) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	return vfs.TuneFile(ctx, f, p, from)
}

// open opens the object at p from an offset, as far as size if that is not
// negative. With an ETag, another content is Stale.
func (f *FS) open(ctx context.Context, p vfs.Path, etag string, off, size int64) (*content, error) {
	if p.IsRoot() {
		return nil, vfs.IsDirectory
	}
	if f.set.keys.fits(p) != nil {
		return nil, vfs.NotFound
	}
	c := &content{ctx: ctx, f: f, key: f.set.keys.file(p), etag: etag, at: off, left: -1}
	if size > 0 {
		c.left = size
	}
	err := c.open()
	if vfs.KindOf(err) != vfs.NotFound {
		return c, err
	}
	if e, lerr := f.look(ctx, p); lerr == nil && e.IsDir() {
		return nil, vfs.IsDirectory
	} else if lerr != nil {
		err = lerr
	}
	return nil, err
}

// content is a part of an object that is being read. A connection that breaks
// is made again, where it was, as long as the object is the same.
type content struct {
	ctx      context.Context
	f        *FS
	key      string
	etag     string // once it is open, that of what is read
	at, left int64  // left < 0: not known before it is open
	from     io.ReadCloser
	broken   int // times in a row
}

// open asks for what is left.
func (c *content) open() error {
	in := &s3.GetObjectInput{Bucket: &c.f.set.bucket, Key: &c.key}
	if c.etag != "" {
		in.IfMatch = &c.etag
	}
	switch {
	case c.left > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", c.at, c.at+c.left-1))
	case c.at > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", c.at))
	}
	out, err := c.f.s3.GetObject(c.ctx, in)
	if err = kindOf(err); vfs.KindOf(err) == vfs.Range {
		c.left, c.from = 0, io.NopCloser(strings.NewReader("")) // it ends before that
		return nil
	}
	if err != nil {
		return err
	}
	if out.ContentLength == nil || in.Range != nil && aws.ToString(out.ContentRange) == "" {
		return errors.Join(vfs.Unavailable.With("the S3 server answers without a length, or no ranges"), out.Body.Close())
	}
	c.from, c.left, c.etag = out.Body, aws.ToInt64(out.ContentLength), aws.ToString(out.ETag)
	return nil
}

// Read reads on.
func (c *content) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := c.once(b[:min(int64(len(b)), c.left)])
		if n > 0 {
			c.at, c.left, c.broken = c.at+int64(n), c.left-int64(n), 0
			return n, nil
		}
		if err == nil {
			continue
		}
		if err := c.again(err); err != nil {
			return 0, err
		}
	}
}

// once reads from the connection that is there. One that stands still is cut.
func (c *content) once(b []byte) (int, error) {
	stall := time.AfterFunc(stallTime, func() { _ = c.from.Close() })
	defer stall.Stop()
	return c.from.Read(b)
}

// again opens what is left after err, unless that was tried often enough.
func (c *content) again(err error) error {
	if c.ctx.Err() != nil {
		return ctxError(c.ctx.Err())
	}
	if c.broken++; c.broken > reopens {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return vfs.Unavailable.Withf("the S3 server cuts the connection: %v", err)
	}
	_ = c.from.Close() // it is broken
	err = c.open()
	if k := vfs.KindOf(err); k == vfs.Stale || k == vfs.NotFound {
		return vfs.Unavailable.With("the object has changed while it was read; read it again")
	}
	return err
}

// Close lets the connection go.
func (c *content) Close() error { return c.from.Close() }
