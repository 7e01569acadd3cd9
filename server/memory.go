package server

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/pfs-project/pfs/vfs"
)

// The caches of a node that is to choose. The collector lets the heap grow to twice of
// what is in them; docs/performance.md has what they do for nodes with many keys.
const (
	cacheShare = 64 // of the memory that the node may have
	leastCache = 64 << 20
	mostCache  = 256 << 20
)

// allowance is how much memory a process may have, in bytes; 0 is not known.
type allowance struct {
	machine uint64
	group   uint64 // the limit of its control group; 0: none
}

// allowed asks the system.
func allowed() (a allowance) {
	if n, err := memlimit.FromSystem(); err == nil {
		a.machine = n
	}
	if n, err := memlimit.FromCgroup(); err == nil && (a.machine == 0 || n < a.machine) {
		a.group = n
	}
	return a
}

// caches returns how long the caches of the state may be, in bytes.
func (a allowance) caches() int64 {
	n := a.machine
	if a.group > 0 {
		n = a.group
	}
	return min(max(int64(min(n, 1<<62)/cacheShare), leastCache), mostCache)
}

// heap returns what the collector should keep the heap below, in bytes: beside it
// are the memory of WASM modules and what the kernel holds for the process. false
// if nobody ends the process for having more, or the user has set a limit.
func (a allowance) heap() (int64, bool) {
	return int64(a.group / 5 * 4), a.group > 0 && os.Getenv("GOMEMLIMIT") == ""
}

// cacheSize returns how long the caches of the state may be, in bytes; 0 lets the
// node choose.
func (c *Config) cacheSize() (int64, error) {
	n, err := vfs.Config{"cache_size": c.Server.CacheSize}.Size("cache_size", 0)
	if err == nil && n != 0 && n < 1<<20 {
		err = fmt.Errorf("cache_size is %d bytes; it must be 1MB or more, or 0", n)
	}
	if err != nil {
		return 0, fmt.Errorf("server.%w", err)
	}
	return n, nil
}

// budgetMemory bounds the heap where the node could be ended for its length, and
// returns how long its caches may be, in bytes.
func (n *node) budgetMemory() int64 {
	a := allowed()
	caches, _ := n.config.cacheSize() // checked when it was read
	if caches == 0 {
		caches = a.caches()
	}
	if heap, ok := a.heap(); ok {
		debug.SetMemoryLimit(heap)
		n.log.Info("the control group bounds the memory", "limit", a.group, "heap", heap)
	}
	n.log.Debug("memory", "machine", a.machine, "caches", caches)
	return caches
}
