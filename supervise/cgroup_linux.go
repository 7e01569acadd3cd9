package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Control groups are of version 2: see the kernel's admin-guide/cgroup-v2. Only a
// server to which a part of their tree was given may make some.
const (
	ownGroup    = "pfs-server" // where the server goes: a group with groups below it has no processes
	groupWeight = 20           // of the processors; others have 100
	groupSlack  = 64 << 20     // bytes that a process has beside its private memory: its code, what it has read
	groupEnd    = time.Second  // for the last process to be gone
)

// errNoGroups is a machine, or a place in it, where no control groups are to be had.
var errNoGroups = errors.New("no control groups with limits")

// controlGroups returns the directory below which this process may make control
// groups with limits.
func controlGroups() (string, error) {
	here, err := ownControlGroup()
	if err != nil {
		return "", err
	}
	if filepath.Base(here) == ownGroup {
		here = filepath.Dir(here)
	}
	has := words(here, "cgroup.controllers")
	if !slices.Contains(has, "memory") || !slices.Contains(has, "pids") {
		return "", errNoGroups
	}
	var more []string
	for _, c := range []string{"memory", "pids", "cpu"} {
		if slices.Contains(has, c) && !slices.Contains(words(here, "cgroup.subtree_control"), c) {
			more = append(more, "+"+c)
		}
	}
	if len(more) == 0 {
		return here, nil
	}
	set := func() error {
		return os.WriteFile(filepath.Join(here, "cgroup.subtree_control"), []byte(strings.Join(more, " ")), 0)
	}
	err = set()
	if errors.Is(err, unix.EBUSY) && slices.Equal(words(here, "cgroup.procs"), []string{strconv.Itoa(os.Getpid())}) {
		if err = moveTo(filepath.Join(here, ownGroup)); err == nil {
			err = set()
		}
	}
	return here, err
}

// moveTo puts this process into a group that is made if need be.
func moveTo(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

// words returns those of a file of a group; none if it cannot be read.
func words(dir, name string) []string {
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.Fields(string(b))
}

// ownControlGroup returns the directory of the group of this process.
func ownControlGroup() (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	own := ""
	for line := range strings.Lines(string(b)) {
		if at, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = at
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) { // id parent device root at options … - type …
		before, after, _ := strings.Cut(line, " - ")
		f := strings.Fields(before)
		if strings.HasPrefix(after, "cgroup2 ") && len(f) > 4 && own != "" {
			if below, err := filepath.Rel(f[3], own); err == nil && filepath.IsLocal(below) {
				return filepath.Join(f[4], below), nil
			}
		}
	}
	return "", errNoGroups
}

// controlGroup is that of one process and all that it starts.
type controlGroup struct{ dir *os.File }

// newControlGroup makes one below a directory. A limit that is not there is left out.
func newControlGroup(below, name string, l Limits) (*controlGroup, error) {
	dir := filepath.Join(below, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	g := &controlGroup{f}
	for _, c := range []struct{ file, value string }{
		{"memory.max", fmt.Sprint(l.Memory + groupSlack)}, {"memory.swap.max", "0"}, {"memory.oom.group", "1"},
		{"pids.max", fmt.Sprint(l.Processes)}, {"cpu.weight", fmt.Sprint(groupWeight)},
	} {
		err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.value), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) { // there nothing is made
			return nil, errors.Join(err, g.remove())
		}
	}
	return g, nil
}

// remove kills what is in the group, and removes it.
func (g *controlGroup) remove() error {
	defer g.dir.Close()
	return removeGroup(g.dir.Name())
}

// removeGroup kills what is in a group, and removes it.
func removeGroup(dir string) error {
	_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) // since Linux 5.14
	for end := time.Now().Add(groupEnd); ; time.Sleep(time.Millisecond) {
		err := unix.Rmdir(dir)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// sweepGroups removes groups that servers which were killed have left behind, and ends
// what has outlived them there.
func sweepGroups(below string) {
	entries, err := os.ReadDir(below)
	if err != nil {
		return // nothing there to remove
	}
	for _, e := range entries {
		if pid, ok := ownerOf(e.Name(), dirLead, ""); ok && !alive(pid) {
			_ = removeGroup(filepath.Join(below, e.Name())) // what stays is swept again
		}
	}
}
