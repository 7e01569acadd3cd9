package s3fs

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pfs-project/pfs/vfs"
)

const (
	smallBody = 64 << 10 // taken without a slot
	firstPart = 8 << 20  // bytes of the first parts of an upload
	maxParts  = 10_000   // of one upload
	uploads   = 8        // of several parts, of one mount on this node, at once
	slotTime  = 30 * time.Second
	partTime  = 2 * time.Minute // for one request with content, retries included
	abortTime = 10 * time.Second
	markName  = "pfs-write"
)

// partSize returns how long part n is. Later parts are longer, so that all of
// them hold 264 GiB, and memory stays bounded.
func partSize(n int32) int {
	switch {
	case n <= 1000:
		return firstPart
	case n <= 3000:
		return 2 * firstPart
	}
	return 4 * firstPart
}

// Put replaces the file by what r has, once all of it is there.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	cond, err := f.writable(ctx, op)
	if err != nil {
		return vfs.Result{}, err
	}
	return f.replace(ctx, op, cond, r)
}

// replace writes the file under a condition that the server decides.
func (f *FS) replace(ctx context.Context, op vfs.Op, cond condition, r io.Reader) (vfs.Result, error) {
	u := upload{f: f, key: f.set.keys.file(op.Path), cond: cond, r: r, mark: rand.Text()}
	turn := f.cache.turn()
	err := u.run(ctx)
	f.cache.changed(op.Path)
	if vfs.KindOf(err) == vfs.Stale {
		return vfs.Result{}, f.lost(ctx, op)
	}
	if err != nil {
		return vfs.Result{}, err
	}
	f.cache.keep(turn, op.Path, entry{etag: u.etag, Info: vfs.Info{Version: version(u.etag)}}) // the ETag alone
	return vfs.Result{N: u.sent, Version: version(u.etag)}, nil
}

// condition is what the server is to hold against what is under the key.
type condition struct{ match, none *string }

// writable returns nil if a file may be put at the path.
func (f *FS) writable(ctx context.Context, op vfs.Op) (condition, error) {
	if err := f.set.keys.fits(op.Path); err != nil {
		return condition{}, err
	}
	if op.Path.IsRoot() {
		return condition{}, vfs.IsDirectory
	}
	e, err := f.lookNow(ctx, op.Path)
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		if err := f.above(ctx, op.Path); err != nil {
			return condition{}, err
		}
	case err != nil:
		return condition{}, err
	case e.IsDir():
		return condition{}, vfs.IsDirectory
	case op.Flag&vfs.FlagExclusive != 0:
		return condition{}, vfs.Exists
	}
	return f.condition(op, e)
}

// condition holds that of op against what was seen, and returns what the
// server is to hold.
func (f *FS) condition(op vfs.Op, e entry) (c condition, err error) {
	ok := true
	switch op.If.Kind {
	case vfs.IfAbsent:
		ok, c.none = e.etag == "", aws.String("*")
	case vfs.IfExists:
		ok, c.match = e.etag != "", &e.etag
	case vfs.IfVersion:
		ok, c.match = e.etag != "" && e.Version == op.If.Version, &e.etag
	}
	if op.Flag&vfs.FlagExclusive != 0 {
		c.none = aws.String("*")
	}
	if !ok {
		return c, &vfs.Error{Kind: vfs.Stale, Version: e.Version}
	}
	return c, nil
}

// above returns nil if no directory above p is a file.
func (f *FS) above(ctx context.Context, p vfs.Path) error {
	for d := p.Dir(); !d.IsRoot(); d = d.Dir() {
		e, err := f.look(ctx, d)
		switch {
		case vfs.KindOf(err) == vfs.NotFound:
			continue // it comes to be with what is below it
		case err == nil && !e.IsDir():
			return vfs.NotDirectory
		}
		return err
	}
	return nil
}

// lost says why the server has refused a condition.
func (f *FS) lost(ctx context.Context, op vfs.Op) error {
	e, err := f.lookNow(ctx, op.Path)
	switch {
	case err != nil && vfs.KindOf(err) != vfs.NotFound:
		return err
	case op.Flag&vfs.FlagExclusive != 0:
		return vfs.Exists
	}
	return &vfs.Error{Kind: vfs.Stale, Version: e.Version}
}

// upload is one content on its way.
type upload struct {
	f    *FS
	key  string
	cond condition
	r    io.Reader
	mark string // goes with the object, to know it again when an answer is lost

	sent  int64
	etag  string
	id    *string // of an upload of several parts
	parts []types.CompletedPart
}

// run sends all of r. What fits into one part is one request.
func (u *upload) run(ctx context.Context) error {
	buf := make([]byte, smallBody)
	n, err := io.ReadFull(u.r, buf)
	if ended(err) {
		return u.whole(ctx, buf[:n])
	}
	if err != nil {
		return err
	}
	if err := u.f.enter(ctx); err != nil {
		return err
	}
	defer func() { <-u.f.slots }()
	buf = append(make([]byte, 0, firstPart), buf...)
	n, err = io.ReadFull(u.r, buf[len(buf):firstPart])
	buf = buf[:len(buf)+n]
	if ended(err) {
		return u.whole(ctx, buf)
	}
	if err != nil {
		return err
	}
	return u.inParts(ctx, buf)
}

func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// enter takes a slot. Each stands for the memory of one upload.
func (f *FS) enter(ctx context.Context) error {
	t := time.NewTimer(slotTime)
	defer t.Stop()
	select {
	case f.slots <- struct{}{}:
		return nil
	case <-t.C:
		return vfs.Throttled.With("too many long files are being written at once; try again")
	case <-ctx.Done():
		return ctxError(ctx.Err())
	}
}

// whole sends content that is all here.
func (u *upload) whole(ctx context.Context, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	u.sent = int64(len(b))
	in := &s3.PutObjectInput{Bucket: &u.f.set.bucket, Key: &u.key, Body: bytes.NewReader(b),
		ContentLength: &u.sent, IfMatch: u.cond.match, IfNoneMatch: u.cond.none}
	if u.cond != (condition{}) {
		in.Metadata = u.metadata()
	}
	out, err := u.f.s3.PutObject(ctx, in)
	if err == nil {
		u.etag = aws.ToString(out.ETag)
		return nil
	}
	return u.settled(ctx, missingIsStale(kindOf(err)))
}

func (u *upload) metadata() map[string]string { return map[string]string{markName: u.mark} }

// settled returns nil for an error of a request that was sent again because
// its first answer was lost, and was refused because the first had done it.
func (u *upload) settled(ctx context.Context, err error) error {
	if vfs.KindOf(err) != vfs.Stale && !errors.Is(err, codes["NoSuchUpload"]) {
		return err
	}
	h, herr := u.f.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &u.f.set.bucket, Key: &u.key})
	if herr != nil || u.mark == "" || h.Metadata[markName] != u.mark {
		return err
	}
	u.etag = aws.ToString(h.ETag)
	return nil
}

// missingIsStale: a condition on an ETag is answered as a missing key where
// there is nothing.
func missingIsStale(err error) error {
	if vfs.KindOf(err) == vfs.NotFound {
		return vfs.Stale
	}
	return err
}

// inParts sends content part by part. Nothing is under the key before the end,
// and nothing is left of it after an error.
func (u *upload) inParts(ctx context.Context, buf []byte) (err error) {
	out, err := u.f.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &u.f.set.bucket, Key: &u.key, Metadata: u.metadata()})
	if err != nil {
		return kindOf(err)
	}
	u.id = out.UploadId
	defer func() {
		if err != nil {
			u.abort(ctx)
		}
	}()
	for part := int32(1); ; part++ {
		if err := u.send(ctx, part, buf); err != nil {
			return err
		}
		if part == maxParts {
			return vfs.TooLarge.With("the file is longer than 264 GiB")
		}
		if need := partSize(part + 1); need > cap(buf) {
			buf = make([]byte, need)
		}
		buf = buf[:partSize(part+1)]
		n, rerr := io.ReadFull(u.r, buf)
		if rerr != nil && !ended(rerr) {
			return rerr
		}
		if n == 0 {
			return u.complete(ctx)
		}
		buf = buf[:n]
	}
}

func (u *upload) send(ctx context.Context, part int32, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	out, err := u.f.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: &u.f.set.bucket, Key: &u.key, UploadId: u.id,
		PartNumber: &part, Body: bytes.NewReader(b), ContentLength: aws.Int64(int64(len(b)))})
	if err != nil {
		return kindOf(err)
	}
	u.parts = append(u.parts, types.CompletedPart{ETag: out.ETag, PartNumber: &part})
	u.sent += int64(len(b))
	return nil
}

// complete puts the content under the key.
func (u *upload) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	out, err := u.f.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &u.f.set.bucket, Key: &u.key,
		UploadId: u.id, IfMatch: u.cond.match, IfNoneMatch: u.cond.none,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts}})
	if err == nil {
		u.etag = aws.ToString(out.ETag)
		return nil
	}
	return u.settled(ctx, missingIsStale(kindOf(err)))
}

// abort drops the parts.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_, err := u.f.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.f.set.bucket, Key: &u.key, UploadId: u.id})
	if err != nil {
		u.f.log.Warn("parts of a file are left on the S3 server", "type", pluginType, "error", kindOf(err))
	}
}
