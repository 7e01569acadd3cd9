package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// Batch is what became of messages that were enqueued together.
type Batch struct {
	IDs        []string `json:"id"`
	Seqs       []uint64 `json:"seq"`
	Duplicates int      `json:"duplicates"` // of them, those that were there already, by their dedup id
	Replayed   bool     `json:"-"`          // the answer is that of an earlier request under the same key
}

// EnqueueLines adds the lines of text to a queue, each as a message without its
// end; empty ones are passed over. All are added or none: at most 1,000 lines of
// 32 KiB, 256 KiB together. A dedup id counts for each line with its number.
func (c *Client) EnqueueLines(ctx context.Context, queue string, text []byte, opts ...Option) (Batch, error) {
	opts = append([]Option{Header("Content-Type", "application/x-ndjson")}, opts...)
	return c.enqueue(ctx, queue, text, opts)
}

// EnqueueOne is Enqueue that tells whether it was a repeat.
func (c *Client) EnqueueOne(ctx context.Context, queue string, data []byte, opts ...Option) (Batch, error) {
	return c.enqueue(ctx, queue, data, opts)
}

func (c *Client) enqueue(ctx context.Context, queue string, data []byte, opts []Option) (b Batch, err error) {
	k := newCall("write", http.MethodPut, "/files", queue+"/enqueue").keyed().with(opts)
	k.body = func() (*upload, error) { return &upload{r: bytes.NewReader(data), size: int64(len(data))}, nil }
	a, err := c.do(ctx, k)
	if err != nil {
		return b, err
	}
	b.Replayed = a.header.Get("Idempotency-Replayed") == "true"
	var one Enqueued
	if json.Unmarshal(a.data, &one) == nil && one.ID != "" {
		b.IDs, b.Seqs = []string{one.ID}, []uint64{one.Seq}
		if one.Duplicate {
			b.Duplicates = 1
		}
		return b, nil
	}
	return b, told(Written{Body: a.data}, &b)
}
