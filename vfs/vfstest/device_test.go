package vfstest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// ticker is a Device of one file, /tick, that shows another time at each read
// and takes one verb: Write.
type ticker struct {
	ticks   atomic.Int64
	started atomic.Bool
	how     tickerBend
}

// tickerBend are the ways in which a ticker can be wrong.
type tickerBend struct {
	start, close     error
	takesAll, unkind bool
	negative, gone   bool
}

func (d *ticker) Start(context.Context) error {
	d.started.Store(true)
	return d.how.start
}

func (d *ticker) Close() error {
	if !d.started.Swap(false) {
		return errors.New("closed without a start")
	}
	return d.how.close
}

func (d *ticker) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	info := vfs.Info{Name: p.Base(), ModTime: time.Unix(d.ticks.Add(1), 0), Size: 5}
	switch p {
	case "/":
		info.Mode = vfs.ModeDir | 0o555
	case "/tick":
		info.Mode = 0o666
	default:
		return vfs.Info{}, vfs.NotFound
	}
	return info, nil
}

func (d *ticker) List(ctx context.Context, v vfs.View, p vfs.Path, after string, _ int) ([]vfs.Info, error) {
	info, err := d.Stat(ctx, v, p)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, vfs.NotDirectory
	case after >= "tick":
		return nil, nil
	}
	info, err = d.Stat(ctx, v, "/tick")
	return []vfs.Info{info}, err
}

func (d *ticker) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	info, err := d.Stat(ctx, v, p)
	switch {
	case d.how.gone && off > 0:
		return 0, nil
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, vfs.IsDirectory
	case off < 0 && !d.how.negative:
		return 0, vfs.Invalid
	}
	return strings.NewReader(info.ModTime.Format("05.00")).ReadAt(b, max(off, 0))
}

func (d *ticker) Do(_ context.Context, op vfs.Op) (vfs.Result, error) {
	switch {
	case d.how.unkind:
		return vfs.Result{}, io.ErrUnexpectedEOF
	case d.how.takesAll, op.Path == "/tick" && op.Verb == vfs.Write:
		return vfs.Result{N: op.Size()}, nil
	case op.Verb == vfs.Write:
		return vfs.Result{}, vfs.Permission
	}
	return vfs.Result{}, vfs.Unsupported
}

func tickers(how tickerBend) vfstest.Subject {
	return vfstest.Subject{Plugin: vfs.Plugin{
		Type: "tickfs", Doc: "a doc", Verbs: vfs.Verbs(vfs.Write),
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New:   func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return &ticker{how: how}, nil },
	}}
}

func TestDevice(t *testing.T) {
	vfstest.Run(t, tickers(tickerBend{}))
	for name, how := range map[string]tickerBend{
		"does not start":          {start: errors.New("no")},
		"does not stop":           {close: errors.New("no")},
		"takes every verb":        {takesAll: true},
		"fails without a kind":    {unkind: true},
		"reads before its start":  {negative: true},
		"gives nothing, for ever": {gone: true},
	} {
		found := 0
		for _, law := range vfstest.Laws() {
			if law.Check(tickers(how)) != nil {
				found++
			}
		}
		if found == 0 {
			t.Errorf("a Device that %s is not found out", name)
		}
	}
}

// TestHome judges a tree that takes files in one directory only and makes
// missing directories.
func TestHome(t *testing.T) {
	verbs := vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Rename, vfs.Remove, vfs.RemoveAll)
	vfstest.Run(t, vfstest.Subject{Plugin: vfs.Plugin{
		Type: "homefs", Doc: "a doc", Verbs: verbs,
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Replicated, nil },
		New: func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
			return tree.New(tree.Options{
				Type: "homefs", Verbs: verbs, Chunks: e.Chunks, Readme: true,
				Dirs: []vfs.Path{"/home"}, Home: "/home", Outside: "not here", Parents: true,
			})
		},
	}})
}

// stack is a tree with the file /pop, whose reading takes away one line of
// what was pushed to it.
type stack struct{ *tree.FS }

func (s stack) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	switch {
	case op.Verb == vfs.Mount:
		if _, err := s.FS.Apply(tx, op); err != nil {
			return vfs.Result{}, err
		}
		return s.FS.Apply(tx, vfs.Op{Verb: vfs.Create, Path: "/pop"})
	case op.Verb == vfs.Write && op.Path == "/pop":
		old, _ := tx.Get([]byte("top"))
		tx.Put([]byte("top"), append(op.Data[:len(op.Data):len(op.Data)], old...))
		return vfs.Result{N: op.Size()}, nil
	case op.Verb == vfs.Consume && op.Path == "/pop":
		b, _ := tx.Get([]byte("top"))
		tx.Delete([]byte("top"))
		return vfs.Result{Data: append([]byte(nil), b...)}, nil
	case op.Verb == vfs.Consume:
		return vfs.Result{}, vfs.Invalid
	case op.Path == "/pop":
		return vfs.Result{}, vfs.Permission
	}
	return s.FS.Apply(tx, op)
}

func (s stack) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	info, err := s.FS.Stat(ctx, v, p)
	if p == "/pop" {
		info.Meta.Content = map[string]string{vfs.ConsumeKey: "true"}
	}
	return info, err
}

func (s stack) Reply(_ context.Context, r vfs.Result, w io.Writer) error {
	_, err := w.Write([]byte("<" + string(r.Data) + ">"))
	return err
}

func TestFoldConsumes(t *testing.T) {
	verbs := vfs.Verbs(vfs.Create, vfs.Write, vfs.Consume)
	f, err := vfstest.Open(t.Context(), vfstest.Subject{Plugin: vfs.Plugin{
		Type:  "stackfs",
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Replicated, nil },
		New: func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
			fs, err := tree.New(tree.Options{Verbs: verbs})
			return stack{fs}, err
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/pop", Data: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<a>", "<>"} {
		if b, err := f.Consume(t.Context(), vfs.Op{Verb: vfs.Consume, Path: "/pop"}); err != nil || string(b) != want {
			t.Errorf("%q, %v; expected %q", b, err, want)
		}
	}
	if _, err := f.Consume(t.Context(), vfs.Op{Verb: vfs.Consume, Path: "/x"}); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("%v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	place := func(vfs.Config) (vfs.Placement, error) { return vfs.Replicated, nil }
	boom := errors.New("boom")
	for name, s := range map[string]vfstest.Subject{
		"a setting it does not have": {Config: vfs.Config{"x": 1}, Plugin: vfs.Plugin{Place: place}},
		"no place":                   {Plugin: vfs.Plugin{Place: func(vfs.Config) (vfs.Placement, error) { return 0, boom }}},
		"New fails":                  {Plugin: vfs.Plugin{Place: place, New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return nil, boom }}},
		"a replicated Device":        {Plugin: vfs.Plugin{Place: place, New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return &ticker{}, nil }}},
	} {
		if _, err := vfstest.Open(t.Context(), s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
