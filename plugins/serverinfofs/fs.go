package serverinfofs

import (
	"context"
	_ "embed"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const pluginType = "serverinfofs"

// moment is for how long a rendered file is kept.
const moment = time.Second

// file is one of the files: its name, Meta.Type and content. It is sorted by
// name.
type file struct {
	name, kind string
	render     func(*FS, time.Time) string
}

func files() []file {
	return []file{
		{"README", "doc", func(*FS, time.Time) string { return readme }},
		{"server_info", "info", (*FS).serverInfo},
		{"stats", "info", (*FS).stats},
		{"traffic", "traffic", (*FS).trafficInfo},
		{"uptime", "info", (*FS).uptime},
		{"version", "info", func(f *FS, _ time.Time) string { return f.version + "\n" }},
	}
}

// rendered is a file's content and when it was made.
type rendered struct {
	text string
	at   time.Time
}

// FS is the filesystem of one node. Safe for concurrent use.
type FS struct {
	version string
	files   []file
	started time.Time
	now     func() time.Time

	mu    sync.Mutex
	kept  map[string]rendered
	rates rates
}

// Plugin returns the plugin. Of traffic, nil counts nothing. It takes every
// change, to refuse it as one on a filesystem that is read-only.
func Plugin(traffic Traffic) vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Verbs: vfs.Changes(),
		Params: []vfs.Param{{
			Name: "version", Type: "string", Description: "shown as the version; by default the server's own",
		}},
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New: func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			version, err := c.String("version", e.Version)
			if err != nil {
				return nil, err
			}
			return newFS(version, traffic, time.Now), nil
		},
	}
}

func newFS(version string, traffic Traffic, now func() time.Time) *FS {
	if traffic == nil {
		traffic = noTraffic{}
	}
	at := now()
	return &FS{
		version: version, files: files(), started: at, now: now,
		kept: map[string]rendered{}, rates: newRates(traffic, at),
	}
}

func (f *FS) find(p vfs.Path) (file, bool) {
	for _, c := range f.files {
		if p == vfs.Root.Child(c.name) {
			return c, true
		}
	}
	return file{}, false
}

// text returns a file's content and when it was rendered.
func (f *FS) text(c file) rendered {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	r, ok := f.kept[c.name]
	if !ok || now.Sub(r.at) >= moment {
		r = rendered{c.render(f, now), now}
		f.kept[c.name] = r
	}
	return r
}

// Stat describes the root or a file; the size is that of the next read, for a
// moment.
func (f *FS) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	if p.IsRoot() {
		return vfs.Info{
			Name: p.Base(), Mode: vfs.ModeDir | 0o555, ModTime: f.started.UTC(),
			Meta: vfs.Meta{Name: pluginType},
		}, nil
	}
	c, ok := f.find(p)
	if !ok {
		return vfs.Info{}, vfs.NotFound
	}
	return f.info(c), nil
}

func (f *FS) info(c file) vfs.Info {
	r := f.text(c)
	return vfs.Info{
		Name: c.name, Mode: 0o444, Size: int64(len(r.text)), ModTime: r.at.UTC(),
		Meta: vfs.Meta{Name: pluginType, Type: c.kind},
	}
}

// List names the files.
func (f *FS) List(_ context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if _, ok := f.find(p); ok {
		return nil, vfs.NotDirectory
	}
	if !p.IsRoot() {
		return nil, vfs.NotFound
	}
	infos := []vfs.Info{}
	for _, c := range f.files {
		if c.name <= after {
			continue
		}
		if infos = append(infos, f.info(c)); len(infos) == limit {
			break
		}
	}
	return infos, nil
}

// ReadAt reads a file as it is, or was a moment ago.
func (f *FS) ReadAt(_ context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	if p.IsRoot() {
		return 0, vfs.IsDirectory
	}
	c, ok := f.find(p)
	switch {
	case !ok:
		return 0, vfs.NotFound
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	}
	return strings.NewReader(f.text(c).text).ReadAt(b, off)
}

// Do refuses every change.
func (f *FS) Do(context.Context, vfs.Op) (vfs.Result, error) {
	return vfs.Result{}, vfs.Permission.With("serverinfofs is read-only")
}
