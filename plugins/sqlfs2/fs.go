package sqlfs2

import (
	"context"
	"database/sql"
	_ "embed"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType   = "sqlfs2"
	readmeName   = "README"
	mostSessions = 100
)

// FS is the filesystem of one database server or file.
type FS struct {
	settings sqldb.Settings
	log      *slog.Logger
	idle     time.Duration // after which a session ends; 0: never
	limit    time.Duration // of one statement
	most     int64         // bytes of one result

	db      *sql.DB // nil until Start
	started time.Time
	stop    chan struct{}
	watch   sync.WaitGroup

	mu       sync.Mutex
	last     int64 // session
	sessions map[int64]*session
}

var (
	_ vfs.Device  = (*FS)(nil)
	_ vfs.Putter  = (*FS)(nil)
	_ vfs.Starter = (*FS)(nil)
	_ io.Closer   = (*FS)(nil)
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Since: 12,
		Verbs: vfs.Verbs(vfs.Write, vfs.Truncate, vfs.RemoveAll, vfs.Consume),
		Params: append(sqldb.Params("sqlfs2.db", "test"),
			vfs.Param{Name: "session_timeout", Type: "duration", Default: "10m",
				Description: "a session that is not used so long is rolled back and ends; 0: never"},
			vfs.Param{Name: "query_timeout", Type: "duration", Default: "30s", Description: "how long one statement may take"},
			vfs.Param{Name: "max_result", Type: "size", Default: "4MB", Description: "how long a result may be"}),
		Place: func(c vfs.Config) (vfs.Placement, error) {
			_, err := sqldb.Place(c)
			return vfs.Pinned, err
		},
		New: newFS,
	}
}

func newFS(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
	s, err := sqldb.Parse(e, c, "sqlfs2.db", "test")
	if err != nil {
		return nil, err
	}
	f := &FS{settings: s, log: e.Log, sessions: map[int64]*session{}, stop: make(chan struct{})}
	if f.idle, err = c.Duration("session_timeout", 10*time.Minute); err != nil {
		return nil, err
	}
	if f.limit, err = c.Duration("query_timeout", 30*time.Second); err != nil {
		return nil, err
	}
	if f.most, err = c.Size("max_result", 4<<20); err != nil {
		return nil, err
	}
	if f.limit <= 0 || f.most < 1 || f.most > 64<<20 {
		return nil, vfs.Invalid.With("query_timeout must be more than 0, and max_result at most 64MB")
	}
	return f, nil
}

// Start opens the database.
func (f *FS) Start(ctx context.Context) (err error) {
	if f.db, err = f.settings.Sessions(ctx); err != nil {
		return err
	}
	f.started = time.Now().UTC()
	// So that one who has the id of a session of an earlier start does not find another.
	f.last = f.started.Unix() * 1000
	f.watch.Go(f.expire)
	return nil
}

// Close rolls all sessions back.
func (f *FS) Close() error {
	if f.db == nil {
		return nil
	}
	close(f.stop)
	f.watch.Wait()
	for _, s := range f.all() {
		f.end(s, "the mount has ended")
	}
	return f.db.Close()
}

// expire ends sessions that nobody uses.
func (f *FS) expire() {
	for {
		select {
		case <-f.stop:
			return
		case <-time.After(time.Second):
		}
		for _, s := range f.all() {
			if f.idle > 0 && s.unused() > f.idle {
				f.end(s, "session_timeout")
			}
		}
	}
}
