package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// simModel is what a user believes a memfs at /m and a queuefs at /q to be.
type simModel struct {
	files  map[vfs.Path]simFile
	queues map[vfs.Path]*simQueue
	keys   map[string]vfs.Outcome // by idempotency key: what it was answered
}

type simFile struct {
	dir     bool
	content string
	version uint64
}

type simQueue struct {
	next  int
	items []string
}

func newSimModel() *simModel {
	return &simModel{files: map[vfs.Path]simFile{"/m": {dir: true}}, queues: map[vfs.Path]*simQueue{},
		keys: map[string]vfs.Outcome{}}
}

// apply folds an Event in and returns how out, what the copy of the state
// machine made of it, differs from what a user expects.
func (m *simModel) apply(ev vfs.Event, out vfs.Outcome) string {
	if old, known := m.keys[ev.Key]; known && ev.Key != "" {
		if !out.Replayed || out.Seq != old.Seq || out.Index != old.Index || vfs.KindOf(out.Err) != vfs.KindOf(old.Err) {
			return fmt.Sprintf("a repeat is answered %+v, the first was %+v", out, old)
		}
		return ""
	}
	if ev.Key != "" {
		m.keys[ev.Key] = out
	}
	want := vfs.Kind(0)
	for _, op := range ev.Ops { // of which no two name one file
		if k := m.refuses(op); k != 0 {
			want = k
			break
		}
	}
	if got := vfs.KindOf(out.Err); got != want || out.Replayed || (out.Seq == 0) != (want != 0) {
		return fmt.Sprintf("kind %v, want %v, seq %d", got, want, out.Seq)
	}
	if want != 0 {
		return ""
	}
	for i, op := range ev.Ops {
		if why := m.fold(op, out.Seq, out.Results[i]); why != "" {
			return why
		}
	}
	return ""
}

// refuses returns the kind that op fails with.
func (m *simModel) refuses(op vfs.Op) vfs.Kind {
	f, there := m.files[op.Path]
	switch {
	case op.Verb == vfs.Commit:
		return 0
	case strings.HasPrefix(string(op.Path), "/q/"):
		if op.Verb == vfs.Consume && m.queues[op.Path.Dir()] == nil {
			return vfs.NotFound
		}
		return 0
	case op.If.Kind == vfs.IfVersion && (!there || f.version != op.If.Version):
		return vfs.Stale
	case op.Verb == vfs.Rename && op.To != op.Path && op.To.Under(op.Path):
		return vfs.Invalid // a matter of names alone
	case m.throughFile(op.Path):
		return vfs.NotDirectory
	case op.Verb == vfs.Write || op.Verb == vfs.Mkdir:
		return m.refusesNew(op, f, there)
	case !there:
		return vfs.NotFound
	case op.Verb == vfs.Remove && len(m.below(op.Path)) > 0:
		return vfs.NotEmpty
	case op.Verb == vfs.Rename:
		return m.refusesRename(f, op.Path, op.To)
	}
	return 0
}

func (m *simModel) refusesNew(op vfs.Op, f simFile, there bool) vfs.Kind {
	switch {
	case op.Verb == vfs.Write && f.dir:
		return vfs.IsDirectory
	case op.Verb == vfs.Mkdir && there:
		return vfs.Exists
	case !m.files[op.Path.Dir()].dir:
		return vfs.NotFound
	}
	return 0
}

func (m *simModel) refusesRename(f simFile, from, to vfs.Path) vfs.Kind {
	t, there := m.files[to]
	switch {
	case from == to:
		return 0
	case m.throughFile(to):
		return vfs.NotDirectory
	case !there && !m.files[to.Dir()].dir:
		return vfs.NotFound
	case there && f.dir && !t.dir:
		return vfs.NotDirectory
	case t.dir && !f.dir:
		return vfs.IsDirectory
	case t.dir && len(m.below(to)) > 0:
		return vfs.NotEmpty
	}
	return 0
}

func (m *simModel) throughFile(p vfs.Path) bool {
	for d := p.Dir(); !d.IsRoot(); d = d.Dir() {
		if f, ok := m.files[d]; ok && !f.dir {
			return true
		}
	}
	return false
}

func (m *simModel) below(p vfs.Path) (out []vfs.Path) {
	for q := range m.files { // any order
		if q != p && q.Under(p) {
			out = append(out, q)
		}
	}
	return out
}

// fold does an op that is not refused.
func (m *simModel) fold(op vfs.Op, seq uint64, r vfs.Result) string {
	if strings.HasPrefix(string(op.Path), "/q/") {
		return m.foldQueue(op, r)
	}
	switch op.Verb {
	case vfs.Mkdir:
		m.files[op.Path] = simFile{dir: true}
	case vfs.Write:
		f := simFile{content: string(op.Data), version: seq}
		if len(op.Refs) > 0 {
			f.content = longText(int(op.Refs[0].Len), op.Refs[0].Hash)
		}
		if op.Off == vfs.AtEnd {
			f.content = m.files[op.Path].content + f.content
		}
		m.files[op.Path] = f
		if r.Version != seq || r.N != op.Size() {
			return fmt.Sprintf("a write of %d bytes with seq %d answers %+v", op.Size(), seq, r)
		}
	case vfs.Remove, vfs.RemoveAll:
		for _, q := range append(m.below(op.Path), op.Path) {
			delete(m.files, q)
		}
	case vfs.Rename:
		if op.Path == op.To {
			return ""
		}
		for _, q := range append(m.below(op.Path), op.Path) {
			f := m.files[q]
			delete(m.files, q)
			m.files[op.To.Join(q.Rel(op.Path))] = f
		}
	}
	return ""
}

func (m *simModel) foldQueue(op vfs.Op, r vfs.Result) string {
	q := m.queues[op.Path.Dir()]
	if q == nil {
		q = &simQueue{next: 1}
		m.queues[op.Path.Dir()] = q
	}
	if op.Verb == vfs.Write {
		var a struct{ Seq int }
		if err := json.Unmarshal(r.Data, &a); err != nil || a.Seq != q.next {
			return fmt.Sprintf("enqueued at %s, want %d", r.Data, q.next)
		}
		q.items = append(q.items, string(op.Data))
		q.next++
		return ""
	}
	if len(q.items) == 0 {
		if len(r.Data) != 0 {
			return fmt.Sprintf("%q came out of an empty queue", r.Data)
		}
		return ""
	}
	if !strings.HasSuffix(string(r.Data), q.items[0]) {
		return fmt.Sprintf("%q came out, want %q", r.Data, q.items[0])
	}
	q.items = q.items[1:]
	return ""
}

// see is what a reader of the model sees; look is its twin.
func (m *simModel) see(p vfs.Path) string {
	switch {
	case p == simTree:
		var all []string
		for _, q := range append(m.below(p), p) {
			all = append(all, fmt.Sprint(q, " ", m.files[q].dir))
		}
		slices.Sort(all)
		return strings.Join(all, "\n")
	case p.Base() == "size":
		if q := m.queues[p.Dir()]; q != nil {
			return fmt.Sprint(len(q.items))
		}
		return "0"
	}
	f, ok := m.files[p]
	if !ok {
		return "nothing"
	}
	return fmt.Sprint(f.version, " ", f.content)
}
