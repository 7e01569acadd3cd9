package lapse

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

type key struct{}

// Whether somebody waits or not, it ends as one of the standard library does.
func TestEnds(t *testing.T) {
	for _, waits := range []bool{false, true} {
		for name, end := range map[string]struct {
			d    time.Duration
			stop func(parent context.CancelFunc, c *Context)
			want error
		}{
			"at its time":     {time.Millisecond, func(context.CancelFunc, *Context) { time.Sleep(5 * time.Millisecond) }, context.DeadlineExceeded},
			"in the past":     {-time.Second, func(context.CancelFunc, *Context) {}, context.DeadlineExceeded},
			"with its parent": {time.Hour, func(stop context.CancelFunc, _ *Context) { stop() }, context.Canceled},
			"by End":          {time.Hour, func(_ context.CancelFunc, c *Context) { c.End() }, context.Canceled},
		} {
			parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
			c := After(parent, end.d)
			if waits {
				c.Done()
			}
			if end.d > 0 && c.Err() != nil && end.want != context.DeadlineExceeded {
				t.Errorf("%s: it has ended before: %v", name, c.Err())
			}
			end.stop(cancel, c)
			if waits {
				<-c.Done()
			}
			if err := c.Err(); !errors.Is(err, end.want) {
				t.Errorf("%s, waits %v: %v", name, waits, err)
			}
			c.End()
			cancel()
			<-c.Done() // also for who comes late
			if err := c.Err(); !errors.Is(err, end.want) {
				t.Errorf("%s, waits %v: later it is %v", name, waits, err)
			}
			if c.Value(key{}) != "v" {
				t.Errorf("%s: the value is lost", name)
			}
		}
	}
}

// What is made from it ends with it, and sooner if its parent does.
func TestDerived(t *testing.T) {
	c := After(t.Context(), time.Hour)
	child, cancel := context.WithCancel(c)
	defer cancel()
	lapse := After(c, 2*time.Hour)
	if a, _ := lapse.Deadline(); !a.Equal(c.until) {
		t.Errorf("it ends %v after what it is made from", a.Sub(c.until))
	}
	other := After(t.Context(), time.Hour) // made before anybody waits for its parent
	c.End()
	<-child.Done()
	<-lapse.Done()
	if other.Err() != nil || !errors.Is(context.Cause(child), context.Canceled) {
		t.Errorf("%v, cause %v", other.Err(), context.Cause(child))
	}
}

func TestHammer(t *testing.T) {
	for range 200 {
		c := After(t.Context(), time.Millisecond)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { <-c.Done() })
			wg.Go(func() { _, _ = c.Err(), c.Value(key{}) })
			wg.Go(c.End)
		}
		wg.Wait()
		if c.Err() == nil {
			t.Fatal("it is done and has no error")
		}
	}
}

// A step that nobody waits for costs one allocation.
func TestCost(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		c := After(t.Context(), time.Hour)
		_ = c.Err()
		c.End()
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// Who brings his own timer hears of all but End.
func TestEndsWithoutTimer(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	c := After(After(parent, time.Hour), 2*time.Hour)
	until, before := Ends(c)
	if !until.Equal(c.until) || c.waited != nil {
		t.Errorf("it ends at %v, not at %v; it has a timer: %v", until, c.until, c.waited != nil)
	}
	cancel()
	<-before
	c.End()
	if _, before = Ends(c); before == nil {
		t.Error("one that has ended is waited for without an end")
	}
	<-before
	if until, before := Ends(t.Context()); !until.IsZero() || before != t.Context().Done() {
		t.Error("another context ends at", until)
	}
}
