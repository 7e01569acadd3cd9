package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// ErrUnknown is in every error that leaves open whether a write was applied.
// Repeating it under the same [Key] tells; without a key only looking does.
var ErrUnknown = errors.New("outcome unknown")

// Names of the kinds of package vfs that callers ask for most; errors.Is holds
// for them as for fs.ErrNotExist, fs.ErrExist and fs.ErrPermission.
const (
	ErrConflict     = vfs.Conflict    // not as things stand: the text says what to do first
	ErrPrecondition = vfs.Stale       // the file has another version than the write was for
	ErrLeaseLost    = vfs.LeaseLost   // the message has gone back to its queue, or was settled
	ErrNoLeader     = vfs.Unavailable // no node could take the request: no leader, no quorum, or none answers
	ErrCompacted    = vfs.Range       // what was asked for is not kept any more, or is not there yet
	ErrQuota        = vfs.NoSpace     // a queue, a quota or a disk is full
)

// RequestID returns the id under which a node has logged the request that err
// came from, "" if err is of no node.
func RequestID(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.RequestID
	}
	return ""
}

// Error is an answer of a node other than success.
type Error struct {
	Status     int           `json:"-"` // HTTP
	Message    string        `json:"error"`
	Code       string        `json:"code"`       // a kind's code, as "not_found"; "" from others than nodes
	Outcome    string        `json:"outcome"`    // "unknown": the write may or may not be there
	ETag       string        `json:"etag"`       // with code stale: the current version
	Oldest     *int64        `json:"oldest"`     // with code range: of a stream, the first offset that is kept
	RequestID  string        `json:"request_id"` // for the node's log
	RetryAfter time.Duration `json:"-"`          // what the node asks to wait; 0: nothing said
}

// Error returns the node's words.
func (e *Error) Error() string { return e.Message }

// Is reports whether target is ErrUnknown and the outcome is.
func (e *Error) Is(target error) bool { return target == ErrUnknown && e.Outcome == "unknown" }

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
	if e.Status/100 == 4 {
		return vfs.Invalid
	}
	return vfs.Internal
}

// statusKinds serves answers without a code: of proxies and older servers.
var statusKinds = map[int]vfs.Kind{
	401: vfs.Unauthenticated, 403: vfs.Permission, 404: vfs.NotFound, 405: vfs.Unsupported, 408: vfs.Timeout,
	409: vfs.Exists, 412: vfs.Stale, 413: vfs.TooLarge, 416: vfs.Range, 422: vfs.KeyReused,
	423: vfs.Locked, 429: vfs.Throttled, 501: vfs.Unsupported, 502: vfs.Unavailable,
	503: vfs.Unavailable, 504: vfs.Timeout, 507: vfs.NoSpace,
}

// Unreachable says that a node gave no answer, or only a part of one.
type Unreachable struct {
	URL string
	Err error

	unsure bool // a write that may have arrived
}

// Error names the node.
func (u *Unreachable) Error() string {
	if errors.Is(u.Err, io.ErrUnexpectedEOF) {
		return "answer of " + u.URL + " was cut off: " + u.Err.Error()
	}
	return "no answer from " + u.URL + ": " + u.Err.Error()
}

// Unwrap returns vfs.Unavailable, or Timeout where the caller's time was over,
// and the cause.
func (u *Unreachable) Unwrap() []error {
	if errors.Is(u.Err, context.DeadlineExceeded) {
		return []error{vfs.Timeout, u.Err}
	}
	return []error{vfs.Unavailable, u.Err}
}

// Is reports whether target is ErrUnknown and this was a write that may have
// arrived.
func (u *Unreachable) Is(target error) bool { return target == ErrUnknown && u.unsure }

// Refused reports whether no connection was made, so that nothing was sent.
func (u *Unreachable) Refused() bool {
	var op *net.OpError
	return errors.As(u.Err, &op) && op.Op == "dial"
}

// unsettled is a temporary failure after a try whose outcome is unknown.
type unsettled struct{ err error }

// Error tells both.
func (u unsettled) Error() string { return u.err.Error() + " (an earlier try may have been applied)" }

// Unwrap returns both.
func (u unsettled) Unwrap() []error { return []error{u.err, ErrUnknown} }

// maxRetryAfter bounds what a node may ask a client to wait.
const maxRetryAfter = 2 * time.Second

func readError(resp *http.Response) *Error {
	e := &Error{}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is enough to tell
	if json.Unmarshal(b, e) != nil || e.Message == "" {
		*e = Error{Message: strings.TrimSpace(resp.Status + " " + string(b[:min(len(b), 200)]))}
	}
	e.Status = resp.StatusCode
	if id := resp.Header.Get("X-Request-Id"); id != "" {
		e.RequestID = id
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.RetryAfter = min(time.Duration(min(n, 60))*time.Second, maxRetryAfter)
	}
	return e
}

// temporary reports whether the same request may succeed a little later.
func temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		if e.Code == vfs.Crashed.Code() {
			return false // it would crash again
		}
		return e.Status == 429 || e.Status == 502 || e.Status == 503 || e.Status == 504
	}
	var u *Unreachable
	return errors.As(err, &u)
}
