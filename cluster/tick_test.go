package cluster

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// tick counts to three, as fast as the leader's clock lets it.
type ticker struct{}

func tickPlugin() vfs.Plugin {
	return vfs.Plugin{Type: "tickfs", Verbs: vfs.Verbs(vfs.Mount, vfs.Reap),
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Replicated, nil },
		New:   func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return ticker{}, nil }}
}

func (ticker) count(v vfs.View) int {
	b, _ := v.Get([]byte("n"))
	return len(b)
}

func (t ticker) Due(v vfs.View, now time.Time) (ops []vfs.Op, next time.Time) {
	if t.count(v) >= 3 {
		return nil, time.Time{}
	}
	return []vfs.Op{{Verb: vfs.Reap, Path: vfs.Root}}, now.Add(10 * time.Millisecond)
}

func (t ticker) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if op.Verb == vfs.Reap {
		tx.Put([]byte("n"), make([]byte, t.count(tx)+1))
	}
	return vfs.Result{}, nil
}

func (t ticker) Stat(_ context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	switch p {
	case vfs.Root:
		return vfs.Info{Name: "/", Mode: vfs.ModeDir | 0o755}, nil
	case "/count":
		return vfs.Info{Name: "count", Mode: 0o444, Size: int64(len(strconv.Itoa(t.count(v))))}, nil
	}
	return vfs.Info{}, vfs.NotFound
}

func (t ticker) List(ctx context.Context, v vfs.View, _ vfs.Path, _ string, _ int) ([]vfs.Info, error) {
	i, err := t.Stat(ctx, v, "/count")
	return []vfs.Info{i}, err
}

func (t ticker) ReadAt(_ context.Context, v vfs.View, _ vfs.Path, b []byte, off int64) (int, error) {
	s := strconv.Itoa(t.count(v))
	if off >= int64(len(s)) {
		return 0, io.EOF
	}
	return copy(b, s[off:]), io.EOF
}
