package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/volume"
)

const (
	lookEvery = time.Second // at the free space
	// diskDeadline is how long a call to the disk may take; a node whose disk
	// stands still for longer ends.
	diskDeadline = 10 * time.Second
	diskPatience = 3 * time.Second // after which another node is to lead
	slowDisk     = time.Second
	slowSay      = 10 * time.Second // between two warnings of a slow disk
	// fullPatience is how much longer a node whose disk is full or stands still
	// waits for a leader before it stands: others are to come first. The leader's heartbeats,
	// which raft sends ten times in that time, must still reach all others.
	fullPatience = 4
)

func (n *Node) openVolume() error {
	var err error
	n.vol, err = volume.Open(volume.Options{FS: n.c.disk.files, Dir: n.c.Dir, Reserve: n.c.DiskReserve, Usage: n.c.usage,
		OnStarve: func() { n.c.Log.Error("a write found no space: it waits for some", "dir", n.c.Dir) }})
	if err != nil {
		return err
	}
	var said time.Time // by one of them
	turn := make(chan struct{}, 1)
	n.vol.OnSlow(slowDisk, func(what, name string, d time.Duration) {
		n.metrics.slow.Inc()
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		default:
			return
		}
		if time.Since(said) > slowSay {
			said = time.Now()
			n.c.Log.Warn("the disk is slow", "verb", what, "file", name, "took", d.Round(time.Millisecond))
		}
	})
	return nil
}

// watchVolume looks at the free space, and ends the node if its disk stands
// still.
func (n *Node) watchVolume(ctx context.Context) {
	was := false
	for last := time.Now(); pause(ctx, lookEvery); {
		n.lookAtVolume()
		now := time.Now() // right before the question: a long standstill counts, wherever it was
		if now.Sub(last) > 2*lookEvery+diskPatience {
			n.vol.Stood() // this process did, or its machine
		}
		last = now
		if err := n.vol.Stuck(diskDeadline); err != nil {
			n.fail(err)
			return
		}
		full, u := n.vol.Full(), n.vol.Usage()
		switch {
		case full && !was:
			n.c.Log.Warn("the disk is full: new content is refused, reads and removals go on", "free", u.Free, "reserve", u.Reserve)
		case was && !full:
			n.c.Log.Info("the disk has space again", "free", u.Free, "reserve", u.Reserve)
		}
		was = full
		n.pace((full || n.stalled()) && n.raft.State() != raft.Leader)
	}
}

// stalled reports whether the disk has not moved for a while.
func (n *Node) stalled() bool { return n.vol.Stuck(diskPatience) != nil }

// lookAtVolume asks for the free space; that may not come back from a disk that
// stands still.
func (n *Node) lookAtVolume() {
	done := make(chan struct{})
	end := n.vol.Begin("look", n.c.Dir)
	go func() { // ends with the look
		defer close(done)
		defer end()
		if err := n.vol.Look(); err != nil {
			n.c.Log.Warn("free space is not known", "error", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(lookEvery):
	}
}

// pace makes the node wait longer before it stands for leadership, or no
// longer than others.
func (n *Node) pace(slow bool) {
	n.pacing.Lock()
	defer n.pacing.Unlock()
	if n.slow == slow {
		return
	}
	r := n.patience()
	if slow {
		r.HeartbeatTimeout *= fullPatience
		r.ElectionTimeout *= fullPatience
	}
	if err := n.raft.ReloadConfig(r); err != nil {
		n.c.Log.Warn("raft keeps its settings", "error", err)
		return
	}
	n.slow = slow
}

// timedChunks is a disk for chunks whose calls are timed.
type timedChunks struct {
	blob.FS
	vol *volume.Volume
}

func (t timedChunks) Create(name string) (blob.File, error) {
	end := t.vol.Begin("create", name)
	f, err := t.FS.Create(name)
	end()
	if err != nil {
		return nil, err
	}
	return timedFile{f, name, t.vol}, nil
}

func (t timedChunks) Rename(from, to string) error {
	defer t.vol.Begin("rename", to)()
	return t.FS.Rename(from, to)
}

func (t timedChunks) Dir(name string) (blob.Dir, error) {
	d, err := t.FS.Dir(name)
	if err != nil {
		return nil, err
	}
	return timedDir{d, name, t.vol}, nil
}

type timedFile struct {
	blob.File
	name string
	vol  *volume.Volume
}

func (f timedFile) Write(b []byte) (int, error) {
	defer f.vol.Begin("write", f.name)()
	return f.File.Write(b)
}

func (f timedFile) Sync() error {
	defer f.vol.Begin("sync", f.name)()
	return f.File.Sync()
}

type timedDir struct {
	blob.Dir
	name string
	vol  *volume.Volume
}

func (d timedDir) Sync() error {
	defer d.vol.Begin("sync", d.name)()
	return d.Dir.Sync()
}
