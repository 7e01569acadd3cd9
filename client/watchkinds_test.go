package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/plugins"
)

// Streams and the files of queues are watched as any other.
func TestWatchKinds(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Level: true, Plugins: plugins.Builtin(nil), Mounts: map[string]string{"/streamfs": "streamfs", "/queuefs": "queuefs"}})
	c := dial(t, client.Config{URLs: []string{s.URL}})
	if err := c.Mkdir(t.Context(), "/queuefs/q", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct{ watch, write string }{{"/streamfs/s", "/streamfs/s"}, {"/queuefs/q/size", "/queuefs/q/enqueue"}, {"/queuefs/q/dequeue", "/queuefs/q/enqueue"}} {
		put(t, c, w.write, "1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		n := 0
		for _, err := range c.Watch(ctx, w.watch) {
			if n++; n == 3 || err != nil {
				break
			}
			put(t, c, w.write, "2")
		}
		cancel()
		if n != 3 {
			t.Errorf("%s: seen %d times", w.watch, n)
		}
	}
}
