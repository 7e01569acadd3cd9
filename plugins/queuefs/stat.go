package queuefs

import (
	"context"
	"io"
	"strconv"

	"github.com/pfs-project/pfs/vfs"
)

// Stat describes a queue or what is in it. The size of peek is the length of
// what a read renders, so that of a long message costs a pass over it.
func (f FS) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	s := locate(p)
	id, ok := find(v, s.queue)
	switch {
	case !ok:
		return vfs.Info{}, vfs.NotFound
	case isEarly(v) && !s.isEarly():
		return vfs.Info{}, vfs.NotFound
	case s.file == "":
		return dirInfo(v, id, p.Base()), nil
	case s.file == readmeName && id == rootID:
		return f.fileInfo(ctx, v, id, nil, s.file)
	case s.entry == "":
		t := getTally(v, id)
		return f.fileInfo(ctx, v, id, &t, s.file)
	}
	r, ok := findEntry(v, id, s)
	if !ok {
		return vfs.Info{}, vfs.NotFound
	}
	return f.entryInfo(ctx, r, s.entry)
}

func dirInfo(v vfs.View, id uint64, name string) vfs.Info {
	q := getQueue(v, id)
	info := vfs.Info{
		Name: name, Mode: dirMode, ID: idIn(v, id, ""),
		ModTime: q.changed.time(), Version: q.changed.version,
		Meta: vfs.Meta{Name: pluginType, Type: "queue"},
	}
	if id == rootID {
		info.Meta.Type, info.Meta.Content = "", map[string]string{"backend": "memory"}
	}
	return info
}

func (f FS) fileInfo(ctx context.Context, v vfs.View, id uint64, t *tally, name string) (vfs.Info, error) {
	if id == rootID {
		made := getQueue(v, id).made
		return vfs.Info{
			Name: name, Mode: 0o444, Size: int64(len(readme)), ID: idIn(v, id, name),
			ModTime: made.time(), Version: made.version,
			Meta: vfs.Meta{Name: pluginType, Type: "doc"},
		}, nil
	}
	info := controlInfo(name, fileStamp(v, id, t, name))
	info.ID = idIn(v, id, name)
	var err error
	switch name {
	case "size", "ctl", "stats.json":
		info.Size = int64(len(t.text(v, id, name)))
	case "peek":
		info.ModTime = t.enqueued.time()
		if !vfs.Folding(ctx) {
			var w window
			err = f.writePeek(ctx, v, t, &w)
			info.Size = w.size
		}
	}
	return info, err
}

// controlInfo describes a control, but for its size and its id.
func controlInfo(name string, at stamp) vfs.Info {
	c := controls[controlIndex(name)]
	info := vfs.Info{Name: name, Mode: c.mode, ModTime: at.time(), Version: at.version, Meta: vfs.Meta{Name: pluginType, Type: c.kind}}
	if name == "dequeue" || name == "take" {
		info.Meta.Content = map[string]string{vfs.ConsumeKey: "true"}
	}
	return info
}

// fileStamp tells when the content behind a file changed last.
func fileStamp(v vfs.View, id uint64, t *tally, name string) stamp {
	return t.stampOf(name, func() stamp {
		if t.set {
			return getSettings(v, id, t).at
		}
		return getQueue(v, id).made
	})
}

// stampOf is fileStamp; ctl tells when the settings were set.
func (t *tally) stampOf(name string, ctl func() stamp) stamp {
	switch name {
	case "enqueue":
		return t.enqueued
	case "clear":
		return t.cleared
	case "ctl":
		return ctl()
	}
	return t.changed
}

// text is the content of the files that are a few words.
func (t *tally) text(v vfs.View, id uint64, name string) string {
	switch name {
	case "ctl":
		return getSettings(v, id, t).show()
	case "stats.json":
		return t.stats(v)
	}
	return t.size()
}

// size is the content of the file of that name.
func (t *tally) size() string { return strconv.FormatUint(t.ready, 10) }

func (f FS) writePeek(ctx context.Context, v vfs.View, t *tally, w io.Writer) error {
	if t.ready == 0 {
		_, err := io.WriteString(w, nothing)
		return err
	}
	m := getMessage(v, t.box, seqOf(t.front[0]))
	return f.render(ctx, m, "", w)
}
