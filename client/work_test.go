package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// Two workers settle every message once, in their own words.
func TestWork(t *testing.T) {
	_, c := start(t)
	const q = "/queuefs/jobs"
	for i := range 20 {
		if _, err := c.Enqueue(t.Context(), q, fmt.Appendf(nil, "%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var done []string
	var wg sync.WaitGroup
	for _, o := range []client.WorkOptions{{}, {Max: 7}} {
		wg.Go(func() {
			for job, err := range c.Work(ctx, q, o) {
				if err != nil {
					t.Error(err)
					return
				}
				if job.Attempt == 1 && job.Data[1] == '3' {
					if dead, err := job.Nack("not yet", 0); dead || err != nil {
						t.Error(dead, err)
					}
					continue
				}
				if job.Attempt == 1 && job.Data[1] == '4' {
					continue // forgotten
				}
				if err := job.Ack(); err != nil || job.Context().Err() != nil {
					t.Error(err)
				}
				mu.Lock()
				if done = append(done, string(job.Data)); len(done) == 20 {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(done)
	if got := slices.Compact(done); len(got) != 20 {
		t.Errorf("done %v", got)
	}
	s, err := c.QueueStats(t.Context(), q)
	if err != nil || s.Acked != 20 || s.Nacked != 4 || s.Ready+s.Inflight+s.Dead != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What a loop that is left holds goes back at once, also in a panic.
func TestWorkLeft(t *testing.T) {
	_, c := start(t)
	const q = "/queuefs/jobs"
	if _, err := c.EnqueueBatch(t.Context(), q, [][]byte{[]byte("a"), []byte("b"), []byte("c")}); err != nil {
		t.Fatal(err)
	}
	leave := func(how func()) {
		defer func() { _ = recover() }()
		for _, err := range c.Work(t.Context(), q, client.WorkOptions{Max: 3}) {
			if err != nil {
				t.Error(err)
			}
			how()
			break
		}
	}
	leave(func() {})
	leave(func() { panic("no") })
	if s, err := c.QueueStats(t.Context(), q); err != nil || s.Ready != 3 || s.Nacked != 6 {
		t.Errorf("%+v, %v", s, err)
	}
}

// The lease of what is worked on is extended, past any number of leases, and the
// context of a Job whose message has gone back ends.
func TestWorkLease(t *testing.T) {
	t.Parallel() // it takes a lease and a quarter
	_, c := start(t)
	const q = "/queuefs/jobs"
	if _, err := c.Enqueue(t.Context(), q, []byte("long")); err != nil {
		t.Fatal(err)
	}
	const lease = 12 * time.Second // a third of it is between two extensions
	for job, err := range c.Work(t.Context(), q, client.WorkOptions{Lease: lease}) {
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-job.Context().Done():
			t.Errorf("lease lost: %v", context.Cause(job.Context()))
		case <-time.After(lease * 5 / 4):
		}
		if s, err := c.QueueStats(t.Context(), q); err != nil || s.Inflight != 1 || s.Expired != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if err := c.Ack(t.Context(), q, job.Lease); err != nil { // behind its back
			t.Error(err)
		}
		select {
		case <-job.Context().Done():
		case <-time.After(time.Minute):
			t.Error("the context of a lost job goes on")
		}
		if !errors.Is(context.Cause(job.Context()), client.ErrLeaseLost) {
			t.Errorf("cause %v", context.Cause(job.Context()))
		}
		if err := job.Ack(); !errors.Is(err, client.ErrLeaseLost) {
			t.Errorf("ack of a lost job: %v", err)
		}
		break
	}
}

// An idle worker asks as often as it says, and a server that cannot wait less
// and less; an error that passes does not end it, another one does.
func TestWorkIdle(t *testing.T) {
	s := &script{}
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
		answer(200, "[]")(w, r)
	}
	url := s.serve(t, slow, slow, slow, answer(503, noLeader), answer(200, "[]"), answer(200, "[]"),
		answer(200, `[{"id":"1","data":"x","lease":"l"}]`), answer(200, "{}"),
		answer(404, `{"error":"none","code":"not_found"}`), answer(403, `{"error":"no","code":"permission"}`))
	c := dial(t, client.Config{URLs: []string{url}, Retries: -1})
	var got []string
	for job, err := range c.Work(t.Context(), "/q", client.WorkOptions{Idle: 5 * time.Millisecond}) {
		switch {
		case errors.Is(err, client.ErrNoLeader):
			got = append(got, "no leader")
		case err != nil:
			got = append(got, vfs.KindOf(err).Code())
		default:
			got = append(got, string(job.Data), fmt.Sprint(job.Ack()))
		}
	}
	if want := []string{"no leader", "x", "<nil>", "not_found", "permission"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for i, r := range s.requests() {
		if asks := strings.Contains(r.target, "take"); asks != (i != 7) || asks && !strings.Contains(r.target, "wait=5ms") {
			t.Errorf("request %d is %+v", i, r)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range c.Work(ctx, "/q", client.WorkOptions{}) {
		t.Error("a loop without time did something")
	}
}
