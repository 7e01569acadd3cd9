package verbs

import (
	"context"
	"encoding/base64"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// message is how a message that was taken is printed: as the API shows it.
type message struct {
	ID        string    `json:"id"`
	Data      *string   `json:"data,omitempty"`
	Binary    *string   `json:"data_base64,omitempty"` // what is not UTF-8
	Timestamp time.Time `json:"timestamp"`
	Seq       uint64    `json:"seq"`
	Attempt   uint64    `json:"attempt"`
	Lease     string    `json:"lease"`
	Fence     uint64    `json:"fence"`
	Deadline  time.Time `json:"deadline"`
}

func printed(m client.Message) message {
	out := message{ID: m.ID, Timestamp: m.Timestamp, Seq: m.Seq, Attempt: m.Attempt, Lease: m.Lease, Fence: m.Fence, Deadline: m.Deadline}
	if text := string(m.Data); utf8.ValidString(text) {
		out.Data = &text
	} else {
		b := base64.StdEncoding.EncodeToString(m.Data)
		out.Binary = &b
	}
	return out
}

// forever is how long a wait is that has no end.
const forever = time.Duration(1<<63 - 1)

func (a *app) queueTake() *cobra.Command {
	var wait string
	var most int
	var lease time.Duration
	c := &cobra.Command{Use: "take queue", Short: "Take messages, which are lent", Args: cobra.RangeArgs(1, 2),
		SuggestFor: []string{"get", "receive", "pop", "dequeue"},
		Long: `Takes messages and prints each as a JSON object on a line. They come back unless
they are acked before their leases run out. With --wait the command waits, without
asking again and again, until there is one; --wait=30s, or --wait 30s behind the
queue, bounds that. Exit code 9 if there is none.`,
		Example: "  pfs queue take /queuefs/jobs\n  pfs queue take /queuefs/jobs --wait=30s --max 10 --lease 2m"}
	f := c.Flags()
	f.StringVar(&wait, "wait", "0", "for a first message: a time, or without one for ever")
	f.Lookup("wait").NoOptDefVal = "forever"
	f.IntVar(&most, "max", 1, "so many messages, 1 to 100")
	f.DurationVar(&lease, "lease", 0, "lend them for so long; 0: what the queue says")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 { // a flag with an optional value takes none behind a space
			if wait != "forever" {
				return cli.Usage("take takes one queue")
			}
			wait = args[1]
		}
		d, err := waitOf(wait)
		if err != nil {
			return err
		}
		return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, q string) error {
			got, err := takeWithin(ctx, c, q, client.TakeOptions{Max: most, Lease: lease}, d)
			if err != nil {
				return err
			}
			for _, m := range got {
				if err := a.line(printed(m)); err != nil {
					return err
				}
			}
			if len(got) == 0 {
				return cli.Exit(cli.ExitNothing)
			}
			return nil
		})
	}
	return c
}

func waitOf(s string) (time.Duration, error) {
	if s == "forever" {
		return forever, nil
	}
	if s == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, cli.Usage("--wait is a time such as 30s, not %s", s)
	}
	return d, nil
}

// takeWithin takes, and waits as long as it may: longer than one request is held.
func takeWithin(ctx context.Context, c *client.Client, q string, o client.TakeOptions, wait time.Duration) ([]client.Message, error) {
	start := time.Now()
	for {
		left := wait
		if wait != forever {
			left = max(wait-time.Since(start), 0)
		}
		o.Wait = min(left, waitTime)
		asked := time.Now()
		got, err := c.Take(ctx, q, o)
		if err != nil || len(got) > 0 || left <= o.Wait {
			return got, err
		}
		if time.Since(asked) < o.Wait/2 { // a node that stops ends all waiting
			if err := pause(ctx, tryPause); err != nil {
				return nil, err
			}
		}
	}
}

// leases are those that arguments and, for -, the lines of stdin name.
func (a *app) leases(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		if arg != "-" {
			out = append(out, arg)
			continue
		}
		b, err := io.ReadAll(io.LimitReader(a.Stdin, 1<<20))
		if err != nil {
			return nil, err
		}
		out = append(out, strings.Fields(string(b))...)
	}
	return out, nil
}

// settling is a command on a queue and leases of it.
func (a *app) settling(use, short, example string, do func(ctx context.Context, c *client.Client, queue string, leases []string) error) *cobra.Command {
	return &cobra.Command{Use: use + " queue lease…", Short: short, Args: cobra.MinimumNArgs(2), Example: example,
		Long: short + ".\nLeases are arguments or, for -, lines of stdin. One that has run out is exit code 6.",
		RunE: func(cmd *cobra.Command, args []string) error {
			leases, err := a.leases(args[1:])
			if err != nil {
				return err
			}
			return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, q string) error { return do(ctx, c, q, leases) })
		}}
}

func (a *app) queueAck() *cobra.Command {
	return a.settling("ack", "Settle messages for good, all or none", "  pfs queue ack /queuefs/jobs $(pfs ls /queuefs/jobs/inflight)",
		func(ctx context.Context, c *client.Client, q string, leases []string) error {
			return a.count(len(leases), "acked", c.Ack(ctx, q, leases...))
		})
}

func (a *app) queueNack() *cobra.Command {
	var delay time.Duration
	var reason string
	c := a.settling("nack", "Give messages back", "  pfs queue nack /queuefs/jobs $(pfs ls /queuefs/jobs/inflight) --delay 5s --reason 'disk is full'",
		func(ctx context.Context, c *client.Client, q string, leases []string) error {
			for _, l := range leases {
				if _, err := c.Nack(ctx, q, l, reason, delay); err != nil {
					return err
				}
			}
			return a.count(len(leases), "nacked", nil)
		})
	c.Flags().DurationVar(&delay, "delay", 0, "ready again only then")
	c.Flags().StringVar(&reason, "reason", "", "what went wrong, for the message that is dead in the end")
	return c
}

func (a *app) queueExtend() *cobra.Command {
	var d time.Duration
	c := a.settling("extend", "Have messages lent for longer", "  pfs queue extend /queuefs/jobs $(pfs ls /queuefs/jobs/inflight) --for 5m",
		func(ctx context.Context, c *client.Client, q string, leases []string) error {
			for _, l := range leases {
				until, err := c.Extend(ctx, q, l, d)
				if err != nil {
					return err
				}
				a.Printf("%s\n", until.UTC().Format(time.RFC3339Nano))
			}
			return nil
		})
	c.Flags().DurationVar(&d, "for", time.Minute, "from now on")
	return c
}
