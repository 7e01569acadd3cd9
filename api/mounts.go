package api

import (
	"context"
	"encoding/json"
	"io"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// mountInfo is one mount as clients see it. Secrets are masked.
type mountInfo struct {
	Path      vfs.Path   `json:"path"`
	Type      string     `json:"pluginName"`
	Status    string     `json:"status"` // pending, mounted, failed
	Error     string     `json:"error,omitempty"`
	Placement string     `json:"placement"`
	Node      string     `json:"node,omitempty"`
	Config    vfs.Config `json:"config,omitempty"`
}

// State of a mount on this node.
const (
	mountPending = "pending"
	mountUp      = "mounted"
	mountFailed  = "failed"
)

func statusOfMount(m vfs.Mounted) string {
	switch {
	case m.Err != nil:
		return mountFailed
	case m.FS == nil:
		return mountPending
	}
	return mountUp
}

func (s *Server) mountInfo(m vfs.Mounted) mountInfo {
	i := mountInfo{Path: m.Path, Type: m.Type, Status: statusOfMount(m), Node: m.Node,
		Placement: m.Place.String(), Config: fsm.MaskConfig(s.plugins[m.Type].Params, m.Config)}
	if m.Err != nil {
		i.Error = m.Err.Error()
	}
	return i
}

// mounts answers GET /mounts, by path.
func (c *call) mounts() error {
	img, err := c.image()
	if err != nil {
		return err
	}
	defer img.Release()
	out := []mountInfo{}
	for _, m := range img.Table.Mounts() {
		out = append(out, c.s.mountInfo(m))
	}
	return c.json(200, map[string]any{"mounts": out})
}

// mount answers POST /mount. The plugin is tried here first: what fails here
// does not enter the log.
func (c *call) mount() error {
	var in struct {
		Type   string     `json:"fstype"`
		Path   string     `json:"path"`
		Node   string     `json:"node"`
		Config vfs.Config `json:"config"`
	}
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
	plugin, ok := c.s.plugins[in.Type]
	if !ok {
		return vfs.Invalid.Withf("unknown filesystem type: %s", printable(in.Type))
	}
	// From here on no secret is in the clear.
	if in.Config, err = c.s.cfg.Secrets.Seal(plugin, in.Config); err != nil {
		return err
	}
	spec := fsm.MountSpec{Type: in.Type, Config: in.Config, Node: in.Node, Doc: plugin.Doc}
	if spec.Node == "" {
		spec.Node = c.s.cfg.Node.ID()
	}
	if err := c.try(p, plugin, &spec); err != nil {
		return err
	}
	ctx, cancel := c.within()
	defer cancel()
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
	return c.done(200, "plugin mounted", a)
}

// try finds out whether the mount can work, without keeping anything of it.
func (c *call) try(p vfs.Path, plugin vfs.Plugin, spec *fsm.MountSpec) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	switch _, there, err := c.mountAt(p); {
	case err != nil:
		return err
	case there && key == "":
		return &vfs.Error{Kind: vfs.Exists, Reason: "mount already exists: " + string(p)}
	case there: // perhaps a repeat, whose first outcome is in the log
		return nil
	}
	invalid := func(err error) error { return vfs.Invalid.Withf("failed to validate plugin: %v", err) }
	if err := spec.Config.Check(plugin.Params); err != nil {
		return invalid(err)
	}
	place := vfs.Replicated
	if plugin.Place != nil {
		if place, err = plugin.Place(spec.Config); err != nil {
			return invalid(err)
		}
	}
	if place != vfs.Pinned {
		spec.Node = ""
	} else if spec.Node != c.s.cfg.Node.ID() {
		return nil // only that node can try
	}
	env, config := c.s.cfg.Env, spec.Config
	if place == vfs.Replicated {
		env = vfs.Env{Chunks: env.Chunks}
	} else if config, err = c.s.cfg.Secrets.Reveal(plugin, config); err != nil {
		return invalid(err)
	}
	f, err := plugin.New(env, config)
	if vfs.KindOf(err) == vfs.Invalid {
		return invalid(err)
	}
	if err == nil {
		err = c.start(f)
	}
	if err != nil {
		return vfs.Unavailable.Withf("failed to initialize plugin: %v", err)
	}
	return nil
}

// start starts what must be started, and stops it again.
func (c *call) start(f vfs.FileSystem) error {
	st, ok := f.(vfs.Starter)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.context(), c.s.limits.Op)
	defer cancel()
	err := st.Start(ctx)
	if cl, ok := f.(io.Closer); ok {
		if cerr := cl.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// mountAt returns the mount at exactly p, as a state sees it that has every
// acknowledged change.
func (c *call) mountAt(p vfs.Path) (vfs.Mounted, bool, error) {
	ctx, cancel := c.within()
	defer cancel()
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
	ctx, cancel := c.within()
	defer cancel()
	op := vfs.Op{Verb: vfs.Unmount, Path: p}
	a, err := c.propose(ctx, vfs.Mounted{}, op, hash(string(p)), op)
	if err != nil {
		return err
	}
	a.out.Results = nil
	return c.done(200, "plugin unmounted", a)
}
