package verbs

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// Limits of a batch, in what the server takes as one.
const (
	batchLines = 1000
	batchBytes = 256 << 10
	batchLine  = 32 << 10 // a longer message goes alone
)

// putter puts messages into a queue.
type putter struct {
	*app
	c     *client.Client
	queue string
	opts  []client.Option
	key   string // of all; each request adds its number

	batch    bytes.Buffer
	lines    int
	requests int
	enqueued int
	repeated int
}

func (a *app) queuePut() *cobra.Command {
	p := &putter{app: a}
	var priority int
	var delay time.Duration
	c := &cobra.Command{Use: "put queue [text…]", Short: "Put messages into a queue: arguments, or the lines of stdin", Args: cobra.MinimumNArgs(1),
		SuggestFor: []string{"enqueue", "push", "send", "add"},
		Long: `Puts each argument into a queue as a message; without one, or for -, each line of
stdin without its end. The queue is made if it is missing. Lines go in batches, each
of which is put whole or not at all; what comes slowly is put as it comes. Empty
lines are passed over. One message of many lines: pfs put - QUEUE/enqueue.

Under --idempotency-key a repeat of the same command with the same stdin, after a
failure or a crash, puts what is missing and nothing twice.`,
		Example: "  pfs queue put /queuefs/jobs \"resize 17\"\n  seq 1 100 | pfs queue put /queuefs/jobs -\n  pfs queue put /queuefs/jobs --delay 5m --priority 9 later"}
	c.Flags().StringVar(&p.key, "idempotency-key", "", "what was put under this key is not put again")
	c.Flags().IntVar(&priority, "priority", 4, "0 to 9; higher ones are given first")
	c.Flags().DurationVar(&delay, "delay", 0, "ready only then")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if priority < 0 || priority > 9 {
			return cli.Usage("--priority is 0 to 9, not %d", priority)
		}
		if cmd.Flags().Changed("priority") {
			p.opts = append(p.opts, client.Priority(priority))
		}
		if delay > 0 {
			p.opts = append(p.opts, client.Delay(delay))
		}
		texts := args[1:]
		if len(texts) == 0 {
			texts = []string{"-"}
		}
		return a.onQueue(cmd, args, func(ctx context.Context, c *client.Client, q string) error {
			p.c, p.queue = c, q
			for _, t := range texts {
				err := p.put(ctx, t)
				if err != nil {
					p.told()
					return err
				}
			}
			p.told()
			return nil
		})
	}
	return c
}

// put puts one argument.
func (p *putter) put(ctx context.Context, text string) error {
	if text == "-" {
		return p.stdin(ctx)
	}
	return p.one(ctx, []byte(text))
}

// stdin puts the lines of stdin. Without a key what is there is put before more
// is waited for; with one, the same lines make the same batches.
func (p *putter) stdin(ctx context.Context) error {
	in := bufio.NewReaderSize(p.Stdin, batchBytes)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF { // the line is not whole
			return err
		}
		if text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")); len(text) > 0 {
			if err := p.line(ctx, text); err != nil {
				return err
			}
		}
		if err != nil || p.key == "" && in.Buffered() == 0 {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// line puts a line, with others.
func (p *putter) line(ctx context.Context, text []byte) error {
	if p.lines == batchLines || p.batch.Len()+len(text)+1 > batchBytes || len(text) > batchLine {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	if len(text) > batchLine {
		return p.one(ctx, text)
	}
	p.batch.Write(text)
	p.batch.WriteByte('\n')
	p.lines++
	return nil
}

func (p *putter) flush(ctx context.Context) error {
	if p.lines == 0 {
		return nil
	}
	b, err := p.c.EnqueueLines(ctx, p.queue, p.batch.Bytes(), p.keyed()...)
	p.batch.Reset()
	p.lines = 0
	return p.done(b, err)
}

func (p *putter) one(ctx context.Context, text []byte) error {
	return p.done(p.c.EnqueueOne(ctx, p.queue, text, p.keyed()...))
}

// keyed returns the options of the next request.
func (p *putter) keyed() []client.Option {
	p.requests++
	if p.key == "" {
		return p.opts
	}
	return append(p.opts[:len(p.opts):len(p.opts)], client.Key(p.key+"-"+strconv.Itoa(p.requests)))
}

func (p *putter) done(b client.Batch, err error) error {
	if err != nil {
		return err
	}
	old := b.Duplicates
	if b.Replayed {
		old = len(b.IDs)
	}
	p.repeated += old
	p.enqueued += len(b.IDs) - old
	if p.JSON() {
		return p.app.line(map[string]any{"id": b.IDs, "seq": b.Seqs, "duplicates": old})
	}
	return nil
}

// told says what was done, for people.
func (p *putter) told() {
	switch {
	case p.Quiet || p.JSON():
	case p.repeated > 0:
		p.Say("%d new, %d duplicate", p.enqueued, p.repeated)
	default:
		p.Say("%d enqueued", p.enqueued)
	}
}
