package client

import "context"

// LoadedPlugin is a third-party plugin that can be mounted.
type LoadedPlugin struct {
	Name     string `json:"plugin_name"` // the type of its mounts
	Original string `json:"original_name,omitempty"`
	Sum      string `json:"sha256"` // of its code
}

// LoadPlugin has the node that is asked load a file of its own, or with pfs://
// one of the tree. With IfAbsent it is an error of kind vfs.Exists if other code
// is loaded under its name.
func (c *Client) LoadPlugin(ctx context.Context, path string, opts ...Option) (LoadedPlugin, error) {
	k := post("load", "/plugins/load", path).withJSON(map[string]string{"library_path": path}).with(opts)
	k.again = true
	var out LoadedPlugin
	_, err := c.json(ctx, k, &out)
	return out, err
}
