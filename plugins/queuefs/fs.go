package queuefs

import (
	_ "embed"

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
		Place: func(c vfs.Config) (vfs.Placement, error) {
			return vfs.Replicated, checkBackend(c)
		},
		New: func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			if err := checkBackend(c); err != nil {
				return nil, err
			}
			return FS{e.Chunks}, nil
		},
	}
}

func params() []vfs.Param {
	return []vfs.Param{
		{Name: "backend", Type: "string", Default: "memory", Description: "where messages are kept: memory (replicated and durable)"},
		{Name: "db_path", Type: "string", Default: "queue.db", Description: "file of backend sqlite"},
		{Name: "dsn", Type: "string", Description: "connection string of backends mysql and tidb", Secret: true},
		{Name: "user", Type: "string", Default: "root", Description: "database user"},
		{Name: "password", Type: "string", Description: "database password", Secret: true},
		{Name: "host", Type: "string", Default: "127.0.0.1", Description: "database host"},
		{Name: "port", Type: "int", Default: "4000", Description: "database port"},
		{Name: "database", Type: "string", Default: "queuedb", Description: "database name"},
		{Name: "enable_tls", Type: "bool", Default: "false", Description: "connect to the database over TLS"},
		{Name: "tls_server_name", Type: "string", Description: "name in the database server's certificate"},
		{Name: "tls_skip_verify", Type: "bool", Default: "false", Description: "accept any certificate"},
	}
}

func checkBackend(c vfs.Config) error {
	name, err := c.String("backend", "memory")
	if err != nil {
		return err
	}
	if _, err := c.Int("port", 0); err != nil {
		return err
	}
	switch name {
	case "memory":
		return nil
	case "tidb", "mysql", "sqlite", "sqlite3":
		return vfs.Unsupported.Withf("backend %s: SQL backends are not built yet; "+
			"use backend memory, which is replicated and durable here", name)
	}
	return vfs.Invalid.Withf("unsupported backend: %s (valid options: memory, tidb, mysql, sqlite)", name)
}

// Options returns what a client may ask of an enqueue or a take beside it.
func (FS) Options(v vfs.View, verb vfs.Verb, p vfs.Path) ([]string, error) {
	s := locate(p)
	switch {
	case verb == vfs.Write && s.file == "enqueue":
		if isEarly(v) {
			return nil, vfs.Unavailable.With("priorities, delays, dedup ids and batches work once every member runs this version; send the message without")
		}
		return []string{"batch", "dedup", "delay", "line", "priority"}, nil
	case verb == vfs.Consume && s.file == "take":
		return []string{"lease", "max", "wait"}, nil
	case verb == vfs.Consume && s.file == "dequeue":
		return []string{"wait"}, nil
	}
	return nil, nil
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
