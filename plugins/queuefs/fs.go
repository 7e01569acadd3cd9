package queuefs

import (
	"context"
	_ "embed"
	"io"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType = "queuefs"
	readmeName = "README"
	dirMode    = vfs.ModeDir | 0o755
)

// control is one of the files that every queue has.
type control struct {
	name string
	mode vfs.Mode
	kind string // Meta.Type
}

// controls is sorted by name. A file's id is its queue's id times eight plus
// its place here plus one.
var controls = [...]control{
	{"clear", 0o222, "control"},
	{"dequeue", 0o444, "control"},
	{"enqueue", 0o222, "control"},
	{"peek", 0o444, "control"},
	{"size", 0o444, "status"},
}

const (
	idShift  = 3
	idMask   = 1<<idShift - 1
	idReadme = idMask
)

func reserved(name string) bool { return controlIndex(name) >= 0 }

func controlIndex(name string) int {
	return slices.IndexFunc(controls[:], func(c control) bool { return c.name == name })
}

// FS is the filesystem. It keeps no state: all of it is in the View.
type FS struct{ chunks vfs.Chunks }

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

// spot is a path taken apart: a queue, and a file in it or "" for itself.
type spot struct {
	queue vfs.Path
	file  string
}

func locate(p vfs.Path) spot {
	switch dir, base := p.Dir(), p.Base(); {
	case p.IsRoot():
		return spot{queue: vfs.Root}
	case dir.IsRoot() && base == readmeName, !dir.IsRoot() && reserved(base):
		return spot{dir, base}
	}
	return spot{queue: p}
}

// Stat describes a queue or one of its files. The size of peek is the length
// of what a read renders, so that of a long message costs a pass over it.
func (f FS) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	s := locate(p)
	id, ok := find(v, s.queue)
	if !ok {
		return vfs.Info{}, vfs.NotFound
	}
	if s.file == "" {
		return dirInfo(v, id, p.Base()), nil
	}
	return f.fileInfo(ctx, v, id, s.file)
}

func dirInfo(v vfs.View, id uint64, name string) vfs.Info {
	q := getQueue(v, id)
	info := vfs.Info{
		Name: name, Mode: dirMode, ID: id << idShift,
		ModTime: q.changed.time(), Version: q.changed.version,
		Meta: vfs.Meta{Name: pluginType, Type: "queue"},
	}
	if id == rootID {
		info.Meta.Type, info.Meta.Content = "", map[string]string{"backend": "memory"}
	}
	return info
}

func (f FS) fileInfo(ctx context.Context, v vfs.View, id uint64, name string) (vfs.Info, error) {
	if name == readmeName {
		made := getQueue(v, id).made
		return vfs.Info{
			Name: name, Mode: 0o444, Size: int64(len(readme)), ID: id<<idShift | idReadme,
			ModTime: made.time(), Version: made.version,
			Meta: vfs.Meta{Name: pluginType, Type: "doc"},
		}, nil
	}
	i := controlIndex(name)
	t := getTally(v, id)
	info := vfs.Info{
		Name: name, Mode: controls[i].mode, ID: id<<idShift | uint64(i+1),
		Meta: vfs.Meta{Name: pluginType, Type: controls[i].kind},
	}
	at := fileStamp(t, name)
	switch name {
	case "dequeue":
		info.Meta.Content = map[string]string{vfs.ConsumeKey: "true"}
	case "size":
		info.Size = int64(len(strconv.FormatUint(t.count(), 10)))
	}
	info.ModTime, info.Version = at.time(), at.version
	if name != "peek" {
		return info, nil
	}
	info.ModTime = t.enqueued.time()
	if vfs.Folding(ctx) {
		return info, nil
	}
	var w window
	err := f.writePeek(ctx, v, t, &w)
	info.Size = w.size
	return info, err
}

// fileStamp tells when the content behind a file changed last.
func fileStamp(t tally, name string) stamp {
	switch name {
	case "enqueue":
		return t.enqueued
	case "clear":
		return t.cleared
	}
	return t.changed
}

func (f FS) writePeek(ctx context.Context, v vfs.View, t tally, w io.Writer) error {
	if t.count() == 0 {
		_, err := io.WriteString(w, nothing)
		return err
	}
	return f.render(ctx, oldest(v, t), w)
}

func oldest(v vfs.View, t tally) message {
	b, ok := v.Get(messageKey(t.box, t.head))
	if !ok {
		panic(corrupt())
	}
	return decodeMessage(b)
}

// List names the files of a queue and the queues in it, always all of them.
func (f FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	s := locate(p)
	id, ok := find(v, s.queue)
	switch {
	case !ok:
		return nil, vfs.NotFound
	case s.file != "":
		return nil, vfs.NotDirectory
	}
	infos := []vfs.Info{}
	for name, queueID := range entries(v, id, after) {
		info, err := f.entryInfo(ctx, v, id, name, queueID)
		if err != nil {
			return nil, err
		}
		if infos = append(infos, info); len(infos) == limit {
			break
		}
	}
	return infos, nil
}

func (f FS) entryInfo(ctx context.Context, v vfs.View, dir uint64, name string, queueID uint64) (vfs.Info, error) {
	if queueID != 0 {
		return dirInfo(v, queueID, name), nil
	}
	return f.fileInfo(ctx, v, dir, name)
}

// entries yields the names in a directory after `after`, in order: of queues
// with their ids, of files with 0.
func entries(v vfs.View, id uint64, after string) iter.Seq2[string, uint64] {
	files := fileNames(id)
	files = files[sort.SearchStrings(files, after):]
	if after != "" && len(files) > 0 && files[0] == after {
		files = files[1:]
	}
	return func(yield func(string, uint64) bool) {
		prefix := key(rowEntry, id)
		var from []byte
		if after != "" {
			from = append(entryKey(id, after), 0)
		}
		for k, b := range v.Scan(prefix, from) {
			name := string(k[len(prefix):])
			for ; len(files) > 0 && files[0] < name; files = files[1:] {
				if !yield(files[0], 0) {
					return
				}
			}
			if !yield(name, decodeID(b)) {
				return
			}
		}
		for _, name := range files {
			if !yield(name, 0) {
				return
			}
		}
	}
}

func fileNames(id uint64) []string {
	if id == rootID {
		return []string{readmeName}
	}
	names := make([]string, len(controls))
	for i, c := range controls {
		names[i] = c.name
	}
	return names
}

// ReadAt renders README, peek and size. To read enqueue or clear is
// Permission; dequeue is Unsupported, since taking a message is a change.
func (f FS) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	s := locate(p)
	id, ok := find(v, s.queue)
	switch {
	case !ok:
		return 0, vfs.NotFound
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	}
	switch s.file {
	case "":
		return 0, vfs.IsDirectory
	case readmeName:
		return strings.NewReader(readme).ReadAt(b, off)
	case "size":
		return strings.NewReader(strconv.FormatUint(getTally(v, id).count(), 10)).ReadAt(b, off)
	case "peek":
		return f.readPeek(ctx, v, getTally(v, id), b, off)
	case "dequeue":
		return 0, vfs.Unsupported.With("reading it takes a message")
	}
	return 0, vfs.Permission.Withf("%s is write-only", s.file)
}

func (f FS) readPeek(ctx context.Context, v vfs.View, t tally, b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	w := window{b: b, skip: off}
	switch err := f.writePeek(ctx, v, t, &w); {
	case err == errFull:
		return w.n, nil
	case err != nil:
		return 0, err
	}
	return w.n, io.EOF
}

// PathOf returns the path of a queue or of a file in one.
func (f FS) PathOf(v vfs.View, file uint64) (vfs.Path, bool) {
	id, in := file>>idShift, int(file&idMask)
	var name string
	switch {
	case id == rootID && in == idReadme:
		name = readmeName
	case id != rootID && in >= 1 && in <= len(controls):
		name = controls[in-1].name
	case in != 0:
		return "", false
	}
	var names []string
	for id != rootID {
		b, ok := v.Get(key(rowQueue, id))
		if !ok {
			return "", false
		}
		q := decodeQueue(b)
		if now, ok := child(v, q.parent, q.name); !ok || now != id {
			return "", false
		}
		names, id = append(names, q.name), q.parent
	}
	p := vfs.Root
	for _, n := range slices.Backward(names) {
		p = p.Child(n)
	}
	if name != "" {
		p = p.Child(name)
	}
	return p, true
}
