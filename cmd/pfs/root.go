package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/server"
)

// app is one run of the program: where it reads and writes, and the flags that
// all verbs share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	tty            bool // stderr is a person's terminal
	started        bool // the command line was understood
	url            string
	format         string // "", text, json
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
given, separated by commas. What is printed is for people, or with -o json for
programs; "pfs help exit-codes" tells what the exit codes mean.`,
		SilenceUsage:       true,
		SilenceErrors:      true,
		DisableSuggestions: true, // see unknown
		Version:            server.Version(),
		PersistentPreRunE:  func(*cobra.Command, []string) error { return a.start() },
	}
	f := c.PersistentFlags()
	from, url := envURL()
	f.StringVar(&a.url, "url", url, "nodes to talk to, separated by commas ("+from+")")
	f.StringVarP(&a.format, "output", "o", os.Getenv("PFS_OUTPUT"), "output format: text or json (PFS_OUTPUT)")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this time, as 30s; 0 waits")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no summary")
	c.AddCommand(a.ls(), a.cat(), a.stat(), a.mkdir(), a.rm(), a.mv(), a.put(), a.get(), a.cp(),
		a.mount(), a.unmount(), a.mounts(), a.plugin(), a.cluster(), a.debug(), a.bench(), a.server(), a.config(), a.probe(), a.version(), exitCodes())
	return c
}

// start checks what all verbs share.
func (a *app) start() error {
	switch a.format {
	case "", "text", "json":
	default:
		return fmt.Errorf("--output %s is neither text nor json", a.format)
	}
	a.started = true
	return nil
}

// envURL returns where the server is by default, and which variable says so.
func envURL() (from, url string) {
	for _, name := range []string{"PFS_URL", "AGFS_API_URL", "AGFS_SERVER_URL"} {
		if v := os.Getenv(name); v != "" {
			return name, v
		}
	}
	return "PFS_URL", client.DefaultURL
}

// clients returns one client for each named node, which tries the others after
// it. Copies spread their files over them.
func (a *app) clients() ([]*client.Client, error) {
	urls, err := a.urls()
	if err != nil {
		return nil, err
	}
	out := make([]*client.Client, len(urls))
	for i := range urls {
		c, err := client.New(client.Config{URLs: append(append([]string{}, urls[i:]...), urls[:i]...), NoWait: true})
		if err != nil {
			return nil, usageError{err}
		}
		out[i] = c
	}
	return out, nil
}

// urls returns the nodes that --url names.
func (a *app) urls() ([]string, error) {
	var urls []string
	for u := range strings.SplitSeq(a.url, ",") {
		if u = strings.TrimSpace(u); u != "" {
			urls = append(urls, u)
		}
	}
	if len(urls) == 0 {
		return nil, usage("--url names no node")
	}
	return urls, nil
}

// context is that of a verb.
func (a *app) context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if a.timeout > 0 {
		return context.WithTimeout(cmd.Context(), a.timeout)
	}
	return context.WithCancel(cmd.Context())
}

// with runs do with a client, under the context of the verb.
func (a *app) with(cmd *cobra.Command, do func(ctx context.Context, c *client.Client) error) error {
	cs, err := a.clients()
	if err != nil {
		return err
	}
	ctx, cancel := a.context(cmd)
	defer cancel()
	return do(ctx, cs[0])
}

// each runs do on every path, reports failures and goes on; it fails with the
// only error, or says how many failed.
func (a *app) each(cmd *cobra.Command, paths []string, do func(ctx context.Context, c *client.Client, p string) error) error {
	return a.with(cmd, func(ctx context.Context, c *client.Client) error {
		var failed partialError
		for _, p := range paths {
			err := do(ctx, c, remote(p))
			if err != nil && (len(paths) == 1 || ctx.Err() != nil) {
				return err
			}
			failed.add(err)
			if err != nil {
				a.say("pfs: %s", explain(err))
			}
		}
		return failed.result()
	})
}

// remote drops the "pfs:" that marks a path as the server's.
func remote(p string) string { return strings.TrimPrefix(p, "pfs:") }
