//go:build linux || darwin

package native

import (
	"errors"
	"sync"

	"github.com/pfs-project/pfs/ffi"
)

// Copies opens libraries for a process that outlives their mounts. Each instance
// has a copy of its library alone, with globals of its own; afterwards the copy is
// kept for the next: a library is never taken away, since nobody knows what of it
// still runs. So as many copies are loaded as there were mounts at once.
//
// A Copies is safe for concurrent use.
type Copies struct {
	mu   sync.Mutex
	idle map[string][]*library // by the hash of their bytes
}

// NewCopies returns a Copies that has loaded nothing.
func NewCopies() *Copies { return &Copies{idle: map[string][]*library{}} }

// Open is as [Open]. The library must have been described before: it is in no
// process of its own here.
func (c *Copies) Open(s ffi.Settings, code []byte) (d ffi.Description, g ffi.Guest, err error) {
	lib := c.take(s.Sum)
	if lib == nil {
		if lib, err = load(code, s.Sum); err != nil {
			return d, nil, err
		}
	}
	k := &kept{copies: c, sum: s.Sum}
	if k.instance, err = lib.instance(s.ABI); err != nil {
		c.give(s.Sum, lib)
		return d, nil, err
	}
	d = ffi.Description{Name: lib.text("PluginName", k.self), Verbs: verbs(lib.has)}
	if err := k.initialize(s.Config); err != nil {
		if lib.has("PluginShutdown") { // others are not freed, either
			lib.call("PluginFree", k.self)
		}
		c.give(s.Sum, lib)
		return d, nil, err
	}
	return d, k, nil
}

// take returns a copy that nobody has, nil if there is none.
func (c *Copies) take(sum string) *library {
	c.mu.Lock()
	defer c.mu.Unlock()
	free := c.idle[sum]
	if len(free) == 0 {
		return nil
	}
	c.idle[sum] = free[:len(free)-1]
	return free[len(free)-1]
}

func (c *Copies) give(sum string, lib *library) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle[sum] = append(c.idle[sum], lib)
}

// kept is an instance whose copy goes back when it ends.
type kept struct {
	*instance
	copies *Copies
	sum    string
	ended  bool
}

// Close ends the instance, once.
func (k *kept) Close() error {
	if k.ended {
		return errors.New("the instance was closed before")
	}
	k.ended = true
	defer k.copies.give(k.sum, k.lib)
	return k.instance.Close()
}
