package api

import (
	"os"
	"sort"
	"strings"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

type pluginInfo struct {
	Name     string        `json:"name"`
	External bool          `json:"is_external"`
	Mounted  []pluginMount `json:"mounted_paths"`
	Params   []pluginParam `json:"config_params"`
	Doc      string        `json:"doc,omitempty"`
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
	out := []pluginInfo{}
	for name, p := range c.s.plugins {
		i := pluginInfo{Name: name, Mounted: byType[name], Params: []pluginParam{}, Doc: p.Doc}
		if i.Mounted == nil {
			i.Mounted = []pluginMount{}
		}
		for _, q := range p.Params {
			i.Params = append(i.Params, pluginParam{q.Name, q.Type, q.Required, q.Default, q.Description})
		}
		out = append(out, i)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Name < out[b].Name })
	return c.json(200, map[string]any{"plugins": out, "loaded_plugins": []string{}})
}

// pluginLoad answers POST /plugins/load. This server has no host for plugins
// from outside; a file that is not there is told apart.
func (c *call) pluginLoad() error {
	path, err := c.libraryPath()
	if err != nil {
		return err
	}
	if !strings.Contains(path, "://") {
		if _, err := os.Stat(path); err != nil {
			return vfs.NotFound.Withf("failed to detect plugin type: %s: not found", printable(path))
		}
	}
	return vfs.Unsupported.With("loading plugins: operation not supported")
}

// pluginUnload answers POST /plugins/unload.
func (c *call) pluginUnload() error {
	if _, err := c.libraryPath(); err != nil {
		return err
	}
	return vfs.Unsupported.With("unloading plugins: operation not supported")
}

func (c *call) libraryPath() (string, error) {
	var in struct {
		Path string `json:"library_path"`
	}
	if err := c.decode(&in, "invalid request body"); err != nil {
		return "", err
	}
	if in.Path == "" {
		return "", vfs.Invalid.With("library_path is required")
	}
	return in.Path, nil
}
