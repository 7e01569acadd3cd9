package test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestStandstill stops a node under writes for longer than its disk may take, as a
// paused container or a machine that is moved is stopped: it goes on as the same
// process.
func TestStandstill(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 1})
	n := c.Nodes[0]
	ctx, end := context.WithCancel(t.Context())
	defer end()
	done := make(chan int)
	for range 8 {
		go func() {
			acked := 0
			for w := newWeb(t, n); ctx.Err() == nil; {
				a, err := w.do("PUT", "/files?path=/memfs/f", strings.NewReader(strings.Repeat("x", 1000)))
				if errors.Is(err, syscall.ECONNREFUSED) { // nobody listens any more
					t.Error(err)
					break
				}
				if err == nil && a.status == 200 {
					acked++
				}
			}
			done <- acked
		}()
	}
	for range 2 {
		time.Sleep(time.Second)
		n.Pause()
		time.Sleep(12 * time.Second)
		n.Signal(syscall.SIGCONT)
		time.Sleep(2 * time.Second) // in which it would end
	}
	end()
	for range 8 {
		if acked := <-done; acked == 0 {
			t.Error("a client that was never answered")
		}
	}
	newWeb(t, n).put("/memfs/after", "it goes on")
	if !n.Alive() {
		t.Errorf("the node has ended\n%s", n.Tail())
	}
}
