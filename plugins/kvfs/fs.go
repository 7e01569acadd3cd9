package kvfs

import (
	_ "embed" // for the README
	"maps"
	"slices"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

//go:embed README.md
var doc string

const (
	initialData = "initial_data"

	home vfs.Path = "/keys"
)

// Plugin returns kvfs.
func Plugin() vfs.Plugin {
	p := vfs.Plugin{
		Type:  "kvfs",
		Doc:   doc,
		Verbs: tree.AllVerbs,
		Params: []vfs.Param{{
			Name: initialData, Type: "map",
			Description: "Keys and values that the mount starts with",
		}},
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Replicated, nil },
	}
	p.New = func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		if err := c.Check(p.Params); err != nil {
			return nil, err
		}
		files, err := files(c)
		if err != nil {
			return nil, err
		}
		return tree.New(tree.Options{
			Type: p.Type, Verbs: p.Verbs, Chunks: env.Chunks, Readme: true,
			Dirs: []vfs.Path{home}, Files: files,
			Home: home, Outside: "keys must be under /keys/ directory", Parents: true,
		})
	}
	return p
}

// files reads the setting initial_data, in order of the keys.
func files(c vfs.Config) ([]tree.File, error) {
	data, err := c.Map(initialData)
	if err != nil {
		return nil, err
	}
	var out []tree.File
	for _, key := range slices.Sorted(maps.Keys(data)) {
		below, err := tree.ParsePath("/" + key)
		if err != nil {
			return nil, err
		}
		if below.IsRoot() {
			return nil, vfs.Invalid.Withf("%s: key name cannot be empty", initialData)
		}
		out = append(out, tree.File{Path: home.Join(below), Data: []byte(data[key])})
	}
	return out, nil
}
