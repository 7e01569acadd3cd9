package verbs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) queue() *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "Message queues: put, take, work", SuggestFor: []string{"q", "queues"},
		Long: `Puts messages into queues, takes them out, and works on them.

A message that is taken is lent: it comes back unless it is acked before its lease
runs out. "pfs queue work" does all of that around a command.

  pfs queue put /queuefs/jobs "resize 17"
  pfs queue work /queuefs/jobs --exec 'convert -resize 50% "$(cat)" small/'`}
	c.AddCommand(a.queueCreate(), a.queuePut(), a.queueTake(), a.queueAck(), a.queueNack(), a.queueExtend(), a.queueWork(),
		a.queueList(), a.queueStats(), a.queuePeek(), a.queueRedrive(), a.queuePurge())
	for _, s := range c.Commands() {
		s.ValidArgsFunction = a.CompletePath
	}
	return c
}

// line writes v to stdout as JSON on a line of its own.
func (a *app) line(v any) error {
	j := json.NewEncoder(a.Stdout)
	j.SetEscapeHTML(false)
	return j.Encode(v)
}

// onQueue runs do on the queue that the first argument names.
func (a *app) onQueue(cmd *cobra.Command, args []string, do func(ctx context.Context, c *client.Client, queue string) error) error {
	p, err := a.Path(args[0])
	if err != nil {
		return err
	}
	return a.With(cmd, func(ctx context.Context, c *client.Client) error {
		return do(ctx, c, path.Clean("/"+p))
	})
}

func (a *app) queueCreate() *cobra.Command {
	var lease, dedup string
	var attempts int
	c := &cobra.Command{Use: "create queue", Short: "Make a queue, or change its settings", Args: cobra.ExactArgs(1),
		Long: `Makes a queue and the directories above it, with settings; those of a queue that is
there are changed. A queue without settings needs no create: put makes it.`,
		Example: "  pfs queue create /queuefs/jobs --lease 5s --max-attempts 3"}
	c.Flags().StringVar(&lease, "lease", "", "how long a taken message is lent, unless take says so")
	c.Flags().IntVar(&attempts, "max-attempts", 0, "how often a message is lent before it is set aside as dead")
	c.Flags().StringVar(&dedup, "dedup", "", "how long ids of messages are remembered, as 5m")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var set []string
		for name, v := range map[string]string{"lease": lease, "max-attempts": strconv.Itoa(attempts), "dedup": dedup} {
			if cmd.Flags().Changed(name) {
				set = append(set, strings.ReplaceAll(name, "-", "_")+"="+v)
			}
		}
		return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, q string) error {
			_, err := c.Stat(ctx, q)
			there := err == nil
			if !there {
				if err := mkdirAll(ctx, c, q, 0o755); err != nil {
					return err
				}
			}
			if len(set) > 0 {
				if _, err := c.WriteFile(ctx, q+"/ctl", []byte(strings.Join(set, " "))); err != nil {
					return err
				}
			}
			if a.JSON() {
				return a.Encode(map[string]any{"queue": q, "created": !there})
			}
			if !a.Quiet {
				a.Say("%s", map[bool]string{true: "was there: " + q, false: "created " + q}[there])
			}
			return nil
		})
	}
	return c
}

// queueFigures are those of a queue with its name.
type queueFigures struct {
	Queue string `json:"queue"`
	client.QueueStats
}

func (a *app) queueStats() *cobra.Command {
	return &cobra.Command{Use: "stats queue…", Short: "Show what is in queues, and what has been", Args: cobra.MinimumNArgs(1),
		Example: "  pfs queue stats /queuefs/jobs\n  pfs queue stats /queuefs/jobs -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
				s, err := c.QueueStats(ctx, path.Clean("/"+p))
				switch {
				case err != nil:
					return err
				case a.JSON():
					return a.Encode(queueFigures{p, s})
				}
				w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintf(w, "queue\t%s\nready\t%d\t%s\ndelayed\t%d\ninflight\t%d\ndead\t%d\nbytes\t%d\n",
					cli.Plain(p), s.Ready, age(s), s.Delayed, s.Inflight, s.Dead, s.Bytes)
				fmt.Fprintf(w, "total\t%d enqueued, %d taken, %d acked, %d nacked, %d expired, %d dead, %d redriven, %d dropped, %d duplicates\n",
					s.Enqueued, s.Taken, s.Acked, s.Nacked, s.Expired, s.Died, s.Redriven, s.Dropped, s.Duplicates)
				return w.Flush()
			})
		}}
}

// age tells how long the oldest message is ready.
func age(s client.QueueStats) string {
	if s.Oldest == nil {
		return ""
	}
	return "oldest " + (time.Duration(s.OldestAge*1000) * time.Millisecond).Round(100*time.Millisecond).String()
}

func (a *app) queueList() *cobra.Command {
	return &cobra.Command{Use: "ls [directory]", Short: "List queues with what is in them", Args: cobra.MaximumNArgs(1),
		Long:    "Lists the queues in a directory, /queuefs without one, with what is in each.",
		Example: "  pfs queue ls\n  pfs queue ls /queuefs/team -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"/queuefs"}
			}
			return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, dir string) error {
				all := []queueFigures{}
				for i, err := range c.Entries(ctx, dir) {
					if err != nil {
						return err
					}
					if !i.IsDir || i.Meta.Type != "queue" {
						continue
					}
					s, err := c.QueueStats(ctx, path.Join(dir, i.Name))
					if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
						continue
					}
					if err != nil {
						return err
					}
					all = append(all, queueFigures{path.Join(dir, i.Name), s})
				}
				return a.showFigures(all)
			})
		}}
}

func (a *app) showFigures(all []queueFigures) error {
	if a.JSON() {
		return a.Encode(all)
	}
	if len(all) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "QUEUE\tREADY\tDELAYED\tINFLIGHT\tDEAD")
	for _, q := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", cli.Plain(q.Queue), q.Ready, q.Delayed, q.Inflight, q.Dead)
	}
	return w.Flush()
}

func (a *app) queuePeek() *cobra.Command {
	return &cobra.Command{Use: "peek queue", Short: "Show the next message, and leave it there", Args: cobra.ExactArgs(1),
		Long: "Shows the message that the next take would give, as JSON. Exit code 9 if there is none.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, q string) error {
				b, err := c.ReadFile(ctx, q+"/peek")
				if err != nil {
					return err
				}
				if text := strings.TrimSpace(string(b)); text == "" || text == "{}" {
					return cli.Exit(cli.ExitNothing)
				}
				return a.line(json.RawMessage(b))
			})
		}}
}

func (a *app) queueRedrive() *cobra.Command {
	var ids []string
	var all bool
	c := &cobra.Command{Use: "redrive queue", Short: "Bring dead messages back", Args: cobra.ExactArgs(1),
		Long:    "Brings messages that were set aside back to their queue, with all their attempts before them.",
		Example: "  pfs queue redrive /queuefs/jobs --id $(pfs ls /queuefs/jobs/dead | head -n 1)\n  pfs queue redrive /queuefs/jobs --all"}
	c.Flags().StringSliceVar(&ids, "id", nil, "these messages")
	c.Flags().BoolVar(&all, "all", false, "all that are dead")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if all == (len(ids) > 0) {
			return cli.Usage("say which: --id ID or --all")
		}
		return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, q string) error {
			n, err := c.Redrive(ctx, q, ids...)
			return a.count(n, "requeued", err)
		})
	}
	return c
}

// count tells how many of something there were.
func (a *app) count(n int, what string, err error) error {
	switch {
	case err != nil:
		return err
	case a.JSON():
		return a.Encode(map[string]int{what: n})
	case !a.Quiet:
		a.Say("%d %s", n, what)
	}
	return nil
}

func (a *app) queuePurge() *cobra.Command {
	var yes bool
	c := &cobra.Command{Use: "purge queue", Short: "Remove all messages that are ready or delayed", Args: cobra.ExactArgs(1),
		Long: "Removes the messages of a queue as its file clear does. It asks on a terminal; elsewhere it needs --yes."}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes && a.TTY {
			fmt.Fprintf(a.Stderr, "remove all messages of %s? [y/N] ", cli.Plain(args[0]))
			answer, _ := bufio.NewReader(a.Stdin).ReadString('\n') // no answer is no
			yes = strings.EqualFold(strings.TrimSpace(answer), "y")
		}
		if !yes {
			return cli.Usage("nothing was removed: add --yes")
		}
		return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, q string) error {
			_, err := c.WriteFile(ctx, q+"/clear", nil)
			return err
		})
	}
	return c
}
