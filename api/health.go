package api

import "github.com/pfs-project/pfs/vfs"

// healthInfo is what GET /health and /ready say.
type healthInfo struct {
	Status    string `json:"status"` // healthy, starting, degraded
	Version   string `json:"version"`
	Commit    string `json:"gitCommit"`
	BuildTime string `json:"buildTime"`
	Ready     bool   `json:"ready"`
	Degraded  bool   `json:"degraded"`
	Reason    string `json:"reason,omitempty"` // why it is not ready
	Mounts    struct {
		Total   int `json:"total"`
		Pending int `json:"pending"`
		Mounted int `json:"mounted"`
		Failed  int `json:"failed"`
	} `json:"mounts"`
}

func (c *call) healthInfo() healthInfo {
	h := healthInfo{Version: c.s.cfg.Version, Commit: c.s.cfg.Commit, BuildTime: c.s.cfg.BuildTime}
	err := c.s.cfg.Node.Ready()
	if err != nil {
		h.Reason = err.Error()
	}
	ctx := c.within()
	defer ctx.End()
	down := 0
	if img, ierr := c.s.cfg.Node.Image(ctx, vfs.Level{Present: true}); ierr == nil {
		for _, m := range img.Table.Mounts() {
			h.Mounts.Total++
			switch st := m.State(); st.Status {
			case vfs.MountFailed:
				h.Mounts.Failed++
				if st.Process == "" { // a plugin that is left alone costs nobody else the node
					down++
				}
			case vfs.MountPending:
				h.Mounts.Pending++
			default:
				h.Mounts.Mounted++
			}
		}
		img.Release()
	}
	h.Degraded = h.Mounts.Failed > 0
	h.Ready = err == nil && h.Mounts.Pending == 0 && down == 0
	switch {
	case h.Degraded:
		h.Status = "degraded"
	case !h.Ready:
		h.Status = "starting"
	default:
		h.Status = "healthy"
	}
	return h
}

// service answers the root: what listens here.
func (c *call) service() error {
	return c.json(200, struct {
		Service string `json:"service"`
		Status  string `json:"status"`
		Version string `json:"version"`
	}{"PFS Server", "running", c.s.cfg.Version})
}

// health answers 200 as long as the process answers.
func (c *call) health() error { return c.json(200, c.healthInfo()) }

// ready answers 503 until this node can serve.
func (c *call) ready() error {
	h := c.healthInfo()
	if !h.Ready {
		c.set("Retry-After", "1")
		return c.json(503, h)
	}
	return c.json(200, h)
}

// healthz answers that the process answers.
func (c *call) healthz() error { return c.probe(nil) }

// livez answers 503 once only a new start helps: it says nothing of other
// nodes, so that a lost quorum restarts nobody.
func (c *call) livez() error {
	if c.s.cfg.Alive == nil {
		return c.probe(nil)
	}
	return c.probe(c.s.cfg.Alive())
}

// readyz answers 503 until this node knows a leader, has caught up and has asked
// for its mounts. Unlike ready it leaves out how they fare: what is outside must not take all nodes out of
// service at once.
func (c *call) readyz() error {
	if c.s.cfg.Serves == nil {
		return c.probe(c.s.cfg.Node.Ready())
	}
	return c.probe(c.s.cfg.Serves())
}

// probe answers a line of text: ok, or what is wrong.
func (c *call) probe(err error) error {
	status, text := 200, "ok"
	if err != nil {
		status, text = 503, err.Error()
		c.set("Retry-After", "1")
	}
	c.fc.SetStatusCode(status)
	c.fc.Response.Header.SetContentType("text/plain; charset=utf-8")
	c.fc.Response.SetBodyString(text + "\n")
	return nil
}

// version answers GET /version.
func (c *call) version() error {
	return c.json(200, map[string]string{
		"version": c.s.cfg.Version, "gitCommit": c.s.cfg.Commit, "buildTime": c.s.cfg.BuildTime})
}

// capabilities answers what this server can do, and with a path what the
// mount there can.
func (c *call) capabilities() error {
	out := map[string]any{"version": c.s.cfg.Version,
		"features": []string{"handlefs", "grep", "digest", "stream", "touch", "wait"}}
	if v, _ := c.query.get("path"); v != "" {
		p, err := c.path()
		if err != nil {
			return err
		}
		img, err := c.image()
		if err != nil {
			return err
		}
		defer img.Release()
		m, _, ok := img.Table.Route(p)
		out["path"] = p
		out["capabilities"] = abilities(m, ok)
	}
	return c.json(200, out)
}

func abilities(m vfs.Mounted, mounted bool) map[string]bool {
	return map[string]bool{
		"read": mounted, "list": true, "stat": true, "handles": mounted, "grep": mounted, "digest": mounted,
		"stream":   false,
		"write":    m.Verbs.Has(vfs.Write),
		"create":   m.Verbs.Has(vfs.Create),
		"mkdir":    m.Verbs.Has(vfs.Mkdir),
		"remove":   m.Verbs.Has(vfs.Remove),
		"rename":   m.Verbs.Has(vfs.Rename),
		"chmod":    m.Verbs.Has(vfs.Chmod),
		"truncate": m.Verbs.Has(vfs.Truncate),
		"touch":    m.Verbs.Has(vfs.Touch),
		"symlink":  mounted,
		"consume":  m.Verbs.Has(vfs.Consume),
	}
}
