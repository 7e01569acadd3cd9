package client_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// A worker's day with the client.
func TestQueueWorker(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	const q = "/queuefs/jobs"
	first, err := c.Enqueue(ctx, q, []byte{0xff, 0, 1})
	if err != nil || first.Seq != 1 || first.ID == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	for _, dup := range []bool{false, true} {
		if e, err := c.Enqueue(ctx, q, []byte("second"), client.DedupID("x"), client.Priority(9)); err != nil || e.Duplicate != dup || e.Seq != 2 {
			t.Errorf("%+v, %v", e, err)
		}
	}
	batch, err := c.EnqueueBatch(ctx, q, [][]byte{[]byte("a"), []byte("b")}, client.Delay(time.Hour))
	if err != nil || len(batch) != 2 || batch[1].Seq != 4 {
		t.Errorf("%+v, %v", batch, err)
	}
	if _, err := c.EnqueueBatch(ctx, q, [][]byte{[]byte("a\nb")}); !errors.Is(err, vfs.Invalid) {
		t.Errorf("a line end in a batch: %v", err)
	}
	got, err := c.Take(ctx, q, client.TakeOptions{Max: 5, Lease: time.Minute})
	if err != nil || len(got) != 2 || string(got[0].Data) != "second" || !bytes.Equal(got[1].Data, []byte{0xff, 0, 1}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if m := got[1]; m.ID != first.ID || m.Seq != 1 || m.Attempt != 1 || m.Fence <= got[0].Fence || m.Lease == "" || time.Until(m.Deadline) > 2*time.Minute || m.Timestamp.IsZero() {
		t.Errorf("%+v", m)
	}
	if until, err := c.Extend(ctx, q, got[0].Lease, time.Hour); err != nil || time.Until(until) < 50*time.Minute {
		t.Errorf("%v, %v", until, err)
	}
	if err := c.Ack(ctx, q, got[0].Lease); err != nil {
		t.Error(err)
	}
	if err := c.Ack(ctx, q, got[1].Lease, got[0].Lease); !errors.Is(err, vfs.LeaseLost) {
		t.Errorf("ack of a settled lease: %v", err)
	}
	if dead, err := c.Nack(ctx, q, got[1].Lease, "no", 0); err != nil || dead {
		t.Errorf("%v, %v", dead, err)
	}
	if _, err := c.WriteFile(ctx, q+"/ctl", []byte("max_attempts=2")); err != nil {
		t.Fatal(err)
	}
	again, err := c.Take(ctx, q, client.TakeOptions{Wait: 10 * time.Second})
	if err != nil || len(again) != 1 || again[0].Attempt != 2 {
		t.Fatalf("%+v, %v", again, err)
	}
	if dead, err := c.Nack(ctx, q, again[0].Lease, "no", time.Second); err != nil || !dead {
		t.Errorf("%v, %v", dead, err)
	}
	s, err := c.QueueStats(ctx, q)
	if err != nil || s.Dead != 1 || s.Delayed != 2 || s.Ready != 0 || s.Oldest != nil || s.Acked != 1 || s.Nacked != 2 || s.Duplicates != 1 || s.AsOf.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	if n, err := c.Redrive(ctx, q); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := c.Redrive(ctx, q, first.ID); n != 0 || !errors.Is(err, vfs.NotFound) {
		t.Errorf("%d, %v", n, err)
	}
	if got, err := c.Take(ctx, q, client.TakeOptions{Max: 3}); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Take(ctx, q, client.TakeOptions{Wait: 50 * time.Millisecond}); err != nil || len(got) != 0 {
		t.Errorf("nothing is %+v, %v", got, err)
	}
}
