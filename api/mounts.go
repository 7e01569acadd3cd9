package api

import (
	"encoding/json"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// mountInfo is one mount as clients see it. Secrets are masked.
type mountInfo struct {
	Path vfs.Path `json:"path"`
	Type string   `json:"pluginName"`
	vfs.MountState
	Placement string                    `json:"placement"`
	Node      string                    `json:"node,omitempty"`
	Roams     bool                      `json:"roams,omitempty"` // it lives elsewhere when that node is away
	Nodes     map[string]vfs.MountState `json:"nodes,omitempty"` // each that answers, unless the log folds it
	Config    vfs.Config                `json:"config,omitempty"`
}

// mountInfo describes m: as it is on this node, or the one that it lives on.
func (s *Server) mountInfo(m vfs.Mounted, nodes map[string]map[vfs.Path]vfs.MountState) mountInfo {
	i := mountInfo{Path: m.Path, Type: m.Type, MountState: m.State(), Node: m.Node, Roams: m.Roams,
		Placement: m.Place.String(), Config: fsm.MaskConfig(s.plugins[m.Type].Params, m.Config)}
	for id, states := range nodes {
		if state, ok := states[m.Path]; ok && (m.Place == vfs.Shared || m.Place == vfs.PerNode || id == m.Node) {
			if i.Nodes == nil {
				i.Nodes = map[string]vfs.MountState{}
			}
			i.Nodes[id] = state
		}
	}
	if m.Place != vfs.Pinned || m.Node == s.cfg.Node.ID() || nodes == nil {
		return i
	}
	var ok bool
	if i.MountState, ok = i.Nodes[m.Node]; !ok {
		i.MountState = vfs.MountState{Status: vfs.MountFailed, Error: "node " + m.Node + " does not answer"}
	}
	return i
}

// mounts answers GET /mounts, by path.
func (c *call) mounts() error {
	ctx := c.within()
	defer ctx.End()
	nodes := c.s.cfg.Node.MountStates(ctx)
	img, err := c.image()
	if err != nil {
		return err
	}
	defer img.Release()
	out := []mountInfo{}
	for _, m := range img.Table.Mounts() {
		out = append(out, c.s.mountInfo(m, nodes))
	}
	return c.json(200, map[string]any{"mounts": out})
}

// mountAsk is what POST /mount asks for.
type mountAsk struct {
	Type   string     `json:"fstype"`
	Path   string     `json:"path"`
	Node   string     `json:"node"`
	Config vfs.Config `json:"config"`
}

// mount answers POST /mount. The plugin is tried first, here or on the node that
// it is to live on: what fails there does not enter the log. With try=true that
// is all.
func (c *call) mount() error {
	var in mountAsk
	if err := c.decode(&in, "invalid request body"); err != nil {
		return err
	}
	switch {
	case in.Type == "":
		return vfs.Invalid.With("fstype is required")
	case in.Path == "":
		return vfs.Invalid.With("path is required")
	}
	p, err := parsePath(in.Path)
	if err != nil {
		return err
	}
	plugin, err := c.plugin(in.Type)
	if err != nil {
		return err
	}
	// From here on no secret is in the clear.
	if in.Config, err = c.s.cfg.Secrets.Seal(plugin, in.Config); err != nil {
		return err
	}
	spec := fsm.MountSpec{Type: in.Type, Config: in.Config, Node: in.Node, Doc: plugin.Doc}
	if _, ours := c.s.plugins[in.Type]; spec.Node == "" {
		spec.Node, spec.Roams = c.s.cfg.Node.ID(), !ours
	}
	if err := c.try(p, plugin, &spec); err != nil {
		return err
	}
	if c.is("try") {
		return c.json(200, message{Message: "plugin can be mounted"})
	}
	ctx := c.within()
	defer ctx.End()
	op := vfs.Op{Verb: vfs.Mount, Path: p, Data: fsm.EncodeMount(spec)}
	asked, err := json.Marshal(in)
	if err != nil {
		return err
	}
	a, err := c.propose(ctx, vfs.Mounted{}, op, hash(string(asked)), op)
	if err != nil {
		return err
	}
	a.out.Results = nil // a mount is no file: no ETag
	c.awaitUp(ctx, p, a.out.Index)
	return c.done(200, "plugin mounted", a)
}

// mountAt returns the mount at exactly p, as a state sees it that has every
// acknowledged change.
func (c *call) mountAt(p vfs.Path) (vfs.Mounted, bool, error) {
	ctx := c.within()
	defer ctx.End()
	img, err := c.s.cfg.Node.Image(ctx, vfs.Level{Linearizable: true})
	if err != nil {
		return vfs.Mounted{}, false, err
	}
	defer img.Release()
	for _, m := range img.Table.Mounts() {
		if m.Path == p {
			return m, true, nil
		}
	}
	return vfs.Mounted{}, false, nil
}

// unmount answers POST /unmount. Handles on the mount end first.
func (c *call) unmount() error {
	var in struct {
		Path string `json:"path"`
	}
	if err := c.decode(&in, "invalid request body"); err != nil {
		return err
	}
	if in.Path == "" {
		return vfs.Invalid.With("path is required")
	}
	p, err := parsePath(in.Path)
	if err != nil {
		return err
	}
	key, err := c.key()
	if err != nil {
		return err
	}
	m, there, err := c.mountAt(p)
	switch {
	case err != nil:
		return err
	case there:
		c.s.handles.drop(m.ID)
	case key == "": // a repeat has its first outcome in the log
		return vfs.NotFound.Withf("no mount at path: %s (not found)", p)
	}
	ctx := c.within()
	defer ctx.End()
	op := vfs.Op{Verb: vfs.Unmount, Path: p}
	a, err := c.propose(ctx, vfs.Mounted{}, op, hash(string(p)), op)
	if err != nil {
		return err
	}
	a.out.Results = nil
	return c.done(200, "plugin unmounted", a)
}
