package api

import (
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// openHandle answers POST /handles/open.
func (c *call) openHandle() error {
	p, err := c.path()
	if err != nil {
		return err
	}
	o, err := c.opening()
	if err != nil {
		return err
	}
	c.plain = true // it may take two Ops, or none
	h, err := c.open(p, o)
	if err != nil {
		return err
	}
	if err := c.s.handles.add(h, c.s.cfg.Node.Number()); err != nil {
		return err
	}
	return c.json(200, c.s.handles.info(h, false))
}

// open finds or makes the file.
func (c *call) open(p vfs.Path, o opening) (*handle, error) {
	if c.s.handles.count() >= c.s.limits.Handles {
		return nil, vfs.Throttled.Withf("too many open handles (%d)", c.s.limits.Handles)
	}
	h, i, err := c.lookOpen(p)
	switch {
	case err == nil && o.excl:
		return nil, vfs.At(vfs.Exists, "open", p)
	case vfs.KindOf(err) == vfs.NotFound && o.create:
		_, err = c.commit(vfs.Op{Verb: vfs.Create, Path: p, Mode: o.mode}, [32]byte{})
		if err != nil && (o.excl || vfs.KindOf(err) != vfs.Exists) {
			return nil, err
		}
		h, i, err = c.lookOpen(p)
	}
	switch {
	case err != nil:
		return nil, err
	case i.IsDir():
		return nil, vfs.At(vfs.IsDirectory, "open", p)
	}
	h.access, h.flags, h.lease = o.access, o.flags, o.lease
	if o.trunc && o.access&writable != 0 { // also an empty one: another node may know of more
		if _, err := c.commit(vfs.Op{Verb: vfs.Truncate, Path: p}, [32]byte{}); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// lookOpen describes the file that p leads to, as a handle without rights.
func (c *call) lookOpen(p vfs.Path) (*handle, vfs.Info, error) {
	img, err := c.image()
	if err != nil {
		return nil, vfs.Info{}, err
	}
	defer img.Release()
	ctx := c.within()
	defer ctx.End()
	i, at, err := img.Table.Lookup(ctx, img.View, "open", p)
	if err != nil {
		return nil, i, err
	}
	at = vfs.Path(strings.Clone(string(at))) // the request's would be kept whole, for as long
	m, _, ok := img.Table.Route(at)
	if !ok {
		return &handle{path: at}, i, nil // a directory above the mounts
	}
	h := &handle{path: at, mount: m.ID}
	if _, ok := m.FS.(vfs.Finder); ok {
		h.file = i.ID
	}
	return h, i, nil
}

// opening is what a request to open asks for.
type opening struct {
	access              access
	create, excl, trunc bool
	flags               int64
	mode                vfs.Mode
	lease               time.Duration
}

// openNames are the flags of an opening as words.
var openNames = map[string]func(*opening){
	"read":      func(o *opening) { o.access |= readable },
	"readonly":  func(o *opening) { o.access |= readable },
	"write":     func(o *opening) { o.access |= writable },
	"writeonly": func(o *opening) { o.access |= writable },
	"readwrite": func(o *opening) { o.access |= readable | writable },
	"append":    func(o *opening) { o.access |= appends },
	"create":    func(o *opening) { o.create = true },
	"exclusive": func(o *opening) { o.excl = true },
	"truncate":  func(o *opening) { o.trunc = true },
	"sync":      func(*opening) {},
}

// opening reads the query of a request to open. Flags come as words, in the
// numbers of the contract, or in those of Linux.
func (c *call) opening() (o opening, err error) {
	v, _ := c.query.get("flags")
	n, nerr := strconv.ParseInt(v, 10, 64)
	_, leased := c.query.get("lease")
	switch {
	case v == "":
		o.access = readable
	case nerr == nil && n >= 0:
		o.flags = n
		err = o.numbers(n, !leased && linuxFlags(n, c.header("User-Agent")))
	default:
		err = o.words(v)
	}
	if err != nil {
		return o, err
	}
	if o.mode, err = c.openMode(leased); err != nil {
		return o, err
	}
	o.lease, err = c.lease(leaseDefault)
	return o, err
}

// linuxFlags tells the two numberings apart. Bits from 128 up exist on Linux
// only, 8 to 32 in the contract only. 64 creates on Linux and truncates in the
// contract; the Go clients that send Linux flags are known by their name.
func linuxFlags(n int64, agent string) bool {
	switch {
	case n >= 128:
		return true
	case n&(8|16|32) != 0:
		return false
	}
	return n&64 != 0 && strings.HasPrefix(agent, "Go-http-client/")
}

func (o *opening) numbers(n int64, linux bool) error {
	switch n & 3 {
	case 0:
		o.access = readable
	case 1:
		o.access = writable
	case 2:
		o.access = readable | writable
	default:
		return vfs.Invalid.With("invalid flags parameter: no such access mode")
	}
	bits := struct{ appends, create, excl, trunc int64 }{8, 16, 32, 64}
	if linux {
		bits = struct{ appends, create, excl, trunc int64 }{1024, 64, 128, 512}
	}
	if n&bits.appends != 0 {
		o.access |= appends
	}
	o.create, o.excl, o.trunc = n&bits.create != 0, n&bits.excl != 0, n&bits.trunc != 0
	return nil
}

func (o *opening) words(v string) error {
	for w := range strings.SplitSeq(v, ",") {
		set, ok := openNames[w]
		if !ok {
			return vfs.Invalid.With("invalid flags parameter: must be a number")
		}
		set(o)
	}
	if o.access&appends != 0 {
		o.access |= writable
	}
	if o.access&(readable|writable) == 0 {
		o.access |= readable
	}
	// In the answer they are numbers of the contract.
	for _, f := range []struct {
		on  bool
		bit int64
	}{{o.access&(readable|writable) == writable, 1}, {o.access&(readable|writable) == readable|writable, 2},
		{o.access&appends != 0, 8}, {o.create, 16}, {o.excl, 32}, {o.trunc, 64}} {
		if f.on {
			o.flags |= f.bit
		}
	}
	return nil
}

// openMode returns the mode of a file to create: octal, but for the one client
// that is known to send the decimal number.
func (c *call) openMode(leased bool) (vfs.Mode, error) {
	v, _ := c.query.get("mode")
	if leased && strings.HasPrefix(c.header("User-Agent"), "python-") && !strings.HasPrefix(v, "0") {
		if n, err := strconv.ParseUint(v, 10, 32); err == nil && n <= 0o177777 {
			return vfs.Mode(n) & vfs.ModePerm, nil
		}
	}
	return c.octal("mode", 0o644, "invalid mode parameter")
}

// lease returns the parameter in seconds, 1 to 300.
func (c *call) lease(def int64) (time.Duration, error) {
	n, err := c.integer("lease", def, "invalid lease parameter: must be a number of seconds")
	if err == nil && (n < 1 || n > leaseMax) && n != def {
		err = vfs.Invalid.Withf("invalid lease parameter: must be 1 to %d seconds", leaseMax)
	}
	return time.Duration(n) * time.Second, err
}
