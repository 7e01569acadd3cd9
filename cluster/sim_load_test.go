package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	simTree vfs.Path = "/m/t"
	maxLog           = 4 << 10 // bytes of a file that is appended to
)

// How a call of a client ended.
const (
	simUnknown = iota // it may have been done, or not, or will be
	simAcked
	simRefused // it was not done and will not be
)

// simOp is one change that a client asked for. Its times are steps of one
// counter: a call that returned before another began has the lower numbers.
type simOp struct {
	req       vfs.Request
	call, ret int64
	end       int
	out       vfs.Outcome
}

// simRead is one read of a client.
type simRead struct {
	path      vfs.Path
	level     vfs.Level
	call, ret int64
	index     uint64
	saw       string
	node      *life
}

// simLoad is the clients and what they saw.
type simLoad struct {
	s     *sim
	seed  uint64
	size  simSize
	clock atomic.Int64

	paused atomic.Bool
	busy   atomic.Int64

	mu     sync.Mutex
	ops    []*simOp // its place is its name, and the Target of its first Op
	reads  []simRead
	failed int // reads that brought nothing
}

func newSimLoad(s *sim, seed uint64, size simSize) *simLoad {
	return &simLoad{s: s, seed: seed, size: size}
}

// run lets all clients work until ctx is done, and waits.
func (w *simLoad) run(ctx context.Context) {
	var wg sync.WaitGroup
	for c := range w.size.clients {
		wg.Go(func() {
			cl := &simClient{w: w, r: rand.New(rand.NewPCG(w.seed, uint64(c)+100))}
			for pause(ctx, time.Duration(cl.r.ExpFloat64()*float64(w.size.think))) {
				w.busy.Add(1)
				if !w.paused.Load() {
					cl.act()
				}
				w.busy.Add(-1)
			}
		})
	}
	wg.Wait()
}

// first makes what the clients expect to be there.
func (w *simLoad) first() {
	c := &simClient{w: w, r: rand.New(rand.NewPCG(w.seed, 99))}
	for c.change(vfs.Op{Verb: vfs.Mkdir, Path: simTree}).end != simAcked {
		simPause(time.Second)
	}
}

// touch writes through one node.
func (w *simLoad) touch(l *life) bool {
	c := &simClient{w: w, r: rand.New(rand.NewPCG(w.seed, 98)), at: l}
	return c.change(vfs.Op{Verb: vfs.Write, Path: "/m/alive", Flag: vfs.FlagCreate | vfs.FlagTruncate}).end == simAcked
}

// pause stops the clients until resume; calls under way end first.
func (w *simLoad) pause() {
	w.paused.Store(true)
	for w.busy.Load() > 0 {
		simPause(100 * time.Millisecond)
	}
}

func (w *simLoad) resume() { w.paused.Store(false) }

// simClient is one client: it does one thing at a time.
type simClient struct {
	w    *simLoad
	r    *rand.Rand
	last uint64 // index of its last change
	at   *life  // nil: any
}

func (c *simClient) node() *life {
	if c.at != nil {
		return c.at
	}
	hosts := c.w.s.hosts
	for range 3 {
		if l := hosts[c.r.IntN(len(hosts))].life.Load(); l != nil {
			return l
		}
	}
	return nil
}

// act does one thing of many.
func (c *simClient) act() {
	n := c.r.IntN(100)
	for _, a := range c.acts() {
		if n -= a.share; n < 0 {
			a.do()
			return
		}
	}
}

type simAct struct {
	share int // of a hundred
	do    func()
}

func (c *simClient) acts() []simAct {
	file := func(kind string, n int) vfs.Path { return vfs.Path("/m/" + kind + strconv.Itoa(c.r.IntN(n))) }
	queue := func(file string) vfs.Path { return vfs.Path(fmt.Sprintf("/q/j%d/%s", c.r.IntN(2), file)) }
	text := func() []byte { return []byte(strings.Repeat("x", c.r.IntN(200))) }
	return []simAct{
		{18, func() {
			c.change(vfs.Op{Verb: vfs.Write, Path: file("r", 8), Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: text()})
		}},
		{12, func() { c.swap(file("c", 4)) }},
		{8, func() { c.add(file("a", 4)) }},
		{10, func() { c.change(vfs.Op{Verb: vfs.Write, Path: queue("enqueue"), Data: text()}) }},
		{11, func() { c.change(vfs.Op{Verb: vfs.Consume, Path: queue("dequeue")}) }},
		{9, func() { c.change(c.grow()) }},
		{4, c.move},
		{2, func() { c.long(file("long", 3)) }},
		{2, func() { c.read(simTree) }},
		{4, func() { c.read(queue("size")) }},
		{2, func() { c.read(file("long", 3)) }},
		{4, func() { c.read(file("b", 4)) }},
		{14, func() { c.read(file([]string{"r", "c", "a"}[c.r.IntN(3)], 4)) }},
	}
}

// change asks for one Event. Some have a key, and are tried again for as long
// as their outcome is not known.
func (c *simClient) change(ops ...vfs.Op) *simOp {
	w := c.w
	o := &simOp{req: vfs.Request{Ops: ops}, end: simRefused}
	w.mu.Lock()
	name := strconv.Itoa(len(w.ops))
	w.ops = append(w.ops, o)
	for i := range ops {
		ops[i].Target = name
		if ops[i].Verb == vfs.Write && len(ops[i].Refs) == 0 {
			ops[i].Data = append([]byte(name+":"), ops[i].Data...)
		}
	}
	w.mu.Unlock()
	tries := 1
	if c.r.IntN(3) == 0 {
		o.req.Key, tries = "key"+name, 4
	}
	o.call = w.clock.Add(1)
	for range tries {
		if l := c.node(); l != nil {
			o.take(l.Propose(context.Background(), o.req))
			if l.over.Load() { // the answer was never heard
				o.end = simUnknown
			}
		}
		if o.end == simAcked {
			break
		}
		simPause(time.Duration(c.r.Int64N(int64(time.Second))))
	}
	o.ret = w.clock.Add(1)
	if o.end == simAcked {
		c.last = o.out.Index
	}
	return o
}

// take notes what one try brought. What may have been done stays so.
func (o *simOp) take(out vfs.Outcome, err error) {
	var un *vfs.Unknown
	switch {
	case err == nil:
		o.end, o.out = simAcked, out
	case errors.As(err, &un):
		o.end = simUnknown
	}
}

// version reads the version of a file on any node, 0 if there is none.
func (c *simClient) version(p vfs.Path) (v uint64, size int64) {
	if l := c.node(); l != nil {
		if im, err := l.Image(context.Background(), vfs.Level{}); err == nil {
			defer im.Release()
			info, _ := im.Table.Stat(context.Background(), im.View, p)
			return info.Version, info.Size
		}
	}
	return 0, 0
}

// swap writes to a file that nobody has changed since it was looked at.
func (c *simClient) swap(p vfs.Path) {
	v, _ := c.version(p)
	op := vfs.Op{Verb: vfs.Write, Path: p, If: vfs.Cond{Kind: vfs.IfVersion, Version: v}}
	if v == 0 {
		op.Flag, op.If = vfs.FlagCreate|vfs.FlagTruncate, vfs.Cond{}
	}
	op.Flag |= vfs.FlagTruncate
	c.change(op)
}

// add appends to a file, which begins anew when it is long.
func (c *simClient) add(p vfs.Path) {
	op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate, Off: vfs.AtEnd, Data: []byte("+")}
	if _, size := c.version(p); size > maxLog {
		op.Off, op.Flag = 0, vfs.FlagCreate|vfs.FlagTruncate
	}
	c.change(op)
}

// grow changes a small tree.
func (c *simClient) grow() vfs.Op {
	path := func() vfs.Path {
		p := simTree
		for range 1 + c.r.IntN(3) {
			p = p.Child(string(rune('a' + c.r.IntN(3))))
		}
		return p
	}
	switch c.r.IntN(8) {
	case 0, 1, 2:
		return vfs.Op{Verb: vfs.Mkdir, Path: path()}
	case 3, 4:
		return vfs.Op{Verb: vfs.Write, Path: path(), Flag: vfs.FlagCreate | vfs.FlagTruncate}
	case 5:
		return vfs.Op{Verb: vfs.Remove, Path: path()}
	case 6:
		return vfs.Op{Verb: vfs.RemoveAll, Path: path()}
	}
	return vfs.Op{Verb: vfs.Rename, Path: path(), To: path()}
}

// move changes two files at once, or none.
func (c *simClient) move() {
	from := c.r.IntN(4)
	var ops []vfs.Op
	for _, i := range []int{from, (from + 1 + c.r.IntN(3)) % 4} {
		p := vfs.Path("/m/b" + strconv.Itoa(i))
		v, _ := c.version(p)
		op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagTruncate, If: vfs.Cond{Kind: vfs.IfVersion, Version: v}}
		if v == 0 {
			op.Flag, op.If = vfs.FlagCreate|vfs.FlagTruncate, vfs.Cond{}
		}
		ops = append(ops, op)
	}
	c.change(ops...)
}

// long writes a file whose content does not fit the log.
func (c *simClient) long(p vfs.Path) {
	l := c.node()
	if l == nil {
		return
	}
	data := bytes.Repeat([]byte{byte('a' + c.r.IntN(26))}, vfs.MaxInline+1+c.r.IntN(64<<10))
	copy(data, strconv.FormatUint(c.r.Uint64(), 16))
	body, err := l.Keep(context.Background(), bytes.NewReader(data), 0)
	if err != nil {
		return
	}
	op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate, Refs: body.Refs}
	c.change(op)
}

// longText stands for content that is one chunk.
func longText(size int, hash [32]byte) string { return fmt.Sprintf("%d bytes, %x", size, hash[:8]) }

// read reads at a level of its own choice.
func (c *simClient) read(p vfs.Path) {
	l := c.node()
	if l == nil {
		return
	}
	r := simRead{path: p, node: l}
	switch c.r.IntN(4) {
	case 0:
	case 1:
		r.level.MinIndex = c.last
	default:
		r.level.Linearizable = true
	}
	r.call = c.w.clock.Add(1)
	im, err := l.Image(context.Background(), r.level)
	if err == nil {
		r.index = im.Index
		r.saw, err = look(im, p)
		im.Release()
	}
	r.ret = c.w.clock.Add(1)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if err != nil || l.over.Load() {
		c.w.failed++
		return
	}
	c.w.reads = append(c.w.reads, r)
}

// look is what a reader of an Image sees; simModel.see is its twin.
func look(im *fsm.Image, p vfs.Path) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if p == simTree {
		all, err := walkTree(ctx, im, p)
		slices.Sort(all)
		return strings.Join(all, "\n"), err
	}
	info, err := im.Table.Stat(ctx, im.View, p)
	switch {
	case vfs.KindOf(err) == vfs.NotFound && p.Base() == "size":
		return "0", nil
	case vfs.KindOf(err) == vfs.NotFound:
		return "nothing", nil
	case err != nil:
		return "", err
	}
	b := make([]byte, info.Size)
	n, err := im.Table.ReadAt(ctx, im.View, p, b, 0)
	if err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
		return "", err
	}
	text := string(b)
	if len(b) > vfs.MaxInline {
		text = longText(len(b), blob.Sum(b))
	}
	if p.Base() == "size" {
		return text, nil
	}
	return fmt.Sprint(info.Version, " ", text), nil
}

func walkTree(ctx context.Context, im *fsm.Image, p vfs.Path) (all []string, err error) {
	info, err := im.Table.Stat(ctx, im.View, p)
	if err != nil {
		return nil, err
	}
	all = append(all, fmt.Sprint(p, " ", info.IsDir()))
	if !info.IsDir() {
		return all, nil
	}
	list, err := im.Table.List(ctx, im.View, p, "", 0)
	for _, i := range list {
		below, err := walkTree(ctx, im, p.Child(i.Name))
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, err
}
