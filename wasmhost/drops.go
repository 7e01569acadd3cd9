package wasmhost

import (
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// drops counts the instances of a mount that had to be dropped, and has it rest after
// each: what their ends and the making of others take is taken from other mounts. It is
// a tenth of a processor at first, and less with each further.
type drops struct {
	mu    sync.Mutex
	n     int
	last  error     // why the latest was; nil once there was an answer again
	row   int       // of them with less than healthy between each two
	at    time.Time // of the latest
	again time.Time // no instance is made before
}

const (
	restTimes = 9           // as long as an instance took, a mount rests after it; doubled for each further in a row
	mostRest  = time.Second // a client waits for it
	healthy   = time.Minute // without one, after which rests begin small again
)

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
	d.last = err
	if now.Sub(d.at) > healthy {
		d.row = 0
	}
	if d.at = now; d.again.Before(now) {
		d.again = now
	}
	if d.again = d.again.Add(restTimes * took << min(d.row, 10)); d.again.After(now.Add(mostRest)) {
		d.again = now.Add(mostRest)
	}
	d.row++
}

// lately reports whether one was dropped a short while ago.
func (d *drops) lately() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.row > 0 && time.Since(d.at) <= healthy
}

// pause waits until the mount has rested, or done.
func (d *drops) pause(done <-chan struct{}) error {
	d.mu.Lock()
	left := time.Until(d.again)
	d.mu.Unlock()
	if left <= 0 {
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
		if again := d.again; time.Now().Before(again) {
			m.Process, m.Retry = "backoff", &again
		}
	}
	return m
}
