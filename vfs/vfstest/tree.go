package vfstest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// home returns the first directory that takes new files and directories, and
// whether missing directories above a new file are made.
func (c *court) home(f *Fold) (dir vfs.Path, parents bool, err error) {
	all, err := f.files(c, f.view(), vfs.Root)
	if err != nil {
		return "", false, err
	}
	makeFile := vfs.Op{Verb: vfs.Write, Flag: vfs.FlagCreate, Data: []byte("x")}
	for _, e := range all {
		if !e.info.IsDir() {
			continue
		}
		g, err := c.again(f, Restore(f.State.Dump()))
		if err != nil {
			return "", false, err
		}
		file, below := makeFile, makeFile
		file.Path = e.path.Child("probe")
		below.Path = e.path.Child("probe2").Child("probe3")
		dir := vfs.Op{Verb: vfs.Mkdir, Path: e.path.Child("probe4")}
		if _, err := g.State.Event(g.folder, file, dir); err == nil {
			_, err := g.State.Apply(g.folder, below)
			return e.path, err == nil, nil
		}
	}
	return "", false, errors.New("no directory takes both a new file and a new directory")
}

// linksStay: a link is shown, and answered with a LinkError by all that would
// have to follow it.
func linksStay(c *court) error {
	if !c.Plugin.Verbs.Has(vfs.Symlink) || !c.tree() {
		return nil
	}
	f, err := c.mount()
	if err != nil {
		return err
	}
	home, _, err := c.home(f)
	if err != nil {
		return err
	}
	at := home.Child("link")
	if _, err := f.State.Apply(f.folder, vfs.Op{Verb: vfs.Symlink, Path: at, Target: "../nowhere"}); err != nil {
		return fmt.Errorf("symlink %s: %w", at, err)
	}
	v := f.view()
	info, err := f.FS.Stat(c.ctx, v, at)
	if err != nil || !info.Mode.IsLink() || info.IsDir() || info.Target != "../nowhere" {
		return fmt.Errorf("stat of a link: %+v, %v", info, err)
	}
	ask := map[string]func(p vfs.Path) error{
		"list": func(p vfs.Path) error { _, err := f.FS.List(c.ctx, v, p, "", 0); return err },
		"read": func(p vfs.Path) error { _, err := f.FS.ReadAt(c.ctx, v, p, make([]byte, 1), 0); return err },
		"write": func(p vfs.Path) error {
			_, err := f.State.Apply(f.folder, vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate})
			return err
		},
	}
	for _, rest := range []vfs.Path{vfs.Root, "/x", "/x/y"} {
		ask["stat"] = func(p vfs.Path) error { _, err := f.FS.Stat(c.ctx, v, p); return err }
		if rest == vfs.Root {
			delete(ask, "stat")
		}
		for verb, do := range ask {
			err := do(at.Join(rest))
			var link *vfs.LinkError
			if !errors.As(err, &link) || link.At != at || link.Target != "../nowhere" || link.Rest != rest {
				return fmt.Errorf("%s of a link with %s behind it: %#v; expected a LinkError", verb, rest, err)
			}
		}
	}
	if _, err := f.State.Apply(f.folder, vfs.Op{Verb: vfs.Remove, Path: at}); err != nil {
		return fmt.Errorf("remove of a link: %w", err)
	}
	if _, err := f.FS.Stat(c.ctx, f.view(), at); vfs.KindOf(err) != vfs.NotFound {
		return fmt.Errorf("a removed link: %v", err)
	}
	return nil
}

// player plays random Ops on a filesystem and on the model.
type player struct {
	c     *court
	f     *Fold
	m     *model
	r     *rand.Rand
	calls int
}

// matchesModel: random Ops come out as they do on a map of files.
func matchesModel(c *court) error {
	if !c.tree() {
		return nil
	}
	for seed := range uint64(6) {
		f, err := c.mount()
		if err != nil {
			return err
		}
		home, parents, err := c.home(f)
		if err != nil {
			return err
		}
		p := &player{c: c, f: f, m: newModel(home, parents), r: rand.New(rand.NewPCG(seed, 14))}
		if err := p.empty(); err != nil {
			return err
		}
		if err := p.play(400); err != nil {
			return err
		}
	}
	return nil
}

// empty removes what a mount starts with.
func (p *player) empty() error {
	infos, err := p.f.FS.List(p.c.ctx, p.f.view(), p.m.home, "", 0)
	if err != nil {
		return err
	}
	for _, info := range infos {
		op := vfs.Op{Verb: vfs.RemoveAll, Path: p.m.home.Child(info.Name)}
		if _, err := p.f.State.Apply(p.f.folder, op); err != nil {
			return fmt.Errorf("remove all of %s: %w", op.Path, err)
		}
	}
	return nil
}

func (p *player) play(n int) error {
	for i := range n {
		if err := p.step(); err != nil {
			return fmt.Errorf("Op %d: %w", i, err)
		}
		if i%25 != 24 {
			continue
		}
		all, err := p.f.now(p.c)
		if err != nil {
			return err
		}
		if err := p.m.compare(all); err != nil {
			return fmt.Errorf("after Op %d: %w", i, err)
		}
		if err := p.f.check(); err != nil {
			return fmt.Errorf("after Op %d: %w", i, err)
		}
		if err := p.f.State.Settle(p.f.folder); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) path() vfs.Path {
	at := p.m.home
	for range 1 + p.r.IntN(3) {
		at = at.Child([]string{"a", "b", "ü", strings.Repeat("n", vfs.MaxName)}[p.r.IntN(4)])
	}
	return at
}

// odds is how often each verb is played.
var odds = [...]vfs.Verb{
	vfs.Write, vfs.Write, vfs.Write, vfs.Write, vfs.Write, vfs.Mkdir, vfs.Mkdir, vfs.Mkdir,
	vfs.Create, vfs.Create, vfs.Rename, vfs.Rename, vfs.Rename, vfs.Remove, vfs.Remove,
	vfs.RemoveAll, vfs.Truncate, vfs.Truncate, vfs.Touch, vfs.Chmod,
}

// step plays one Op.
func (p *player) step() error {
	op := vfs.Op{Verb: odds[p.r.IntN(len(odds))], Path: p.path()}
	if !p.c.Plugin.Verbs.Has(op.Verb) {
		return nil
	}
	var data []byte
	switch op.Verb {
	case vfs.Write:
		data = p.content()
		op.Flag = []vfs.Flag{0, vfs.FlagCreate, vfs.FlagCreate, vfs.FlagCreate | vfs.FlagTruncate,
			vfs.FlagCreate | vfs.FlagAppend, vfs.FlagCreate | vfs.FlagExclusive, vfs.FlagTruncate | vfs.FlagSync}[p.r.IntN(7)]
		op.Off = []int64{0, 0, vfs.AtEnd, p.r.Int64N(300), p.r.Int64N(100_000), -5}[p.r.IntN(6)]
		if p.r.IntN(4) > 0 {
			p.f.Chunks.Fill(&op, data)
		} else {
			p.f.Chunks.Split(&op, data)
		}
	case vfs.Truncate:
		op.Off = []int64{0, p.r.Int64N(300), p.r.Int64N(100_000), -1}[p.r.IntN(4)]
	case vfs.Chmod:
		op.Mode = 0o600 + vfs.Mode(p.r.IntN(64))
	case vfs.Mkdir, vfs.Create:
		op.Mode = []vfs.Mode{0, 0o700}[p.r.IntN(2)]
	case vfs.Rename:
		op.To = p.path()
	}
	want := p.m.judge(op)
	p.f.State.Advance(time.Duration(1 + p.r.IntN(1e9)))
	_, err := p.f.State.Apply(p.f.folder, p.byID(op))
	if !want.allows(err) {
		return fmt.Errorf("%v %s (to %q, at %d, flags %d): %v; expected %v", op.Verb, op.Path, op.To, op.Off, op.Flag, err, want)
	}
	if err == nil {
		p.m.apply(op, data, p.f.State.Now())
	}
	if f := p.m.files[op.Path]; f != nil && !f.dir {
		return p.readPart(op.Path, f.data)
	}
	return nil
}

// byID lets some Ops address a file that is there by its id, under a name that
// does not matter then.
func (p *player) byID(op vfs.Op) vfs.Op {
	_, finds := p.f.FS.(vfs.Finder)
	f := p.m.files[op.Path]
	byName := op.Verb != vfs.Write && op.Verb != vfs.Truncate && op.Verb != vfs.Chmod && op.Verb != vfs.Touch
	if !finds || byName || f == nil || p.r.IntN(3) > 0 {
		return op
	}
	if info, err := p.f.FS.Stat(p.c.ctx, p.f.view(), op.Path); err == nil && info.ID != 0 {
		op.File, op.Path = info.ID, "/another name"
	}
	return op
}

func (p *player) content() []byte {
	n := p.r.IntN(60)
	if p.r.IntN(6) == 0 {
		n = p.r.IntN(70_000)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.r.Uint32())
	}
	return b
}

// readPart reads a random part of a file.
func (p *player) readPart(at vfs.Path, data []byte) error {
	if p.calls++; p.calls%3 > 0 {
		return nil
	}
	off := p.r.Int64N(int64(len(data)) + 2)
	size := p.r.Int64N(int64(len(data)) + 2)
	got, err := readFile(p.c.ctx, p.f.FS, p.f.view(), at, off, size)
	var want []byte
	if off < int64(len(data)) {
		want = data[off:min(off+size, int64(len(data)))]
	}
	if err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("reading %d bytes of %s at %d: %d bytes, %v, not the %d that are there", size, at, off, len(got), err, len(want))
	}
	return nil
}

// chunksCounted: exactly those chunks are counted that files consist of, and
// none once everything is removed and the work that time brings is done.
func chunksCounted(c *court) error {
	if !c.tree() {
		return nil
	}
	f, err := c.mount()
	if err != nil {
		return err
	}
	home, parents, err := c.home(f)
	if err != nil {
		return err
	}
	p := &player{c: c, f: f, m: newModel(home, parents), r: rand.New(rand.NewPCG(15, 15))}
	if err := p.empty(); err != nil {
		return err
	}
	timer, _ := f.folder.(vfs.Timer)
	for range 8 {
		for range 60 {
			if err := p.step(); err != nil {
				return err
			}
		}
		if timer != nil {
			if err := f.outlive(timer); err != nil {
				return err
			}
		}
		if err := c.counted(f); err != nil {
			return err
		}
	}
	if err := p.empty(); err != nil {
		return err
	}
	if timer != nil {
		if err := f.outlive(timer); err != nil {
			return err
		}
	}
	if n := len(f.State.Counts()); n > 0 {
		return fmt.Errorf("%d chunks are still counted after all was removed", n)
	}
	return nil
}

// counted compares the counted chunks with those that reading everything
// takes.
func (c *court) counted(f *Fold) error {
	f.Chunks.Taken()
	if _, err := f.now(c); err != nil {
		return err
	}
	taken, counts := f.Chunks.Taken(), f.State.Counts()
	for hash := range taken {
		if counts[hash] == 0 {
			return fmt.Errorf("chunk %x is part of a file and not counted", hash[:4])
		}
	}
	for hash, n := range counts {
		if !taken[hash] {
			return fmt.Errorf("chunk %x is counted %d times and part of no file", hash[:4], n)
		}
	}
	return nil
}
