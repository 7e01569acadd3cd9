package fsm

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/store"
)

// The machine's directory holds the store in a directory named by a number,
// its generation, and a file that names the current one. A restore makes the
// next generation beside it and renames the file: that is the moment at which
// one state is replaced by another, and after a crash the file tells which is
// whole. All else in the directory is left over from what was under way.
const (
	currentFile      = "CURRENT"
	checkpointPrefix = "checkpoint-"
	installPrefix    = "install-"
)

// home is the machine's directory and the disk that it is on.
type home struct {
	disk store.FS
	dir  string
}

func (h home) path(name string) string { return h.disk.PathJoin(h.dir, name) }

func (h home) gen(gen uint64) string { return h.path(genName(gen)) }

func genName(gen uint64) string { return fmt.Sprintf("%08d", gen) }

// current returns the current generation, and starts with the first in a new
// directory.
func (h home) current() (uint64, error) {
	if err := h.disk.MkdirAll(h.dir, 0o755); err != nil {
		return 0, err
	}
	b, err := store.ReadFile(h.disk, h.path(currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		gens, err := h.generations()
		if err != nil || len(gens) > 0 {
			return 0, errors.Join(err, fmt.Errorf("%s holds a state but no %s file", h.dir, currentFile))
		}
		return 1, errors.Join(h.point(1), store.SyncDir(h.disk, h.disk.PathDir(h.dir)))
	}
	if err != nil {
		return 0, err
	}
	var gen uint64
	if n, err := fmt.Sscanf(string(b), "%08d\n", &gen); n != 1 || err != nil || gen == 0 {
		return 0, fmt.Errorf("%s file is damaged", currentFile)
	}
	// The first may not have been made yet; later ones were made before.
	if _, err := h.disk.Stat(h.gen(gen)); gen > 1 && err != nil {
		return 0, err
	}
	return gen, nil
}

// point makes gen the current generation, durably.
func (h home) point(gen uint64) error {
	return store.WriteFile(h.disk, h.path(currentFile), []byte(genName(gen)+"\n"))
}

// clean removes what a crash left over. The caller has the store of gen
// open, so that no other process is at work here.
func (h home) clean(gen uint64) error {
	gens, err := h.generations()
	if err != nil {
		return err
	}
	for _, name := range gens {
		if name != genName(gen) {
			err = errors.Join(err, h.disk.RemoveAll(h.path(name)))
		}
	}
	return err
}

// generations lists all that the machine has made beside the file that names
// the current generation.
func (h home) generations() ([]string, error) {
	names, err := h.disk.List(h.dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		number := strings.TrimSuffix(name, ".part")
		if strings.Trim(number, "0123456789") == "" && len(number) >= 8 ||
			strings.HasPrefix(name, checkpointPrefix) || strings.HasPrefix(name, installPrefix) {
			out = append(out, name)
		}
	}
	return out, nil
}
