package wasmhost

import (
	"runtime"

	"github.com/pfs-project/pfs/vfs"
)

// turns bounds how many modules compute at once: on the node, and of one mount half
// of that, so that one mount never has all. A module is not interrupted as Go code
// is: one for each processor, and nothing else runs.
type turns struct{ all, own chan struct{} }

var errBusy = vfs.Throttled.With("the plugin is busy")

// guests is how many modules compute at once on this machine.
func guests() int { return max(2, min(runtime.NumCPU(), runtime.GOMAXPROCS(0))) }

// newTurns returns those of a mount.
func (h *Host) newTurns() turns { return halfOf(h.turns) }

func halfOf(all chan struct{}) turns { return turns{all, make(chan struct{}, max(1, cap(all)/2))} }

// take waits for one, until done.
func (t turns) take(done <-chan struct{}) error {
	for n, c := range []chan struct{}{t.own, t.all} {
		select {
		case c <- struct{}{}:
		case <-done:
			if n > 0 {
				<-t.own
			}
			return errBusy
		}
	}
	return nil
}

func (t turns) give() {
	<-t.all
	<-t.own
}

// Processors is how many processors the Go runtime should have for this Host and all
// else: what modules may take is beside what the server has.
func (h *Host) Processors() int {
	return min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) + cap(h.turns) + cap(h.programs)
}

// giveTurn gives the turn back, if it has one: not one that had to wait for it until
// its call was over.
func (i *instance) giveTurn() {
	if i.mine {
		i.mine = false
		i.p.turns.give()
	}
}

// outside runs what does not compute in the module: others may, meanwhile.
func (i *instance) outside(do func()) {
	i.pace.rest(func() { i.p.turns.outside(&i.mine, *i.stop.Load(), do) })
}

// outside runs do without the turn that is held if mine is set, and takes one again.
// Without one, once done is closed, the run of the module is over.
func (t turns) outside(mine *bool, done <-chan struct{}, do func()) {
	if !*mine {
		do()
		return
	}
	t.give()
	*mine = false
	defer func() { *mine = t.take(done) == nil }()
	do()
}
