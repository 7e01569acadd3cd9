package server

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// defaultMounts are there when no configuration file is given, as far as their
// plugins are built in.
func defaultMounts() []string {
	return []string{"memfs", "kvfs", "queuefs", "streamfs", "heartbeatfs", "hellofs", "serverinfofs"}
}

// devPath is where devfs always is.
const devPath vfs.Path = "/dev"

// fileMounts returns the mounts that the configuration asks for, by path.
func fileMounts(c Config, hasFile bool, builtin []vfs.Plugin) ([]fsm.FileMount, error) {
	types := make([]string, len(builtin))
	for i, p := range builtin {
		types[i] = p.Type
	}
	mounts := []fsm.FileMount{{Path: devPath, Type: "devfs"}}
	if !hasFile {
		for _, t := range defaultMounts() {
			if slices.Contains(types, t) {
				mounts = append(mounts, fsm.FileMount{Path: vfs.Path("/" + t), Type: t})
			}
		}
	}
	for key, entries := range c.Plugins {
		t, err := pluginType(key, types)
		if err != nil && !(c.External.Enabled && fsm.ValidLibraryName(key)) {
			return nil, err
		}
		if err != nil {
			t = key // a third-party plugin, once it is loaded
		}
		for _, e := range entries {
			if e.Enabled != nil && !*e.Enabled {
				continue
			}
			m, err := e.mount(key, t, builtin)
			if err != nil {
				return nil, err
			}
			mounts = append(mounts, m)
		}
	}
	sort.Slice(mounts, func(i, j int) bool { return mounts[i].Path < mounts[j].Path })
	for i := 1; i < len(mounts); i++ {
		if mounts[i].Path == mounts[i-1].Path && mounts[i].Path != devPath {
			return nil, fmt.Errorf("plugins: two mounts at %s", mounts[i].Path)
		}
	}
	return slices.CompactFunc(mounts, func(a, b fsm.FileMount) bool { return a.Path == b.Path }), nil
}

func (e mountConfig) mount(key, typ string, builtin []vfs.Plugin) (fsm.FileMount, error) {
	p, err := vfs.ParsePath(e.Path)
	if err != nil {
		return fsm.FileMount{}, fmt.Errorf("plugins.%s: path %q: %w", key, e.Path, err)
	}
	if i := slices.IndexFunc(builtin, func(b vfs.Plugin) bool { return b.Type == typ }); i >= 0 {
		if err := vfs.Config(e.Config).Vet(builtin[i].Params); err != nil {
			return fsm.FileMount{}, fmt.Errorf("plugins.%s: %w", key, err)
		}
	}
	name := e.Name
	if name == "" {
		name = key
	}
	return fsm.FileMount{Path: p, Type: typ, Name: name, Node: e.Node, Config: e.Config}, nil
}

// pluginType finds the plugin that a key names: the whole key, or what stands
// before its first underscore, as in memfs_scratch.
func pluginType(key string, types []string) (string, error) {
	if slices.Contains(types, key) {
		return key, nil
	}
	if t, _, ok := strings.Cut(key, "_"); ok && slices.Contains(types, t) {
		return t, nil
	}
	msg := fmt.Sprintf("plugins.%s: unknown filesystem type: %s", key, key)
	if n := vfs.Nearest(key, types); n != "" {
		return "", fmt.Errorf("%s; did you mean %q?", msg, n)
	}
	return "", fmt.Errorf("%s; known types: %s", msg, strings.Join(types, ", "))
}
