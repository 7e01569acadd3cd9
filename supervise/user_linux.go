package supervise

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownerUser returns the user to whom a file belongs.
func ownerUser(i fs.FileInfo) (uint32, bool) {
	st, ok := i.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}

// killUser kills the processes of a user of programs, until there are none, for a
// while: what starts another one before it is seen may take a few turns.
func killUser(user uint32) {
	if user < firstUser || user >= firstUser+users || os.Getuid() != 0 {
		return
	}
	for end := time.Now().Add(groupEnd); killSeen(user) && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
}

// killSeen kills those that are there, and reports whether there were any.
func killSeen(user uint32) bool {
	seen := processesOf(user)
	for _, pid := range seen {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		if runsAs(pid, user) { // the id is not another's by now
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // or it has ended
		}
		unix.Close(fd)
	}
	return len(seen) > 0
}

// processesOf returns the ids of the processes of a user.
func processesOf(user uint32) (pids []int) {
	entries, _ := os.ReadDir("/proc") // none are seen where there is none
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && runsAs(pid, user) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// runsAs reports whether a process, of which there is more than its end, is a user's.
func runsAs(pid int, user uint32) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		switch f := strings.Fields(line); {
		case len(f) > 1 && f[0] == "State:" && (f[1] == "Z" || f[1] == "X"):
			return false
		case len(f) > 1 && f[0] == "Uid:":
			return f[1] == fmt.Sprint(user)
		}
	}
	return false
}
