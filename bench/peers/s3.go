package peers

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/bench/target"
)

// What every S3 server of ours is given.
const (
	s3Key    = "bench-key-id"
	s3Secret = "bench-secret-key"
	bucket   = "bucket"
)

// StartS3 starts versitygw over a folder. Requests are signed in their URL and
// carry the content as it is, so that the same HTTP client drives all servers of
// large files.
func StartS3(ctx context.Context, s Site) (*target.Target, error) {
	ver, err := built("versitygw")
	if err != nil {
		return nil, err
	}
	addrs, free, err := hold(1)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, "s3")
	root := filepath.Join(dir, "data")
	b := &s3Blob{hc: newHTTP()}
	var procs children
	end := func() error { defer free(); b.hc.CloseIdleConnections(); return procs.stop() }
	if err := os.MkdirAll(filepath.Join(root, bucket), 0o755); err != nil {
		return nil, errors.Join(err, end())
	}
	c, err := start(ctx, dir, "versitygw", "--access", s3Key, "--secret", s3Secret, "--port", addrs[0],
		"--quiet", "--keep-alive", "posix", root)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	procs = append(procs, c)
	b.sign = s3.NewPresignClient(s3.New(s3.Options{BaseEndpoint: aws.String("http://" + addrs[0]), UsePathStyle: true, Region: "us-east-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s3Key, SecretAccessKey: s3Secret}, nil
		}),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired}), s3.WithPresignExpires(time.Hour))
	if err := ready(ctx, c, accepts(addrs[0])); err != nil {
		return nil, errors.Join(err, end())
	}
	return &target.Target{Name: "versitygw", Version: ver, Nodes: 1,
		Durability: "in a file of its folder, not synced", Blob: b, Groups: procs.groups(), Close: end}, nil
}

type s3Blob struct {
	sign *s3.PresignClient
	hc   *http.Client
}

// Upload implements target.Blob.
func (b *s3Blob) Upload(ctx context.Context, name string, r io.Reader, size int64) error {
	u, err := b.sign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &name, ContentLength: &size})
	if err != nil {
		return err
	}
	return send(ctx, b.hc, u.URL, r, size)
}

// Download implements target.Blob.
func (b *s3Blob) Download(ctx context.Context, name string, w io.Writer) (int64, error) {
	u, err := b.sign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &name})
	if err != nil {
		return 0, err
	}
	return fetch(ctx, b.hc, u.URL, w)
}
