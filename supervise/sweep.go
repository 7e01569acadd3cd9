package supervise

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// dirLead is how the names of the directories of programs begin, before the process
// id of their server.
const dirLead = "pfs-plugin-"

// Sweep removes what programs of servers that were killed have left behind: their
// processes, where each had a user or a control group of its own, their directories,
// and files in dir that are named lead, the process id of a server, a
// "-" and something that ends with one of ends. What cannot be removed stays.
func Sweep(dir, lead string, ends ...string) {
	sweepMachine()
	sweepUsers()
	sweep(os.TempDir(), dirLead, "")
	for _, end := range ends {
		sweep(dir, lead, end)
	}
}

// sweepUsers ends what has outlived its server: a program can ask the kernel not to
// end it then.
func sweepUsers() {
	entries, err := os.ReadDir(os.TempDir())
	if err != nil || os.Getuid() != 0 {
		return // only root has given users
	}
	for _, e := range entries {
		pid, ok := ownerOf(e.Name(), dirLead, "")
		if !ok || alive(pid) {
			continue
		}
		user, err := strconv.ParseUint(e.Name()[strings.LastIndex(e.Name(), "-")+1:], 10, 32)
		if err == nil && isOf(e, uint32(user)) {
			killUser(uint32(user))
		}
	}
}

func sweep(dir, lead, end string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nothing there to remove
	}
	for _, e := range entries {
		if pid, ok := ownerOf(e.Name(), lead, end); ok && !alive(pid) {
			_ = removeTree(filepath.Join(dir, e.Name()))
		}
	}
}

// ownerOf reads the process id out of a name.
func ownerOf(name, lead, end string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(name, lead)
	number, _, cut := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	return pid, ok && cut && err == nil && pid > 0 && strings.HasSuffix(rest, end)
}
