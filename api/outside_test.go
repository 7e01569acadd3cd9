package api_test

import (
	"context"
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/vfs"
)

// blinding is a Device whose node sees no state any more once it was changed.
type blinding struct {
	late
	after func()
}

func (b *blinding) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	defer b.after()
	return b.late.Do(ctx, op)
}

// A change of a Device behind which the state cannot be seen may have left out what
// belongs to it: that is no success.
func TestOutsideUnseen(t *testing.T) {
	b := &blinding{}
	p := vfs.Plugin{Type: "blindfs", Verbs: vfs.Verbs(vfs.Write), Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return b, nil }}
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{p}, Mounts: map[string]string{"/b": "blindfs"}})
	for _, m := range s.Node.Machine.Mounts() {
		s.Node.Machine.SetFS(m, b, nil)
	}
	b.after = func() { s.Node.Blind(vfs.Timeout.With("this node has not applied index 9 yet")) }
	steps(t, s, "", "PUT /files?path=/b/f x -> 503 outcome unknown")
	b.after = func() {}
	s.Node.Blind(nil)
	steps(t, s, "", "PUT /files?path=/b/f y -> 200", "GET /files?path=/b/f -> 200 y")
}
