package mcp

import (
	"context"
	"encoding/base64"
	"time"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Limits of queues.
const (
	maxTake    = 20
	maxSeconds = 7 * 24 * 3600
)

type queueIn struct {
	Action  string   `json:"action" jsonschema:"put, take, ack, nack, extend, stats or redrive"`
	Queue   string   `json:"queue" jsonschema:"its directory; put makes it"`
	Data    string   `json:"data,omitempty" jsonschema:"of put"`
	Max     int      `json:"max,omitempty" jsonschema:"messages to take, 20 at most"`
	Wait    int      `json:"wait,omitempty" jsonschema:"seconds for a first one to come, 55 at most"`
	Leases  []string `json:"leases,omitempty" jsonschema:"of ack, nack and extend"`
	Seconds int      `json:"seconds,omitempty" jsonschema:"of the lease for take and extend, of the delay for put and nack"`
	Reason  string   `json:"reason,omitempty" jsonschema:"of nack"`
	IDs     []string `json:"ids,omitempty" jsonschema:"of redrive; none for all"`
}

type queueOut struct {
	Queue    string    `json:"queue"`
	ID       string    `json:"id,omitempty"`
	Messages []message `json:"messages,omitempty"`
	Count    int       `json:"count"`
	Stats    any       `json:"stats,omitempty"`
}

type message struct {
	ID       string    `json:"id"`
	Lease    string    `json:"lease"`
	Deadline time.Time `json:"deadline"`
	Attempt  uint64    `json:"attempt"`
	Data     string    `json:"data,omitempty"`
	Binary   string    `json:"data_base64,omitempty"`
	// A message that is too long for an agent is taken without its data, to be given
	// back or settled.
	Truncated bool `json:"truncated,omitempty"`
}

// order is what one action of the queue tool needs and does.
type order struct {
	file   string // of the queue, which it reads or writes
	leases bool   // needs leases
	do     func(*Server, context.Context, string, queueIn) (queueOut, error)
}

// orders are the actions of the queue tool.
func orders() map[string]order {
	return map[string]order{
		"put":     {"enqueue", false, (*Server).put},
		"take":    {"take", false, (*Server).take},
		"ack":     {"ack", true, (*Server).ack},
		"nack":    {"nack", true, (*Server).nack},
		"extend":  {"extend", true, (*Server).extend},
		"stats":   {"stats.json", false, (*Server).stats},
		"redrive": {"redrive", false, (*Server).redrive},
	}
}

// queue does what an action says.
func (s *Server) queue(ctx context.Context, in queueIn) (*sdk.CallToolResult, queueOut, error) {
	o, ok := orders()[in.Action]
	switch {
	case !ok:
		return nil, queueOut{}, hint(vfs.Invalid.Withf("action %q", clip(in.Action, 50)), "It is put, take, ack, nack, extend, stats or redrive")
	case o.leases && len(in.Leases) == 0:
		return nil, queueOut{}, hint(vfs.Invalid.Withf("%s needs leases", in.Action), "Take answers them")
	case in.Max < 0 || in.Wait < 0 || in.Seconds < 0 || in.Seconds > maxSeconds:
		return nil, queueOut{}, hint(vfs.Invalid.With("max, wait and seconds must not be negative, seconds not over seven days"), "Leave them out for the usual")
	case len(in.Data) > maxContent:
		return nil, queueOut{}, vfs.TooLarge.Withf("data has %d bytes, at most %d", len(in.Data), maxContent)
	}
	p, err := s.queueAt(ctx, in.Queue, o.file, in.Action == "put")
	if err != nil {
		return nil, queueOut{}, err
	}
	out, err := o.do(s, ctx, string(p.path), in)
	out.Queue = string(p.named)
	return nil, out, err
}

// queueAt finds a queue by a file that it has. With make it need not be there yet,
// where queues are made.
func (s *Server) queueAt(ctx context.Context, given, file string, make bool) (place, error) {
	p, err := s.at(ctx, given, true)
	switch {
	case err != nil:
		return p, err
	case p.info != nil && (!p.info.IsDir || p.info.Meta.Type != "queue"):
		return p, hint(vfs.Invalid.Withf("%s is not a queue", p.named), "List mounts of type queuefs; queues are directories in them")
	case p.info != nil:
		f, err := s.found(ctx, string(p.named.Child(file)), false)
		if err == nil && f.info.Meta.Name != p.info.Meta.Name {
			err = vfs.Invalid.Withf("%s is not a file of a queue", f.named)
		}
		return p, err
	case !make:
		return p, hint(vfs.NotFound.Withf("queue %s: not found", p.named), "Put a message to make it")
	}
	for dir := p.path; !dir.IsRoot(); dir = dir.Dir() {
		i, err := s.cfg.Client.Stat(ctx, string(dir.Dir()))
		if vfs.KindOf(err) == vfs.NotFound {
			continue
		}
		if err == nil && i.Meta.Name != "queuefs" {
			break
		}
		return p, err
	}
	return p, hint(vfs.NotFound.Withf("queue %s: not found, and not in a mount of queues", p.named), "List mounts of type queuefs; queues are directories in them")
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func (s *Server) put(ctx context.Context, queue string, in queueIn) (queueOut, error) {
	var opts []client.Option
	if in.Seconds > 0 {
		opts = append(opts, client.Delay(seconds(in.Seconds)))
	}
	e, err := s.cfg.Client.Enqueue(ctx, queue, []byte(in.Data), opts...)
	return queueOut{ID: e.ID, Count: 1}, err
}

// take takes messages one by one, so that what is taken fits, whole.
func (s *Server) take(ctx context.Context, queue string, in queueIn) (out queueOut, err error) {
	o := client.TakeOptions{Max: 1, Lease: seconds(in.Seconds), Wait: seconds(min(in.Wait, int(maxWait/time.Second)))}
	for size := 0; out.Count < min(max(in.Max, 1), maxTake) && size < maxText; out.Count++ {
		got, err := s.takeWhenIdle(ctx, queue, o)
		if err != nil && out.Count > 0 || err == nil && len(got) == 0 {
			break // what is taken already must be told
		}
		if err != nil {
			return out, err
		}
		o.Wait = 0
		m := got[0]
		t := message{ID: m.ID, Lease: m.Lease, Deadline: m.Deadline, Attempt: m.Attempt}
		if t.Truncated = len(m.Data) > maxContent; t.Truncated {
			m.Data = m.Data[:0]
		}
		if utf8.Valid(m.Data) {
			t.Data = string(m.Data)
		} else {
			t.Binary = base64.StdEncoding.EncodeToString(m.Data)
		}
		size += len(t.Data) + len(t.Binary)
		out.Messages = append(out.Messages, t)
	}
	return out, nil
}

// takeWhenIdle takes what there is at once, or waits for it without a place among
// the calls under way.
func (s *Server) takeWhenIdle(ctx context.Context, queue string, o client.TakeOptions) (got []client.Message, err error) {
	if o.Wait <= 0 {
		return s.cfg.Client.Take(ctx, queue, o)
	}
	ierr := idle(ctx, func() { got, err = s.cfg.Client.Take(ctx, queue, o) })
	if err == nil && len(got) == 0 {
		err = ierr
	}
	return got, err
}

func (s *Server) ack(ctx context.Context, queue string, in queueIn) (queueOut, error) {
	return queueOut{Count: len(in.Leases)}, s.cfg.Client.Ack(ctx, queue, in.Leases...)
}

func (s *Server) nack(ctx context.Context, queue string, in queueIn) (out queueOut, err error) {
	for _, l := range in.Leases {
		if _, err = s.cfg.Client.Nack(ctx, queue, l, in.Reason, seconds(in.Seconds)); err != nil {
			return out, err
		}
		out.Count++
	}
	return out, nil
}

func (s *Server) extend(ctx context.Context, queue string, in queueIn) (out queueOut, err error) {
	d := seconds(in.Seconds)
	if d == 0 {
		d = time.Minute
	}
	for _, l := range in.Leases {
		until, err := s.cfg.Client.Extend(ctx, queue, l, d)
		if err != nil {
			return out, err
		}
		out.Count++
		out.Messages = append(out.Messages, message{Lease: l, Deadline: until})
	}
	return out, nil
}

func (s *Server) stats(ctx context.Context, queue string, _ queueIn) (queueOut, error) {
	st, err := s.cfg.Client.QueueStats(ctx, queue)
	return queueOut{Count: int(st.Ready), Stats: st}, err
}

func (s *Server) redrive(ctx context.Context, queue string, in queueIn) (queueOut, error) {
	n, err := s.cfg.Client.Redrive(ctx, queue, in.IDs...)
	return queueOut{Count: n}, err
}
