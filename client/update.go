package client

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// ReadVersion is ReadFile with the version that was read, for [IfMatch].
func (c *Client) ReadVersion(ctx context.Context, path string) (data []byte, etag string, err error) {
	a, err := c.do(ctx, readCall(path, &Range{0, -1}))
	if err != nil {
		return nil, "", err
	}
	return a.data, a.header.Get("ETag"), nil
}

// Update replaces a file with what change makes of it, and of that version only:
// where another write came first it is read and changed again, until ctx ends.
// Of a file that is not there change gets nil. An error of change ends it, with
// nothing written.
func (c *Client) Update(ctx context.Context, path string, change func(old []byte) ([]byte, error), opts ...Option) (Written, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		old, etag, err := c.ReadVersion(WithFresh(ctx), path)
		only := IfMatch(etag)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			old, only = nil, IfAbsent()
		case err != nil:
			return Written{}, err
		case etag == "":
			return Written{}, &fs.PathError{Op: "update", Path: path, Err: vfs.Unsupported.With("the file has no version, so that another write could be lost")}
		case old == nil:
			old = []byte{}
		}
		data, err := change(old)
		if err != nil {
			return Written{}, &fs.PathError{Op: "update", Path: path, Err: err}
		}
		w, err := c.WriteFile(ctx, path, data, append([]Option{only}, opts...)...)
		if !errors.Is(err, vfs.Stale) {
			return w, err
		}
		if serr := sleep(ctx, pause/2+rand.N(pause)); serr != nil {
			return w, &fs.PathError{Op: "update", Path: path, Err: &timeUp{serr, err}}
		}
	}
}
