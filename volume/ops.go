package volume

import (
	"fmt"
	"sync"
	"time"
)

// op is one call to the disk that has not come back.
type op struct {
	what, name string
	start      time.Time
}

// ops is the calls under way.
type ops struct {
	mu   sync.Mutex
	next uint64
	open map[uint64]op
	slow func(what, name string, d time.Duration)
	from time.Duration // what counts as slow

	stood time.Time // until when the process itself stood still last
}

// OnSlow has calls that took d or longer told to f, from the goroutine that
// made them. It is set before the first call.
func (v *Volume) OnSlow(d time.Duration, f func(what, name string, d time.Duration)) {
	v.ops.mu.Lock()
	defer v.ops.mu.Unlock()
	v.ops.from, v.ops.slow = d, f
}

// Begin notes that a call to the disk begins; the function that it returns
// notes its end.
func (v *Volume) Begin(what, name string) (end func()) {
	o := &v.ops
	start := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[uint64]op{}
	}
	o.next++
	id := o.next
	o.open[id] = op{what, name, start}
	return func() { o.end(id) }
}

func (o *ops) end(id uint64) {
	o.mu.Lock()
	was := o.open[id]
	delete(o.open, id)
	slow, from := o.slow, o.from
	o.mu.Unlock()
	if d := time.Since(was.start); slow != nil && d >= from {
		slow(was.what, was.name, d)
	}
}

// Stood notes that the process has stood still until now, and has not waited for its
// disk.
func (v *Volume) Stood() {
	v.ops.mu.Lock()
	defer v.ops.mu.Unlock()
	v.ops.stood = time.Now()
}

// Stuck returns an error if a call to the disk has not come back for d, which
// does not run while writes wait for space.
func (v *Volume) Stuck(d time.Duration) error {
	v.mu.Lock()
	moved := v.hungry // a write was refused then: the disk answers
	v.mu.Unlock()
	v.ops.mu.Lock()
	defer v.ops.mu.Unlock()
	if v.ops.stood.After(moved) {
		moved = v.ops.stood
	}
	for _, o := range v.ops.open { // any of them will do
		if age := min(time.Since(o.start), time.Since(moved)); age > d {
			return fmt.Errorf("%s of %s has not come back for %v", o.what, o.name, age.Round(time.Second))
		}
	}
	return nil
}
