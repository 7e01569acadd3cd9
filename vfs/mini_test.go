package vfs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

// mapView is a View over a map.
type mapView map[string]string

func (m mapView) Get(key []byte) ([]byte, bool) {
	v, ok := m[string(key)]
	return []byte(v), ok
}

func (m mapView) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		var keys []string
		for k := range m {
			if strings.HasPrefix(k, string(prefix)) && k >= string(from) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			if !yield([]byte(k), []byte(m[k])) {
				return
			}
		}
	}
}

func (m mapView) Put(key, value []byte) { m[string(key)] = string(value) }
func (m mapView) Delete(key []byte)     { delete(m, string(key)) }
func (m mapView) DeleteRange(from, to []byte) {
	for k := range m {
		if k >= string(from) && (to == nil || k < string(to)) {
			delete(m, k)
		}
	}
}

// tx is an Overlay with a number and a time.
type tx struct {
	*vfs.Overlay
	seq uint64
}

func (t tx) Retain(vfs.ChunkRef)  {}
func (t tx) Release(vfs.ChunkRef) {}
func (t tx) Now() time.Time       { return time.Unix(int64(t.seq), 0).UTC() }
func (t tx) Seq() uint64          { return t.seq }

// mini is a small filesystem: a row for each path, with kind, version and
// content. With links it keeps symbolic links itself.
type mini struct{ links bool }

func row(kind byte, seq uint64, data string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{kind}, seq), data...)
}

// find returns the row at p, a LinkError for a link on the way.
func (m mini) find(v vfs.View, p vfs.Path, final bool) ([]byte, error) {
	at := vfs.Root
	for i, name := range p.Elems() {
		at = at.Child(name)
		b, ok := v.Get([]byte(at))
		last := i == len(p.Elems())-1
		switch {
		case !ok:
			return nil, vfs.NotFound
		case b[0] == 'l' && (!last || final):
			return nil, &vfs.LinkError{At: at, Target: string(b[9:]), Rest: p.Rel(at)}
		case last:
			return b, nil
		case b[0] != 'd':
			return nil, vfs.NotDirectory
		}
	}
	return row('d', 0, ""), nil
}

func (m mini) Stat(_ context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	b, err := m.find(v, p, false)
	if err != nil {
		return vfs.Info{}, err
	}
	return m.info(p.Base(), b), nil
}

func (m mini) info(name string, b []byte) vfs.Info {
	info := vfs.Info{Name: name, Mode: 0o644, Size: int64(len(b) - 9), Version: binary.BigEndian.Uint64(b[1:]), ID: uint64(b[0])}
	switch b[0] {
	case 'd':
		info.Mode, info.Size = vfs.ModeDir|0o755, 0
	case 'l':
		info.Mode, info.Target, info.Size = vfs.ModeLink, string(b[9:]), 0
	}
	if name == "take" {
		info.Meta.Content = map[string]string{vfs.ConsumeKey: "true"}
	}
	return info
}

func (m mini) List(_ context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	b, err := m.find(v, p, true)
	if err != nil {
		return nil, err
	}
	if b[0] != 'd' {
		return nil, vfs.NotDirectory
	}
	var out []vfs.Info
	for k, b := range v.Scan([]byte("/"), nil) {
		q := vfs.Path(k)
		if q.Dir() == p && q.Base() > after {
			out = append(out, m.info(q.Base(), b))
		}
	}
	slices.SortFunc(out, func(a, b vfs.Info) int { return strings.Compare(a.Name, b.Name) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

func (m mini) ReadAt(_ context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	r, err := m.find(v, p, true)
	if err != nil {
		return 0, err
	}
	if r[0] == 'd' {
		return 0, vfs.IsDirectory
	}
	return bytes.NewReader(r[9:]).ReadAt(b, off)
}

func (m mini) PathOf(_ vfs.View, file uint64) (vfs.Path, bool) { return "/byid", file == 7 }
func (m mini) Due(vfs.View, time.Time) ([]vfs.Op, time.Time)   { return nil, time.Time{} }

func (m mini) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if op.File != 0 {
		op.Path, _ = m.PathOf(tx, op.File)
	}
	if op.Verb == vfs.Reap {
		tx.Put([]byte("/reaped"), row('f', tx.Seq(), string(op.Path)))
		return vfs.Result{}, nil
	}
	dir, err := m.find(tx, op.Path.Dir(), true)
	var link *vfs.LinkError
	if errors.As(err, &link) {
		link.Rest = link.Rest.Join(vfs.Root.Child(op.Path.Base()))
	}
	if err != nil {
		return vfs.Result{}, err
	}
	if dir[0] != 'd' {
		return vfs.Result{}, vfs.NotDirectory
	}
	follow := op.Verb == vfs.Write || op.Verb == vfs.Create || op.Verb == vfs.Chmod || op.Verb == vfs.Consume
	old, err := m.find(tx, op.Path, follow)
	if errors.As(err, &link) {
		return vfs.Result{}, err
	}
	return m.change(tx, op, old)
}

func (m mini) change(tx vfs.Tx, op vfs.Op, old []byte) (vfs.Result, error) {
	key, res := []byte(op.Path), vfs.Result{Version: tx.Seq()}
	if old == nil && op.Verb != vfs.Create && op.Verb != vfs.Mkdir && op.Verb != vfs.Symlink &&
		(op.Verb != vfs.Write || op.Flag&vfs.FlagCreate == 0) {
		return vfs.Result{}, vfs.NotFound
	}
	if old != nil && op.Verb == vfs.Symlink && old[0] != 'l' {
		return vfs.Result{}, vfs.Exists.With("file")
	}
	if old != nil && (op.Verb == vfs.Create || op.Verb == vfs.Mkdir || op.Verb == vfs.Symlink) {
		return vfs.Result{}, vfs.Exists
	}
	switch op.Verb {
	case vfs.Create, vfs.Write:
		if old != nil && old[0] == 'd' {
			return vfs.Result{}, vfs.IsDirectory
		}
		tx.Put(key, row('f', tx.Seq(), string(op.Data)))
		res.N = int64(len(op.Data))
	case vfs.Mkdir:
		tx.Put(key, row('d', tx.Seq(), ""))
	case vfs.Symlink:
		tx.Put(key, row('l', tx.Seq(), op.Target))
	case vfs.Chmod:
		tx.Put(key, row(old[0], tx.Seq(), string(old[9:])))
	case vfs.Consume:
		res.Data = bytes.Clone(old[9:])
		tx.Put(key, row('f', tx.Seq(), ""))
	case vfs.Remove, vfs.RemoveAll:
		below := append(bytes.Clone(key), '/')
		for range tx.Scan(below, nil) {
			if op.Verb == vfs.Remove {
				return vfs.Result{}, vfs.NotEmpty
			}
		}
		tx.DeleteRange(below, vfs.PrefixEnd(below))
		tx.Delete(key)
	case vfs.Rename:
		return res, m.rename(tx, op)
	}
	return res, nil
}

func (m mini) rename(tx vfs.Tx, op vfs.Op) error {
	if _, err := m.find(tx, op.To.Dir(), true); err != nil {
		return err
	}
	moved := map[string][]byte{}
	for k, v := range tx.Scan([]byte(op.Path), nil) {
		if p := vfs.Path(k); p.Under(op.Path) {
			moved[string(op.To.Join(p.Rel(op.Path)))] = bytes.Clone(v)
			defer tx.Delete(bytes.Clone(k))
		}
	}
	for k, v := range moved {
		tx.Put([]byte(k), v)
	}
	return nil
}

// outside is a Device over a mini of its own.
type outside struct {
	mini
	state mapView
	seq   *uint64
}

func (o outside) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	return o.mini.Stat(ctx, o.state, p)
}

func (o outside) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	return o.mini.List(ctx, o.state, p, after, limit)
}

func (o outside) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	return o.mini.ReadAt(ctx, o.state, p, b, off)
}

func (o outside) Apply() {} // hides mini's: a Device is no Folder

func (o outside) Do(_ context.Context, op vfs.Op) (vfs.Result, error) {
	*o.seq++
	t := tx{vfs.NewOverlay(o.state), *o.seq}
	res, err := o.mini.Apply(t, op)
	if err == nil {
		t.Flush(o.state)
	}
	return res, err
}

// world is a state, a Table over it, and what a proposer does.
type world struct {
	t     *testing.T
	table *vfs.Table
	state mapView
	seq   uint64

	outside bool // there are Devices, which the fold knows nothing of
}

const allVerbs = vfs.VerbSet(1<<vfs.Mount - 1)

func noLinks() vfs.VerbSet { return allVerbs &^ vfs.Verbs(vfs.Symlink) }

// newWorld mounts "path" (links kept by the Table), "path=own" (by the
// filesystem), "path=tree" (likewise), "path=out" (a Device), "path=outown" and
// "path=down".
func newWorld(t *testing.T, specs ...string) *world {
	w := &world{t: t, state: mapView{}, seq: 100}
	var mounts []vfs.Mounted
	for i, s := range specs {
		path, kind, _ := strings.Cut(s, "=")
		m := vfs.Mounted{ID: uint64(i + 1), Path: vfs.Path(path), Type: "mini", Place: vfs.Replicated,
			FS: mini{}, Verbs: noLinks(), When: time.Unix(int64(i+1), 0)}
		switch kind {
		case "own":
			m.FS, m.Verbs = mini{links: true}, allVerbs
		case "out":
			m.Place, m.FS = vfs.Shared, outside{mini{}, mapView{}, new(uint64)}
		case "outown":
			m.Place, m.FS, m.Verbs = vfs.Shared, outside{mini{links: true}, mapView{}, new(uint64)}, allVerbs
		case "tree":
			f, err := tree.New(tree.Options{Type: "mini", Verbs: tree.AllVerbs})
			if err != nil {
				t.Fatal(err)
			}
			state := tx{vfs.NewOverlay(w.state), 1}
			if _, err := f.Apply(vfs.SubTx(state, vfs.MountPrefix(m.ID)), vfs.Op{Verb: vfs.Mount}); err != nil {
				t.Fatal(err)
			}
			state.Flush(w.state)
			m.FS, m.Verbs = f, tree.AllVerbs
		case "down":
			m.FS, m.Err = nil, errors.New("disk is gone")
		}
		w.outside = w.outside || m.Place != vfs.Replicated
		mounts = append(mounts, m)
	}
	w.table = vfs.NewTable(mounts)
	return w
}

// propose does op as a server does: Target, then the log or the Device.
func (w *world) propose(op vfs.Op) (vfs.Result, error) {
	ctx := context.Background()
	m, rel, err := w.table.Target(ctx, w.state, op)
	switch {
	case err != nil:
		if !w.outside {
			if _, folded := w.apply(op); answer("", folded) != err.Error() {
				w.t.Errorf("%v %s: before the log %v, in it %v", op.Verb, op.Path, err, folded)
			}
		}
		return vfs.Result{}, err
	case m.Place != vfs.Replicated:
		carries := w.table.Carries(w.state, rel)
		res, err := m.FS.(vfs.Device).Do(ctx, rel)
		if err == nil && carries {
			_, err = w.apply(op)
		}
		return res, w.table.Explain(w.state, op, err)
	}
	res, err := w.apply(op)
	if vfs.KindOf(err) == vfs.Moved {
		res, err = w.apply(m.Global(rel))
	}
	return res, err
}

// apply folds op and commits it unless it fails.
func (w *world) apply(op vfs.Op) (vfs.Result, error) {
	w.seq++
	t := tx{vfs.NewOverlay(w.state), w.seq}
	res, err := w.table.Apply(t, op)
	if err == nil {
		t.Flush(w.state)
	}
	return res, err
}

// script runs lines "verb path args -> answer".
func (w *world) script(text string) {
	w.t.Helper()
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		ask, want, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		if !ok {
			continue
		}
		if got := w.do(strings.Fields(ask)); got != want {
			w.t.Errorf("%s\n got %s\nwant %s", ask, got, want)
		}
	}
}

var scriptVerbs = map[string]vfs.Op{
	"create": {Verb: vfs.Create}, "mkdir": {Verb: vfs.Mkdir}, "chmod": {Verb: vfs.Chmod},
	"write": {Verb: vfs.Write, Flag: vfs.FlagCreate}, "excl": {Verb: vfs.Write, Flag: vfs.FlagCreate | vfs.FlagExclusive},
	"rm": {Verb: vfs.Remove}, "rmall": {Verb: vfs.RemoveAll}, "mv": {Verb: vfs.Rename}, "ln": {Verb: vfs.Symlink},
	"take": {Verb: vfs.Consume}, "touch": {Verb: vfs.Touch}, "truncate": {Verb: vfs.Truncate},
}

func (w *world) do(f []string) string {
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	if op, ok := scriptVerbs[f[0]]; ok {
		op.Path = vfs.Path(arg(1))
		switch op.Verb {
		case vfs.Rename:
			op.To = vfs.Path(arg(2))
		case vfs.Symlink:
			op.Target = arg(2)
		default:
			op.Data = []byte(arg(2))
		}
		res, err := w.propose(op)
		if err == nil && op.Verb == vfs.Consume {
			return string(res.Data)
		}
		return answer("ok", err)
	}
	return w.read(f[0], vfs.Path(arg(1)), arg(2), arg(3))
}

func (w *world) read(verb string, p vfs.Path, after, limit string) string {
	ctx := context.Background()
	switch verb {
	case "cat":
		b := make([]byte, 100)
		n, err := w.table.ReadAt(ctx, w.state, p, b, 0)
		if err == io.EOF {
			err = nil
		}
		return answer(string(b[:n]), err)
	case "ls":
		n, _ := strconv.Atoi(limit)
		list, err := w.table.List(ctx, w.state, p, strings.Trim(after, "-"), n)
		var names []string
		for _, info := range list {
			names = append(names, info.Name+suffix(info))
		}
		return answer("["+strings.Join(names, " ")+"]", err)
	case "stat":
		info, err := w.table.Stat(ctx, w.state, p)
		return answer(fmt.Sprintf("%s%s %o %d", info.Name, suffix(info), info.Mode.Perm(), info.Size), err)
	case "meta":
		info, err := w.table.Stat(ctx, w.state, p)
		return answer(info.Meta.Name+" "+info.Meta.Type, err)
	case "readlink":
		s, err := w.table.Readlink(ctx, w.state, p)
		return answer(s, err)
	case "real":
		info, real, err := w.table.Lookup(ctx, w.state, "open", p)
		return answer(string(real)+suffix(info), err)
	}
	return "unknown verb " + verb
}

func suffix(info vfs.Info) string {
	switch {
	case info.Meta.Name == "rootfs":
		return "*"
	case info.IsDir():
		return "/"
	case info.Mode.IsLink():
		return "@"
	}
	return ""
}

func answer(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}
