package queuefs

import (
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems and plays its scripts.
func Test(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: Plugin(), Config: vfs.Config{}, Scripts: "testdata"})
}
