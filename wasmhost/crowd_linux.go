package wasmhost

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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

// waits reports whether more threads can run than there are processors; the fourth
// figure of /proc/loadavg is how many can, see proc_loadavg(5).
func (c *crowd) waits() bool {
	if c.f == nil {
		return false
	}
	var room [80]byte
	n, _ := c.f.ReadAt(room[:], 0) // shorter than the room: io.EOF
	figures := bytes.Fields(room[:n])
	if len(figures) < 4 {
		return false
	}
	ready, _, _ := bytes.Cut(figures[3], []byte{'/'})
	count, err := strconv.Atoi(string(ready))
	return err == nil && count > c.processors
}

func (c *crowd) close() {
	if c.f != nil {
		_ = c.f.Close() // it was only read
	}
}
