package main

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/gateway/mcp"
	"github.com/pfs-project/pfs/server"
)

// agentFlags say what an agent may do.
type agentFlags struct {
	root           string
	readOnly, agfs bool
}

func (f *agentFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.root, "root", "/", "what the agent can reach, with all below")
	c.Flags().BoolVar(&f.readOnly, "read-only", false, "offer no tool that changes anything")
	c.Flags().BoolVar(&f.agfs, "agfs-tools", false, "offer the 16 tools of agfs-mcp in place of our own")
}

// args returns the flags as a command line has them.
func (f *agentFlags) args() (out []string) {
	if f.root != "/" {
		out = append(out, "--root", f.root)
	}
	if f.readOnly {
		out = append(out, "--read-only")
	}
	if f.agfs {
		out = append(out, "--agfs-tools")
	}
	return out
}

// config is that of a server which runs beside its agent.
func (f *agentFlags) config(c *client.Client) mcp.Config {
	return mcp.Config{Client: c, Root: f.root, ReadOnly: f.readOnly, AGFS: f.agfs, Local: true, Version: server.Version()}
}

func (a *app) mcp() *cobra.Command {
	var f agentFlags
	c := &cobra.Command{Use: "mcp", Short: "Serve the tree to an agent, by the Model Context Protocol", Args: cobra.NoArgs,
		Long: `Serves the tree to one agent that starts this program: messages of the Model
Context Protocol on stdin, answers on stdout, one a line, until stdin ends. A
server answers the same at /mcp, for agents that take a URL.`,
		Example: `  pfs mcp install claude-code              # for Claude Code, in this project
  pfs mcp install cursor --root /memfs/a7  # for Cursor, held below /memfs/a7
  pfs mcp --root /memfs/a7 --read-only     # what an agent starts`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Named(f.root); err != nil {
				return err
			}
			cs, err := a.Clients()
			if err != nil {
				return err
			}
			conf := f.config(cs[0])
			conf.Log = slog.New(slog.NewTextHandler(a.Stderr, nil))
			s, err := mcp.New(conf)
			if err != nil {
				return cli.UsageError{Err: err}
			}
			return s.Run(cmd.Context(), a.Stdin, a.Stdout) // --timeout is not for what lasts
		}}
	f.add(c)
	c.AddCommand(a.mcpInstall())
	return c
}

func (a *app) mcpInstall() *cobra.Command {
	var f agentFlags
	var show bool
	var name string
	c := &cobra.Command{Use: "install AGENT", Short: "Tell an agent of this program", Args: cobra.ExactArgs(1), ValidArgs: mcp.Agents(),
		Long: `Adds this program to the MCP servers in the configuration file of an agent, and
keeps all else in it. The agents are ` + strings.Join(mcp.Agents(), ", ") + `.
Those of claude-code and vscode are for the project in the current directory,
the others for the user. A --url or --context, or PFS_URL or PFS_CONTEXT, is
written too; a token is not: let a context name its file.`,
		Example: `  pfs mcp install claude-code
  pfs mcp install vscode --root /memfs/a7 --read-only
  pfs mcp install codex --print  # show the file, write nothing`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.Named(f.root); err != nil {
				return err
			}
			s, err := mcp.New(f.config(nil))
			if err != nil {
				return cli.UsageError{Err: err}
			}
			at, err := a.places()
			if err != nil {
				return err
			}
			l := mcp.Launch{Name: name, Command: a.program(), Args: slices.Concat([]string{"mcp"}, a.serverArgs(), f.args())}
			plan, err := mcp.Plan(args[0], at, l)
			if err != nil {
				return err
			}
			if show {
				a.Printf("%s", plan.Text)
				return nil
			}
			did := "added server %q (stdio: %s) to %s; %d tools\n"
			if plan.Same {
				did = "server %q (stdio: %s) is in %s already; %d tools\n"
			} else if err := plan.Write(); err != nil {
				return err
			}
			a.Printf(did, name, strings.Join(append([]string{l.Command}, l.Args...), " "), plan.File, len(s.Tools()))
			return nil
		}}
	f.add(c)
	c.Flags().BoolVar(&show, "print", false, "print the file as it would be, and write nothing")
	c.Flags().StringVar(&name, "name", "pfs", "what the agent calls the server")
	return c
}

// serverArgs names the servers that are named now, since an agent has other variables.
func (a *app) serverArgs() []string {
	for _, x := range []struct{ flag, value string }{
		{"--url", a.URL}, {"--context", a.Named}, {"--url", a.Getenv("PFS_URL")}, {"--context", a.Getenv("PFS_CONTEXT")},
	} {
		if x.value != "" {
			return []string{x.flag, x.value}
		}
	}
	return nil
}

// places returns where agents have their files.
func (a *app) places() (p mcp.Places, err error) {
	if p.Project, err = os.Getwd(); err != nil {
		return p, err
	}
	if p.Home, err = os.UserHomeDir(); err != nil {
		return p, err
	}
	p.Codex = a.Getenv("CODEX_HOME")
	p.Config, err = os.UserConfigDir()
	return p, err
}

// program is how to start this program: by its name where that finds it.
func (a *app) program() string {
	self, err := os.Executable()
	if err != nil {
		return "pfs"
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	if found, err := exec.LookPath("pfs"); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil && real == self {
			return "pfs"
		}
	}
	return self
}
