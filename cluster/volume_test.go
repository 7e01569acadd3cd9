package cluster

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/volume"
)

// sleepy has who says something stand still for long.
type sleepy struct {
	slog.Handler
	long time.Duration
}

func (s sleepy) Handle(context.Context, slog.Record) error {
	time.Sleep(s.long)
	return nil
}

func (s sleepy) Enabled(context.Context, slog.Level) bool { return true }

// A node that stands still between two looks at its disk does not blame the disk for
// it, wherever it stood.
func TestStandstillBetweenLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // pauses of the machine are none of its clock
		n := &Node{raft: &raft.Raft{}, slow: true}
		n.c.Log, n.c.Fatal = slog.New(sleepy{slog.DiscardHandler, time.Minute}), func(error) {}
		var err error
		n.vol, err = volume.Open(volume.Options{FS: pebblevfs.NewMem(), Ballast: -1,
			Usage: func() (total, free int64, err error) { return 1000, 0, nil }}) // it says that the disk is full
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { defer close(over); n.watchVolume(ctx) }()
		defer func() { end(); <-over }()
		defer n.vol.Begin("sync", "f")()
		time.Sleep(time.Minute + diskDeadline/2)
		if err := n.Failed(); err != nil {
			t.Errorf("the node ends: %v", err)
		}
		time.Sleep(diskDeadline)
		if n.Failed() == nil {
			t.Error("the node goes on with a disk that stands still")
		}
	})
}
