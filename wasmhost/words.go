package wasmhost

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// file is what a module says of one file.
type file struct {
	Name    string
	Size    json.Number
	Mode    uint32
	ModTime string
	IsDir   bool
	Meta    *struct {
		Name, Type string
		Content    map[string]any
	}
}

// info returns the file as clients see it; name replaces what the module calls
// it, unless it is "".
func (f file) info(name string, began time.Time) (vfs.Info, error) {
	i := vfs.Info{Name: f.Name, Mode: vfs.Mode(f.Mode) & 0o777}
	if f.Size != "" {
		n, err := f.Size.Float64()
		if whole, werr := f.Size.Int64(); werr == nil {
			i.Size = whole
		} else if i.Size = int64(n); err != nil {
			return i, vfs.Crashed.With("the plugin is wrong: a size is no number")
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, f.ModTime); err == nil {
		i.ModTime = t // the SDKs always send the year 1
	}
	if f.IsDir {
		i.Mode |= vfs.ModeDir
	}
	if f.Meta != nil {
		i.Meta = vfs.Meta{Name: f.Meta.Name, Type: f.Meta.Type, Content: texts(f.Meta.Content)}
	}
	return vfs.Told(i, name, began)
}

// texts makes texts of all values.
func texts(m map[string]any) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m { // a map has no order either
		if s, ok := v.(string); ok {
			out[k] = s
		} else if b, err := json.Marshal(v); err == nil {
			out[k] = string(b)
		}
	}
	return out
}

// parseFile reads what fs_stat answers.
func parseFile(text string, p vfs.Path, began time.Time) (vfs.Info, error) {
	var f file
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return vfs.Info{}, vfs.Crashed.Withf("the plugin is wrong: fs_stat does not answer JSON: %v", err)
	}
	return f.info(p.Base(), began)
}

// parseList reads what fs_readdir answers: by name, each once.
func parseList(text string, began time.Time) ([]vfs.Info, error) {
	var files []file
	if text != "" {
		if err := json.Unmarshal([]byte(text), &files); err != nil {
			return nil, vfs.Crashed.Withf("the plugin is wrong: fs_readdir does not answer JSON: %v", err)
		}
	}
	out, seen := make([]vfs.Info, 0, len(files)), make(map[string]bool, len(files))
	for _, f := range files {
		i, err := f.info("", began)
		if err != nil {
			return nil, err
		}
		if seen[i.Name] {
			return nil, vfs.Crashed.Withf("the plugin is wrong: it lists %.40q twice", i.Name)
		}
		seen[i.Name] = true
		out = append(out, i)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Name < out[b].Name })
	return out, nil
}

// parseParams reads what plugin_get_config_params answers.
func parseParams(text string) ([]vfs.Param, error) {
	if text == "" {
		return nil, nil
	}
	var list []struct {
		Name, Type, Description string
		Required                bool
		Default                 any
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, vfs.Invalid.Withf("the module's plugin_get_config_params does not answer JSON: %v", err)
	}
	var out []vfs.Param
	for _, p := range list {
		q := vfs.Param{Name: p.Name, Type: p.Type, Required: p.Required, Description: p.Description}
		if p.Default != nil {
			q.Default = fmt.Sprint(p.Default)
		}
		out = append(out, q)
	}
	return out, nil
}
