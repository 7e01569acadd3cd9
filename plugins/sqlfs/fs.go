package sqlfs

import (
	"context"
	_ "embed"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType = "sqlfs"
	readmeName = "README"
)

// FS is the filesystem of one database.
type FS struct {
	settings sqldb.Settings
	log      *slog.Logger
	db       *sqldb.DB // nil until Start
	cache    *cache

	started  time.Time
	stop     context.CancelFunc
	sweeping chan struct{} // closed once the sweep has ended
}

var (
	_ vfs.Device   = (*FS)(nil)
	_ vfs.Putter   = (*FS)(nil)
	_ vfs.Streamer = (*FS)(nil)
	_ vfs.Starter  = (*FS)(nil)
	_ io.Closer    = (*FS)(nil)
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Since: 10,
		Verbs: vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Chmod, vfs.Touch,
			vfs.Remove, vfs.RemoveAll, vfs.Rename),
		Params: append(sqldb.Params("sqlfs.db", "sqlfs"),
			vfs.Param{Name: "cache_enabled", Type: "bool", Default: "true", Description: "keep listings in memory"},
			vfs.Param{Name: "cache_max_size", Type: "int", Default: "1000", Description: "how many listings at most"},
			vfs.Param{Name: "cache_ttl_seconds", Type: "int", Default: "5",
				Description: "how long at most; changes through other nodes or programs are seen this late in listings"}),
		Place: sqldb.Place,
		New:   newFS,
	}
}

func newFS(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
	s, err := sqldb.Parse(e, c, "sqlfs.db", "sqlfs")
	if err != nil {
		return nil, err
	}
	on, err := c.Bool("cache_enabled", true)
	if err != nil {
		return nil, err
	}
	size, err := c.Int("cache_max_size", 1000)
	if err != nil {
		return nil, err
	}
	ttl, err := c.Duration("cache_ttl_seconds", 5*time.Second)
	if err != nil {
		return nil, err
	}
	if size < 0 || size > 1_000_000 {
		return nil, vfs.Invalid.With("cache_max_size is invalid: it is from 0 to 1000000")
	}
	if !on {
		size = 0
	}
	return &FS{settings: s, log: e.Log, cache: newCache(int(size), ttl)}, nil
}

// Start opens the database and makes its tables.
func (f *FS) Start(ctx context.Context) error {
	db, err := f.settings.Open(ctx)
	if err != nil {
		return err
	}
	f.db, f.started = db, time.Now().UTC()
	if err := f.prepare(ctx); err != nil {
		return err
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.sweeping = make(chan struct{})
	go f.sweep(ctx)
	return nil
}

// Close lets the database go.
func (f *FS) Close() error {
	if f.stop != nil {
		f.stop()
		<-f.sweeping
	}
	if f.db == nil {
		return nil
	}
	return f.db.Close()
}

func (f *FS) info(r row) vfs.Info {
	i := vfs.Info{Name: vfs.Path(r.path).Base(), Size: r.size, Mode: r.mode.Perm(), ModTime: r.mtime,
		Version: uint64(r.version), Meta: vfs.Meta{Name: pluginType, Type: f.db.Driver()}}
	if r.dir {
		i.Mode |= vfs.ModeDir
		i.Size = 0
	}
	return i
}

// Stat describes what is at p.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	r, err := f.find(ctx, f.db.Reader(), p, "")
	if doc(p, err) {
		return vfs.Info{Name: readmeName, Size: int64(len(readme)), Mode: 0o444, Version: 1, ModTime: f.started,
			Meta: vfs.Meta{Name: pluginType, Type: "doc"}}, nil
	}
	if err != nil {
		return vfs.Info{}, err
	}
	return f.info(r), nil
}

// doc reports whether p is the page about this plugin: its root has one, unless
// the tree has a file of that name. It is in no listing.
func doc(p vfs.Path, err error) bool {
	return p == vfs.Root.Child(readmeName) && vfs.KindOf(err) == vfs.NotFound
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if all, ok := f.cache.get(p); ok {
		return cut(all, after, limit), nil
	}
	now := f.cache.now()
	if now != 0 {
		all, err := f.list(ctx, p, "", mostCached+1)
		if err != nil {
			return nil, err
		}
		if len(all) <= mostCached {
			f.cache.put(p, all, now)
			return cut(all, after, limit), nil
		}
	}
	return f.list(ctx, p, after, limit)
}

func (f *FS) list(ctx context.Context, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	d, err := f.find(ctx, f.db.Reader(), p, "")
	switch {
	case doc(p, err):
		return nil, vfs.NotDirectory
	case err != nil:
		return nil, err
	case !d.dir:
		return nil, vfs.NotDirectory
	}
	query, args := "SELECT "+columns+" FROM files WHERE parent = ? AND path > ? ORDER BY path", []any{d.id, below(p) + after}
	if limit > 0 {
		query, args = query+" LIMIT ?", append(args, limit)
	}
	rows, err := f.db.Reader().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sqldb.Kind(err)
	}
	defer rows.Close()
	infos := []vfs.Info{}
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, sqldb.Kind(err)
		}
		infos = append(infos, f.info(r))
	}
	return infos, sqldb.Kind(rows.Err())
}

// below is what the paths of all that lies under p begin with.
func below(p vfs.Path) string { return strings.TrimSuffix(string(p), "/") + "/" }
