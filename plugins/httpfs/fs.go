package httpfs

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const pluginType = "httpfs"

// FS is one server and the file that tells of it.
type FS struct {
	tree   vfs.Tree
	mount  vfs.Path // where it is mounted
	source vfs.Path // what it serves
	host   string
	port   int64
	log    *slog.Logger

	started time.Time
	server  *http.Server
}

var (
	_ vfs.Device  = (*FS)(nil)
	_ vfs.Starter = (*FS)(nil)
	_ io.Closer   = (*FS)(nil)
)

// Plugin returns the plugin. It takes every change, to refuse it as one on a
// filesystem that is read-only.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Since: 8,
		File:  true,
		Verbs: vfs.Changes(),
		Params: []vfs.Param{
			{Name: "pfs_path", Type: "string", Description: "the directory of the tree to serve; required, under this name or as agfs_path"},
			{Name: "agfs_path", Type: "string", Description: "the same as pfs_path"},
			{Name: "http_port", Type: "int", Default: "8000", Description: "the port, on every node"},
			{Name: "port", Type: "int", Description: "the same as http_port"},
			{Name: "host", Type: "string", Default: "127.0.0.1", Description: "the address to listen on; 0.0.0.0 shows what is served to everybody who reaches the node"},
		},
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New:   func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) { return newFS(e, c) },
	}
}

func newFS(e vfs.Env, c vfs.Config) (*FS, error) {
	f := &FS{tree: e.Tree, mount: e.Mount, log: e.Log}
	source, err := either(c.String, "pfs_path", "agfs_path", "")
	if err != nil {
		return nil, err
	}
	if source == "" {
		return nil, vfs.Invalid.With("pfs_path is required: the directory to serve, such as /memfs")
	}
	if f.source, err = vfs.ParsePath(source); err != nil {
		return nil, err
	}
	if f.port, err = either(c.Int, "http_port", "port", 8000); err != nil {
		return nil, err
	}
	if f.port < 0 || f.port > 65535 {
		return nil, vfs.Invalid.Withf("http_port %d is no port", f.port)
	}
	f.host, err = c.String("host", "127.0.0.1")
	return f, err
}

// either reads a setting that has two names, of which one may be given.
func either[T comparable](get func(string, T) (T, error), name, other string, def T) (T, error) {
	var none T
	a, err := get(name, none)
	if err != nil {
		return none, err
	}
	b, err := get(other, none)
	switch {
	case err != nil:
		return none, err
	case a != none && b != none && a != b:
		return none, vfs.Invalid.Withf("%s and %s are the same setting, and differ", name, other)
	case a != none:
		return a, nil
	case b != none:
		return b, nil
	}
	return def, nil
}

// status is the content of the mount.
func (f *FS) status() string {
	state, at := "Stopped", net.JoinHostPort(f.host, strconv.FormatInt(f.port, 10))
	var up time.Duration
	if f.server != nil {
		state, up = "Running", time.Since(f.started).Truncate(time.Second)
	}
	url := "http://" + at + "/"
	return fmt.Sprintf(`HTTPFS Instance Status
======================

Virtual Path:    %s
PFS Source Path: %s
HTTP Host:       %s
HTTP Port:       %d
HTTP Endpoint:   %s

Server Status:   %s
Start Time:      %s
Uptime:          %s

Open it in a browser, or: curl %s
Unmount %s to stop it.
`, f.mount, f.source, f.host, f.port, url, state, f.started.Format(time.RFC3339), up, url, f.mount)
}

// Stat describes the mount, which is one file.
func (f *FS) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	if !p.IsRoot() {
		return vfs.Info{}, vfs.NotFound
	}
	return vfs.Info{Name: p.Base(), Mode: 0o444, Size: int64(len(f.status())), ModTime: f.started,
		Meta: vfs.Meta{Name: "httpfs-status", Type: "virtual"}}, nil
}

// List refuses: there is no directory.
func (f *FS) List(_ context.Context, _ vfs.View, p vfs.Path, _ string, _ int) ([]vfs.Info, error) {
	if !p.IsRoot() {
		return nil, vfs.NotFound
	}
	return nil, vfs.NotDirectory
}

// ReadAt reads the status.
func (f *FS) ReadAt(_ context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	switch {
	case !p.IsRoot():
		return 0, vfs.NotFound
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	}
	s := f.status()
	if off >= int64(len(s)) {
		return 0, io.EOF
	}
	n := copy(b, s[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Do refuses every change.
func (f *FS) Do(context.Context, vfs.Op) (vfs.Result, error) {
	return vfs.Result{}, vfs.Permission.With("httpfs is read-only: write to what it serves")
}
