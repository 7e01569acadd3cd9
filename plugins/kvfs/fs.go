package kvfs

import (
	"context"
	_ "embed" // for the README
	"maps"
	"slices"
	"time"

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
		keys, err := tree.New(tree.Options{
			Type: p.Type, Verbs: p.Verbs, Chunks: env.Chunks, Readme: true,
			Dirs: []vfs.Path{home}, Files: files,
			Home: home, Outside: "keys must be under /keys/ directory", Parents: true,
			Freed: forget,
		})
		if err != nil {
			return nil, err
		}
		return &FS{keys}, nil
	}
	return p
}

// FS is the filesystem. It keeps no state: all of it is in the View.
type FS struct{ *tree.FS }

var (
	_ vfs.Folder   = (*FS)(nil)
	_ vfs.Timer    = (*FS)(nil)
	_ vfs.Finder   = (*FS)(nil)
	_ vfs.Checker  = (*FS)(nil)
	_ vfs.Optioned = (*FS)(nil)
	_ vfs.Opener   = (*FS)(nil)
)

// Options returns what a client may ask of a write: how long the key lives.
func (f *FS) Options(_ vfs.View, verb vfs.Verb, _ vfs.Path) ([]string, error) {
	if verb == vfs.Write {
		return []string{optionTTL}, nil
	}
	return nil, nil
}

// Stat describes p; a key that ends says when.
func (f *FS) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	i, err := f.FS.Stat(ctx, v, p)
	if err == nil {
		i = withEnd(v, i)
	}
	return i, err
}

// Opens reports whether f is this filesystem itself.
func (f *FS) Opens(o vfs.FileSystem) bool {
	own, ok := o.(*FS)
	return ok && own == f
}

// Open is Stat, with the content of a file.
func (f *FS) Open(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, vfs.Opened, error) {
	i, from, err := f.FS.Open(ctx, v, p)
	if err == nil {
		i = withEnd(v, i)
	}
	return i, from, err
}

// List returns the entries of a directory, as Stat describes them.
func (f *FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	all, err := f.FS.List(ctx, v, p, after, limit)
	for n := range all {
		all[n] = withEnd(v, all[n])
	}
	return all, err
}

func withEnd(v vfs.View, i vfs.Info) vfs.Info {
	if ns, ok := endOf(v, i.ID); ok {
		i.Meta.Content = map[string]string{"expires": time.Unix(0, int64(ns)).UTC().Format(time.RFC3339Nano)}
	}
	return i
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
