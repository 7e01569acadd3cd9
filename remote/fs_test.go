package remote_test

import (
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// plugin is a memfs of a server, reached through its API.
func plugin(t *testing.T) vfs.Plugin {
	return vfs.Plugin{Type: "memfs", Doc: "a memfs elsewhere", Verbs: tree.AllVerbs,
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Shared, nil },
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) {
			s := apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil), Mounts: map[string]string{"/m": "memfs"}})
			cl, err := client.New(client.Config{URLs: []string{s.URL}})
			return remote.New(remote.Config{Root: "/m", Verbs: tree.AllVerbs, Dial: func() (*client.Client, error) { return cl, nil }}), err
		}}
}

func TestLaws(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: plugin(t)})
}
