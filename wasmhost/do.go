package wasmhost

import (
	"context"
	"errors"
	"io"

	"github.com/pfs-project/pfs/vfs"
)

// maxPut is how long content may be that is passed whole, in bytes.
const maxPut = 16 << 20

// replace is what the ABI has for a write that replaces the file.
const (
	replace      = vfs.FlagCreate | vfs.FlagTruncate
	offWholeFile = -1
)

// Do makes one change.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if !f.lib.Verbs.Has(op.Verb) || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	do := map[vfs.Verb]func(*call, vfs.Op) (int64, error){
		vfs.Create: f.create, vfs.Mkdir: f.create, vfs.Write: f.writeOp, vfs.Truncate: f.truncate, vfs.Chmod: f.chmod,
		vfs.Remove: f.remove, vfs.RemoveAll: f.remove, vfs.Rename: f.rename,
	}[op.Verb]
	if do == nil {
		return vfs.Result{}, vfs.Unsupported
	}
	select {
	case f.write <- struct{}{}:
		defer func() { <-f.write }()
	case <-ctx.Done():
		return vfs.Result{}, vfs.Throttled.With("the plugin is busy")
	}
	var r vfs.Result
	err := f.with(ctx, func(c *call) (err error) {
		if err = f.check(c, op); err == nil {
			r.N, err = do(c, op)
		}
		return err
	})
	return r, err
}

// Put writes a whole file with one call, as the ABI means it. What is longer
// than a module can be expected to take is TooLarge.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if !f.lib.Verbs.Has(vfs.Write) {
		return vfs.Result{}, vfs.Unsupported
	}
	b, err := vfs.Whole(r, min(maxPut, f.lib.Limits.Memory/4))
	if err != nil {
		return vfs.Result{}, err
	}
	op.Data, op.Off = b, 0
	op.Flag |= replace
	return f.Do(ctx, op)
}

// check compares what is there with what the change expects.
func (f *FS) check(c *call, op vfs.Op) error {
	if op.If.Kind == vfs.Always {
		return nil
	}
	_, err := f.stat(c, op.Path)
	return op.If.Unversioned(err)
}

// create makes an empty file or a directory where there is nothing.
func (f *FS) create(c *call, op vfs.Op) (int64, error) {
	if err := vfs.MayMake(f.stat(c, op.Path)); err != nil {
		return 0, err
	}
	if op.Verb == vfs.Create {
		return 0, c.onPath("fs_create", op.Path)
	}
	mode := op.Mode.Perm()
	if mode == 0 {
		mode = 0o755
	}
	return 0, c.onPath("fs_mkdir", op.Path, uint64(mode))
}

// chmod succeeds without a word where the module has no modes, as the ABI has it.
func (f *FS) chmod(c *call, op vfs.Op) (int64, error) {
	if !c.i.p.abi.has["fs_chmod"] {
		_, err := f.stat(c, op.Path)
		return 0, err
	}
	return 0, c.onPath("fs_chmod", op.Path, uint64(op.Mode.Perm()))
}

// remove removes; modules without fs_remove_all have one function for both.
func (f *FS) remove(c *call, op vfs.Op) (int64, error) {
	if op.Path.IsRoot() {
		return 0, vfs.Permission.With("mount point")
	}
	if _, err := f.stat(c, op.Path); err != nil {
		return 0, err
	}
	name := "fs_remove"
	if op.Verb == vfs.RemoveAll && c.i.p.abi.has["fs_remove_all"] {
		name = "fs_remove_all"
	}
	return 0, c.onPath(name, op.Path)
}

func (f *FS) rename(c *call, op vfs.Op) (int64, error) {
	if op.Path.IsRoot() || op.To.IsRoot() {
		return 0, vfs.Permission.With("mount point")
	}
	if _, err := f.stat(c, op.Path); err != nil || op.Path == op.To {
		return 0, err
	}
	from, err := c.str(string(op.Path))
	if err != nil {
		return 0, err
	}
	to, err := c.str(string(op.To))
	if err != nil {
		return 0, err
	}
	return 0, c.done("fs_rename", from, to)
}

// writeOp writes as the Op says.
func (f *FS) writeOp(c *call, op vfs.Op) (int64, error) {
	info, err := f.stat(c, op.Path)
	if _, err = op.MayWrite(info, err); err != nil {
		return 0, err
	}
	atEnd := op.Appends()
	flag, off := op.Flag&^vfs.FlagExclusive, op.Off // it was looked at
	switch {
	case op.Flag&vfs.FlagTruncate != 0 && (atEnd || op.Off == 0):
		flag, off = flag|vfs.FlagTruncate, offWholeFile
	case atEnd:
		flag, off = flag|vfs.FlagAppend, offWholeFile
	}
	if !c.i.p.abi.oldWrite {
		return f.put(c, op.Path, op.Data, off, flag)
	}
	return f.rewrite(c, op, info.Size, atEnd)
}

// rewrite writes into a file that the module can only replace.
func (f *FS) rewrite(c *call, op vfs.Op, size int64, atEnd bool) (int64, error) {
	var old []byte
	if op.Flag&vfs.FlagTruncate == 0 {
		var err error
		if old, err = f.whole(c, op.Path, size); err != nil {
			return 0, err
		}
	}
	off := op.Off
	if atEnd {
		off = int64(len(old))
	}
	end := off + int64(len(op.Data))
	if end > maxPut {
		return 0, vfs.TooLarge.Withf("this plugin takes at most %d bytes", maxPut)
	}
	if int64(len(old)) < end {
		old = append(old, make([]byte, end-int64(len(old)))...)
	}
	copy(old[off:], op.Data)
	_, err := f.put(c, op.Path, old, offWholeFile, replace)
	if vfs.KindOf(err) == vfs.Internal { // it has no words for what a client can do about
		switch i, above := f.stat(c, op.Path.Dir()); {
		case above != nil:
			return 0, above
		case !i.IsDir():
			return 0, vfs.NotDirectory
		}
	}
	return int64(len(op.Data)), err
}

// whole reads a file that is to be written again.
func (f *FS) whole(c *call, p vfs.Path, size int64) ([]byte, error) {
	if size > maxPut {
		return nil, vfs.TooLarge.Withf("this plugin takes at most %d bytes", maxPut)
	}
	b := make([]byte, size)
	n, err := f.readInto(c, p, size, b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// truncate is a write in this ABI.
func (f *FS) truncate(c *call, op vfs.Op) (int64, error) {
	info, err := f.stat(c, op.Path)
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, vfs.IsDirectory
	case op.Off == info.Size:
		return 0, nil
	case op.Off < 0 || op.Off > maxPut:
		return 0, vfs.TooLarge.Withf("this plugin takes at most %d bytes", maxPut)
	}
	old, err := f.whole(c, op.Path, min(info.Size, op.Off))
	if err != nil {
		return 0, err
	}
	_, err = f.put(c, op.Path, append(old, make([]byte, op.Off-int64(len(old)))...), offWholeFile, replace)
	return 0, err
}

// put calls fs_write once and returns how many bytes were written.
func (f *FS) put(c *call, p vfs.Path, data []byte, off int64, flag vfs.Flag) (int64, error) {
	at, err := c.str(string(p))
	if err != nil {
		return 0, err
	}
	from, err := c.data(data)
	if err != nil {
		return 0, err
	}
	args := []uint64{at, from, uint64(uint32(len(data)))}
	if !c.i.p.abi.oldWrite {
		args = append(args, uint64(off), uint64(flag))
	}
	low, high, err := c.run("fs_write", args...)
	if err != nil {
		return 0, err
	}
	if c.i.p.abi.oldWrite {
		return c.wroteOld(low, high, len(data))
	}
	return c.wrote(low, high, len(data))
}

// wroteOld reads the answer of the first generation: what the module has to say,
// or nothing for an error.
func (c *call) wroteOld(low, high uint32, n int) (int64, error) {
	if low == 0 {
		return 0, vfs.Internal.With("write failed")
	}
	_, err := c.bytes(low, high) // it is not for the client
	return int64(n), err
}

// wrote reads the answer of the second generation. The SDKs put the count into
// the low half and the error into the high one, what is written about them says
// the opposite: both are understood.
func (c *call) wrote(low, high uint32, n int) (int64, error) {
	switch {
	case high == 0: // some count what has nothing to do with the data
		return int64(min(low, uint32(n))), nil
	case low == 0 && int(high) == n && (high-c.i.in < c.i.shared || !c.readable(high)): // where arguments are is no error
		return int64(n), nil
	}
	ptr := high
	if low != 0 && !c.readable(high) {
		ptr = low
	}
	text, err := c.text(ptr, maxErrorText)
	if err == nil {
		err = vfs.Said(text)
	}
	return 0, err
}

// readable reports whether an error could stand at ptr: printable text with an
// end.
func (c *call) readable(ptr uint32) bool {
	for n := range uint32(maxErrorText) {
		b, ok := c.i.memory.ReadByte(ptr + n)
		switch {
		case !ok || b != 0 && b < ' ' && b != '\n' && b != '\t':
			return false
		case b == 0:
			return n > 0
		}
	}
	return false
}
