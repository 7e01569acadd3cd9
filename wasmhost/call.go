package wasmhost

import (
	"bytes"
	"context"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// call is one operation in an instance: what is passed to it lives until it ends.
type call struct {
	i      *instance
	ctx    context.Context
	blocks []block
	filled [2]uint32 // of the shared buffers: in, out
	letGo  func()
	name   string // the first text that was passed, and where it is
	at     uint64
}

// block is memory of the module that is to be freed.
type block struct{ at, size uint32 }

func (i *instance) begin(ctx context.Context) *call {
	i.asks, i.written, i.requests = 0, 0, 0
	ctx = i.during(ctx)
	return &call{i: i, ctx: ctx, letGo: i.p.until(ctx, i.module)}
}

// end frees what was passed, and what the host gave.
func (c *call) end() {
	for _, b := range c.blocks {
		c.free(b)
	}
	for _, b := range c.i.lent {
		c.free(b)
	}
	c.i.lent = nil
	c.letGo()
}

// free gives a block back. A module whose free fails is dropped, but what it
// answered holds.
func (c *call) free(b block) {
	i := c.i
	shared := i.shared > 0 && (b.at-i.in < i.shared || b.at-i.out < i.shared)
	if b.at == 0 || i.broken || shared || !i.p.abi.has["free"] {
		return
	}
	args := [2]uint64{uint64(b.at), uint64(b.size)}
	n := 1
	if i.p.abi.freeSize {
		n = 2
	}
	_, _ = i.call(c.ctx, "free", args[:n]...) // marks the instance
}

// str passes a text, as the ABI has them: with a zero behind it.
func (c *call) str(s string) (uint64, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return 0, vfs.Invalid.With("a zero byte cannot be passed to this plugin")
	}
	b := append(make([]byte, 0, len(s)+1), s...)
	b = append(b, 0)
	if c.at != 0 && c.name == s && c.i.memory.Write(uint32(c.at), b) { // whatever was made of it
		return c.at, nil
	}
	allocated := len(c.blocks)
	at, err := c.pass(b, inBuffer)
	if err == nil && c.at == 0 && len(c.blocks) > allocated {
		c.name, c.at = s, at
	}
	return at, err
}

// data passes bytes; the pointer is never null.
func (c *call) data(b []byte) (uint64, error) { return c.pass(b, outBuffer) }

// The shared buffers.
const (
	inBuffer = iota
	outBuffer
)

// pass copies b to where the module reads it: into a shared buffer, which costs no
// call, or into memory that it has allocated. A module that has both may keep the
// buffer of its answers to itself.
func (c *call) pass(b []byte, prefer int) (uint64, error) {
	mallocs := c.i.p.abi.has["malloc"]
	if mallocs {
		prefer = inBuffer
	}
	at, ok := c.lay(len(b), prefer)
	switch {
	case ok:
	case mallocs:
		var err error
		if at, err = c.allocate(len(b)); err != nil {
			return 0, err
		}
	default:
		if at, ok = c.lay(len(b), 1-prefer); !ok {
			return 0, vfs.TooLarge.Withf("the plugin takes at most %d bytes at once", c.i.shared)
		}
	}
	if !c.i.memory.Write(at, b) {
		return 0, c.i.wrong("its malloc gives what is outside of its memory")
	}
	return uint64(at), nil
}

// lay finds room for n bytes in a shared buffer, behind what is there; not ok if there
// is none.
func (c *call) lay(n, buffer int) (at uint32, ok bool) {
	from := (c.filled[buffer] + 7) &^ 7
	if uint64(from)+uint64(n) > uint64(c.i.shared) {
		return 0, false
	}
	c.filled[buffer] = from + uint32(n)
	return []uint32{c.i.in, c.i.out}[buffer] + from, c.i.shared > 0
}

// allocate has the module make room for n bytes, until the call ends.
func (c *call) allocate(n int) (uint32, error) {
	size := uint32(max(n, 1)) // some take a block of no bytes for a failure
	at, err := c.i.call(c.ctx, "malloc", uint64(size))
	if err != nil {
		return 0, err
	}
	if uint32(at) == 0 {
		return 0, vfs.TooLarge.With("the plugin has no memory for it")
	}
	c.blocks = append(c.blocks, block{uint32(at), size})
	return uint32(at), nil
}

// text takes over a text that the module has returned; "" for a null pointer.
func (c *call) text(ptr uint32, most int) (string, error) {
	if ptr == 0 {
		return "", nil
	}
	i := c.i
	size := i.memory.Size()
	if ptr >= size {
		return "", i.wrong("it returns a pointer outside of its memory")
	}
	window := min(size-ptr, uint32(most)+1)
	b, ok := i.memory.Read(ptr, window)
	if !ok {
		return "", i.wrong("it returns a pointer outside of its memory")
	}
	n := bytes.IndexByte(b, 0)
	if n < 0 {
		return "", i.wrong("it returns a text without an end, or one that is too long")
	}
	s := string(b[:n])
	c.free(block{ptr, uint32(n) + 1})
	return s, nil
}

// bytes takes over n bytes that the module has returned.
func (c *call) bytes(ptr, n uint32) ([]byte, error) {
	b, ok := c.i.memory.Read(ptr, n)
	if !ok {
		return nil, c.i.wrong("it returns bytes outside of its memory")
	}
	b = bytes.Clone(b) // it is a view of the memory
	c.free(block{ptr, n})
	return b, nil
}

// run calls an export and takes its answer apart.
func (c *call) run(name string, args ...uint64) (low, high uint32, err error) {
	r, err := c.i.call(c.ctx, name, args...)
	c.filled = [2]uint32{} // the answer is taken over before more is passed
	return uint32(r), uint32(r >> 32), err
}

// done calls an export that answers with the text of an error, or none.
func (c *call) done(name string, args ...uint64) error {
	low, _, err := c.run(name, args...)
	if err != nil || low == 0 {
		return err
	}
	s, err := c.text(low, maxErrorText)
	if err != nil || s == "" {
		return err
	}
	return vfs.Said(s)
}

// onPath is done for an export whose first parameter is a path.
func (c *call) onPath(name string, p vfs.Path, args ...uint64) error {
	at, err := c.str(string(p))
	if err != nil {
		return err
	}
	return c.done(name, append([]uint64{at}, args...)...)
}

// ask calls an export that answers with a text; "" if it is missing.
func (i *instance) ask(ctx context.Context, name string, most int) (string, error) {
	if !i.p.abi.has[name] {
		return "", nil
	}
	c := i.begin(ctx)
	defer c.end()
	low, _, err := c.run(name)
	if err != nil {
		return "", err
	}
	return c.text(low, most)
}

// configure passes the settings to the module.
func (i *instance) configure(ctx context.Context, settings string) error {
	for _, step := range []struct{ name, words string }{
		{"plugin_validate", "validation failed"}, {"plugin_initialize", "initialization failed"},
	} {
		if !i.p.abi.has[step.name] {
			continue
		}
		c := i.begin(ctx)
		at, err := c.str(settings)
		if err == nil {
			err = c.done(step.name, at)
		}
		c.end()
		if err == nil && i.broken {
			err = i.wrong("it ends while it is set up")
		}
		switch k := vfs.KindOf(err); {
		case err == nil:
		case i.broken || k == vfs.Crashed || k == vfs.Timeout:
			return err
		default:
			return vfs.Invalid.Withf("%s: %v", step.words, err)
		}
	}
	return nil
}
