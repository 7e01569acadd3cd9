package vfstest_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// shelf is a Device that keeps its files in a tree of its own.
type shelf struct {
	vfs.Folder
	mu    sync.Mutex
	state *vfstest.State
	put   func([]byte, error) ([]byte, error) // what is kept of a whole file, nil if there is none such
}

func (s *shelf) view() vfs.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.View()
}

func (s *shelf) Start(ctx context.Context) error {
	_, err := s.Do(ctx, vfs.Op{Verb: vfs.Mount, Path: vfs.Root})
	return err
}

func (s *shelf) Do(_ context.Context, op vfs.Op) (vfs.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	return s.state.Apply(s.Folder, op)
}

// Put takes files as a whole; bad ways of that are in the tests.
func (s *shelf) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if s.put == nil {
		return vfs.Result{}, vfs.Unsupported
	}
	b, err := s.put(io.ReadAll(r))
	if err != nil {
		return vfs.Result{}, err
	}
	op.Data = b
	return s.Do(ctx, op)
}

func (s *shelf) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	return s.Folder.Stat(ctx, s.view(), p)
}

func (s *shelf) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	return s.Folder.List(ctx, s.view(), p, after, limit)
}

func (s *shelf) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	return s.Folder.ReadAt(ctx, s.view(), p, b, off)
}

// shelved has the bent tree inside a Device.
func shelved(how bend) vfstest.Subject {
	s := subject(how)
	s.Plugin.Verbs = vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Chmod, vfs.Touch, vfs.Remove, vfs.RemoveAll, vfs.Rename)
	s.Plugin.Place = func(vfs.Config) (vfs.Placement, error) { return vfs.Pinned, nil }
	tree := s.Plugin.New
	s.Plugin.New = func(_ vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		f, err := tree(vfs.Env{Chunks: vfstest.NewChunks()}, c)
		if err != nil {
			return nil, err
		}
		return &shelf{Folder: f.(vfs.Folder), state: vfstest.NewState()}, nil
	}
	return s
}

// changed applies another Op than the one that was asked for.
func changed(how func(*vfs.Op)) func(vfs.Tx, vfs.Op, vfs.Folder) (vfs.Result, error) {
	return func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
		asked := op.Size()
		if op.Path != vfs.Root {
			how(&op)
		}
		r, err := f.Apply(tx, op)
		if r.N > 0 {
			r.N = asked
		}
		return r, err
	}
}

// TestWritten shows that a Device which loses or spoils what is written to it is
// found out, and one that refuses is not.
func TestWritten(t *testing.T) {
	var law vfstest.Law
	for _, l := range vfstest.Laws() {
		if strings.Contains(l.Name, "written") {
			law = l
		}
	}
	refuses := func(verb vfs.Verb) bend {
		return bend{apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			if op.Verb == verb && (verb != vfs.Write || op.Off != 0 || op.Flag&vfs.FlagTruncate == 0) {
				return vfs.Result{}, vfs.Unsupported
			}
			return f.Apply(tx, op)
		}}
	}
	for name, how := range map[string]bend{
		"straight": {}, "takes whole files only": refuses(vfs.Write), "renames nothing": refuses(vfs.Rename), "has no truncate": refuses(vfs.Truncate),
		"is read-only": {apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			if op.Verb != vfs.Mount {
				return vfs.Result{}, vfs.Permission
			}
			return f.Apply(tx, op)
		}},
	} {
		if err := law.Check(shelved(how)); err != nil {
			t.Errorf("a Device, %s: %v", name, err)
		}
	}
	for name, how := range map[string]bend{
		"loses the last byte": {apply: changed(func(op *vfs.Op) { op.Data = op.Data[:max(len(op.Data)-1, 0)] })},
		"ignores offsets":     {apply: changed(func(op *vfs.Op) { op.Off = min(op.Off, 0) })},
		"never truncates":     {apply: changed(func(op *vfs.Op) { op.Flag &^= vfs.FlagTruncate })},
		"renames nothing": {apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			if op.Verb == vfs.Rename {
				return vfs.Result{}, nil
			}
			return f.Apply(tx, op)
		}},
		"ignores the offset of reads": {read: func(n, _ int, off int64, err error) (int, error) {
			if off > 0 {
				return 0, io.EOF
			}
			return n, err
		}},
		"says another size": {stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.Size++
			return i, err
		}},
		"lists nothing": {list: func([]vfs.Info, string, int, error) ([]vfs.Info, error) { return nil, nil }},
		"takes no bytes": {apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			if op.Verb == vfs.Write {
				return vfs.Result{}, vfs.Invalid
			}
			return f.Apply(tx, op)
		}},
	} {
		if err := law.Check(shelved(how)); err == nil {
			t.Errorf("a Device that %s is not found out", name)
		} else if testing.Verbose() {
			t.Log(name, "-", strings.SplitN(err.Error(), "\n", 2)[0])
		}
	}
}

// TestWhole shows the same of files that are put as a whole.
func TestWhole(t *testing.T) {
	laws := vfstest.Laws()
	law := laws[slices.IndexFunc(laws, func(l vfstest.Law) bool { return strings.Contains(l.Name, "written") })]
	check := func(put func([]byte, error) ([]byte, error)) error {
		s := shelved(bend{})
		bare := s.Plugin.New
		s.Plugin.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			fs, err := bare(e, c)
			if err == nil {
				fs.(*shelf).put = put
			}
			return fs, err
		}
		return law.Check(s)
	}
	if err := check(func(b []byte, err error) ([]byte, error) { return b, err }); err != nil {
		t.Errorf("a straight one: %v", err)
	}
	for name, put := range map[string]func([]byte, error) ([]byte, error){
		"loses the last byte": func(b []byte, err error) ([]byte, error) { return b[:max(len(b)-1, 0)], err },
		"spoils a byte": func(b []byte, err error) ([]byte, error) {
			if len(b) > 0 {
				b[len(b)/2]++
			}
			return b, err
		},
		"takes a body that broke off": func(b []byte, _ error) ([]byte, error) { return b, nil },
	} {
		if err := check(put); err == nil {
			t.Errorf("a Device that %s is not found out", name)
		}
	}
}
