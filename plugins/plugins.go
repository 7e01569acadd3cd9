package plugins

import (
	"github.com/pfs-project/pfs/plugins/devfs"
	"github.com/pfs-project/pfs/plugins/heartbeatfs"
	"github.com/pfs-project/pfs/plugins/hellofs"
	"github.com/pfs-project/pfs/plugins/httpfs"
	"github.com/pfs-project/pfs/plugins/kvfs"
	"github.com/pfs-project/pfs/plugins/localfs"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/proxyfs"
	"github.com/pfs-project/pfs/plugins/queuefs"
	"github.com/pfs-project/pfs/plugins/s3fs"
	"github.com/pfs-project/pfs/plugins/serverinfofs"
	"github.com/pfs-project/pfs/plugins/sqlfs"
	"github.com/pfs-project/pfs/plugins/sqlfs2"
	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
)

// Builtin returns the built-in plugins. Of t, the source of the numbers that
// serverinfofs shows as traffic, nil counts nothing.
func Builtin(t serverinfofs.Traffic) []vfs.Plugin {
	return []vfs.Plugin{
		memfs.Plugin(),
		proxyfs.Plugin(),
		kvfs.Plugin(),
		queuefs.Plugin(),
		streamfs.Plugin(),
		streamfs.RotatePlugin(),
		heartbeatfs.Plugin(),
		localfs.Plugin(),
		s3fs.Plugin(),
		httpfs.Plugin(),
		sqlfs.Plugin(),
		sqlfs2.Plugin(),
		hellofs.Plugin(),
		serverinfofs.Plugin(t),
		devfs.Plugin(),
	}
}
