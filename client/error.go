package client

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// Error is an answer of a node other than success.
type Error struct {
	Status    int    `json:"-"` // HTTP
	Message   string `json:"error"`
	Code      string `json:"code"`    // a kind's code, as "not_found"
	Outcome   string `json:"outcome"` // "unknown": the write may or may not be there
	ETag      string `json:"etag"`    // with code stale: the current version
	RequestID string `json:"-"`
}

// Error returns the node's words.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the kind, so that errors.Is holds for kinds and for io/fs.
func (e *Error) Unwrap() error {
	for k := vfs.Kind(1); k.Valid(); k++ {
		if k.Code() == e.Code {
			return k
		}
	}
	if k, ok := statusKinds[e.Status]; ok {
		return k
	}
	return vfs.Internal
}

// statusKinds serves answers without a code: of proxies and older servers.
var statusKinds = map[int]vfs.Kind{
	400: vfs.Invalid, 401: vfs.Unauthenticated, 403: vfs.Permission, 404: vfs.NotFound,
	409: vfs.Exists, 412: vfs.Stale, 413: vfs.TooLarge, 416: vfs.Range, 422: vfs.KeyReused,
	423: vfs.Locked, 429: vfs.Throttled, 501: vfs.Unsupported, 502: vfs.Unavailable,
	503: vfs.Unavailable, 504: vfs.Timeout, 507: vfs.NoSpace,
}

// Unreachable says that a node gave no answer.
type Unreachable struct {
	URL string
	Err error
}

// Error names the node.
func (u *Unreachable) Error() string { return "no answer from " + u.URL + ": " + u.Err.Error() }

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.Err }

// Is makes an unreachable node count as vfs.Unavailable.
func (u *Unreachable) Is(target error) bool { return target == error(vfs.Unavailable) }

func readError(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id")}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is enough to tell
	if json.Unmarshal(b, e) != nil || e.Message == "" {
		e.Message = strings.TrimSpace(resp.Status + " " + string(b[:min(len(b), 200)]))
	}
	return e
}
