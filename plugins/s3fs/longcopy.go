package s3fs

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pfs-project/pfs/vfs"
)

const (
	copyMost = 5 << 30   // bytes that a server copies in one request
	copyPart = 512 << 20 // bytes of one part of a longer copy
)

// copyParts copies an object that is too long for one request. It has the new
// name once all of it is there, and what goes with it; nothing is left of a copy
// that fails.
func (f *FS) copyParts(ctx context.Context, from, to, etag string, size int64) (err error) {
	was := &s3.HeadObjectInput{Bucket: &f.set.bucket, Key: &from, IfMatch: given(etag)}
	h, err := f.s3.HeadObject(ctx, was)
	if err != nil {
		return changedMeanwhile(kindOf(err))
	}
	u := upload{f: f, key: to, sent: size, mark: rand.Text()}
	with := u.metadata()
	maps.DeleteFunc(h.Metadata, func(name, _ string) bool { return name == markName })
	maps.Copy(with, h.Metadata)
	out, err := f.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &f.set.bucket, Key: &to, Metadata: with,
		ContentType: h.ContentType, ContentEncoding: h.ContentEncoding, ContentLanguage: h.ContentLanguage,
		ContentDisposition: h.ContentDisposition, CacheControl: h.CacheControl})
	if err != nil {
		return kindOf(err)
	}
	u.id = out.UploadId
	defer func() {
		if err != nil {
			u.abort(ctx)
		}
	}()
	source, length := escape(f.set.bucket+"/"+from), max(f.set.copyPart, (size+maxParts-1)/maxParts)
	for off := int64(0); off < size; off += length {
		part := int32(len(u.parts) + 1)
		got, err := f.s3.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &f.set.bucket, Key: &to, UploadId: u.id,
			PartNumber: &part, CopySource: &source, CopySourceIfMatch: given(etag),
			CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", off, min(off+length, size)-1))})
		if err != nil {
			// One that has become shorter may have no such range.
			if _, herr := f.s3.HeadObject(ctx, was); vfs.KindOf(kindOf(herr)) == vfs.Stale {
				err = herr
			}
			return changedMeanwhile(kindOf(err))
		}
		u.parts = append(u.parts, types.CompletedPart{ETag: got.CopyPartResult.ETag, PartNumber: &part})
	}
	return u.complete(ctx)
}

// given is nil for an empty text.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
