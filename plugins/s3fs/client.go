package s3fs

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/vfs"
)

const (
	attempts   = 4                // of one request
	maxBackoff = 2 * time.Second  // between two of them, with jitter: all tries fit into one request of a client
	dialTime   = 5 * time.Second  // to connect
	answerTime = 30 * time.Second // from the end of a request to the head of its answer
	idleConns  = 16               // kept of one mount
)

// Start connects to the server: the bucket must be there, and the key good.
func (f *FS) Start(ctx context.Context) error {
	creds, err := f.set.credentials()
	if err != nil {
		return err
	}
	f.http = newTransport()
	f.s3 = s3.New(f.set.options(creds, f.http))
	f.started = time.Now().UTC()
	_, err = f.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &f.set.bucket, Prefix: aws.String(f.set.keys.base), MaxKeys: aws.Int32(1)})
	if err = kindOf(err); err != nil {
		f.http.CloseIdleConnections()
	}
	if errors.Is(err, codes["NoSuchBucket"]) {
		return vfs.Invalid.Withf("the bucket %s does not exist on the S3 server; make it first", f.set.bucket)
	}
	return err
}

// Close lets the connections go.
func (f *FS) Close() error {
	if f.http != nil {
		f.http.CloseIdleConnections()
	}
	return nil
}

// credentials returns the access key: that of the settings or, without one,
// that of the node's environment.
func (s *settings) credentials() (aws.Credentials, error) {
	c := aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}
	if s.id == "" {
		c = aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"),
			SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, vfs.Invalid.With("no access key: set access_key_id and secret_access_key," +
			" or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of every node")
	}
	return c, nil
}

func (s *settings) options(creds aws.Credentials, t http.RoundTripper) s3.Options {
	o := s3.Options{
		Region:       s.region,
		UsePathStyle: s.pathStyle,
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
		HTTPClient:   &http.Client{Transport: t, CheckRedirect: stay},
		Retryer: retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = attempts, s.backoff
		}),
		// More than what is required is not understood by every server. What
		// is sent is signed with its hash, or goes through TLS.
		RequestChecksumCalculation:                aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:                aws.ResponseChecksumValidationWhenRequired,
		DisableLogOutputChecksumValidationSkipped: true,
	}
	o.EndpointOptions.DisableHTTPS = s.plainHTTP
	if s.endpoint != "" {
		o.BaseEndpoint = &s.endpoint
	}
	return o
}

// stay follows no redirect: the access key is for one server.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newTransport returns what requests go through. It uses no proxy.
func newTransport() *http.Transport {
	d := &net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second, Control: reachable}
	return &http.Transport{
		DialContext:           d.DialContext,
		TLSHandshakeTimeout:   dialTime,
		ResponseHeaderTimeout: answerTime,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       time.Minute,

		MaxIdleConnsPerHost:    idleConns,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // a range of what is compressed is another one
	}
}

var errRefusedAddress = errors.New("refused address")

// reachable refuses addresses that are those of no S3 server: an endpoint must
// not be a way to the machine's metadata service.
func reachable(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errRefusedAddress
	}
	ip := ap.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return errRefusedAddress
	}
	return nil
}
