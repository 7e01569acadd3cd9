package fsm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

func genDir(dir string, gen uint64) string { return filepath.Join(dir, fmt.Sprintf("%08d", gen)) }

// recoverDir returns the current generation in dir, and starts with the first
// in a new directory.
func recoverDir(dir string) (uint64, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	b, err := os.ReadFile(filepath.Join(dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		gens, err := generations(dir)
		if err != nil || len(gens) > 0 {
			return 0, errors.Join(err, fmt.Errorf("%s holds a state but no %s file", dir, currentFile))
		}
		return 1, errors.Join(writeCurrent(dir, 1), syncDir(filepath.Dir(dir)))
	}
	if err != nil {
		return 0, err
	}
	var gen uint64
	if n, err := fmt.Sscanf(string(b), "%08d\n", &gen); n != 1 || err != nil || gen == 0 {
		return 0, fmt.Errorf("%s file is damaged", currentFile)
	}
	// The first may not have been made yet; later ones were made before.
	if _, err := os.Stat(genDir(dir, gen)); gen > 1 && err != nil {
		return 0, err
	}
	return gen, nil
}

// writeCurrent makes gen the current generation, durably.
func writeCurrent(dir string, gen uint64) error {
	name := filepath.Join(dir, currentFile)
	f, err := os.Create(name + ".tmp")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%08d\n", gen)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return err
	}
	return syncDir(dir)
}

// cleanDir removes what a crash left over. The caller has the store of gen
// open, so that no other process is at work here.
func cleanDir(dir string, gen uint64) error {
	gens, err := generations(dir)
	if err != nil {
		return err
	}
	for _, name := range gens {
		if filepath.Join(dir, name) != genDir(dir, gen) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	return err
}

// generations lists all that the machine has made in dir beside the file that
// names the current generation.
func generations(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		number := strings.TrimSuffix(name, ".part")
		if strings.Trim(number, "0123456789") == "" && len(number) >= 8 ||
			strings.HasPrefix(name, checkpointPrefix) || strings.HasPrefix(name, installPrefix) {
			out = append(out, name)
		}
	}
	return out, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
