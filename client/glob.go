package client

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// special are the characters of a pattern that stand for others.
const special = `*?[\`

// Glob implements fs.GlobFS. Only directories that may hold a match are listed,
// and of them only names that begin as the pattern does. Unlike that of package
// fs it does not pass over a cluster that cannot be reached.
func (t *tree) Glob(pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	if !strings.ContainsAny(pattern, special) {
		return t.there(pattern)
	}
	dir, name := path.Split(pattern)
	if dir = strings.TrimSuffix(dir, "/"); dir == "" {
		dir = "."
	}
	dirs := []string{dir}
	if strings.ContainsAny(dir, special) {
		var err error
		if dirs, err = t.Glob(dir); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, d := range dirs {
		found, err := t.matches(d, name)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return out, nil
}

// there returns the name of a file if there is one.
func (t *tree) there(name string) ([]string, error) {
	if !fs.ValidPath(name) {
		return nil, nil
	}
	if _, err := t.Lstat(name); err != nil {
		return nil, noMatch(err)
	}
	return []string{name}, nil
}

// matches returns the files in dir that match the last element of a pattern.
func (t *tree) matches(dir, pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, special) {
		return t.there(path.Join(dir, pattern))
	}
	full, err := t.full("glob", dir)
	if err != nil {
		return nil, nil // no name of this tree
	}
	var out []string
	for i, err := range t.c.entries(t.ctx, full, pattern[:strings.IndexAny(pattern, special)]) {
		if err != nil {
			return nil, renamed(noMatch(err), "glob", dir)
		}
		if ok, err := path.Match(pattern, i.Name); ok && err == nil {
			out = append(out, path.Join(dir, i.Name))
		}
	}
	return out, nil
}

// noMatch makes nothing of an error that only says that there is no match.
func noMatch(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, vfs.NotDirectory) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
