package wasmhost

import (
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// drops counts the instances of a mount that had to be dropped, and has it rest after
// each: what their ends and the making of others take is taken from other mounts.
type drops struct {
	mu    sync.Mutex
	n     int
	last  error     // why the latest was; nil once there was an answer again
	at    time.Time // of the latest
	again time.Time // no instance is made before
}

const (
	restTimes = 30          // as long as an instance took, a mount rests after it
	mostRest  = time.Second // a client waits for it
	healthy   = time.Minute // without a drop, after which it is as if there had been none
)

var errEnded = vfs.Crashed.With("the plugin ended after its answer")

// ended notes how a call has ended whose instance is still good.
func (d *drops) ended(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.last = nil
	}
}

// dropped notes why an instance was, and how long making it, its last call and
// clearing it away took together.
func (d *drops) dropped(err error, took time.Duration) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.last = err; err == nil {
		d.last = errEnded
	}
	if d.at = now; d.again.Before(now) {
		d.again = now
	}
	if d.again = d.again.Add(restTimes * took); d.again.After(now.Add(mostRest)) {
		d.again = now.Add(mostRest)
	}
}

// lately reports whether one was dropped a short while ago.
func (d *drops) lately() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n > 0 && time.Since(d.at) <= healthy
}

// rest is for how long the mount still rests.
func (d *drops) rest() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == 0 {
		return 0
	}
	return max(time.Until(d.again), 0)
}

// pause waits until the mount has rested, or done.
func (d *drops) pause(done <-chan struct{}) error {
	left := d.rest()
	if left == 0 {
		return nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-done:
		return errBusy
	}
}

// state says how the mount fares.
func (d *drops) state() vfs.MountState {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := vfs.MountState{Status: vfs.MountUp, Process: "ready", Ends: d.n}
	if d.last != nil {
		m.Error = d.last.Error()
	}
	if time.Now().Before(d.again) {
		again := d.again.UTC().Truncate(time.Millisecond)
		m.Process, m.Retry = "backoff", &again
	}
	return m
}
