package vfstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/pfs-project/pfs/vfs"
)

// stream compares what a file should hold with what the Device reads on from an
// offset, if it does: of the version that is there, and of no other.
func (w *writer) stream(k kept, version uint64, when string) error {
	d, ok := w.f.device.(vfs.Streamer)
	if !ok {
		return nil
	}
	off := w.r.IntN(len(k.data) + 1)
	r, err := d.Stream(w.c.ctx, k.path, version, int64(off))
	if vfs.KindOf(err) == vfs.Unsupported {
		return nil
	}
	var b []byte
	if err == nil {
		b, err = io.ReadAll(r)
		err = errors.Join(err, r.Close())
	}
	if err != nil {
		return fmt.Errorf("to read on in %s at %d %s: %w", k.path, off, when, err)
	}
	if want := k.data[off:]; !bytes.Equal(b, want) {
		return fmt.Errorf("%s read on at %d is %s; expected %s %s", k.path, off, clip(entry{data: b}), clip(entry{data: want}), when)
	}
	if version == 0 {
		return nil
	}
	if r, err = d.Stream(w.c.ctx, k.path, version^1, 0); err == nil {
		_, err = io.ReadAll(r) // it may find out when it is asked for something
		err = errors.Join(err, r.Close())
	}
	if vfs.KindOf(err) != vfs.Stale {
		return fmt.Errorf("to read on in %s with another version is %s; expected stale %s", k.path, outcome(err), when)
	}
	return nil
}

// streamsHeard: who follows a stream of a Device hears what was written to it, from
// the beginning and from an offset, whatever the offsets of the Writes.
func streamsHeard(c *court) error {
	if !c.Plugin.Verbs.Has(vfs.Create) || !c.Plugin.Verbs.Has(vfs.Write) {
		return nil
	}
	f, err := c.mount()
	if err != nil || f.folder != nil {
		return err
	}
	d, ok := f.device.(vfs.Tuner)
	if !ok {
		return nil
	}
	p, err := c.newStream(f)
	if err != nil || p == "" {
		return err
	}
	grows, _ := f.device.(vfs.Appender)
	var all []byte
	for i, piece := range []string{"one ", "two ", "three"} {
		op := vfs.Op{Verb: vfs.Write, Path: p, Off: vfs.AtEnd, Data: []byte(piece)}
		if i == 1 && grows != nil && grows.Appends(p) {
			op.Off = 0
		}
		if r, err := f.device.Do(c.ctx, op); err != nil || r.N != int64(len(piece)) {
			return fmt.Errorf("write %s %d bytes: %d, %s", p, len(piece), r.N, outcome(err))
		}
		all = append(all, piece...)
	}
	began, err := c.hears(d, p, "oldest", all)
	if err == nil && began >= 0 {
		_, err = c.hears(d, p, strconv.FormatInt(began+4, 10), all[4:])
	}
	return err
}

// newStream makes a stream in the first directory that takes one; "" if none does.
func (c *court) newStream(f *Fold) (vfs.Path, error) {
	all, err := f.files(c, nil, vfs.Root)
	if err != nil {
		return "", err
	}
	for _, e := range slices.DeleteFunc(all, func(e entry) bool { return !e.info.IsDir() }) {
		p := e.path.Child("heard")
		if _, err := f.device.Do(c.ctx, vfs.Op{Verb: vfs.Create, Path: p, Mode: 0o644}); err != nil {
			continue
		}
		if i, err := f.FS.Stat(c.ctx, nil, p); err == nil && i.Endless() {
			return p, nil
		}
	}
	return "", nil
}

// hears follows a stream from a place on until it has heard what it should, and
// returns the offset where it began.
func (c *court) hears(d vfs.Tuner, p vfs.Path, from string, want []byte) (int64, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	r, off, err := d.Tune(ctx, p, from)
	if err != nil {
		return 0, fmt.Errorf("follow %s from %s: %w", p, from, err)
	}
	got := make([]byte, len(want))
	_, err = io.ReadFull(r, got)
	if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
		return 0, fmt.Errorf("%s from %s is %q, %s; expected %q", p, from, got, outcome(err), want)
	}
	return off, nil
}
