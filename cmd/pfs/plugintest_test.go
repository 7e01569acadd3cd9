package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pfs-project/pfs/hosts"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// A call that hangs for ever, as one in this process can, is no reason to wait so long.
func TestTryEnds(t *testing.T) {
	h, err := hosts.New(hosts.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := &artefact{hosts: h, heard: &heard{}, lib: vfs.Library{Name: "stuck", Kind: "native"}}
	defer p.close()
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		_, err := p.try(t.Context(), "a law", func(vfstest.Subject) error {
			<-hung
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "a law") || !strings.Contains(err.Error(), "hangs") || !p.stuck {
			t.Errorf("%v", err)
		}
		close(hung)
	})
	p.stuck = false
}

// putter takes whole files; it crashes at every one.
type putter struct{ vfs.Device }

func (putter) Put(context.Context, vfs.Op, io.Reader) (vfs.Result, error) {
	return vfs.Result{N: 3}, vfs.Crashed.With("at a whole file")
}

// What is put as a whole is watched, too, where the plugin takes that.
func TestWatchedPut(t *testing.T) {
	w := &watch{}
	w.until.Store(1 << 62)
	for _, c := range []struct {
		d    vfs.Device
		kind vfs.Kind
		seen string
	}{{struct{ vfs.Device }{}, vfs.Unsupported, ""}, {putter{}, vfs.Crashed, "put /f: "}} {
		_, err := (&watched{c.d, w}).Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/f"}, strings.NewReader("abc"))
		if got := w.verdict(0); vfs.KindOf(err) != c.kind || !strings.HasPrefix(got, c.seen) || (got == "") != (c.seen == "") {
			t.Errorf("%T: %v, %q", c.d, err, got)
		}
	}
}
