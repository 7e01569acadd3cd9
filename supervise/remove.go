package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// atOnce is how many entries of a directory are looked at together.
const atOnce = 512

// removeTree removes what a program has made, with as many open files however deep its
// directories are in each other: those further down are moved up, then removed.
func removeTree(name string) error {
	if err := os.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return err
	}
	defer root.Close()
	is, err := root.Stat(".")
	if err != nil {
		return err
	}
	named, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if !os.SameFile(is, named) {
		return fmt.Errorf("%s is not the same any more", name)
	}
	t := tree{root: root, lead: fmt.Sprintf("%016x-", rand.Uint64())}
	if err := t.empty("."); err != nil {
		return err
	}
	return os.Remove(name)
}

// tree is one that is being removed.
type tree struct {
	root  *os.Root
	lead  string // of names that it has not
	moved int
}

// empty removes what is in the top directory, or empties one below it: the directories
// in that go to the top.
func (t *tree) empty(dir string) error {
	for {
		entries, err := t.some(dir)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			err := t.root.Remove(name)
			switch {
			case err == nil || errors.Is(err, fs.ErrNotExist):
				continue
			case !e.IsDir():
				return err
			case dir != ".":
				t.moved++
				err = t.root.Rename(name, t.lead+fmt.Sprint(t.moved))
			default:
				if err = t.empty(name); err == nil {
					err = t.root.Remove(name)
				}
			}
			if err != nil {
				return err
			}
		}
	}
}

// some returns entries of a directory, none if it is empty.
func (t *tree) some(dir string) ([]fs.DirEntry, error) {
	f, err := t.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(atOnce)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}
