package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/hosts"
	"github.com/pfs-project/pfs/server"
	"github.com/pfs-project/pfs/vfs"
)

// artefact is a plugin in a file, run by this program as a server would.
type artefact struct {
	path   string
	lib    vfs.Library
	config vfs.Config
	hosts  *hosts.Hosts
	heard  *heard
	stuck  bool // calls of it do not end
}

// artefactFlags are those of the tools that run one.
type artefactFlags struct {
	settings  []string
	terms     client.PluginTerms
	inProcess bool
	asJSON    bool
}

func (f *artefactFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.settings, "config", nil, "a setting of its mounts as key=value; may be given again")
	addLimits(c, &f.terms)
	flags.BoolVar(&f.terms.Network, "grant-network", false, "let a program use the network of this machine")
	flags.BoolVar(&f.terms.Processes, "grant-processes", false, "let a program, or a native library, start other programs")
	flags.BoolVar(&f.inProcess, "in-process", false, "load a native library into this process, as isolation none does; for a pfs built with -tags inprocess")
	flags.BoolVar(&f.asJSON, "json", false, "the same as -o json")
}

// openArtefact reads the file and learns what the plugin is.
func (a *app) openArtefact(ctx context.Context, f *artefactFlags, path string) (*artefact, error) {
	settings, err := cli.Settings(f.settings)
	if err != nil {
		return nil, err
	}
	limits, err := f.limits()
	if err != nil {
		return nil, cli.UsageError{Err: err}
	}
	code, err := readArtefact(path)
	if err != nil {
		return nil, err
	}
	p := &artefact{path: path, heard: &heard{}}
	b, err := json.Marshal(settings) // and back: what a server would get
	if err == nil {
		err = json.Unmarshal(b, &p.config)
	}
	if err != nil {
		return nil, err
	}
	set := hosts.Config{Version: server.Version(), Log: p.heard.logger()}
	if f.inProcess {
		if set.InProcess = server.InProcess(); set.InProcess == nil {
			return nil, cli.Usage("--in-process: this pfs loads no libraries; build one with: go build -tags inprocess ./cmd/pfs")
		}
	}
	if p.hosts, err = hosts.New(set); err != nil {
		return nil, err
	}
	granted := vfs.Grants{Network: f.terms.Network, Processes: f.terms.Processes}
	if _, err := p.within(ctx, time.NewTimer(startTime), func() error { return p.inspect(ctx, code, limits, granted) }); err != nil {
		p.close()
		return nil, a.failed(p, err)
	}
	if abi := f.terms.ABI; abi < 0 || abi > 2 || abi > 0 && p.lib.Kind != "native" {
		p.close()
		return nil, cli.Usage("--abi must be 1 or 2, of a native library")
	}
	p.lib.ABI = f.terms.ABI
	return p, nil
}

func (p *artefact) inspect(ctx context.Context, code []byte, limits vfs.Limits, g vfs.Grants) (err error) {
	if hosts.FormOf(code) == hosts.Unknown {
		return errors.New("it is no plugin: neither a WASM module nor a native library nor a program")
	}
	if p.lib, err = p.hosts.Inspect(ctx, code, limits, g); err != nil {
		return err
	}
	p.lib.Source, p.lib.Sum, p.lib.Size, p.lib.Data, p.lib.Grants = p.path, hosts.Sum(code), int64(len(code)), code, g
	return p.config.Vet(p.config.Named(p.lib.Params))
}

// close ends what runs for it. What is stuck ends with this program.
func (p *artefact) close() {
	if !p.stuck {
		_ = p.hosts.Close(context.Background()) // frees memory
	}
}

// failed says what failed of a plugin, after what that printed last.
func (a *app) failed(p *artefact, err error) error {
	text := fmt.Sprintf("%s: %v", p.path, err)
	said := p.heard.unlike(text)
	if len(said) > 0 {
		a.Say("%s printed:", p.path)
	}
	for _, line := range said {
		a.Say("| %s", shortened(line))
	}
	return &cli.Hinted{Code: cli.ExitFailure, Text: text}
}

// plugin is the artefact as a kind of filesystem, whose mounts speak to heard.
func (p *artefact) plugin() vfs.Plugin {
	plugin := p.hosts.Plugin(p.lib)
	bare := plugin.New
	plugin.New = func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		env.Log, env.Version = p.heard.logger(), server.Version()
		env.Mount = vfs.Root.Child(plugin.Type)
		return bare(env, c)
	}
	return plugin
}

// mount starts a mount of it.
func (p *artefact) mount(ctx context.Context, env vfs.Env) (d vfs.Device, err error) {
	var started vfs.Device
	ended, err := p.within(ctx, time.NewTimer(startTime), func() (err error) {
		started, err = p.start(ctx, env)
		return err
	})
	if ended {
		d = started
	}
	return d, err
}

func (p *artefact) start(ctx context.Context, env vfs.Env) (vfs.Device, error) {
	fs, err := p.plugin().New(env, p.config)
	if err != nil {
		return nil, err
	}
	if s, ok := fs.(vfs.Starter); ok {
		if err := s.Start(ctx); err != nil {
			return nil, err
		}
	}
	d, ok := fs.(vfs.Device)
	if !ok {
		return nil, errors.Join(errors.New("it is no device"), closeMount(fs))
	}
	return d, nil
}

func closeMount(fs vfs.FileSystem) error {
	if c, ok := fs.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// limits reads the limits as a server does.
func (f *artefactFlags) limits() (l vfs.Limits, err error) {
	given := vfs.Config{}
	for key, text := range map[string]string{"memory": f.terms.Memory, "call": f.terms.Call, "idle": f.terms.Idle} {
		if text != "" {
			given[key] = text
		}
	}
	var errs [3]error
	l.Memory, errs[0] = given.Size("memory", 0)
	l.Call, errs[1] = given.Duration("call", 0)
	l.Idle, errs[2] = given.Duration("idle", 0)
	l.Instances = f.terms.Instances
	return l, errors.Join(errs[:]...)
}

// readArtefact reads the code of a plugin.
func readArtefact(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	code, err := io.ReadAll(io.LimitReader(f, hosts.MaxCode+1))
	switch {
	case err != nil:
		return nil, err
	case len(code) == 0:
		return nil, errors.New("there is no code in " + path)
	case len(code) > hosts.MaxCode:
		return nil, vfs.TooLarge.Withf("%s: the code of a plugin has at most %s", filepath.Base(path), cli.SizeText(hosts.MaxCode))
	}
	return code, nil
}

// kindText is the kind of a plugin for people.
func kindText(lib vfs.Library) string {
	switch lib.Kind {
	case "wasm":
		return "WASM module"
	case "wasi":
		return "WASI program over MessagePack"
	case "native":
		return "native library"
	case "http":
		return "program over HTTP"
	case "msgpack":
		return "program over MessagePack"
	}
	return lib.Kind
}

// verbNames lists what a plugin can change.
func verbNames(set vfs.VerbSet) []string {
	names := []string{}
	for _, v := range []struct {
		verb vfs.Verb
		name string
	}{
		{vfs.Create, "create"}, {vfs.Mkdir, "mkdir"}, {vfs.Write, "write"}, {vfs.Truncate, "truncate"}, {vfs.Chmod, "chmod"},
		{vfs.Touch, "touch"}, {vfs.Rename, "rename"}, {vfs.Remove, "remove"}, {vfs.RemoveAll, "remove -r"}, {vfs.Symlink, "symlink"},
	} {
		if set.Has(v.verb) {
			names = append(names, v.name)
		}
	}
	return names
}
