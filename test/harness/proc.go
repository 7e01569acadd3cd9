package harness

import (
	"bytes"
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
		states := n.states()
		return len(states) > 0 && bytes.Count(states, []byte{'T'}) == len(states)
	}
	if !Poll(10*time.Second, still) {
		n.t.Errorf("%s does not stand still", n.ID)
	}
}

// Freeze ends all that the process does, as the loss of power would: none of its
// threads runs the program any more, while what they asked of the system goes on.
func (n *Node) Freeze() {
	n.t.Helper()
	n.Signal(syscall.SIGSTOP)
	// The first thread that stops has told all others to, before they leave the
	// kernel.
	for deadline := time.Now().Add(longer(10 * time.Second)); ; {
		for _, state := range n.states() {
			if state == 'T' {
				return
			}
		}
		if time.Now().After(deadline) {
			n.t.Errorf("%s does not freeze", n.ID)
			return
		}
	}
}

// states returns the state of every thread, a letter each (man 5 proc).
func (n *Node) states() (all []byte) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.Pid()))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, name := range threads {
		b, err := os.ReadFile(name)
		if _, state, ok := strings.Cut(string(b), ") "); err == nil && ok { // what is before is the name
			all = append(all, state[0])
		}
	}
	return all
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
