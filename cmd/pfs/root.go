package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/server"
)

// app is one run of the program: where it reads and writes, and the flags that
// all verbs share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	url            string
	output         string // "", json
	timeout        time.Duration
	quiet          bool
}

func (a *app) root() *cobra.Command {
	c := &cobra.Command{
		Use:   "pfs",
		Short: "Every service is a file: read and change a PFS tree",
		Long: `pfs reads and changes the tree of a PFS server, and runs one.

  pfs server                         start one durable node in ./pfs-data
  echo hi | pfs put - /memfs/hi      write a file from stdin
  pfs cat /memfs/hi                  read it
  pfs cp -r local:./docs /memfs/docs copy a directory in

The server is named by --url or PFS_URL; several nodes of one cluster may be
given, separated by commas.`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		Version:                    server.Version(),
	}
	f := c.PersistentFlags()
	f.StringVar(&a.url, "url", envURL(), "nodes to talk to, separated by commas (PFS_URL)")
	f.StringVarP(&a.output, "output", "o", os.Getenv("PFS_OUTPUT"), "output format: json, or empty for text (PFS_OUTPUT)")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this time; 0 waits")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress")
	c.AddCommand(a.ls(), a.cat(), a.stat(), a.mkdir(), a.rm(), a.mv(), a.put(), a.get(), a.cp(),
		a.mount(), a.unmount(), a.mounts(), a.cluster(), a.bench(), exitCodes(),
		&cobra.Command{Use: "server", Short: "Run a node; pfs server -help lists its flags", DisableFlagParsing: true})
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	return c
}

func envURL() string {
	for _, name := range []string{"PFS_URL", "AGFS_API_URL", "AGFS_SERVER_URL"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return client.DefaultURL
}

// clients returns one client for each named node, the first trying all of
// them in turn. Copies spread their files over them.
func (a *app) clients() ([]*client.Client, error) {
	urls := strings.Split(a.url, ",")
	out := make([]*client.Client, len(urls))
	for i := range urls {
		c, err := client.New(client.Config{URLs: append(append([]string{}, urls[i:]...), urls[:i]...)})
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

func (a *app) client() (*client.Client, error) {
	cs, err := a.clients()
	if err != nil {
		return nil, err
	}
	return cs[0], nil
}

// json reports whether the user asked for JSON.
func (a *app) json() bool { return a.output == "json" }

// terminal reports whether w is a person's terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }
