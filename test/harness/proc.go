package harness

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PeakRSS returns the most memory that the process has held, in bytes (VmHWM).
func (n *Node) PeakRSS() int64 { return n.proc("status", "VmHWM:") << 10 }

// RSS returns the memory that the process holds now, in bytes (VmRSS).
func (n *Node) RSS() int64 { return n.proc("status", "VmRSS:") << 10 }

// Written returns the bytes that the process has caused to be written to
// storage (write_bytes of /proc/PID/io).
func (n *Node) Written() int64 { return n.proc("io", "write_bytes:") }

// Pause sends SIGSTOP and waits until every thread of the process stands still;
// Signal with SIGCONT lets it go on.
func (n *Node) Pause() {
	n.t.Helper()
	n.Signal(syscall.SIGSTOP)
	still := func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.Pid()))
		for _, name := range threads {
			b, rerr := os.ReadFile(name)
			_, state, _ := strings.Cut(string(b), ") ") // what is before is the name
			if rerr == nil && !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return err == nil && len(threads) > 0
	}
	if !Poll(10*time.Second, still) {
		n.t.Errorf("%s does not stand still", n.ID)
	}
}

// proc returns the number behind a label in a file of /proc/PID.
func (n *Node) proc(file, label string) int64 {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", n.Pid(), file))
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, label); ok {
			v, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return v
		}
	}
	n.t.Fatalf("no %s in /proc/PID/%s", label, file)
	return 0
}

// DiskUse returns the bytes that the files below dir occupy.
func DiskUse(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file may vanish while we look
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				sum += st.Blocks * 512
			}
		}
		return nil
	})
	return sum
}
