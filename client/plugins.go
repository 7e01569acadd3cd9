package client

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Plugin is one kind of filesystem that can be mounted.
type Plugin struct {
	Name     string        `json:"name"` // the type of its mounts
	External bool          `json:"is_external"`
	Path     string        `json:"library_path,omitempty"` // where it came from
	Kind     string        `json:"kind,omitempty"`         // of a third-party one: wasm, wasi, native, http, msgpack
	Sum      string        `json:"sha256,omitempty"`       // of its code
	Size     int64         `json:"size,omitempty"`         // of its code, in bytes
	Place    string        `json:"placement,omitempty"`    // of a third-party one: pinned, any-reader
	Mounted  []Mount       `json:"mounted_paths"`          // their paths and settings
	Params   []PluginParam `json:"config_params"`
}

// PluginParam is a setting of a Plugin.
type PluginParam struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Required    bool   `json:"required"`
	Default     string `json:"default"`
	Description string `json:"description"`
}

// Plugins returns what can be mounted, by name.
func (c *Client) Plugins(ctx context.Context) ([]Plugin, error) {
	var out struct {
		Plugins []Plugin `json:"plugins"`
	}
	_, err := c.json(ctx, ask("plugins", "/plugins"), &out)
	return out.Plugins, err
}

// LoadedPlugin is a third-party plugin that can be mounted.
type LoadedPlugin struct {
	Name     string `json:"plugin_name"` // the type of its mounts
	Original string `json:"original_name,omitempty"`
	Sum      string `json:"sha256"` // of its code
}

// PluginTerms are what a third-party plugin is held to and may use; zero fields
// are the server's defaults.
type PluginTerms struct {
	Memory    string // of one instance, as 64MB
	Call      string // for one call, as 5s
	Idle      string // without a call until a program is stopped, as 10m
	Instances int
	ABI       int      // the generation of a native library
	Read      []string // paths of the tree that it may read, with all below
	Write     []string // paths of the tree that a module may change, with all below
	HTTP      []string // what a module may ask: [METHOD,… ][https://]HOST[:PORT]
	Network   bool     // of the machine, for a program
	Processes bool     // may be started by a program or a native library
	Sum       string   // SHA-256 that the code must have, in hex; required of a URL
	Placement string   // "any-reader": every node runs it, and nothing changes its mounts
}

// LoadPlugin has the node that is asked load a file of its own, with pfs:// one
// of the tree, or with http:// and https:// one of a server that it is allowed.
// With IfAbsent it is an error of kind vfs.Exists if other code is loaded under its
// name.
func (c *Client) LoadPlugin(ctx context.Context, path string, t PluginTerms, opts ...Option) (LoadedPlugin, error) {
	limits := map[string]any{}
	for name, v := range t.texts() {
		limits[name] = v
	}
	body := map[string]any{"library_path": path, "limits": limits,
		"grants": map[string]any{"read": t.Read, "write": t.Write, "http": t.HTTP, "network": t.Network, "processes": t.Processes}}
	for name, v := range map[string]string{"sha256": t.Sum, "placement": t.Placement} {
		if v != "" {
			body[name] = v
		}
	}
	if t.ABI != 0 {
		body["abi"] = t.ABI
	}
	return c.loadPlugin(ctx, post("load", "/plugins/load", path).withJSON(body), opts)
}

// SendPlugin is LoadPlugin of code that is sent along; name is shown as where it
// came from.
func (c *Client) SendPlugin(ctx context.Context, name string, code []byte, t PluginTerms, opts ...Option) (LoadedPlugin, error) {
	k := post("load", "/plugins/load", name)
	k.query = url.Values{"name": {name}, "grant_read": t.Read, "grant_write": t.Write, "grant_http": t.HTTP,
		"grant_network": {strconv.FormatBool(t.Network)}, "grant_processes": {strconv.FormatBool(t.Processes)}}
	for name, v := range t.texts() {
		k.query.Set(name, v)
	}
	for name, v := range map[string]string{"sha256": t.Sum, "placement": t.Placement} {
		if v != "" {
			k.query.Set(name, v)
		}
	}
	if t.ABI != 0 {
		k.query.Set("abi", strconv.Itoa(t.ABI))
	}
	k.header = http.Header{"Content-Type": {"application/octet-stream"}}
	k.body = func() (*upload, error) { return &upload{r: bytes.NewReader(code), size: int64(len(code))}, nil }
	return c.loadPlugin(ctx, k, opts)
}

func (c *Client) loadPlugin(ctx context.Context, k call, opts []Option) (out LoadedPlugin, err error) {
	k.again = true
	_, err = c.json(ctx, k.with(opts), &out)
	return out, err
}

// texts returns the limits that are given.
func (t PluginTerms) texts() map[string]string {
	out := map[string]string{}
	for name, v := range map[string]string{"memory": t.Memory, "call": t.Call, "idle": t.Idle} {
		if v != "" {
			out[name] = v
		}
	}
	if t.Instances != 0 {
		out["instances"] = strconv.Itoa(t.Instances)
	}
	return out
}

// UnloadPlugin forgets a third-party plugin, by its name or where it came from;
// vfs.Conflict while it is mounted.
func (c *Client) UnloadPlugin(ctx context.Context, name string) error {
	return c.change(ctx, post("unload", "/plugins/unload", name).withJSON(map[string]string{"library_path": name}), nil)
}
