package history

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// model is the state as plainly as it can be said: files by path, and queues.
type model struct {
	files  map[string]*file
	queues map[string]*queue
	// values holds what a version is the version of, as far as answers told.
	values map[uint64]string
}

type file struct {
	dir     bool
	value   string
	version uint64 // 0: not known
}

type queue struct {
	waiting []string // IDs
	next    uint64   // position of the next message
}

func newModel(dirs []string) *model {
	m := &model{files: map[string]*file{}, queues: map[string]*queue{}, values: map[uint64]string{}}
	for _, d := range dirs {
		m.files[d] = &file{dir: true}
	}
	return m
}

// verdict is how an Op comes out: well, with out, or with one of the codes.
type verdict struct {
	codes []string
	out   string
	place uint64
}

func (v *verdict) fail(codes ...string) { v.codes = append(v.codes, codes...) }

func (v verdict) ok() bool { return len(v.codes) == 0 }

func (v verdict) String() string {
	if v.ok() {
		return "ok"
	}
	return strings.Join(v.codes, " or ")
}

// judge says how an Op comes out now; it changes nothing.
func (m *model) judge(o *Op) (v verdict) {
	f := m.files[o.Path]
	switch o.Kind {
	case Put:
		m.judgePut(&v, o, f)
	case Delete, DeleteAll:
		m.there(&v, o.Path, f)
		if f != nil && f.dir && o.Kind == Delete && m.full(o.Path) {
			v.fail("not_empty")
		}
	case Mkdir:
		if f != nil {
			v.fail("exists")
		}
		m.room(&v, o.Path)
	case Rename:
		m.judgeRename(&v, o, f)
	case Enqueue:
		v.place = m.queue(o.Path).next
	case Dequeue:
		if q := m.queue(o.Path); len(q.waiting) > 0 {
			v.out = q.waiting[0]
		}
	default:
		m.judgeRead(&v, o, f)
	}
	return v
}

// there fails unless p, which is f, is there.
func (m *model) there(v *verdict, p string, f *file) {
	if f != nil {
		return
	}
	v.fail("not_found")
	if !m.isDir(path.Dir(p)) {
		v.fail("not_directory") // whichever is looked at first
	}
}

// room fails unless the directory that p is in is there.
func (m *model) room(v *verdict, p string) {
	if !m.isDir(path.Dir(p)) {
		v.fail("not_found", "not_directory")
	}
}

func (m *model) isDir(p string) bool { return m.files[p] != nil && m.files[p].dir }

func (m *model) judgePut(v *verdict, o *Op, f *file) {
	if o.If != nil && !m.holds(*o.If, f) {
		v.fail("stale")
		return
	}
	if f != nil && f.dir {
		v.fail("is_directory")
	}
	m.room(v, o.Path)
}

// holds reports whether a condition holds for f. Values are written once, so a
// version stands for its value where the version of f was never told.
func (m *model) holds(c Cond, f *file) bool {
	switch {
	case c.Absent:
		return f == nil
	case f == nil:
		return false
	case f.version != 0:
		return f.version == c.Version
	}
	return m.values[c.Version] == f.value
}

func (m *model) judgeRename(v *verdict, o *Op, f *file) {
	m.there(v, o.Path, f)
	if o.To == o.Path {
		return
	}
	to := m.files[o.To]
	if strings.HasPrefix(o.To, o.Path+"/") {
		v.fail("invalid")
	}
	if to == nil {
		m.room(v, o.To)
		return
	}
	if f == nil {
		return
	}
	switch {
	case f.dir && !to.dir:
		v.fail("not_directory")
	case !f.dir && to.dir:
		v.fail("is_directory")
	case f.dir && m.full(o.To):
		v.fail("not_empty")
	}
}

func (m *model) judgeRead(v *verdict, o *Op, f *file) {
	switch o.Kind {
	case Get:
		m.there(v, o.Path, f)
		if f != nil && f.dir {
			v.fail("is_directory")
		} else if f != nil {
			v.out = f.value
		}
	case List:
		m.there(v, o.Path, f)
		if f != nil && !f.dir {
			v.fail("not_directory")
		}
		v.out = m.names(o.Path)
	case Length:
		v.out = strconv.Itoa(len(m.queue(o.Path).waiting))
	}
}

// names returns the sorted names in a directory.
func (m *model) names(dir string) string {
	var out []string
	for p := range m.files {
		if path.Dir(p) == dir && p != "/" {
			out = append(out, path.Base(p))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

func (m *model) full(dir string) bool {
	for p := range m.files {
		if strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// queue returns the queue at p.
func (m *model) queue(p string) *queue {
	q := m.queues[p]
	if q == nil {
		q = &queue{next: 1}
		m.queues[p] = q
	}
	return q
}

// apply does an Op that comes out well, and answers its verdict.
func (m *model) apply(o *Op) verdict {
	v := m.judge(o)
	if !v.ok() {
		return v
	}
	switch o.Kind {
	case Put:
		m.files[o.Path] = &file{value: o.ID, version: o.Version}
	case Mkdir:
		m.files[o.Path] = &file{dir: true}
	case Delete, DeleteAll:
		m.drop(o.Path)
	case Rename:
		m.rename(o)
	case Enqueue:
		q := m.queue(o.Path)
		q.waiting, q.next = append(q.waiting, o.ID), q.next+1
	case Dequeue:
		if q := m.queue(o.Path); len(q.waiting) > 0 {
			q.waiting = q.waiting[1:]
		}
	}
	return v
}

func (m *model) drop(p string) {
	maps.DeleteFunc(m.files, func(q string, _ *file) bool { return q == p || strings.HasPrefix(q, p+"/") })
}

func (m *model) rename(o *Op) {
	if o.To == o.Path {
		return
	}
	m.drop(o.To)
	moved := map[string]*file{}
	for p, f := range m.files {
		if p == o.Path || strings.HasPrefix(p, o.Path+"/") {
			moved[o.To+strings.TrimPrefix(p, o.Path)] = f
		}
	}
	m.drop(o.Path)
	maps.Copy(m.files, moved)
	m.files[o.To].version = o.Version
}
