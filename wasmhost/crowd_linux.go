package wasmhost

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// crowd tells whether others wait for a processor of this machine.
type crowd struct {
	f          *os.File
	processors int // of the machine: what f tells is of all, whichever are this process's
}

func newCrowd() *crowd {
	f, err := os.Open("/proc/loadavg")
	if err != nil {
		return &crowd{} // there is no /proc
	}
	all, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*") // the pattern is well formed
	return &crowd{f, max(len(all), runtime.NumCPU())}
}

// look tells who else can run beside the thread that asks; the fourth figure of
// /proc/loadavg is how many threads can, see proc_loadavg(5).
func (c *crowd) look() company {
	if c.f == nil {
		return alone
	}
	var room [80]byte
	n, _ := c.f.ReadAt(room[:], 0) // shorter than the room: io.EOF
	figures := bytes.Fields(room[:n])
	if len(figures) < 4 {
		return alone
	}
	ready, _, _ := bytes.Cut(figures[3], []byte{'/'})
	switch count, err := strconv.Atoi(string(ready)); {
	case err != nil || count <= 1:
		return alone
	case count <= c.processors:
		return beside
	}
	return crowded
}

// stepAside lets those run that wait for this thread's processor: the system, which
// goes by its clock, would have them wait for some 4 ms, also beside idle processors.
func stepAside() { _ = syscall.Nanosleep(&syscall.Timespec{Nsec: 1}, nil) } // a signal ends it, too

func (c *crowd) close() {
	if c.f != nil {
		_ = c.f.Close() // it was only read
	}
}
