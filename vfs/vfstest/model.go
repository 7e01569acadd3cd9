package vfstest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// model is what files and directories are, as plainly as it can be said: a map
// from path to file. home is its root; all paths lie below it.
type model struct {
	home    vfs.Path
	parents bool // missing directories above a new file are made
	files   map[vfs.Path]*modelFile
}

type modelFile struct {
	dir   bool
	data  []byte
	mode  vfs.Mode  // 0: whatever the plugin gives
	mtime time.Time // zero: not checked
}

func newModel(home vfs.Path, parents bool) *model {
	return &model{home, parents, map[vfs.Path]*modelFile{home: {dir: true}}}
}

// verdict is how an Op may come out: with one of the kinds, or, if ok is set,
// well.
type verdict struct {
	ok    bool
	kinds []vfs.Kind
}

func (v *verdict) fail(kinds ...vfs.Kind) { v.kinds = append(v.kinds, kinds...) }

func (v verdict) String() string {
	if len(v.kinds) == 0 {
		return "success"
	}
	codes := make([]string, len(v.kinds))
	for i, k := range v.kinds {
		codes[i] = k.Code()
	}
	if v.ok {
		codes = append(codes, "success")
	}
	return strings.Join(codes, " or ")
}

// allows reports whether err is one of the ways to come out.
func (v verdict) allows(err error) bool {
	if err == nil {
		return v.ok || len(v.kinds) == 0
	}
	return slices.Contains(v.kinds, vfs.KindOf(err))
}

// above judges the directories on the way to p: a file among them, or, unless
// they are made, one that is missing.
func (m *model) above(v *verdict, p vfs.Path, made bool) {
	for d := p.Dir(); ; d = d.Dir() {
		f, ok := m.files[d]
		if ok && !f.dir {
			v.fail(vfs.NotDirectory, vfs.NotFound)
		}
		if !ok && !made {
			v.fail(vfs.NotFound)
		}
		if d == m.home {
			return
		}
	}
}

// judge says how op may come out.
func (m *model) judge(op vfs.Op) (v verdict) {
	f, there := m.files[op.Path]
	isDir := there && f.dir
	makes := op.Verb == vfs.Create || op.Verb == vfs.Touch || op.Verb == vfs.Write && op.Flag&vfs.FlagCreate != 0
	if !there {
		m.above(&v, op.Path, makes && m.parents)
	}
	switch op.Verb {
	case vfs.Create, vfs.Mkdir:
		if there {
			v.fail(vfs.Exists)
		}
	case vfs.Write:
		if there && op.Flag&vfs.FlagExclusive != 0 {
			v.fail(vfs.Exists)
		}
		if op.Off < 0 && op.Off != vfs.AtEnd && op.Flag&vfs.FlagAppend == 0 {
			v.fail(vfs.Invalid)
		}
	case vfs.Truncate:
		if op.Off < 0 {
			v.fail(vfs.Invalid)
		}
	case vfs.Remove:
		if isDir && m.full(op.Path) {
			v.fail(vfs.NotEmpty)
		}
	case vfs.Rename:
		m.judgeRename(&v, op, isDir)
	}
	if isDir && (op.Verb == vfs.Write || op.Verb == vfs.Truncate) {
		v.fail(vfs.IsDirectory)
	}
	if !there && !makes && op.Verb != vfs.Mkdir {
		v.fail(vfs.NotFound)
	}
	return v
}

func (m *model) judgeRename(v *verdict, op vfs.Op, isDir bool) {
	if op.To == op.Path {
		return
	}
	to, taken := m.files[op.To]
	if op.To.Under(op.Path) {
		v.fail(vfs.Invalid)
	}
	if !taken {
		m.above(v, op.To, m.parents)
	}
	switch {
	case !taken:
	case isDir && !to.dir:
		v.fail(vfs.NotDirectory, vfs.Exists)
	case !isDir && to.dir:
		v.fail(vfs.IsDirectory, vfs.Exists)
	case isDir && m.full(op.To):
		v.fail(vfs.NotEmpty, vfs.Exists)
	case isDir: // whether an empty directory is replaced is left open
		if len(v.kinds) == 0 {
			v.ok = true
		}
		v.fail(vfs.Exists)
	}
}

// full reports whether there is anything in the directory p.
func (m *model) full(p vfs.Path) bool {
	for q := range m.files {
		if q != p && q.Under(p) {
			return true
		}
	}
	return false
}

// apply does what op does when it comes out well.
func (m *model) apply(op vfs.Op, data []byte, now time.Time) {
	f := m.files[op.Path]
	switch op.Verb {
	case vfs.Mkdir:
		m.files[op.Path] = &modelFile{dir: true, mode: op.Mode}
	case vfs.Create, vfs.Touch:
		f = m.make(op, f)
		f.mtime = now
	case vfs.Write:
		m.write(m.make(op, f), op, data, now)
	case vfs.Truncate:
		f.data, f.mtime = resize(f.data, op.Off), now
	case vfs.Chmod:
		f.mode, f.mtime = op.Mode, time.Time{}
	case vfs.Remove, vfs.RemoveAll:
		m.drop(op.Path)
	case vfs.Rename:
		m.rename(op)
	}
}

// make returns f, or the new file that op makes with the directories above it.
func (m *model) make(op vfs.Op, f *modelFile) *modelFile {
	if f != nil {
		return f
	}
	m.mkdirs(op.Path)
	m.files[op.Path] = &modelFile{mode: op.Mode}
	return m.files[op.Path]
}

func (m *model) mkdirs(p vfs.Path) {
	for d := p.Dir(); m.files[d] == nil; d = d.Dir() {
		m.files[d] = &modelFile{dir: true}
	}
}

func (m *model) write(f *modelFile, op vfs.Op, data []byte, now time.Time) {
	f.mtime = now
	if op.Flag&vfs.FlagTruncate != 0 {
		f.data = nil
	}
	off := op.Off
	if off == vfs.AtEnd || op.Flag&vfs.FlagAppend != 0 {
		off = int64(len(f.data))
	}
	if len(data) == 0 {
		return
	}
	f.data = resize(f.data, max(int64(len(f.data)), off+int64(len(data))))
	copy(f.data[off:], data)
}

func resize(b []byte, n int64) []byte {
	out := make([]byte, n)
	copy(out, b)
	return out
}

func (m *model) drop(p vfs.Path) {
	for q := range m.files {
		if q.Under(p) && q != m.home {
			delete(m.files, q)
		}
	}
}

func (m *model) rename(op vfs.Op) {
	if op.To == op.Path {
		return
	}
	m.drop(op.To)
	m.mkdirs(op.To)
	moved := map[vfs.Path]*modelFile{}
	for q, f := range m.files {
		if q.Under(op.Path) {
			moved[op.To.Join(q.Rel(op.Path))] = f
			delete(m.files, q)
		}
	}
	for q, f := range moved {
		m.files[q] = f
	}
	m.files[op.To].mtime = time.Time{}
}

// compare holds the walked files below home against the model.
func (m *model) compare(all []entry) error {
	seen := 0
	for _, e := range all {
		if e.path == m.home || !e.path.Under(m.home) {
			continue
		}
		seen++
		f, ok := m.files[e.path]
		switch {
		case !ok:
			return fmt.Errorf("%s is there and should not be", e.path)
		case f.dir != e.info.IsDir():
			return fmt.Errorf("%s: that it is a directory is %v", e.path, e.info.IsDir())
		case f.mode != 0 && f.mode != e.info.Mode.Perm():
			return fmt.Errorf("%s has mode %o; expected %o", e.path, e.info.Mode.Perm(), f.mode)
		case !f.dir && !bytes.Equal(f.data, e.data):
			return fmt.Errorf("%s holds %s; expected %s", e.path, clip(e), clip(entry{data: f.data}))
		case !f.mtime.IsZero() && !f.dir && !f.mtime.Equal(e.info.ModTime):
			return fmt.Errorf("%s was changed at %v; expected %v", e.path, e.info.ModTime, f.mtime)
		}
	}
	if seen != len(m.files)-1 {
		for _, p := range sorted(m.files) {
			if !slices.ContainsFunc(all, func(e entry) bool { return e.path == p }) {
				return fmt.Errorf("%s is missing", p)
			}
		}
	}
	return nil
}
