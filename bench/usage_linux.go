package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/bench/load"
)

// tick is the unit of the times in /proc/PID/stat: Linux shows hundredths of a
// second to programs, on every machine (proc(5), USER_HZ).
const tick = 10 * time.Millisecond

// Meter tells what this process has used, and what the processes of some process
// groups have, which groups tells at the time; nil says that there are none.
func Meter(groups func() []int) func() load.Usage {
	return func() load.Usage {
		var u load.Usage
		var self syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &self) == nil {
			u.Client = time.Duration(self.Utime.Nano() + self.Stime.Nano())
		}
		if groups == nil {
			return u
		}
		wanted := groups()
		all, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is a good one
		for _, stat := range all {
			// What follows the name in brackets: state, parent, group, ...
			b, _ := os.ReadFile(stat) // it may have ended
			f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
			if len(f) < 13 || !slices.Contains(wanted, int(number64(f[2]))) {
				continue
			}
			u.Server += tick * time.Duration(number64(f[11])+number64(f[12]))
			u.Peak += peak(filepath.Dir(stat))
		}
		return u
	}
}

// peak is the most that a process has held resident, in bytes; 0 once it ended.
func peak(dir string) int64 {
	b, _ := os.ReadFile(filepath.Join(dir, "status")) // it may have ended
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	return number64(kib) << 10
}

// number64 is a number of /proc; 0 if it is none.
func number64(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // 0 is what is wanted then
	return n
}
