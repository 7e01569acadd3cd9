package verbs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/zeebo/xxh3"
)

// file copies a file; old is what a mirror has in its place.
func (k *leg) file(ctx context.Context, from, to string, e entry, old *entry) error {
	if !k.mirror && (k.keep || k.update || k.compare) {
		there, err := k.dst.look(ctx, to)
		switch {
		case err == nil:
			old = &there
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	stays, err := k.stays(ctx, from, to, e, old)
	switch {
	case err != nil:
		return err
	case stays:
		k.meter.same.Add(1)
		k.meter.bytes.Add(e.size)
		return nil
	}
	k.copied.Add(1)
	if !k.act("copy", k.dst.name(to)) {
		k.meter.bytes.Add(e.size)
		return nil
	}
	mark, kept, err := k.transfer(ctx, from, to, e)
	if err != nil || kept {
		k.copied.Add(-1)
	}
	switch {
	case err != nil:
		return err
	case kept:
		k.meter.same.Add(1)
		k.meter.bytes.Add(e.size)
		return nil
	}
	if err := k.finish(ctx, to, e, old); err != nil {
		return err
	}
	return k.moved.add(from, mark)
}

// stays reports whether what is at the target needs no copy.
func (k *leg) stays(ctx context.Context, from, to string, e entry, old *entry) (bool, error) {
	switch {
	case old == nil:
		return false, nil
	case k.keep, k.update && !e.time.After(old.time):
		return true, nil
	case !k.compare || !old.mode.IsRegular() || old.why != "" || old.size != e.size:
		return false, nil
	case k.times && !k.exact && e.time.Equal(old.time):
		return true, k.setExec(ctx, to, e, *old)
	}
	return k.equal(ctx, from, to, e, old)
}

// equal reports whether a file at the target has the content of the source, and gives
// it what else it lacks.
func (k *leg) equal(ctx context.Context, from, to string, e entry, old *entry) (bool, error) {
	a, err := k.src.digest(ctx, from)
	if err != nil {
		return false, err
	}
	b, err := k.dst.digest(ctx, to)
	if err != nil || a != b {
		return false, err
	}
	if err := k.finish(ctx, to, e, old); err != nil || k.mirror || k.modes || e.exec() == 0 {
		return true, err
	}
	return true, k.setExec(ctx, to, e, *old) // one who was killed may have got no further than the content
}

// finish gives a copy its mode and time.
func (k *leg) finish(ctx context.Context, to string, e entry, old *entry) error {
	var mode fs.FileMode
	var at time.Time
	if k.modes {
		mode = e.mode.Perm()
	}
	if k.times && (old == nil || !old.time.Equal(e.time) || !k.mirror) {
		at = e.time
	}
	if !k.dry && (mode != 0 || !at.IsZero()) {
		if err := k.dst.attr(ctx, to, mode, at); err != nil {
			return err
		}
	}
	if old != nil && !k.modes && k.mirror {
		return k.setExec(ctx, to, e, *old)
	}
	return nil
}

// setExec makes a file executable, or not, as its source is.
func (k *leg) setExec(ctx context.Context, to string, e, old entry) error {
	if (e.exec() != 0) == (old.exec() != 0) || !k.act("chmod", k.dst.name(to)) {
		return nil
	}
	return k.dst.attr(ctx, to, old.mode.Perm()&^0o111|e.exec(), time.Time{})
}

// send copies the content, and returns its version at the target, also of what is not
// as it was sent; "": none is told.
func (k *leg) send(ctx context.Context, from, to string, e entry) (version string, err error) {
	r, err := k.src.open(ctx, from)
	if err != nil {
		return "", err
	}
	defer r.Close()
	local, isLocal := r.(*os.File)
	var before fs.FileInfo
	switch sized, ok := r.(interface{ Size() int64 }); {
	case isLocal:
		if before, err = local.Stat(); err != nil {
			return "", err
		}
		e.size = before.Size()
	case ok:
		e.size = sized.Size()
	default:
		e.size = -1
	}
	in := k.meter.reader(r)
	var body io.Reader = in
	sum := xxh3.New()
	switch {
	case k.check:
		body = onlyReader{io.TeeReader(in, sum)}
	case isLocal:
		body = &meteredFile{in, local}
	default:
		body = onlyReader{in}
	}
	if version, err = k.dst.write(ctx, to, body, e); err == nil && k.check {
		var got string
		if got, err = k.dst.digest(ctx, to); err == nil && got != hash(sum) {
			err = errOther
		}
	}
	if err == nil && isLocal {
		var after fs.FileInfo
		if after, err = local.Stat(); err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
			err = errTorn
		}
	}
	if err != nil {
		in.undo()
	}
	if err == errTorn || err == errOther {
		err = &fs.PathError{Op: "copy", Path: k.src.name(from), Err: err}
	}
	return version, err
}

// link copies a link as a link.
func (k *leg) link(ctx context.Context, from, to string, old *entry) error {
	kept := false
	mark, err := k.watched(ctx, from, to, func() (err error) {
		kept, err = k.relink(ctx, from, to, old)
		return err
	})
	if err != nil || kept {
		return err
	}
	return k.moved.add(from, mark)
}

// relink makes the link, unless the target has it. kept: something else is there that is
// to stay.
func (k *leg) relink(ctx context.Context, from, to string, old *entry) (kept bool, err error) {
	target, err := k.src.readlink(ctx, from)
	if err != nil {
		return false, err
	}
	if !k.mirror && (k.keep || k.update || k.compare) {
		if there, err := k.dst.look(ctx, to); err == nil {
			old = &there
		}
	}
	if old != nil && k.keep {
		k.meter.same.Add(1)
		return true, nil
	}
	if old != nil && old.mode.Type() == fs.ModeSymlink {
		if is, err := k.dst.readlink(ctx, to); err == nil && is == target {
			k.meter.same.Add(1)
			return false, nil
		}
	}
	only := k.keep && !k.mirror
	if k.act("link", k.dst.name(to)) {
		err = k.dst.symlink(ctx, target, to, only)
	}
	switch {
	case err == nil:
		k.copied.Add(1)
	case only && errors.Is(err, fs.ErrExist):
		k.meter.same.Add(1)
		return true, nil
	}
	return false, err
}

// survey counts what there is to copy, for those who look.
func (k *leg) survey(ctx context.Context, rel string) {
	for e, err := range k.src.entries(ctx, rel) {
		at := path.Join(rel, e.name)
		if err != nil || ctx.Err() != nil {
			return // the copy meets it, too
		}
		if e.err != nil || e.why != "" || k.filter.out(at, e.mode.IsDir()) {
			continue
		}
		if e.mode.IsDir() {
			k.survey(ctx, at)
			continue
		}
		k.meter.allFiles.Add(1)
		if e.mode.IsRegular() {
			k.meter.allBytes.Add(e.size)
		}
	}
}
