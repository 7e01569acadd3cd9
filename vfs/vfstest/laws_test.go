package vfstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// bent is a tree whose parts can be bent, each from right to wrong.
type bent struct {
	*tree.FS
	how bend
}

// bend is one way to break a law. Functions that are nil leave the tree as it
// is; the others get what the tree answers.
type bend struct {
	name   string
	law    string // a word or two of the law's name
	stat   func(vfs.Path, vfs.Info, error) (vfs.Info, error)
	list   func(infos []vfs.Info, after string, limit int, err error) ([]vfs.Info, error)
	read   func(n, asked int, off int64, err error) (int, error)
	apply  func(vfs.Tx, vfs.Op, vfs.Folder) (vfs.Result, error)
	due    func([]vfs.Op, time.Time, time.Time) ([]vfs.Op, time.Time)
	pathOf func(vfs.Path, bool) (vfs.Path, bool)
	check  error
	plugin func(*vfs.Plugin)
}

func (b *bent) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	info, err := b.FS.Stat(ctx, v, p)
	if b.how.stat != nil {
		return b.how.stat(p, info, err)
	}
	return info, err
}

func (b *bent) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if b.how.list != nil {
		infos, err := b.FS.List(ctx, v, p, "", 0)
		return b.how.list(infos, after, limit, err)
	}
	infos, err := b.FS.List(ctx, v, p, after, limit)
	for i := range infos {
		if b.how.stat != nil {
			infos[i], _ = b.how.stat(p.Child(infos[i].Name), infos[i], nil)
		}
	}
	return infos, err
}

func (b *bent) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, buf []byte, off int64) (int, error) {
	n, err := b.FS.ReadAt(ctx, v, p, buf, off)
	if b.how.read != nil {
		return b.how.read(n, len(buf), off, err)
	}
	return n, err
}

func (b *bent) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if b.how.apply != nil {
		return b.how.apply(tx, op, b.FS)
	}
	return b.FS.Apply(tx, op)
}

func (b *bent) Due(v vfs.View, now time.Time) ([]vfs.Op, time.Time) {
	ops, next := b.FS.Due(v, now)
	if b.how.due != nil {
		return b.how.due(ops, next, now)
	}
	return ops, next
}

func (b *bent) PathOf(v vfs.View, file uint64) (vfs.Path, bool) {
	p, ok := b.FS.PathOf(v, file)
	if b.how.pathOf != nil {
		return b.how.pathOf(p, ok)
	}
	return p, ok
}

func (b *bent) Check(v vfs.View) error {
	if b.how.check != nil {
		return b.how.check
	}
	return b.FS.Check(v)
}

// subject is a plugin of trees bent that way.
func subject(how bend) vfstest.Subject {
	verbs := vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Chmod, vfs.Touch,
		vfs.Remove, vfs.RemoveAll, vfs.Rename, vfs.Symlink)
	p := vfs.Plugin{
		Type: "treefs", Doc: "a doc", Verbs: verbs,
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Replicated, nil },
		New: func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
			t, err := tree.New(tree.Options{Type: "treefs", Verbs: verbs, Chunks: e.Chunks, Readme: true})
			return &bent{t, how}, err
		},
	}
	if how.plugin != nil {
		how.plugin(&p)
	}
	return vfstest.Subject{Plugin: p, Scripts: "testdata"}
}

// TestRun holds a straight tree to all laws.
func TestRun(t *testing.T) { vfstest.Run(t, subject(bend{})) }

// leaky is a Tx whose counts of chunks are wrong.
type leaky struct {
	vfs.Tx
	retains, releases int
}

func (l leaky) Retain(ref vfs.ChunkRef) {
	for range l.retains {
		l.Tx.Retain(ref)
	}
}

func (l leaky) Release(ref vfs.ChunkRef) {
	for range l.releases {
		l.Tx.Release(ref)
	}
}

// on bends the answer to one verb.
func on(verb vfs.Verb, do func(vfs.Tx, vfs.Op, vfs.Result, error) (vfs.Result, error)) func(vfs.Tx, vfs.Op, vfs.Folder) (vfs.Result, error) {
	return func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
		r, err := f.Apply(tx, op)
		if op.Verb == verb {
			return do(tx, op, r, err)
		}
		return r, err
	}
}

// counting applies op and writes how often this filesystem was asked.
func counting() func(vfs.Tx, vfs.Op, vfs.Folder) (vfs.Result, error) {
	var calls atomic.Int64
	return func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
		tx.Put([]byte("calls"), fmt.Append(nil, calls.Add(1)))
		return f.Apply(tx, op)
	}
}

func clipped(infos []vfs.Info, after string, limit int) []vfs.Info {
	for len(infos) > 0 && infos[0].Name <= after {
		infos = infos[1:]
	}
	if limit > 0 {
		infos = infos[:min(limit, len(infos))]
	}
	return infos
}

func bends() []bend {
	var reads atomic.Int64
	news := 0
	return append(changeBends(), []bend{
		{name: "no doc", law: "says what it is", plugin: func(p *vfs.Plugin) { p.Doc = "" }},
		{name: "parameter without a name", law: "says what it is", plugin: func(p *vfs.Plugin) { p.Params = []vfs.Param{{Type: "int"}} }},
		{name: "can be made once", law: "says what it is", plugin: func(p *vfs.Plugin) {
			make := p.New
			p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
				if news++; news > 1 {
					return nil, vfs.Unavailable
				}
				return make(e, c)
			}
		}},
		{name: "placement of a Device", law: "says what it is", plugin: func(p *vfs.Plugin) {
			p.Place = func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil }
		}},
		{name: "size is off by one", law: "list agrees", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.Size++
			return i, err
		}},
		{name: "list shows other modes", law: "list agrees", list: func(infos []vfs.Info, after string, limit int, err error) ([]vfs.Info, error) {
			for i := range infos {
				infos[i].Mode |= 0o1
			}
			return clipped(infos, after, limit), err
		}},
		{name: "list backwards", law: "list agrees", list: func(infos []vfs.Info, _ string, _ int, err error) ([]vfs.Info, error) {
			for i, j := 0, len(infos)-1; i < j; i, j = i+1, j-1 {
				infos[i], infos[j] = infos[j], infos[i]
			}
			return infos, err
		}},
		{name: "a name that is a path", law: "list agrees", list: func(infos []vfs.Info, _ string, _ int, err error) ([]vfs.Info, error) {
			return append(infos, vfs.Info{Name: "z/z"}), err
		}},
		{name: "a directory can be read", law: "list agrees", read: func(n, _ int, _ int64, err error) (int, error) {
			if vfs.KindOf(err) == vfs.IsDirectory {
				err = io.EOF
			}
			return n, err
		}},
		{name: "a file can be listed", law: "list agrees", list: func(infos []vfs.Info, after string, limit int, err error) ([]vfs.Info, error) {
			return clipped(infos, after, limit), nil
		}},
		{name: "after is ignored", law: "pages", list: func(infos []vfs.Info, _ string, limit int, err error) ([]vfs.Info, error) {
			return clipped(infos, "", limit), err
		}},
		{name: "after is included", law: "pages", list: func(infos []vfs.Info, after string, limit int, err error) ([]vfs.Info, error) {
			for len(infos) > 0 && infos[0].Name < after {
				infos = infos[1:]
			}
			return clipped(infos, "", limit), err
		}},
		{name: "limit is ignored", law: "pages", list: func(infos []vfs.Info, after string, _ int, err error) ([]vfs.Info, error) {
			return clipped(infos, after, 0), err
		}},
		{name: "no end of file", law: "io.ReaderAt", read: func(n, _ int, _ int64, err error) (int, error) {
			if n > 0 && err == io.EOF {
				err = nil
			}
			return n, err
		}},
		{name: "negative offsets read", law: "io.ReaderAt", read: func(n, _ int, off int64, err error) (int, error) {
			if off < 0 {
				return 0, io.EOF
			}
			return n, err
		}},
		{name: "one byte at a time", law: "io.ReaderAt", read: func(n, _ int, _ int64, err error) (int, error) {
			if n > 1 {
				return 1, nil
			}
			return n, err
		}},
		{name: "end of file too early", law: "io.ReaderAt", read: func(n, asked int, _ int64, err error) (int, error) {
			if n == asked && asked == 1 && err == nil {
				err = io.EOF
			}
			return n, err
		}},
		{name: "missing is invalid", law: "missing", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			if vfs.KindOf(err) == vfs.NotFound {
				err = vfs.Invalid
			}
			return i, err
		}},
		{name: "missing can be read", law: "missing", read: func(n, _ int, _ int64, err error) (int, error) {
			if vfs.KindOf(err) == vfs.NotFound {
				err = io.EOF
			}
			return n, err
		}},
		{name: "all one version", law: "versions", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.Version = 1
			return i, err
		}},
		{name: "versions of the future", law: "versions", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.Version += 1000
			return i, err
		}},
		{name: "all one id", law: "ids", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.ID = 7
			return i, err
		}},
		{name: "ids are found elsewhere", law: "ids", pathOf: func(p vfs.Path, ok bool) (vfs.Path, bool) { return p + "x", ok }},
		{name: "ids are found when gone", law: "ids", pathOf: func(p vfs.Path, _ bool) (vfs.Path, bool) { return p, true }},
		{name: "every read is another time", law: "readers", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.ModTime = time.Unix(reads.Add(1), 0)
			return i, err
		}},
		{name: "links look like files", law: "links", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.Mode &^= vfs.ModeLink
			return i, err
		}},
		{name: "links forget what follows", law: "links", stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			if l, ok := err.(*vfs.LinkError); ok {
				err = &vfs.LinkError{At: l.At, Target: l.Target, Rest: vfs.Root}
			}
			return i, err
		}},
		{name: "unsound", law: "results", check: errors.New("unsound")},
	}...)
}

// changeBends break laws in what Apply and Due do.
func changeBends() []bend {
	failures := 0
	return []bend{
		{name: "does more than it declares", law: "declared verbs", plugin: func(p *vfs.Plugin) {
			p.Verbs = vfs.Verbs(vfs.Create, vfs.Write, vfs.Mkdir, vfs.Rename, vfs.RemoveAll)
		}},
		{name: "does less than it declares", law: "declared verbs", plugin: func(p *vfs.Plugin) {
			p.Verbs |= vfs.Verbs(vfs.Consume)
		}},
		{name: "refuses with another kind", law: "declared verbs", apply: on(vfs.Consume, func(_ vfs.Tx, _ vfs.Op, r vfs.Result, _ error) (vfs.Result, error) {
			return r, vfs.Permission
		})},
		{name: "changes what it was given to read", law: "what fails", apply: on(vfs.Write, func(tx vfs.Tx, _ vfs.Op, r vfs.Result, err error) (vfs.Result, error) {
			if b, ok := tx.Get([]byte("n")); ok && err != nil {
				b[0] ^= 1
			}
			return r, err
		})},
		{name: "fails without a kind", law: "what fails", apply: on(vfs.Remove, func(_ vfs.Tx, _ vfs.Op, r vfs.Result, err error) (vfs.Result, error) {
			if err != nil {
				err = errors.New("it did not work")
			}
			return r, err
		})},
		{name: "remembers failures", law: "what fails", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			r, err := f.Apply(tx, op)
			if err != nil {
				failures++
			}
			return r, err
		}, stat: func(_ vfs.Path, i vfs.Info, err error) (vfs.Info, error) {
			i.ModTime = i.ModTime.Add(time.Duration(failures))
			return i, err
		}},
		{name: "counts one byte too many", law: "results", apply: on(vfs.Write, func(_ vfs.Tx, _ vfs.Op, r vfs.Result, err error) (vfs.Result, error) {
			r.N++
			return r, err
		})},
		{name: "answers another version", law: "results", apply: on(vfs.Write, func(_ vfs.Tx, _ vfs.Op, r vfs.Result, err error) (vfs.Result, error) {
			r.Version++
			return r, err
		})},
		{name: "keeps state in itself", law: "same Ops", apply: counting()},
		{name: "starts anew after a restore", law: "state is all", plugin: func(p *vfs.Plugin) {
			make := p.New
			p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
				f, err := make(e, c)
				return &bent{f.(*bent).FS, bend{apply: counting()}}, err
			}
		}},
		{name: "appends at the start", law: "map of files", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			if op.Off == vfs.AtEnd || op.Flag&vfs.FlagAppend != 0 {
				op.Off, op.Flag = 0, op.Flag&^vfs.FlagAppend
			}
			return f.Apply(tx, op)
		}},
		{name: "replaces what is exclusive", law: "map of files", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			op.Flag &^= vfs.FlagExclusive
			return f.Apply(tx, op)
		}},
		{name: "removes whole trees", law: "map of files", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			if op.Verb == vfs.Remove {
				op.Verb = vfs.RemoveAll
			}
			return f.Apply(tx, op)
		}},
		{name: "says another kind", law: "map of files", apply: on(vfs.Mkdir, func(_ vfs.Tx, _ vfs.Op, r vfs.Result, err error) (vfs.Result, error) {
			if err != nil {
				err = vfs.Invalid
			}
			return r, err
		})},
		{name: "renames nothing", law: "map of files", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			if op.Verb == vfs.Rename {
				return vfs.Result{}, nil
			}
			return f.Apply(tx, op)
		}},
		{name: "keeps chunks for ever", law: "chunks", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			return f.Apply(leaky{tx, 1, 0}, op)
		}},
		{name: "counts chunks in twice", law: "chunks", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			return f.Apply(leaky{tx, 2, 1}, op)
		}},
		{name: "does not count chunks", law: "chunks", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			return f.Apply(leaky{tx, 0, 0}, op)
		}},
		{name: "counts chunks out twice", law: "chunks", apply: func(tx vfs.Tx, op vfs.Op, f vfs.Folder) (vfs.Result, error) {
			return f.Apply(leaky{tx, 1, 2}, op)
		}},
		{name: "work without end", law: "work that time", due: func([]vfs.Op, time.Time, time.Time) ([]vfs.Op, time.Time) {
			return []vfs.Op{{Verb: vfs.Reap, Path: vfs.Root}}, time.Time{}
		}},
		{name: "asks to be asked in the past", law: "work that time", due: func(ops []vfs.Op, _, now time.Time) ([]vfs.Op, time.Time) {
			return ops, now.Add(-time.Second)
		}},
		{name: "names times without end", law: "work that time", due: func(ops []vfs.Op, _, now time.Time) ([]vfs.Op, time.Time) {
			return ops, now.Add(time.Second)
		}},
		{name: "work that fails", law: "work that time", apply: on(vfs.Reap, func(_ vfs.Tx, _ vfs.Op, r vfs.Result, _ error) (vfs.Result, error) {
			return r, vfs.NotFound
		})},
		{name: "panics", law: "results", apply: on(vfs.Chmod, func(vfs.Tx, vfs.Op, vfs.Result, error) (vfs.Result, error) {
			panic("bent")
		})},
		{name: "writes while it scans", law: "results", apply: on(vfs.Write, func(tx vfs.Tx, _ vfs.Op, r vfs.Result, err error) (vfs.Result, error) {
			for k := range tx.Scan(nil, nil) {
				tx.Put(k, nil)
			}
			return r, err
		})},
	}
}

// TestBent shows that no law is without effect: each finds those who break it.
func TestBent(t *testing.T) {
	broken := map[string]int{}
	all := bends()
	for _, law := range vfstest.Laws() {
		for _, how := range all {
			if !strings.Contains(law.Name, how.law) {
				continue
			}
			t.Run(law.Name+"/"+how.name, func(t *testing.T) {
				err := law.Check(subject(how))
				if err == nil {
					t.Error("is not found out")
				} else if testing.Verbose() {
					t.Log(strings.SplitN(err.Error(), "\n", 2)[0])
				}
			})
			broken[law.Name]++
		}
		if broken[law.Name] == 0 && law.Name != "what is written is read" && law.Name != "who follows a stream misses nothing" { // of Devices: TestWritten, TestStreams
			t.Errorf("nothing breaks %q", law.Name)
		}
	}
}
