package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// maxPlugin is how long code may be that is sent, in bytes; servers take less.
const maxPlugin = 64 << 20

func (a *app) plugin() *cobra.Command {
	c := &cobra.Command{Use: "plugin", Short: "Begin, test, measure, load and list plugins", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(a.pluginList(), a.pluginLoad(), a.pluginUnload(),
		a.pluginNew(), a.pluginTest(), a.pluginBench())
	return c
}

func (a *app) pluginList() *cobra.Command {
	all := false
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List what can be mounted", Args: cobra.NoArgs,
		Long: "Lists the plugins: their type, what runs them, and where they are mounted.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				plugins, err := c.Plugins(ctx)
				if err != nil {
					return err
				}
				if a.JSON() {
					return a.Encode(append([]client.Plugin{}, plugins...)) // never null
				}
				w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
				for _, p := range plugins {
					kind := "built in"
					if p.External {
						kind = p.Kind + " " + p.Sum[:min(12, len(p.Sum))]
					}
					var at []string
					for _, m := range p.Mounted {
						at = append(at, cli.Plain(m.Path))
					}
					fmt.Fprintln(w, strings.TrimRight(cli.Plain(p.Name)+"\t"+kind+"\t"+strings.Join(at, " "), "\t"))
					for _, q := range p.Params {
						if all {
							fmt.Fprintln(w, "  "+cli.Plain(q.Name)+"\t"+cli.Plain(q.Type)+"\t"+cli.Plain(q.Description))
						}
					}
				}
				return w.Flush()
			})
		}}
	c.Flags().BoolVarP(&all, "long", "l", false, "with their settings")
	return c
}

func (a *app) pluginLoad() *cobra.Command {
	var t client.PluginTerms
	c := &cobra.Command{Use: "load file", Short: "Load a third-party plugin into the cluster", Args: cobra.ExactArgs(1),
		Long: `Loads a WASM module, a program or a native library, which can then be mounted on
every node. The file is one of the server, in its plugin directory; pfs://PATH is
one of the tree, https://… one of a server that the configuration allows, and
local:PATH or - is sent along. Servers take programs and
native libraries from their own directory only, unless they are set up otherwise.
Of a URL --sha256 says what must come.`,
		Example: "  pfs plugin load hello.wasm\n  pfs plugin load local:hello.wasm --memory 32MB --grant-read /memfs/shown",
		RunE: func(cmd *cobra.Command, args []string) error {
			send, name, code, err := a.pluginCode(args[0])
			if err != nil {
				return err
			}
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				var p client.LoadedPlugin
				if send {
					p, err = c.SendPlugin(ctx, name, code, t)
				} else {
					p, err = c.LoadPlugin(ctx, args[0], t)
				}
				switch {
				case err != nil:
					return err
				case a.JSON():
					return a.Encode(p)
				}
				fmt.Fprintln(a.Stdout, cli.Plain(p.Name))
				if !a.Quiet {
					a.Say("mount it with: pfs mount %s /path", cli.Plain(p.Name))
				}
				return nil
			})
		}}
	f := c.Flags()
	addLimits(c, &t)
	f.StringArrayVar(&t.Read, "grant-read", nil, "path of the tree that it may read, with all below; may be given again")
	f.StringArrayVar(&t.Write, "grant-write", nil, "path of the tree that a module may change, with all below; may be given again")
	f.StringArrayVar(&t.HTTP, "grant-http", nil, "host that a module may ask, as https://api.example.com or 'GET,HEAD 10.0.0.7:8080'; may be given again")
	f.BoolVar(&t.Network, "grant-network", false, "let a program use the network of its machine")
	f.BoolVar(&t.Processes, "grant-processes", false, "let a program, or a native library, start other programs")
	f.StringVar(&t.Sum, "sha256", "", "what the code must be; required of a URL")
	f.StringVar(&t.Placement, "placement", "", "any-reader: every node runs it, and nothing changes its mounts")
	return c
}

// addLimits adds the flags of what a plugin may use.
func addLimits(c *cobra.Command, t *client.PluginTerms) {
	f := c.Flags()
	f.StringVar(&t.Memory, "memory", "", "of each instance or process, as 64MB")
	f.StringVar(&t.Call, "call", "", "time for one call, as 5s")
	f.IntVar(&t.Instances, "instances", 0, "calls that run at once; more than 1 for plugins without state")
	f.StringVar(&t.Idle, "idle", "", "stop a program that nobody calls for so long, as 10m")
	f.IntVar(&t.ABI, "abi", 0, "generation of a native library, 1 or 2; 0 finds out")
}

// pluginCode reads what is to be sent, if the code is on this side.
func (a *app) pluginCode(arg string) (send bool, name string, code []byte, err error) {
	path, isLocal := strings.CutPrefix(arg, "local:")
	var in io.Reader = a.Stdin
	switch {
	case arg == "-":
		path = "stdin"
	case isLocal:
		f, err := os.Open(path)
		if err != nil {
			return false, "", nil, err
		}
		defer f.Close()
		in = f
	default:
		return false, "", nil, nil
	}
	code, err = io.ReadAll(io.LimitReader(in, maxPlugin+1))
	switch {
	case err != nil:
		return false, "", nil, err
	case len(code) == 0:
		return false, "", nil, errors.New("there is no code in " + path)
	case len(code) > maxPlugin:
		return false, "", nil, fmt.Errorf("%s is longer than any plugin", path)
	}
	return true, filepath.Base(path), code, nil
}

func (a *app) pluginUnload() *cobra.Command {
	return &cobra.Command{Use: "unload name…", Short: "Forget third-party plugins that are not mounted", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				for _, name := range args {
					if err := c.UnloadPlugin(ctx, name); err != nil {
						return err
					}
				}
				return nil
			})
		}}
}
