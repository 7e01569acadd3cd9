package api

import (
	"sort"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

type pluginInfo struct {
	Name     string        `json:"name"`
	Path     string        `json:"library_path,omitempty"`
	External bool          `json:"is_external"`
	Mounted  []pluginMount `json:"mounted_paths"`
	Params   []pluginParam `json:"config_params"`
	Doc      string        `json:"doc,omitempty"`
	*libraryInfo
}

// libraryInfo is what only a plugin from outside has.
type libraryInfo struct {
	Original  string      `json:"original_name,omitempty"`
	Kind      string      `json:"kind"`
	Isolation string      `json:"isolation,omitempty"` // on this node; "": it runs none
	Sum       string      `json:"sha256"`
	Size      int64       `json:"size"`
	Grants    vfs.Grants  `json:"grants"`
	Limits    limitsShown `json:"limits"`
	Place     string      `json:"placement"`
	ABI       int         `json:"abi"` // of a native library; 0: found out by calling it
}

type limitsShown struct {
	Memory    int64  `json:"memory"` // bytes
	Call      string `json:"call"`
	Instances int    `json:"instances"`
	Idle      string `json:"idle"` // "0s": never
}

type pluginMount struct {
	Path   vfs.Path   `json:"path"`
	Config vfs.Config `json:"config,omitempty"`
}

type pluginParam struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Required    bool   `json:"required"`
	Default     string `json:"default"`
	Description string `json:"description"`
}

// pluginList answers GET /plugins: every plugin, mounted or not, by name.
func (c *call) pluginList() error {
	img, err := c.image()
	if err != nil {
		return err
	}
	defer img.Release()
	byType := map[string][]pluginMount{}
	for _, m := range img.Table.Mounts() {
		byType[m.Type] = append(byType[m.Type],
			pluginMount{m.Path, fsm.MaskConfig(c.s.plugins[m.Type].Params, m.Config)})
	}
	out, loaded := []pluginInfo{}, []string{}
	for name, p := range c.s.plugins {
		out = append(out, pluginOf(name, p.Doc, p.Params, byType[name]))
	}
	for lib := range fsm.Libraries(img.View) {
		i := pluginOf(lib.Name, lib.Doc, lib.Params, byType[lib.Name])
		i.Path, i.External = lib.Source, true
		i.libraryInfo = &libraryInfo{lib.Original, lib.Kind, "", lib.Sum, lib.Size, lib.Grants,
			limitsShown{lib.Limits.Memory, lib.Limits.Call.String(), lib.Limits.Instances, lib.Limits.Idle.String()}, placeName(lib.Place), lib.ABI}
		if c.s.cfg.Libraries != nil {
			i.Isolation = c.s.cfg.Libraries.Isolation(lib.Kind)
		}
		out, loaded = append(out, i), append(loaded, lib.Source)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Name < out[b].Name })
	return c.json(200, map[string]any{"plugins": out, "loaded_plugins": loaded})
}

// pluginOf is what all plugins are told of.
func pluginOf(name, doc string, params []vfs.Param, mounts []pluginMount) pluginInfo {
	i := pluginInfo{Name: name, Mounted: mounts, Params: []pluginParam{}, Doc: doc}
	if i.Mounted == nil {
		i.Mounted = []pluginMount{}
	}
	for _, q := range params {
		i.Params = append(i.Params, pluginParam{q.Name, q.Type, q.Required, q.Default, q.Description})
	}
	return i
}

// plugin returns the description of a type, as a state has it that sees every
// acknowledged load.
func (c *call) plugin(kind string) (vfs.Plugin, error) {
	if p, ok := c.s.plugins[kind]; ok {
		return p, nil
	}
	img, err := c.imageAt(vfs.Level{Linearizable: true})
	if err != nil {
		return vfs.Plugin{}, err
	}
	defer img.Release()
	lib, ok := fsm.LibraryOf(img.View, kind)
	switch {
	case !ok:
		return vfs.Plugin{}, vfs.Invalid.Withf("unknown filesystem type: %s", printable(kind))
	case c.s.cfg.Libraries == nil:
		return vfs.Plugin{}, errNoLibraries
	}
	return c.s.cfg.Libraries.Plugin(lib), nil
}
