package wasmhost

import (
	"net"
	"runtime"

	"github.com/pfs-project/pfs/vfs"
)

// turns bounds how many modules compute at once: on the node, and of one mount half
// of that, so that one mount never has all. A module is not interrupted as Go code
// is: one for each processor, and nothing else runs.
type turns struct{ all, own chan struct{} }

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
			return vfs.Throttled.With("the plugin is busy")
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

// turnPipe is an end of a pipe of a program, which has a turn but while it waits there.
type turnPipe struct {
	net.Conn
	*programTurn
}

// Read lets others compute until there is something.
func (p turnPipe) Read(b []byte) (n int, err error) {
	p.outside(func() { n, err = p.Conn.Read(b) })
	return n, err
}

// Write lets others compute until it is taken.
func (p turnPipe) Write(b []byte) (n int, err error) {
	p.outside(func() { n, err = p.Conn.Write(b) })
	return n, err
}

// programTurn is the turn of a program, which is one thread.
type programTurn struct {
	turns turns
	over  <-chan struct{} // the program is
	mine  bool
}

// outside runs what does not compute in the program.
func (t *programTurn) outside(do func()) {
	t.rest()
	do()
	t.mine = t.turns.take(t.over) == nil // without one, it is killed
}

// rest gives the turn back.
func (t *programTurn) rest() {
	if t.mine {
		t.turns.give()
		t.mine = false
	}
}

// outside runs what does not compute in the module: others may, meanwhile.
func (i *instance) outside(do func()) {
	if !i.mine {
		do()
		return
	}
	i.p.turns.give()
	i.mine = false
	defer func() { i.mine = i.p.turns.take(*i.stop.Load()) == nil }() // without one, its call is over
	do()
}
