package queuefs

import (
	_ "embed"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const pluginType = "queuefs"

// FS is the filesystem. It keeps no state: all of it is in the View.
type FS struct{ chunks vfs.Chunks }

var (
	_ vfs.Folder   = FS{}
	_ vfs.Timer    = FS{}
	_ vfs.Replier  = FS{}
	_ vfs.Waiter   = FS{}
	_ vfs.Optioned = FS{}
	_ vfs.Freer    = FS{}
	_ vfs.Finder   = FS{}
	_ vfs.Checker  = FS{}
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type: pluginType,
		Doc:  readme,
		Verbs: vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Touch,
			vfs.Remove, vfs.RemoveAll, vfs.Consume),
		Params: params(),
		Later:  later,
		Place:  place,
		New:    newFS,
	}
}

// Defaults of the SQL backends.
const (
	defaultFile     = "queue.db"
	defaultDatabase = "queuedb"
)

func params() []vfs.Param {
	all := sqldb.Params(defaultFile, defaultDatabase)
	all[0].Default = "memory"
	all[0].Description = "where messages are kept: memory (replicated and durable), sqlite (or sqlite3), mysql or tidb"
	return all
}

// sinceSQL is the feature level that brought the SQL backends.
const sinceSQL = 13

// later tells of the backends that are not of the first level, and what versions
// before theirs answer to them.
func later(c vfs.Config) (since uint64, before error) {
	name, err := backendOf(c)
	if err != nil || name == memory {
		return 0, nil
	}
	return sinceSQL, vfs.Unsupported.Withf("backend %s: SQL backends are not built yet; "+
		"use backend memory, which is replicated and durable here", name)
}

const memory = "memory"

// backendOf returns the backend that the settings name.
func backendOf(c vfs.Config) (string, error) {
	name, err := c.String("backend", memory)
	if err != nil {
		return "", err
	}
	if _, err := c.Int("port", 0); err != nil {
		return "", err
	}
	switch name {
	case memory, "tidb", "mysql", "sqlite", "sqlite3":
		return name, nil
	}
	return "", vfs.Invalid.Withf("unsupported backend: %s (valid options: memory, tidb, mysql, sqlite)", name)
}

// place says where a mount with these settings runs.
func place(c vfs.Config) (vfs.Placement, error) {
	name, err := backendOf(c)
	if err != nil || name == memory {
		return vfs.Replicated, err
	}
	return sqldb.Place(c)
}

func newFS(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
	name, err := backendOf(c)
	switch {
	case err != nil:
		return nil, err
	case name == memory:
		return FS{e.Chunks}, nil
	}
	return newSQL(e, c, name)
}

// Options returns what a client may ask of an enqueue or a take beside it.
func (FS) Options(v vfs.View, verb vfs.Verb, p vfs.Path) ([]string, error) {
	names := optionsAt(locate(p), verb)
	if verb == vfs.Write && len(names) > 0 && isEarly(v) {
		return nil, vfs.Unavailable.With("priorities, delays, dedup ids and batches work once every member runs this version; send the message without")
	}
	return names, nil
}

func optionsAt(s spot, verb vfs.Verb) []string {
	switch {
	case verb == vfs.Write && s.file == "enqueue":
		return []string{"batch", "dedup", "delay", "line", "priority"}
	case verb == vfs.Consume && s.file == "take":
		return []string{"lease", "max", "wait"}
	case verb == vfs.Consume && s.file == "dequeue":
		return []string{"wait"}
	}
	return nil
}

// Await returns how many messages a queue has ready, and its tally.
func (FS) Await(v vfs.View, p vfs.Path) (ready uint64, row []byte, err error) {
	id, ok := find(v, locate(p).queue)
	if !ok {
		return 0, nil, vfs.NotFound
	}
	return getTally(v, id).ready, key(rowTally, id), nil
}

// Frees reports whether a write to p makes a queue shorter, or gives back what
// is in its way.
func (FS) Frees(p vfs.Path) bool {
	switch locate(p).file {
	case "ack", "clear", "nack":
		return true
	}
	return false
}
