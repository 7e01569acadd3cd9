package s3fs

import (
	"context"
	"errors"
	"net"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/pfs-project/pfs/vfs"
)

// codes are the answers of servers that are known by name.
var codes = map[string]error{
	"NoSuchKey":                    vfs.NotFound,
	"NotFound":                     vfs.NotFound,
	"NoSuchUpload":                 vfs.Unavailable.With("the S3 server has dropped the upload; write the file again"),
	"NoSuchBucket":                 vfs.Unavailable.With("the bucket does not exist"),
	"InvalidAccessKeyId":           errCredentials,
	"SignatureDoesNotMatch":        errCredentials,
	"XAdminUserNotFound":           errCredentials,
	"InvalidToken":                 errCredentials,
	"ExpiredToken":                 errCredentials,
	"AccessDenied":                 vfs.Permission.With("the S3 server denies access: the access key may not do this"),
	"RequestTimeTooSkewed":         vfs.Unavailable.With("the clocks of this node and of the S3 server are too far apart"),
	"PermanentRedirect":            errRegion,
	"AuthorizationHeaderMalformed": errRegion,
	"PreconditionFailed":           vfs.Stale,
	"ConditionalRequestConflict":   vfs.Stale,
	"InvalidRange":                 vfs.Range,
	"EntityTooLarge":               vfs.TooLarge,
	"KeyTooLongError":              vfs.Invalid.With("the key is too long for the S3 server"),
	"QuotaExceeded":                vfs.NoSpace,
	"XMinioStorageFull":            vfs.NoSpace,
	"ObjectParentIsFile":           vfs.NotDirectory,
	"ExistingObjectIsDirectory":    vfs.IsDirectory,
	"InvalidObjectState":           vfs.Unavailable.With("the object is archived; restore it first"),
}

var (
	errCredentials = vfs.Permission.With("the S3 server refuses the access key: check access_key_id and secret_access_key")
	errRegion      = vfs.Unavailable.With("the bucket is in another region; set region")
)

// kindOf turns an error of the client into one of the tree. It names neither
// keys of the bucket nor addresses.
func kindOf(err error) error {
	var kind vfs.Kind
	var e *vfs.Error
	var api smithy.APIError
	var resp *awshttp.ResponseError
	var dns *net.DNSError
	switch {
	case err == nil, errors.As(err, &e), errors.As(err, &kind):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ctxError(err)
	case errors.As(err, &api) && codes[api.ErrorCode()] != nil:
		return codes[api.ErrorCode()]
	case errors.As(err, &resp) && resp.HTTPStatusCode() != 0:
		return status(resp.HTTPStatusCode(), api)
	case errors.Is(err, errRefusedAddress):
		return vfs.Permission.With("the endpoint has an address that is not to be reached")
	case errors.As(err, &dns):
		return vfs.Unavailable.With("the name of the S3 server cannot be resolved")
	case isNet(err):
		return vfs.Unavailable.With("the S3 server does not answer, or has cut the connection")
	}
	return vfs.Internal.With("S3: " + err.Error())
}

func ctxError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return vfs.Timeout.With("the S3 server did not answer in time")
	}
	return vfs.Unavailable.With("interrupted")
}

// status says what an answer means whose code is not known, or that has none.
func status(n int, api smithy.APIError) error {
	words := "S3 server answers " + http.StatusText(n)
	if api != nil && api.ErrorCode() != "" {
		words = "S3 server answers " + api.ErrorCode()
	}
	switch {
	case n == http.StatusNotFound && api == nil:
		return vfs.NotFound
	case n == http.StatusUnauthorized, n == http.StatusForbidden:
		return vfs.Permission.With("the S3 server refuses: check the access key and what it may do")
	case n == http.StatusPreconditionFailed:
		return vfs.Stale
	case n == http.StatusRequestedRangeNotSatisfiable:
		return vfs.Range
	case n == http.StatusMovedPermanently, n == http.StatusTemporaryRedirect:
		return errRegion
	case n == http.StatusInsufficientStorage:
		return vfs.NoSpace
	case n == http.StatusNotImplemented:
		return vfs.Unsupported.With("the " + words)
	case n >= 500, n == http.StatusNotFound, n == http.StatusTooManyRequests:
		return vfs.Unavailable.With("the " + words + "; try again")
	}
	return vfs.Internal.With("the " + words)
}

func isNet(err error) bool {
	var n net.Error
	var op *smithy.OperationError
	return errors.As(err, &n) || errors.As(err, &op)
}
