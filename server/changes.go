package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/trace"
	"github.com/pfs-project/pfs/vfs"
)

// changes makes what plugins change in the tree as a client of this node does:
// through the same checks, to every mount, and durable when it is acknowledged.
type changes struct{ files *client.Client }

// Change makes one change.
func (c changes) Change(ctx context.Context, plugin string, op vfs.Op) error {
	h := http.Header{"X-Request-Id": {changeID(trace.From(ctx).ID(), plugin)}}
	if via := vfs.Via(ctx); len(via) > 0 {
		h.Set(remote.ViaHeader, strings.Join(via, ","))
	}
	ctx = client.WithHeader(ctx, h)
	path := string(op.Path)
	switch op.Verb {
	case vfs.Write:
		_, err := c.files.WriteFile(ctx, path, op.Data)
		return err
	case vfs.Create:
		return c.files.Create(ctx, path)
	case vfs.Mkdir:
		return c.files.Mkdir(ctx, path, uint32(op.Mode.Perm()))
	case vfs.Remove:
		return c.files.Remove(ctx, path)
	case vfs.RemoveAll:
		return c.files.RemoveAll(ctx, path)
	case vfs.Rename:
		return c.files.Rename(ctx, path, string(op.To))
	case vfs.Chmod:
		return c.files.Chmod(ctx, path, uint32(op.Mode.Perm()))
	}
	return vfs.Unsupported
}

// changeID is the id of a request that a plugin makes while it answers another:
// that of the other, and who has made it.
func changeID(cause, plugin string) string {
	id := "plugin:" + plugin + "/" + trace.NewID()
	if room := trace.MaxID - len(id) - 1; cause != "" && room > 0 {
		id = cause[:min(len(cause), room)] + "/" + id
	}
	return id
}
