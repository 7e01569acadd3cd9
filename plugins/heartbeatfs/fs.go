package heartbeatfs

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType     = "heartbeatfs"
	readmeName     = "README"
	defaultTimeout = 5 * time.Minute
	maxTimeout     = 10 * 365 * 24 * time.Hour
	dirMode        = vfs.ModeDir | 0o755
)

// The files of an item. An item's file has the item's id times four plus its
// place here plus one.
var files = []string{"ctl", "keepalive"}

const (
	idShift  = 2
	idMask   = 1<<idShift - 1
	idReadme = idMask
)

// FS is the filesystem. It keeps no state: all of it is in the View.
type FS struct{ timeout time.Duration }

var (
	_ vfs.Folder = FS{}
	_ vfs.Timer  = FS{}
	_ vfs.Finder = FS{}
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Since: 2,
		Verbs: vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Touch, vfs.Remove, vfs.RemoveAll),
		Params: []vfs.Param{{Name: "default_timeout", Type: "duration", Default: "5m",
			Description: "how long a new item lives without a beat: seconds, or a duration such as 30s"}},
		Place: func(c vfs.Config) (vfs.Placement, error) {
			_, err := timeoutOf(c)
			return vfs.Replicated, err
		},
		New: func(_ vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			d, err := timeoutOf(c)
			return FS{d}, err
		},
	}
}

func timeoutOf(c vfs.Config) (time.Duration, error) {
	d, err := c.Duration("default_timeout", defaultTimeout)
	if err == nil && (d <= 0 || d > maxTimeout) {
		err = vfs.Invalid.Withf("default_timeout must be positive and at most %v", maxTimeout)
	}
	return d, err
}

// spot is a path taken apart: an item and a file of it, or "" for itself. The
// root has no item.
type spot struct{ item, file string }

func locate(p vfs.Path) (s spot, err error) {
	switch e := p.Elems(); {
	case len(e) == 0:
	case len(e) == 1 && e[0] == readmeName:
		s.file = readmeName
	case len(e) == 1:
		s.item = e[0]
	case e[0] == readmeName:
		err = vfs.NotDirectory
	case len(e) == 2 && slices.Contains(files, e[1]):
		s = spot{e[0], e[1]}
	case len(e) > 2 && slices.Contains(files, e[1]):
		err = vfs.NotDirectory
	default:
		err = vfs.NotFound
	}
	return s, err
}

// look locates p and finds its item.
func look(v vfs.View, p vfs.Path) (spot, item, error) {
	s, err := locate(p)
	if err != nil || s.item == "" {
		return s, item{}, err
	}
	i, ok := find(v, s.item)
	if !ok {
		return s, i, vfs.NotFound.Withf("heartbeat item not found: %s", s.item)
	}
	return s, i, nil
}

// Stat describes the root, an item, or a file. The modification time of
// keepalive is that of the last beat.
func (f FS) Stat(_ context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	s, i, err := look(v, p)
	if err != nil {
		return vfs.Info{}, err
	}
	return describe(v, s, i), nil
}

func describe(v vfs.View, s spot, i item) vfs.Info {
	info := vfs.Info{Name: s.file, Mode: 0o644, Meta: vfs.Meta{Name: pluginType}}
	at := rootStamp(v)
	switch {
	case s == spot{}:
		info.Name, info.Mode, info.Meta.Type = "/", dirMode, "dir"
	case s.file == readmeName:
		info.Mode, info.Size, info.ID, info.Meta.Type = 0o444, int64(len(readme)), idReadme, "doc"
	case s.file == "":
		info.Name, info.Mode, info.ID, info.Meta.Type = s.item, dirMode, i.id<<idShift, "heartbeat_dir"
		at = i.made
	case s.file == "ctl":
		info.Size, info.ID, info.Meta.Type = int64(len(i.status())), fileID(i, s.file), "control"
		at = latest(i.beat, i.set)
	default:
		info.ID, info.Meta.Type = fileID(i, s.file), "file"
		at = i.beat
	}
	info.ModTime, info.Version = at.time(), at.version
	return info
}

func fileID(i item, name string) uint64 {
	return i.id<<idShift | uint64(slices.Index(files, name)+1)
}

func latest(a, b stamp) stamp {
	if a.version > b.version {
		return a
	}
	return b
}

// status is what ctl reads as. An item that is there is alive: it goes with the
// Event that finds it expired.
func (i item) status() string {
	return fmt.Sprintf("last_heartbeat_ts: %s\nexpire_ts: %s\ntimeout: %d\nstatus: alive\n",
		i.beat.time().Format(time.RFC3339), i.expiry().Format(time.RFC3339), int64(i.timeout/time.Second))
}

// List names the items, or the files of one.
func (f FS) List(_ context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	s, i, err := look(v, p)
	switch {
	case err != nil:
		return nil, err
	case s.file != "":
		return nil, vfs.NotDirectory
	}
	infos := []vfs.Info{}
	add := func(s spot, i item) bool {
		infos = append(infos, describe(v, s, i))
		return len(infos) != limit
	}
	if s.item != "" {
		for _, name := range files {
			if name > after && !add(spot{s.item, name}, i) {
				break
			}
		}
		return infos, nil
	}
	doc := after < readmeName // it is still to come
	var from []byte
	if after != "" {
		from = append(itemKey(after), 0)
	}
	for k, b := range v.Scan([]byte{rowItem}, from) {
		name := string(k[1:])
		if doc && name > readmeName {
			if doc = false; !add(spot{file: readmeName}, item{}) {
				return infos, nil
			}
		}
		if !add(spot{item: name}, decodeItem(b)) {
			return infos, nil
		}
	}
	if doc {
		add(spot{file: readmeName}, item{})
	}
	return infos, nil
}

// ReadAt reads README and ctl; keepalive is empty.
func (f FS) ReadAt(_ context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	s, i, err := look(v, p)
	switch {
	case err != nil:
		return 0, err
	case s.file == "":
		return 0, vfs.IsDirectory
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	}
	text := map[string]string{readmeName: readme, "ctl": ""}[s.file]
	if s.file == "ctl" {
		text = i.status()
	}
	if len(b) == 0 && off < int64(len(text)) {
		return 0, nil
	}
	n, err := strings.NewReader(text).ReadAt(b, off)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

// PathOf returns where the item or file with an id is.
func (f FS) PathOf(v vfs.View, file uint64) (vfs.Path, bool) {
	id, in := file>>idShift, int(file&idMask)
	if id == 0 {
		return vfs.Root.Child(readmeName), in == idReadme
	}
	name, ok := v.Get(nameKey(id))
	if !ok || in > len(files) {
		return "", false
	}
	p := vfs.Root.Child(string(name))
	if in > 0 {
		p = p.Child(files[in-1])
	}
	return p, true
}

// Due asks for a Reap once the first item is over.
func (f FS) Due(v vfs.View, now time.Time) (ops []vfs.Op, next time.Time) {
	for k := range v.Scan([]byte{rowExpiry}, nil) {
		at, _ := expires(k)
		if at.After(now) {
			return nil, at
		}
		return []vfs.Op{{Verb: vfs.Reap, Path: vfs.Root}}, now
	}
	return nil, time.Time{}
}
