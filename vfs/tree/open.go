package tree

import (
	"context"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

var _ vfs.Opener = (*FS)(nil)

// opened is the content of a file as it was found.
type opened struct {
	v       vfs.View
	chunks  vfs.Chunks
	extents []byte // prefix of its rows
	size    int64  // bytes
}

// Opens reports whether f is this filesystem itself: Open knows nothing of what
// stands on it.
func (t *FS) Opens(f vfs.FileSystem) bool {
	own, ok := f.(*FS)
	return ok && own == t
}

// Open is Stat, with the content of a file.
func (t *FS) Open(_ context.Context, v vfs.View, p vfs.Path) (vfs.Info, vfs.Opened, error) {
	n, err := find(v, p)
	if err != nil {
		return vfs.Info{}, nil, err
	}
	if n.kind() != fileKind {
		return t.info(n), nil, nil
	}
	return t.info(n), &opened{v, t.o.Chunks, n.extents(), n.size}, nil
}

// ReadAt fills b from off of the file.
func (o *opened) ReadAt(ctx context.Context, b []byte, off int64) (int, error) {
	return content.ReadAt(ctx, o.v, o.chunks, o.extents, o.size, b, off)
}
