package vfstest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/pfs-project/pfs/vfs"
)

// describes: the plugin's fields hold together, and New can be called again.
func describes(c *court) error {
	p := c.Plugin
	switch {
	case p.Type == "" || p.Doc == "":
		return errors.New("Type or Doc is empty")
	case p.Place == nil || p.New == nil:
		return errors.New("Place or New is missing")
	}
	for i, param := range p.Params {
		if param.Name == "" || param.Type == "" || param.Description == "" {
			return fmt.Errorf("parameter %d lacks its name, type or description", i)
		}
	}
	place, err := p.Place(c.Config)
	if err != nil || place.String() == "unknown" {
		return fmt.Errorf("Place: %v, %v", place, err)
	}
	for range 2 {
		if _, err := c.mount(); err != nil {
			return err
		}
	}
	return nil
}

// verbsWork: each declared verb can be carried out on something; the others
// are Unsupported everywhere and change nothing. A Device may refuse its verbs,
// as one that is read-only does, but not as Unsupported.
func verbsWork(c *court) error {
	f, err := c.loaded(5, 40)
	if err != nil {
		return err
	}
	for _, verb := range append(clientVerbs[:], vfs.Stage, vfs.Member, 0, 200) {
		if !c.Plugin.Verbs.Has(verb) || verb == 0 || verb > vfs.Consume {
			if err := c.refuses(f, verb); err != nil {
				return err
			}
			continue
		}
		if err := c.works(f, verb); err != nil {
			return err
		}
	}
	return nil
}

// samples are Ops of one verb on all that is there and on new names beside it.
func (c *court) samples(f *Fold, verb vfs.Verb, name string) ([]vfs.Op, error) {
	all, err := f.files(c, f.view(), vfs.Root)
	if err != nil {
		return nil, err
	}
	var ops []vfs.Op
	for _, e := range all {
		op := vfs.Op{Verb: verb, Path: e.path, To: e.path + "-moved", Target: "x", Mode: 0o700}
		if verb == vfs.Write {
			op.Data, op.Flag = []byte("sample"), vfs.FlagCreate|vfs.FlagTruncate
		}
		if e.info.IsDir() {
			fresh := op
			fresh.Path, fresh.To = e.path.Child(name), e.path.Child(name+"-moved")
			ops = append(ops, fresh)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func (c *court) refuses(f *Fold, verb vfs.Verb) error {
	ops, err := c.samples(f, verb, "refused")
	if err != nil {
		return err
	}
	before := f.State.Digest()
	for _, op := range ops {
		_, err := f.apply(c.ctx, op)
		readOnly := f.folder == nil && vfs.KindOf(err) == vfs.Permission
		if vfs.KindOf(err) != vfs.Unsupported && !readOnly {
			return fmt.Errorf("verb %d (%v) is not declared, on %s it answers %v; expected unsupported", verb, verb, op.Path, err)
		}
	}
	if f.State.Digest() != before {
		return fmt.Errorf("verb %d (%v) is not declared and changes the state", verb, verb)
	}
	return nil
}

func (c *court) works(f *Fold, verb vfs.Verb) error {
	for _, maker := range []vfs.Verb{vfs.Mkdir, vfs.Create} { // so that there is something fresh
		made, err := c.samples(f, maker, fmt.Sprintf("%v for %d", maker, verb))
		if err != nil {
			return err
		}
		for _, op := range made[:min(len(made), 20)] {
			if f.folder != nil && verb != maker {
				_, _ = f.apply(c.ctx, op) // whether it can be made is not the question
			}
		}
	}
	ops, err := c.samples(f, verb, fmt.Sprintf("new for %d", verb))
	if err != nil {
		return err
	}
	for _, op := range ops {
		if _, err = f.apply(c.ctx, op); err == nil {
			return nil
		}
		if f.folder == nil && vfs.KindOf(err) != vfs.Unsupported {
			return nil
		}
	}
	return fmt.Errorf("verb %v is declared and works on nothing; the last answer is %w", verb, err)
}

// failuresLeaveNothing: after an error, state and tree are as they were; and a
// View of the past never changes.
func failuresLeaveNothing(c *court) error {
	f, err := c.mount()
	if err != nil || f.folder == nil {
		return err
	}
	var past []image
	var sums [][32]byte
	before, sum := []entry(nil), f.State.Digest()
	err = c.load(f, 6).run(250, func(s step) error {
		now := f.State.Digest()
		if s.err != nil && !s.settle && now != sum {
			return fmt.Errorf("%v %s failed (%v) and changed the state", s.ops[0].Verb, s.ops[0].Path, s.err)
		}
		tree, err := f.now(c)
		if err != nil {
			return err
		}
		if d := differ(before, tree); s.err != nil && !s.settle && before != nil && d != "" {
			return fmt.Errorf("%v %s failed (%v), and %s", s.ops[0].Verb, s.ops[0].Path, s.err, d)
		}
		before, sum = tree, f.State.Digest()
		if sum != now {
			return errors.New("reading changed the state")
		}
		past, sums = append(past, f.State.pairs), append(sums, digest(f.State.pairs, nil))
		return nil
	})
	if err != nil {
		return err
	}
	for i := range past {
		if digest(past[i], nil) != sums[i] {
			return errors.New("bytes that a View had handed out were changed")
		}
	}
	return nil
}

// resultsHold: a Write answers how much it wrote, and a version or an id that
// is answered is that of the file.
func resultsHold(c *court) error {
	f, err := c.mount()
	if err != nil {
		return err
	}
	return c.load(f, 7).run(200, func(s step) error {
		if s.err != nil {
			return nil
		}
		if len(s.results) != len(s.ops) {
			return fmt.Errorf("%d results for %d Ops", len(s.results), len(s.ops))
		}
		for i, op := range s.ops {
			r := s.results[i]
			if op.Verb == vfs.Write && r.N != op.Size() {
				return fmt.Errorf("write %s of %d bytes answers %d", op.Path, op.Size(), r.N)
			}
			if len(s.ops) > 1 || f.folder == nil {
				continue
			}
			if op.Verb == vfs.Rename {
				op.Path = op.To
			}
			info, err := f.FS.Stat(c.ctx, f.view(), op.Path)
			if err != nil || op.Verb == vfs.Remove || op.Verb == vfs.RemoveAll || op.Verb == vfs.Consume {
				continue
			}
			if r.Version != 0 && r.Version != info.Version || r.File != 0 && r.File != info.ID {
				return fmt.Errorf("%v %s answers version %d of file %d; stat says %d of %d", op.Verb, op.Path, r.Version, r.File, info.Version, info.ID)
			}
		}
		return nil
	})
}

// versionsTell: a path that shows another file, content, size or mode shows
// another version, never one that it had before.
func versionsTell(c *court) error {
	f, err := c.mount()
	if err != nil || f.folder == nil {
		return err
	}
	type shown struct {
		path    vfs.Path
		version uint64
	}
	first := map[shown]entry{}
	return c.load(f, 8).run(250, func(step) error {
		tree, err := f.now(c)
		if err != nil {
			return err
		}
		for _, e := range tree {
			at := shown{e.path, e.info.Version}
			if at.version == 0 || e.info.Consumes() {
				continue
			}
			if at.version > f.State.Seq() {
				return fmt.Errorf("%s has version %d, and the last Event was %d", e.path, at.version, f.State.Seq())
			}
			was, ok := first[at]
			if !ok {
				first[at] = e
				continue
			}
			a, b := was.info, e.info
			if a.ID != b.ID || a.Size != b.Size || a.Mode != b.Mode || !bytes.Equal(was.data, e.data) {
				return fmt.Errorf("%s shows two things under version %d: %+v %s, and %+v %s", e.path, at.version, a, clip(was), b, clip(e))
			}
		}
		return nil
	})
}

// idsName: no two files have one id, and a Finder finds each by it.
func idsName(c *court) error {
	f, err := c.mount()
	if err != nil {
		return err
	}
	finder, finds := f.FS.(vfs.Finder)
	gone := map[uint64]bool{}
	return c.load(f, 9).run(200, func(step) error {
		v := f.view()
		all, err := f.files(c, v, vfs.Root)
		if err != nil {
			return err
		}
		paths := map[uint64]vfs.Path{}
		for _, e := range all {
			id := e.info.ID
			if other, ok := paths[id]; ok && id != 0 {
				return fmt.Errorf("%s and %s have the one id %d", other, e.path, id)
			}
			paths[id] = e.path
			if id == 0 || !finds {
				continue
			}
			if p, ok := finder.PathOf(v, id); !ok || p != e.path {
				return fmt.Errorf("%s has the id %d, which is found at %q, %v", e.path, id, p, ok)
			}
			if f.folder != nil && gone[id] {
				return fmt.Errorf("%s has the id %d of a file that was gone", e.path, id)
			}
			gone[id] = false
		}
		for id := range gone {
			if _, ok := paths[id]; ok || id == 0 {
				continue
			}
			gone[id] = true
			if p, ok := finder.PathOf(v, id); ok {
				return fmt.Errorf("id %d of a file that is gone is found at %s", id, p)
			}
		}
		return nil
	})
}

// replays: what an Event gives depends on the state and the Ops alone.
func replays(c *court) error {
	f, err := c.mount()
	if err != nil || f.folder == nil {
		return err
	}
	var log []step
	var sums [][32]byte
	err = c.load(f, 10).run(300, func(s step) error {
		log = append(log, s)
		sums = append(sums, f.State.Digest())
		return nil
	})
	if err != nil {
		return err
	}
	for range 3 { // what depends on the order of a map may come out right once
		g, err := c.mount()
		if err != nil {
			return err
		}
		for i, was := range log {
			if err := c.replay(g, was); err != nil {
				return err
			}
			if g.State.Digest() != sums[i] {
				return fmt.Errorf("%v %s gives another state when it is replayed", was.ops[0].Verb, was.ops[0].Path)
			}
		}
	}
	return nil
}

// replay applies an Event again, elsewhere, and compares what comes of it.
func (c *court) replay(g *Fold, was step) error {
	s := was
	if err := g.try(c, &s); err != nil {
		return err
	}
	same := slices.EqualFunc(s.results, was.results, func(a, b vfs.Result) bool {
		return a.N == b.N && a.Version == b.Version && a.File == b.File && bytes.Equal(a.Data, b.Data) && slices.Equal(a.Refs, b.Refs)
	})
	if !same || fmt.Sprint(s.err) != fmt.Sprint(was.err) {
		return fmt.Errorf("%v %s answers %+v, %v; replayed, %+v, %v", s.ops[0].Verb, s.ops[0].Path, was.results, was.err, s.results, s.err)
	}
	return nil
}

// restores: a filesystem made over a dumped state shows the same tree and goes
// on the same way.
func restores(c *court) error {
	f, err := c.mount()
	if err != nil || f.folder == nil {
		return err
	}
	l := c.load(f, 11)
	for range 4 {
		if err := l.run(60, nil); err != nil {
			return err
		}
		g, err := c.again(f, Restore(f.State.Dump()))
		if err != nil {
			return err
		}
		before, err := f.now(c)
		if err != nil {
			return err
		}
		after, err := g.now(c)
		if err != nil {
			return err
		}
		if d := differ(before, after); d != "" {
			return fmt.Errorf("after a restore, %s", d)
		}
		err = l.run(60, func(s step) error { return c.replay(g, s) })
		if err != nil {
			return err
		}
		if f.State.Digest() != g.State.Digest() {
			return errors.New("after a restore, the same Ops give another state")
		}
	}
	return nil
}
