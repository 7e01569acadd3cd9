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
// directories, and files in dir that are named lead, the process id of a server, a
// "-" and something that ends with one of ends. What cannot be removed stays.
func Sweep(dir, lead string, ends ...string) {
	sweep(os.TempDir(), dirLead, "")
	for _, end := range ends {
		sweep(dir, lead, end)
	}
}

func sweep(dir, lead, end string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nothing there to remove
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), lead)
		number, _, cut := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(number)
		if ok && cut && err == nil && pid > 0 && strings.HasSuffix(rest, end) && !alive(pid) {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}
