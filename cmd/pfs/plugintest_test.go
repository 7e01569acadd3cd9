package main

import (
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
