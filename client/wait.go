package client

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// MaxWait is how long a node holds a request that waits, at most.
const MaxWait = time.Minute

// NoFile is the ETag to wait with for a file that is not there yet.
const NoFile = `"0"`

// ErrUnchanged is in the error of a wait that came to its end without a change.
var ErrUnchanged = errors.New("unchanged")

// WaitChange describes a file once its ETag is no longer etag: at most d later,
// MaxWait at most, or it gives ErrUnchanged. The file that is gone by then is
// fs.ErrNotExist. vfs.Unsupported says that the server cannot wait for this file:
// outside the log there are no versions, and older servers know no waiting.
// Nothing is asked while it waits.
func (c *Client) WaitChange(ctx context.Context, path, etag string, d time.Duration) (Info, error) {
	var i Info
	h, err := c.json(ctx, newCall("stat", http.MethodGet, "/stat", path).waiting(etag, d), &i)
	if err == nil && i.ETag == "" {
		i.ETag = h.Get("ETag")
	}
	return i, waited("stat", path, etag, i.ETag, err)
}

// Part is a part of a file up to its end, as it was at one moment. The caller
// closes it.
type Part struct {
	io.ReadCloser
	ETag string // "" outside the log
	Size int64  // of the whole file in bytes; -1 if the server does not say
	File string // another one means another file under the same name; "" if that cannot be told
}

// WaitRead reads a file from an offset to its end once its ETag is no longer
// etag, as WaitChange does, but follows a link. Where etag is "" it does not
// wait. A file that is shorter than the offset gives no bytes.
func (c *Client) WaitRead(ctx context.Context, path, etag string, r Range, d time.Duration) (Part, error) {
	k := readCall(path, &r).waiting(etag, d)
	k.stream = true
	a, err := c.do(ctx, k)
	if err != nil {
		return Part{}, waited("read", path, etag, "", err)
	}
	p := Part{ReadCloser: a.body, ETag: a.header.Get("ETag"), Size: -1, File: a.header.Get("X-Pfs-File")}
	if n, err := strconv.ParseInt(a.header.Get("X-Pfs-Size"), 10, 64); err == nil {
		p.Size = n
	}
	if err := waited("read", path, etag, p.ETag, nil); err != nil {
		_ = a.body.Close() // nothing of it was asked for
		return Part{}, err
	}
	return p, nil
}

// waiting has a read wait until the file is another one than etag.
func (k call) waiting(etag string, d time.Duration) call {
	k.query.Set("wait", min(max(d, 0), MaxWait).String())
	if etag != "" {
		k.header.Set("If-None-Match", etag)
	}
	return k
}

// waited is what a node that was to wait has answered. One that answers with what
// the caller knows, or that nothing is there to one who knows that, cannot wait.
func waited(verb, path, known, etag string, err error) error {
	var e *Error
	switch {
	case known == "":
		return err
	case errors.As(err, &e) && e.Status == http.StatusNotModified:
		return &fs.PathError{Op: verb, Path: path, Err: ErrUnchanged}
	case err == nil && etag != "" && etag != known && known != "*",
		err == nil && known == NoFile,
		err != nil && (known != NoFile || !errors.Is(err, fs.ErrNotExist)):
		return err
	}
	return &fs.PathError{Op: verb, Path: path, Err: vfs.Unsupported.With("the server cannot wait for changes of this file")}
}
