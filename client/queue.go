package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Message is a message of a queue that was taken.
type Message struct {
	ID        string    // the same whenever the message comes
	Data      []byte    // as it was enqueued
	Timestamp time.Time // when
	Seq       uint64    // its place in the queue
	Attempt   uint64    // how often it was taken, this time included
	Lease     string    // for Ack, Nack and Extend
	Fence     uint64    // rises with every take of the queue
	Deadline  time.Time // when the lease runs out, by the cluster's clock
}

// UnmarshalJSON reads what take answers.
func (m *Message) UnmarshalJSON(b []byte) error {
	var in struct {
		ID                  string
		Data                string
		Binary              *string `json:"data_base64"`
		Timestamp, Deadline time.Time
		Seq, Attempt, Fence uint64
		Lease               string
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*m = Message{ID: in.ID, Data: []byte(in.Data), Timestamp: in.Timestamp, Seq: in.Seq, Attempt: in.Attempt,
		Lease: in.Lease, Fence: in.Fence, Deadline: in.Deadline}
	if in.Binary == nil {
		return nil
	}
	var err error
	m.Data, err = base64.StdEncoding.DecodeString(*in.Binary)
	return err
}

// Enqueued is what became of a message.
type Enqueued struct {
	ID        string `json:"id"`
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"` // of a batch: not told for each
}

// Priority is 0 to 9; higher ones are given first.
func Priority(n int) Option {
	return func(k *call) { k.header.Set("X-Pfs-Priority", strconv.Itoa(n)) }
}

// Delay keeps a message back for a while, at most seven days.
func Delay(d time.Duration) Option {
	return func(k *call) { k.header.Set("X-Pfs-Delay", d.String()) }
}

// DedupID lets a message be enqueued once within the queue's window, whoever
// sends it: 1 to 128 printable ASCII characters.
func DedupID(id string) Option { return func(k *call) { k.header.Set("X-Pfs-Dedup-Id", id) } }

// Enqueue adds a message to a queue, which is made if it is missing. A full
// queue is vfs.NoSpace.
func (c *Client) Enqueue(ctx context.Context, queue string, data []byte, opts ...Option) (Enqueued, error) {
	var e Enqueued
	w, err := c.WriteFile(ctx, queue+"/enqueue", data, opts...)
	if err == nil {
		err = told(w, &e)
	}
	return e, err
}

// EnqueueBatch adds messages, all or none: at most 1,000 of 256 KiB together,
// each without a line end and not empty.
func (c *Client) EnqueueBatch(ctx context.Context, queue string, messages [][]byte, opts ...Option) ([]Enqueued, error) {
	var body bytes.Buffer
	for i, m := range messages {
		if len(m) == 0 || bytes.ContainsAny(m, "\r\n") {
			return nil, &fs.PathError{Op: "write", Path: queue, Err: vfs.Invalid.Withf("message %d is empty or has a line end, which a batch cannot carry", i)}
		}
		body.Write(m)
		body.WriteByte('\n')
	}
	lines := func(k *call) { k.header.Set("Content-Type", "application/x-ndjson") }
	w, err := c.WriteFile(ctx, queue+"/enqueue", body.Bytes(), append([]Option{lines}, opts...)...)
	if err != nil {
		return nil, err
	}
	var a struct {
		ID  []string
		Seq []uint64
	}
	if err := told(w, &a); err != nil {
		return nil, err
	}
	out := make([]Enqueued, min(len(a.ID), len(a.Seq)))
	for i := range out {
		out[i] = Enqueued{ID: a.ID[i], Seq: a.Seq[i]}
	}
	return out, nil
}

// told reads what a write answers beside the ordinary.
func told(w Written, v any) error {
	if err := json.Unmarshal(w.Body, v); err != nil {
		return &fs.PathError{Op: "write", Path: "answer", Err: err}
	}
	return nil
}

// TakeOptions say what to take. The zero value is one message at once, under
// the queue's own lease.
type TakeOptions struct {
	Max   int           // messages, at most 100; 0 means 1
	Lease time.Duration // 0: that of the queue
	Wait  time.Duration // for a first one; 60 s at most
}

// Take lends messages; none is no error. Each comes again, to anybody, unless
// it is acked before its lease runs out. A repeat of the request after a
// failure gets what the first one got.
func (c *Client) Take(ctx context.Context, queue string, o TakeOptions) ([]Message, error) {
	k := newCall("read", http.MethodGet, "/files", queue+"/take").keyed()
	k.query.Set("max", strconv.Itoa(max(o.Max, 1)))
	if o.Lease > 0 {
		k.query.Set("lease", o.Lease.String())
	}
	if o.Wait > 0 {
		k.query.Set("wait", o.Wait.String())
	}
	var out []Message
	_, err := c.json(ctx, k, &out)
	return out, err
}

// Ack settles messages for good: all of them, or none. One whose lease has run
// out gives vfs.LeaseLost.
func (c *Client) Ack(ctx context.Context, queue string, leases ...string) error {
	_, err := c.WriteFile(ctx, queue+"/ack", []byte(strings.Join(leases, "\n")))
	return err
}

// Nack gives a message back, to be ready after a delay. After its last attempt
// it is dead, which is reported, with the reason.
func (c *Client) Nack(ctx context.Context, queue, lease, reason string, delay time.Duration) (dead bool, err error) {
	w, err := c.order(ctx, queue+"/nack", map[string]string{"lease": lease, "reason": reason, "delay": delay.String()})
	if err != nil {
		return false, err
	}
	var a struct{ Dead int }
	err = told(w, &a)
	return a.Dead > 0, err
}

// Extend lets a lease run out no sooner than d from now, and returns when.
func (c *Client) Extend(ctx context.Context, queue, lease string, d time.Duration) (time.Time, error) {
	w, err := c.order(ctx, queue+"/extend", map[string]string{"lease": lease, "for": d.String()})
	if err != nil {
		return time.Time{}, err
	}
	var a struct{ Deadline time.Time }
	err = told(w, &a)
	return a.Deadline, err
}

// order writes an object to a file.
func (c *Client) order(ctx context.Context, path string, v map[string]string) (Written, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return Written{}, err
	}
	return c.WriteFile(ctx, path, b)
}

// Redrive brings dead messages back, all of them without ids, and returns how
// many.
func (c *Client) Redrive(ctx context.Context, queue string, ids ...string) (int, error) {
	text := "*"
	if len(ids) > 0 {
		text = strings.Join(ids, "\n")
	}
	w, err := c.WriteFile(ctx, queue+"/redrive", []byte(text))
	if err != nil {
		return 0, err
	}
	var a struct{ Redriven int }
	err = told(w, &a)
	return a.Redriven, err
}

// QueueStats is what stats.json of a queue tells.
type QueueStats struct {
	Ready      uint64     `json:"ready"`
	Delayed    uint64     `json:"delayed"`
	Inflight   uint64     `json:"inflight"`
	Dead       uint64     `json:"dead"`
	Bytes      uint64     `json:"bytes"`      // of content, but for the dead ones
	Oldest     *time.Time `json:"oldest"`     // of those that are ready; nil if none is
	OldestAge  float64    `json:"oldest_age"` // seconds, at AsOf
	AsOf       time.Time  `json:"as_of"`      // the last change
	Enqueued   uint64     `json:"enqueued_total"`
	Taken      uint64     `json:"taken_total"`
	Acked      uint64     `json:"acked_total"`
	Nacked     uint64     `json:"nacked_total"`
	Expired    uint64     `json:"expired_total"`
	Died       uint64     `json:"dead_total"`
	Redriven   uint64     `json:"redriven_total"`
	Dropped    uint64     `json:"dropped_total"`
	Duplicates uint64     `json:"duplicates_total"`
}

// QueueStats returns the figures of a queue.
func (c *Client) QueueStats(ctx context.Context, queue string) (s QueueStats, err error) {
	_, err = c.json(ctx, newCall("read", http.MethodGet, "/files", queue+"/stats.json"), &s)
	return s, err
}
