package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// maxCode is how long the code of a plugin may be, in bytes.
const maxCode = 16 << 20

// Libraries runs third-party plugins on this node.
type Libraries interface {
	// Open reads the code of a plugin from a file of this node, as far as the
	// configuration lets it: what is elsewhere is Permission.
	Open(path string) ([]byte, error)
	// Fetch reads the code of a plugin from a URL, as far as the configuration
	// lets it: what is elsewhere is Permission. sum, the SHA-256 that the caller
	// compares with, must be there. It ends with ctx.
	Fetch(ctx context.Context, url, sum string) ([]byte, error)
	// Trusts returns nil if code may be run that comes from a client. Permission
	// says why it must be a file that Open reads.
	Trusts(code []byte) error
	// Inspect tells what code is: its kind, its name and what it can do. Invalid
	// says why it is no plugin.
	Inspect(ctx context.Context, code []byte, l vfs.Limits, g vfs.Grants) (vfs.Library, error)
	// Isolation says what stands between this node and a plugin of a kind:
	// "sandbox", "process", or "none".
	Isolation(kind string) string
	// Plugin returns a library as a kind of filesystem.
	Plugin(lib vfs.Library) vfs.Plugin
}

var errNoLibraries = vfs.Unsupported.With("loading plugins: operation not supported: external_plugins.enabled is false on this node")

// loadAsk is what POST /plugins/load asks for.
type loadAsk struct {
	Path   string     `json:"library_path"`
	Grants vfs.Grants `json:"grants"`
	Sum    string     `json:"sha256"`    // what the code must be; required of a URL
	Place  string     `json:"placement"` // "pinned" or "any-reader"
	ABI    int        `json:"abi"`       // of a native library: its generation, 0 to find it out
	Limits struct {
		Memory    any `json:"memory"`
		Call      any `json:"call"`
		Instances any `json:"instances"`
		Idle      any `json:"idle"`
	} `json:"limits"`
	code []byte
}

// limits reads them as settings are read: "64MB", "5s", numbers as text.
func (a loadAsk) limits() (l vfs.Limits, err error) {
	given := vfs.Config{"memory": a.Limits.Memory, "call": a.Limits.Call, "instances": a.Limits.Instances, "idle": a.Limits.Idle}
	var errs [4]error
	var n int64
	l.Memory, errs[0] = given.Size("memory", 0)
	l.Call, errs[1] = given.Duration("call", 0)
	n, errs[2] = given.Int("instances", 0)
	l.Instances = int(n)
	l.Idle, errs[3] = given.Duration("idle", 0)
	if err = errors.Join(errs[:]...); err != nil {
		return l, vfs.Invalid.Withf("limits: %v", err)
	}
	return l, nil
}

// loadAsk reads the request: JSON that names a file, or the code itself, with
// everything else in the query.
func (c *call) loadAsk() (a loadAsk, err error) {
	body, err := c.all()
	if err != nil {
		return a, err
	}
	if head := bytes.TrimLeft(body, " \t\r\n"); len(head) == 0 || head[0] == '{' {
		if len(body) > maxObject {
			return a, tooLarge(maxObject)
		}
		if json.NewDecoder(bytes.NewReader(body)).Decode(&a) != nil {
			return a, vfs.Invalid.With("invalid request body")
		}
		if a.Path == "" {
			return a, vfs.Invalid.With("library_path is required")
		}
		return a, a.clean()
	}
	a.code, a.Path = body, "upload"
	for key, to := range map[string]*any{"memory": &a.Limits.Memory, "call": &a.Limits.Call, "instances": &a.Limits.Instances, "idle": &a.Limits.Idle} {
		if v, ok := c.query.get(key); ok {
			*to = v
		}
	}
	for key, to := range map[string]*bool{"grant_network": &a.Grants.Network, "grant_processes": &a.Grants.Processes} {
		if v, ok := c.query.get(key); ok {
			*to = v == "true"
		}
	}
	a.Sum, _ = c.query.get("sha256")
	a.Place, _ = c.query.get("placement")
	if v, ok := c.query.get("abi"); ok {
		if a.ABI, err = strconv.Atoi(v); err != nil {
			return a, vfs.Invalid.With("abi must be 1 or 2")
		}
	}
	if v, ok := c.query.get("name"); ok && v != "" {
		a.Path = printable(v)
	}
	for _, p := range c.query {
		switch p.key {
		case "grant_read":
			a.Grants.Read = append(a.Grants.Read, vfs.Path(p.value))
		case "grant_write":
			a.Grants.Write = append(a.Grants.Write, vfs.Path(p.value))
		case "grant_http":
			a.Grants.HTTP = append(a.Grants.HTTP, p.value)
		}
	}
	return a, a.clean()
}

// maxGrants is how many grants of a kind a plugin may have.
const maxGrants = 100

// clean makes the paths of the grants such as others are compared with, and
// refuses what grants nothing.
func (a *loadAsk) clean() (err error) {
	g := a.Grants
	if max(len(g.Read), len(g.Write), len(g.HTTP)) > maxGrants {
		return vfs.Invalid.Withf("grants: at most %d of a kind", maxGrants)
	}
	for _, paths := range [][]vfs.Path{g.Read, g.Write} {
		for i, p := range paths {
			if paths[i], err = vfs.ParsePath(string(p)); err != nil {
				return vfs.Invalid.Withf("grants: %v", err)
			}
		}
	}
	for _, h := range g.HTTP {
		if _, err := vfs.ParseWebGrant(h); err != nil {
			return vfs.Invalid.Withf("grants: %v", err)
		}
	}
	if _, ok := placements[a.Place]; !ok {
		return vfs.Invalid.Withf("placement must be %q or %q", pinned, anyReader)
	}
	a.Sum = strings.ToLower(a.Sum)
	if b, err := hex.DecodeString(a.Sum); err != nil || len(b) != 0 && len(b) != sha256.Size {
		return vfs.Invalid.With("sha256 must be 64 hexadecimal digits")
	}
	return nil
}

// find reads the code of the plugin.
func (c *call) find(a loadAsk) ([]byte, error) {
	kind, path, isURL := strings.Cut(a.Path, "://")
	switch {
	case a.code != nil:
		return a.code, nil
	case !isURL && c.s.cfg.Libraries == nil:
		if _, err := os.Stat(a.Path); err != nil {
			return nil, vfs.NotFound.Withf("failed to detect plugin type: %s: not found", printable(a.Path))
		}
		return nil, errNoLibraries
	case c.s.cfg.Libraries == nil:
		return nil, errNoLibraries
	case !isURL:
		return c.s.cfg.Libraries.Open(a.Path)
	case kind == "pfs" || kind == "agfs":
		return c.fromTree(path)
	}
	return c.fromURL(a)
}

// fromTree reads a file of the tree.
func (c *call) fromTree(path string) ([]byte, error) {
	p, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	img, err := c.imageAt(vfs.Level{Linearizable: true})
	if err != nil {
		return nil, err
	}
	defer img.Release()
	ctx := c.within()
	defer ctx.End()
	info, real, err := img.Table.Lookup(ctx, img.View, "load", p)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() || info.Consumes():
		return nil, vfs.Invalid.Withf("%s is no file with code", p)
	case info.Size > maxCode:
		return nil, vfs.TooLarge.Withf("the code of a plugin has at most %d bytes", maxCode)
	}
	if err := c.hold(int(info.Size)); err != nil {
		return nil, err
	}
	b := make([]byte, info.Size)
	n, err := img.Table.ReadAt(ctx, img.View, real, b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// pluginLoad answers POST /plugins/load: the plugin can be mounted on every node
// then.
func (c *call) pluginLoad() error {
	a, err := c.loadAsk()
	if err != nil {
		return err
	}
	first, err := c.stays()
	if err != nil {
		return err
	}
	code, err := c.find(a)
	switch {
	case err != nil:
		return err
	case c.s.cfg.Libraries == nil:
		return errNoLibraries
	case len(code) > maxCode:
		return vfs.TooLarge.Withf("the code of a plugin has at most %d bytes", maxCode)
	}
	level, err := c.libraryLevel(vfs.Library{Grants: a.Grants, Place: placements[a.Place]})
	if err != nil {
		return err
	}
	lib, err := c.inspect(a, code, level)
	if err != nil {
		return err
	}
	if lib.Level, err = c.libraryLevel(lib); err != nil {
		return err
	}
	content, err := c.s.cfg.Node.Keep(c.context(), bytes.NewReader(code), maxCode)
	if err != nil {
		return err
	}
	op := fsm.LoadOp(lib, content.Data, content.Refs)
	if first {
		op.Flag |= vfs.FlagExclusive
	} else if err := c.tryReload(lib, content); err != nil {
		return err
	}
	if len(op.Target) > fsm.MaxLibrary {
		return vfs.TooLarge.With("the plugin says too much of itself")
	}
	return c.answerLibrary(op, "plugin loaded successfully")
}

// stays reports whether a load leaves a plugin of its name that is loaded as it is.
func (c *call) stays() (bool, error) {
	switch cond, err := c.cond(); {
	case err != nil:
		return false, err
	case cond.Kind == vfs.Always:
		return false, nil
	case cond.Kind != vfs.IfAbsent:
		return false, vfs.Invalid.With("a load has no If-Match: send If-None-Match: * or neither")
	}
	img, err := c.imageAt(vfs.Level{Linearizable: true})
	if err != nil {
		return false, err
	}
	defer img.Release()
	if fsm.LevelOf(img.View) < fsm.GrantsLevel {
		return false, vfs.Unsupported.With("If-None-Match of a load: operation not supported until every member runs a version that knows it")
	}
	return true, nil
}

// inspect finds out what the code is, and describes it as it is to be loaded.
func (c *call) inspect(a loadAsk, code []byte, level uint64) (lib vfs.Library, err error) {
	sum := sha256.Sum256(code)
	hash := hex.EncodeToString(sum[:])
	if a.Sum != "" && a.Sum != hash { // before anything looks at it
		return lib, vfs.Permission.Withf("the code is not what was asked for: its sha256 is %s", hash)
	}
	limits, err := a.limits()
	if err != nil {
		return lib, err
	}
	if a.code != nil || strings.Contains(a.Path, "://") {
		if err := c.s.cfg.Libraries.Trusts(code); err != nil {
			return lib, err
		}
	}
	may := fsm.Kept(vfs.Library{Level: level, Grants: a.Grants}).Grants
	if lib, err = c.s.cfg.Libraries.Inspect(c.context(), code, limits, may); err != nil {
		return lib, err
	}
	if a.ABI < 0 || a.ABI > 2 || a.ABI > 0 && lib.Kind != "native" {
		return lib, vfs.Invalid.With("abi must be 1 or 2, of a native library")
	}
	if !fsm.ValidLibraryName(lib.Name) {
		return lib, vfs.Invalid.Withf("the plugin calls itself %.80q: a name has letters, digits and -_. only", lib.Name)
	}
	if a.Grants.Changes() && lib.Kind != "wasm" {
		return lib, vfs.Invalid.Withf("grants: write and http are for WASM modules that export the functions of a file system; this is of kind %s", lib.Kind)
	}
	lib.ABI, lib.Sum, lib.Size, lib.Source, lib.Grants = a.ABI, hash, int64(len(code)), sourceOf(a.Path), a.Grants
	if lib.Place = placements[a.Place]; lib.Place == vfs.PerNode {
		lib.Verbs = 0 // what one instance is told the others would not know
	}
	return lib, nil
}

// libraryLevel returns the feature level, and no error once every member knows what a
// load of lib is.
func (c *call) libraryLevel(lib vfs.Library) (uint64, error) {
	img, err := c.imageAt(vfs.Level{Linearizable: true})
	if err != nil {
		return 0, err
	}
	defer img.Release()
	level := fsm.LevelOf(img.View)
	if lib.Place == vfs.PerNode && level < fsm.PlacementLevel {
		return level, vfs.Unsupported.With("placement: operation not supported until every member runs a version that knows it")
	}
	return level, fsm.LibraryFits(lib, level)
}

// answerLibrary commits a change of the libraries.
func (c *call) answerLibrary(op vfs.Op, text string) error {
	ctx := c.within()
	defer ctx.End()
	a, err := c.propose(ctx, vfs.Mounted{}, op, hash(op.Target), op)
	if err != nil {
		return err
	}
	return c.done(200, text, a)
}

// pluginUnload answers POST /plugins/unload. library_path may also be the name.
func (c *call) pluginUnload() error {
	var in struct {
		Path string `json:"library_path"`
		Name string `json:"name"`
	}
	if err := c.decode(&in, "invalid request body"); err != nil {
		return err
	}
	if in.Name == "" {
		in.Name = in.Path
	}
	if in.Name == "" {
		return vfs.Invalid.With("library_path is required")
	}
	if c.s.cfg.Libraries == nil {
		return errNoLibraries
	}
	if _, err := c.libraryLevel(vfs.Library{}); err != nil {
		return err
	}
	return c.answerLibrary(fsm.UnloadOp(sourceOf(in.Name)), "plugin unloaded successfully")
}
