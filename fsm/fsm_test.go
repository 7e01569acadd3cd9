package fsm

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// box is a Folder of flat files: a row for each, with text and the chunks that
// it refers to. Reading "/take" takes the rest. Writing "bad" fails after it
// has changed everything it can reach.
type box struct{}

func boxPlugin() vfs.Plugin {
	return vfs.Plugin{
		Type:   "box",
		Verbs:  vfs.Verbs(vfs.Write, vfs.Remove, vfs.Consume),
		Params: []vfs.Param{{Name: "size", Type: "int"}, {Name: "password", Secret: true}},
		Place: func(c vfs.Config) (vfs.Placement, error) {
			if _, err := c.Int("size", 0); err != nil {
				return 0, err
			}
			return vfs.Replicated, nil
		},
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return box{}, nil },
	}
}

func (box) Stat(_ context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	if p.IsRoot() {
		return vfs.Info{Name: "/", Mode: vfs.ModeDir | 0o755}, nil
	}
	b, ok := v.Get([]byte(p))
	if !ok {
		return vfs.Info{}, vfs.NotFound
	}
	info := vfs.Info{Name: p.Base(), Mode: 0o644, Size: int64(len(b)), Version: binary.BigEndian.Uint64(b)}
	if p == "/take" {
		info.Meta.Content = map[string]string{vfs.ConsumeKey: "true"}
	}
	return info, nil
}

func (box) List(_ context.Context, v vfs.View, _ vfs.Path, _ string, _ int) (out []vfs.Info, _ error) {
	for k := range v.Scan([]byte("/"), nil) {
		out = append(out, vfs.Info{Name: vfs.Path(k).Base()})
	}
	return out, nil
}

func (box) ReadAt(_ context.Context, v vfs.View, p vfs.Path, b []byte, _ int64) (int, error) {
	row, ok := v.Get([]byte(p))
	if !ok {
		return 0, vfs.NotFound
	}
	return copy(b, row[8:]), nil
}

func (f box) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	switch op.Verb {
	case vfs.Mount:
		n, _ := tx.Get([]byte("mounted"))
		tx.Put([]byte("mounted"), append(n, 'x'))
	case vfs.Write:
		f.drop(tx, op.Path)
		var refs []byte
		for _, r := range op.Refs {
			tx.Retain(r)
			refs = append(refs, r.Hash[:]...)
		}
		tx.Put([]byte(op.Path), append(binary.BigEndian.AppendUint64(nil, tx.Seq()), op.Data...))
		tx.Put(append([]byte("refs"), op.Path...), refs)
		if string(op.Data) == "bad" {
			tx.DeleteRange([]byte("/"), []byte("0"))
			return vfs.Result{}, vfs.Invalid.With("bad")
		}
		return vfs.Result{N: int64(len(op.Data)), Version: tx.Seq()}, nil
	case vfs.Remove, vfs.Consume:
		row, ok := tx.Get([]byte(op.Path))
		if !ok {
			return vfs.Result{}, vfs.NotFound
		}
		res := vfs.Result{Data: row[8:], Refs: f.drop(tx, op.Path), Version: tx.Seq()}
		tx.Delete([]byte(op.Path))
		if op.Verb == vfs.Consume {
			return res, nil
		}
	}
	return vfs.Result{}, nil
}

func (box) drop(tx vfs.Tx, p vfs.Path) (refs []vfs.ChunkRef) {
	key := append([]byte("refs"), p...)
	b, _ := tx.Get(key)
	for ; len(b) > 0; b = b[32:] {
		refs = append(refs, vfs.ChunkRef{Hash: [32]byte(b), Len: 1})
		tx.Release(refs[len(refs)-1])
	}
	tx.Delete(key)
	return refs
}

// pipe is a Device; a started one if its name says so.
type pipe struct{ name string }

func (p pipe) Stat(context.Context, vfs.View, vfs.Path) (vfs.Info, error) {
	return vfs.Info{Name: p.name, Mode: vfs.ModeDir}, nil
}
func (pipe) List(context.Context, vfs.View, vfs.Path, string, int) ([]vfs.Info, error) {
	return nil, nil
}
func (pipe) ReadAt(context.Context, vfs.View, vfs.Path, []byte, int64) (int, error) { return 0, nil }
func (pipe) Do(context.Context, vfs.Op) (vfs.Result, error)                         { return vfs.Result{}, nil }

type slowPipe struct{ pipe }

func (slowPipe) Start(context.Context) error { return nil }

func pipePlugin(kind string, place vfs.Placement, fs vfs.FileSystem, err error) vfs.Plugin {
	return vfs.Plugin{Type: kind, Verbs: vfs.Verbs(vfs.Write),
		Place: func(vfs.Config) (vfs.Placement, error) { return place, nil },
		New:   func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return fs, err }}
}

func testPlugins() []vfs.Plugin {
	return []vfs.Plugin{
		boxPlugin(), memfs.Plugin(),
		pipePlugin("pipe", vfs.PerNode, pipe{"pipe"}, nil),
		pipePlugin("slow", vfs.Shared, slowPipe{}, nil),
		pipePlugin("pinned", vfs.Pinned, pipe{"pinned"}, nil),
		pipePlugin("broken", vfs.PerNode, nil, errors.New("no such disk")),
	}
}

// rig is a Machine under test and the log that drives it.
type rig struct {
	*testing.T
	*Machine
	fatal []error
	next  uint64
	clock time.Time
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	r := &rig{T: t, clock: time.Unix(1_700_000_000, 0)}
	o := Options{Plugins: testPlugins(), Env: func(vfs.Mounted) vfs.Env { return vfs.Env{Node: "n1"} },
		Fatal: func(err error) { r.fatal = append(r.fatal, err) }}
	if change != nil {
		change(&o)
	}
	if o.Store == nil && o.Dir == "" {
		o.Store = memoryStore(t, pebblevfs.NewMem())
	}
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Machine, r.next = m, m.Applied()+1
	t.Cleanup(func() { _ = m.Close() })
	return r
}

func memoryStore(t *testing.T, fs pebblevfs.FS) *store.Store {
	t.Helper()
	st, err := store.Open("state", store.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func onDisk(dir string) func(*Options) { return func(o *Options) { o.Dir = dir } }

func logOf(index uint64, events ...vfs.Event) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: wire.AppendBatch(nil, events)}
}

func (r *rig) event(ops ...vfs.Op) vfs.Event {
	return vfs.Event{Time: r.clock, Request: vfs.Request{Ops: ops}}
}

// do applies one Event in an entry of its own.
func (r *rig) do(ev vfs.Event) vfs.Outcome {
	r.Helper()
	got := r.Apply(logOf(r.next, ev))
	r.next++
	out, ok := got.([]vfs.Outcome)
	if !ok || len(out) != 1 {
		r.Fatalf("apply answered %v", got)
	}
	return out[0]
}

func (r *rig) ops(ops ...vfs.Op) vfs.Outcome { r.Helper(); return r.do(r.event(ops...)) }

// must is ops that do not fail.
func (r *rig) must(ops ...vfs.Op) vfs.Outcome {
	r.Helper()
	out := r.ops(ops...)
	if out.Err != nil {
		r.Fatalf("%v: %v", ops, out.Err)
	}
	return out
}

// fails is ops that fail with a text.
func (r *rig) fails(kind vfs.Kind, text string, ops ...vfs.Op) {
	r.Helper()
	before := r.digest()
	out := r.ops(ops...)
	if vfs.KindOf(out.Err) != kind || out.Err == nil || !strings.Contains(out.Err.Error(), text) {
		r.Errorf("got %v, want %s: %s", out.Err, kind.Code(), text)
	}
	if r.digest() != before || out.Seq != 0 {
		r.Errorf("%v changed the state", ops)
	}
}

// digest is a hash of the whole state.
func (r *rig) digest() [32]byte {
	r.Helper()
	im := r.Image()
	defer im.Release()
	h := store.NewHasher()
	if err := store.Digest(context.Background(), im.View, h.Add); err != nil {
		r.Fatal(err)
	}
	return h.Sum()
}

func (r *rig) read(p vfs.Path) string {
	i := r.Image()
	defer i.Release()
	b := make([]byte, 1<<10)
	n, err := i.Table.ReadAt(context.Background(), i.View, p, b, 0)
	if vfs.KindOf(err) == vfs.NotFound {
		return "-"
	}
	return string(b[:n])
}

func mountOp(p vfs.Path, kind string) vfs.Op {
	return vfs.Op{Verb: vfs.Mount, Path: p, Data: EncodeMount(MountSpec{Type: kind})}
}

func write(p vfs.Path, data string, refs ...vfs.ChunkRef) vfs.Op {
	if len(refs) > 0 {
		return vfs.Op{Verb: vfs.Write, Path: p, Refs: refs}
	}
	return vfs.Op{Verb: vfs.Write, Path: p, Data: []byte(data)}
}

func chunk(n byte) vfs.ChunkRef { return vfs.ChunkRef{Hash: [32]byte{n}, Len: 1} }

func keyed(ev vfs.Event, key string) vfs.Event {
	ev.Key, ev.Sum = key, [32]byte{7}
	return ev
}
