package s3fs

import (
	"fmt"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/test/s3server"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems and plays its scripts,
// with and without a cache.
func Test(t *testing.T) {
	server := s3server.Start(t)
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprintf("cached %v", cached), func(t *testing.T) {
			var mounts atomic.Int64
			p := Plugin()
			make := p.New
			p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
				c = maps.Clone(c)
				c[keyPrefix] = fmt.Sprintf("m%v-%d", cached, mounts.Add(1)) // each mount has its own
				return make(e, c)
			}
			c := vfs.Config(server.Config())
			c[keyCache] = cached
			vfstest.Run(t, vfstest.Subject{Plugin: p, Config: c, Scripts: "testdata"})
		})
	}
}
