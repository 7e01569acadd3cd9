package mcp

import (
	"context"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/vfs"
)

// maxMounts is how many mounts or plugins one answer has.
const maxMounts = 200

type mountsIn struct {
	Action   string         `json:"action" jsonschema:"list, plugins, mount or unmount"`
	Path     string         `json:"path,omitempty" jsonschema:"of mount and unmount"`
	Type     string         `json:"type,omitempty" jsonschema:"plugin to mount, or to tell the settings of"`
	Settings map[string]any `json:"settings,omitempty"`
}

type mountsOut struct {
	Mounts    []mounted `json:"mounts,omitempty"`
	Plugins   []plugin  `json:"plugins,omitempty"`
	Truncated bool      `json:"truncated,omitempty"`
}

type mounted struct {
	Path   string `json:"path"`
	Type   string `json:"type"`
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

type plugin struct {
	Type     string `json:"type"`
	Settings any    `json:"settings,omitempty"`
}

// mounts tells and changes the mount table. What is mounted may reach anything the
// server does, so an agent that is held below a root may only look.
func (s *Server) mounts(ctx context.Context, in mountsIn) (*sdk.CallToolResult, mountsOut, error) {
	var out mountsOut
	var err error
	switch in.Action {
	case "list":
		out, err = s.mountList(ctx)
	case "plugins":
		out, err = s.pluginList(ctx, in.Type)
	case "mount", "unmount":
		out, err = s.changeMounts(ctx, in)
	default:
		err = hint(vfs.Invalid.Withf("action %q", clip(in.Action, 50)), "It is list, plugins, mount or unmount")
	}
	return nil, out, err
}

func (s *Server) mountList(ctx context.Context) (out mountsOut, err error) {
	all, err := s.cfg.Client.Mounts(ctx)
	for _, m := range all {
		if p := vfs.Path(m.Path); !p.Under(s.root) && !s.root.Under(p) {
			continue
		}
		if out.Truncated = len(out.Mounts) == maxMounts; out.Truncated {
			break
		}
		out.Mounts = append(out.Mounts, mounted{m.Path, m.Type, m.Status, clip(m.Error, maxMatch)})
	}
	return out, err
}

func (s *Server) pluginList(ctx context.Context, kind string) (out mountsOut, err error) {
	all, err := s.cfg.Client.Plugins(ctx)
	for _, p := range all {
		if kind != "" && kind != p.Name {
			continue
		}
		if out.Truncated = len(out.Plugins) == maxMounts; out.Truncated {
			break
		}
		t := plugin{Type: p.Name}
		if kind != "" && len(p.Params) > 0 {
			t.Settings = p.Params
		}
		out.Plugins = append(out.Plugins, t)
	}
	if err == nil && kind != "" && len(out.Plugins) == 0 {
		err = hint(vfs.NotFound.Withf("plugin %q: not found", clip(kind, 50)), "Leave type out to see all")
	}
	return out, err
}

func (s *Server) changeMounts(ctx context.Context, in mountsIn) (mountsOut, error) {
	switch {
	case !s.root.IsRoot():
		return mountsOut{}, hint(vfs.Permission.Withf("%s is not for agents that are held below %s", in.Action, s.root), "Ask the operator of the server")
	case in.Path == "" || in.Action == "mount" && in.Type == "":
		return mountsOut{}, hint(vfs.Invalid.Withf("%s needs path, and mount type", in.Action), "See action plugins for types")
	}
	p, err := s.parse(in.Path)
	if err != nil {
		return mountsOut{}, err
	}
	if in.Action == "unmount" {
		err = s.cfg.Client.Unmount(ctx, string(p))
	} else {
		err = s.cfg.Client.Mount(ctx, in.Type, string(p), in.Settings)
	}
	if err != nil {
		return mountsOut{}, err
	}
	return s.mountList(ctx)
}
