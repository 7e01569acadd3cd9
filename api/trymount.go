package api

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/vfs"
)

// try finds out whether the mount can work, without keeping anything of it.
func (c *call) try(p vfs.Path, plugin vfs.Plugin, spec *fsm.MountSpec) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	_, there, err := c.mountAt(p)
	switch {
	case err != nil:
		return err
	case there && key == "":
		return &vfs.Error{Kind: vfs.Exists, Reason: "mount already exists: " + string(p)}
	}
	invalid := func(err error) error { return vfs.Invalid.Withf("failed to validate plugin: %v", err) }
	params := plugin.Params
	if plugin.Open {
		params = spec.Config.Named(params)
	}
	if err := spec.Config.Vet(params); err != nil {
		return invalid(err)
	}
	// Perhaps it is a repeat, whose first outcome is in the log. Settings that only
	// their plugin can refuse are tried all the same: they must not get there.
	if there && !plugin.Open {
		return nil
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
		return c.tryOn(spec.Node, mountAsk{spec.Type, string(p), spec.Node, spec.Config})
	}
	env, config := c.s.cfg.Env(vfs.Mounted{Path: p, Place: place}), spec.Config
	if place == vfs.Replicated {
		env = vfs.Env{Chunks: env.Chunks}
	} else if config, err = c.s.cfg.Secrets.Reveal(plugin, config); err != nil {
		return invalid(err)
	}
	f, err := plugin.New(env, config)
	if err == nil {
		err = c.start(f)
	}
	switch {
	case vfs.KindOf(err) == vfs.Invalid, vfs.KindOf(err) == vfs.Permission:
		return invalid(err)
	case err != nil:
		return vfs.Unavailable.Withf("failed to initialize plugin: %v", err)
	}
	return nil
}

// tryOn has another node try what it is to have.
func (c *call) tryOn(id string, ask mountAsk) error {
	url, ok := c.s.cfg.Node.API(id)
	switch {
	case !ok:
		return vfs.Invalid.Withf("no node %s in the cluster", printable(id))
	case c.header(remote.HopHeader) != "":
		return vfs.Unavailable.With("mount is moving, try again")
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod("POST")
	req.SetRequestURI(strings.TrimSuffix(url, "/") + "/api/v1/mount?try=true")
	req.Header.Set(remote.HopHeader, "1")
	req.Header.Set("X-Request-Id", c.id)
	if key := c.header("Idempotency-Key"); key != "" { // a repeat is no second mount
		req.Header.Set("Idempotency-Key", key)
	}
	req.SetBody(body)
	switch err := c.s.peers.DoTimeout(req, resp, c.s.limits.Op); {
	case errors.Is(err, fasthttp.ErrTimeout): // it compiles the plugin, or waits for what the mount shows
		return vfs.Unavailable.Withf("node %s has not tried the mount within %v: nothing is mounted, try again", id, c.s.limits.Op)
	case err != nil:
		return vfs.Unavailable.Withf("node %s does not answer: %v", id, err)
	}
	var said struct {
		Error string `json:"error"`
	}
	switch err := json.Unmarshal(resp.Body(), &said); {
	case resp.StatusCode() == 200:
		return nil
	case err == nil && resp.StatusCode()/100 == 4:
		return vfs.Invalid.With(said.Error)
	}
	return vfs.Unavailable.With(said.Error)
}

// start starts what must be started, and stops it again.
func (c *call) start(f vfs.FileSystem) error {
	st, ok := f.(vfs.Starter)
	if !ok {
		return nil
	}
	ctx := lapse.After(c.context(), c.s.limits.Op)
	defer ctx.End()
	err := st.Start(ctx)
	if cl, ok := f.(io.Closer); ok {
		if cerr := cl.Close(); err == nil {
			err = cerr
		}
	}
	return err
}
