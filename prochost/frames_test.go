package prochost

import (
	"bufio"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A plugin whose messages never end where a reading does, for longer than one message
// may take, is not taken for one that does not come to an end; one that stops within
// a message is.
func TestFramesWithoutABoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages, most = 20, 100 * time.Millisecond
		near, far := net.Pipe()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer near.Close()
		wg.Go(func() {
			defer far.Close()
			m := appendValue(nil, []field{{"t", 1}, {"d", make([]byte, 100)}})
			cut := len(m) / 2
			piece := m[:cut] // the end of one message and the beginning of the next
			for range messages {
				_, _ = far.Write(piece)
				time.Sleep(most / 2)
				piece = append(m[cut:len(m):len(m)], m[:cut]...)
			}
			time.Sleep(10 * most) // within a message
		})
		f := &frames{out: near, most: most}
		d := &decoder{r: bufio.NewReader(f)}
		n := 0
		for ; ; n++ {
			f.next()
			if _, err := d.r.Peek(1); err != nil {
				t.Fatalf("between messages: %v", err)
			}
			f.begin()
			if _, err := d.message(); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				break
			}
		}
		if n != messages-1 {
			t.Errorf("%d messages, of %d that came whole", n, messages-1)
		}
	})
}
