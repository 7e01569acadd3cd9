package client

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/url"
	"strconv"
)

// Backup is a backup on its way from a node. What was read of it is a backup
// only once it was verified to its end; the package backup does that.
type Backup struct {
	Index  uint64 // of the last log entry in it
	Digest string // of the state then
	Body   io.ReadCloser
}

// Backup has a node make a backup of the whole state and streams it; the caller
// closes the Body. With fresh it holds all that was acknowledged before; without,
// what the node has, which works without a quorum too.
func (c *Client) Backup(ctx context.Context, fresh bool) (Backup, error) {
	k := ask("backup", "/backup")
	k.stream, k.slow = true, true
	if fresh {
		k.query = url.Values{"consistency": {"linearizable"}}
	}
	a, err := c.do(ctx, k)
	if err != nil {
		return Backup{}, err
	}
	b := Backup{Digest: a.header.Get("X-Pfs-Digest"), Body: a.body}
	if b.Index, err = strconv.ParseUint(a.header.Get("X-Pfs-Index"), 10, 64); err != nil {
		_ = a.body.Close() // it is not of a node
		return Backup{}, &fs.PathError{Op: k.verb, Path: k.path, Err: err}
	}
	return b, nil
}

// Restore sends a backup of size bytes (-1: not known) to a node, which loads it
// into its cluster. The cluster must be empty, or it is vfs.NotEmpty. It is tried
// once: whether a restore without an answer was done, the cluster tells. The
// result is the node's answer.
func (c *Client) Restore(ctx context.Context, r io.Reader, size int64) (json.RawMessage, error) {
	if _, err := c.Cluster(ctx); err != nil { // finds a node that answers
		return nil, err
	}
	k := post("restore", "/restore", "/")
	k.once, k.slow = true, true
	k.header.Set("Content-Type", "application/octet-stream")
	k.body = func() (*upload, error) { return &upload{r: r, size: size}, nil }
	a, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	return a.data, nil
}
