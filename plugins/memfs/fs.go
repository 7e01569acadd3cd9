package memfs

import (
	_ "embed" // for the README

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

//go:embed README.md
var doc string

const initDirs = "init_dirs"

// Plugin returns memfs.
func Plugin() vfs.Plugin {
	p := vfs.Plugin{
		Type:  "memfs",
		Doc:   doc,
		Verbs: tree.AllVerbs,
		Params: []vfs.Param{{
			Name: initDirs, Type: "list",
			Description: "Directories that the mount starts with; parents are made",
		}},
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Replicated, nil },
	}
	p.New = func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		if err := c.Check(p.Params); err != nil {
			return nil, err
		}
		dirs, err := dirs(c)
		if err != nil {
			return nil, err
		}
		return tree.New(tree.Options{Type: p.Type, Verbs: p.Verbs, Chunks: env.Chunks, Readme: true, Dirs: dirs})
	}
	return p
}

// dirs reads the setting init_dirs.
func dirs(c vfs.Config) ([]vfs.Path, error) {
	names, err := c.Strings(initDirs)
	if err != nil {
		return nil, err
	}
	var out []vfs.Path
	for _, name := range names {
		p, err := tree.ParsePath(name)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
