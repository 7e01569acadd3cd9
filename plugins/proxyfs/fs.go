package proxyfs

import (
	"bytes"
	"context"
	_ "embed"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType     = "proxyfs"
	readmeName     = "README"
	reloadName     = "reload"
	hint           = "Write anything to this file to connect to the server anew.\n"
	defaultTimeout = 30 * time.Second
	maxTimeout     = 10 * time.Minute
	breakAfter     = 3
	maxCache       = 16 << 30
)

// verbs are all that a server may offer; what it does not, it refuses itself.
var verbs = vfs.Changes() | vfs.Verbs(vfs.Consume)

// FS is the filesystem: the server's, and beside it /reload.
type FS struct {
	*remote.FS
	urls    []string
	root    vfs.Path
	timeout time.Duration
	tls     tlsSettings
	cache   *cache
	cluster func() string
	client  atomic.Pointer[client.Client]
	plain   atomic.Bool // the server in use is no PFS
	started time.Time
}

var (
	_ vfs.Device   = (*FS)(nil)
	_ vfs.Putter   = (*FS)(nil)
	_ vfs.Streamer = (*FS)(nil)
	_ vfs.Tuner    = (*FS)(nil)
	_ vfs.Starter  = (*FS)(nil)
	_ io.Closer    = (*FS)(nil)
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Since: 11,
		Verbs: verbs,
		Params: []vfs.Param{
			{Name: "base_url", Type: "string", Description: "URL of the server, as http://host:8080/api/v1; several of one cluster with commas between them"},
			{Name: "base_urls", Type: "list", Description: "the same as a list"},
			{Name: "remote_path", Type: "string", Default: "/", Description: "the directory of the server that is the root here"},
			{Name: "tls_ca_file", Type: "string", Description: "https: a PEM file on every node with the certificates to trust; default: the system's"},
			{Name: "tls_server_name", Type: "string", Description: "https: the name in the server's certificate; default: that in the URL"},
			{Name: "tls_skip_verify", Type: "bool", Default: "false", Description: "https: do not verify the server's certificate"},
			{Name: "cache_size", Type: "size", Default: "0", Description: "bytes of files that each node keeps in memory, if their version on the server is the same; 0: none"},
			{Name: "timeout", Type: "duration", Default: "30s", Description: "how long a call may take, and content stand still"},
		},
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Shared, nil },
		New:   func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) { return newFS(e, c) },
	}
}

func newFS(e vfs.Env, c vfs.Config) (*FS, error) {
	f := &FS{cluster: e.Cluster}
	one, err := c.String("base_url", "")
	if err != nil {
		return nil, err
	}
	if f.urls, err = c.Strings("base_urls"); err != nil {
		return nil, err
	}
	f.urls = slices.Clone(f.urls)
	for u := range strings.SplitSeq(one, ",") {
		if u = strings.TrimSpace(u); u != "" {
			f.urls = append(f.urls, u)
		}
	}
	if len(f.urls) == 0 {
		return nil, vfs.Invalid.With("base_url is required in configuration")
	}
	for _, u := range f.urls {
		if !strings.Contains(u, "://") {
			return nil, vfs.Invalid.Withf("invalid base_url %q: must begin with http:// or https://", u)
		}
	}
	at, err := c.String("remote_path", "/")
	if err == nil {
		f.root, err = vfs.ParsePath(at)
	}
	if err != nil {
		return nil, vfs.Invalid.Withf("remote_path: %v", err)
	}
	f.timeout, err = c.Duration("timeout", defaultTimeout)
	if err == nil && (f.timeout <= 0 || f.timeout > maxTimeout) {
		err = vfs.Invalid.Withf("timeout must be positive and at most %v", maxTimeout)
	}
	if err != nil {
		return nil, err
	}
	if f.tls, err = newTLS(c); err != nil {
		return nil, err
	}
	most, err := c.Size("cache_size", 0)
	if err == nil && (most < 0 || most > maxCache) {
		err = vfs.Invalid.With("cache_size must be 0 to 16GB")
	}
	if err != nil {
		return nil, err
	}
	f.cache = newCache(most)
	f.FS = remote.New(remote.Config{Name: "remote " + strings.Join(f.urls, ", "), Dial: f.dial, Root: f.root, Verbs: verbs,
		Timeout: f.timeout, Cluster: e.Cluster, Plain: f.plain.Load, Servers: len(f.urls), Tries: breakAfter})
	cl, err := client.New(client.Config{URLs: f.urls}) // tells what is wrong with a URL
	if err == nil {
		cl.Close()
	}
	return f, err
}

func (f *FS) special(p vfs.Path) bool { return p == vfs.Root.Child(reloadName) }

// doc reports whether p is the page about this plugin: the server has no
// file for.
func doc(p vfs.Path, err error) bool {
	return p == vfs.Root.Child(readmeName) && vfs.KindOf(err) == vfs.NotFound
}

func (f *FS) reloadInfo() vfs.Info {
	return vfs.Info{Name: reloadName, Mode: 0o200, ModTime: f.started, Version: 1, Meta: vfs.Meta{Name: pluginType, Type: "control",
		Content: map[string]string{"description": "Write to this file to reload the proxy connection", "remote-url": strings.Join(f.urls, ",")}}}
}

// Stat describes the file at p.
func (f *FS) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	if f.special(p) {
		return f.reloadInfo(), nil
	}
	i, err := f.FS.Stat(ctx, v, p)
	if doc(p, err) {
		return vfs.Info{Name: readmeName, Mode: 0o444, Size: int64(len(readme)), ModTime: f.started, Version: 1,
			Meta: vfs.Meta{Name: pluginType, Type: "doc"}}, nil
	}
	return i, err
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if f.special(p) {
		return nil, vfs.NotDirectory
	}
	infos, err := f.FS.List(ctx, v, p, after, limit)
	if err != nil || !p.IsRoot() || reloadName <= after {
		return infos, err
	}
	at, there := slices.BinarySearchFunc(infos, reloadName, func(i vfs.Info, n string) int { return strings.Compare(i.Name, n) })
	switch {
	case there:
		infos[at] = f.reloadInfo()
	case limit <= 0 || at < limit:
		infos = slices.Insert(infos, at, f.reloadInfo())
	}
	if limit > 0 && len(infos) > limit {
		infos = infos[:limit]
	}
	return infos, nil
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	if f.special(p) {
		return readText(hint, b, off)
	}
	n, err := f.FS.ReadAt(ctx, v, p, b, off)
	if doc(p, err) {
		return readText(readme, b, off)
	}
	return n, err
}

func readText(s string, b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	return strings.NewReader(s).ReadAt(b, off)
}

// Stream reads on from an offset.
func (f *FS) Stream(ctx context.Context, p vfs.Path, version uint64, off int64) (io.ReadCloser, error) {
	if f.special(p) {
		return nil, vfs.Unsupported // it is short
	}
	if b, ok := f.cache.get(p, version); ok && version > 0 && off <= int64(len(b)) {
		return io.NopCloser(bytes.NewReader(b[off:])), nil
	}
	turn := f.cache.now()
	r, err := f.FS.Stream(ctx, p, version, off)
	switch {
	case doc(p, err):
		return nil, vfs.Unsupported
	case err != nil || version == 0 || off != 0:
		return r, err
	}
	return f.cache.fill(r, turn, p, version), nil
}

// Tune follows a stream.
func (f *FS) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	if f.special(p) {
		return nil, -1, vfs.Unsupported
	}
	return f.FS.Tune(ctx, p, from)
}

// Put replaces a file by what r has.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if f.special(op.Path) {
		return vfs.Result{}, vfs.Unsupported // asks for Do
	}
	return f.FS.Put(ctx, op, r)
}

// Do passes a change on, or reloads.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	switch {
	case op.Path.IsRoot() && (op.Verb == vfs.Remove || op.Verb == vfs.RemoveAll || op.Verb == vfs.Rename):
		return vfs.Result{}, vfs.Permission.With("mount point") // on the server it is an ordinary directory
	case op.To != "" && f.special(op.To):
		return vfs.Result{}, vfs.Permission.With("reload is a control file")
	case !f.special(op.Path):
		return f.FS.Do(ctx, op)
	case op.Verb == vfs.Truncate: // with which a shell may begin
		return vfs.Result{}, nil
	case op.Verb == vfs.Write:
		return f.reload(ctx, op)
	case op.Verb == vfs.Create, op.Verb == vfs.Mkdir:
		return vfs.Result{}, vfs.Exists
	}
	return vfs.Result{}, vfs.Permission.With("reload is a control file")
}
