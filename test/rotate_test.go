package test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// TestRotate has writers through three nodes append to one stream while its
// leader is killed. Every piece is in the stream once, and the files hold, one
// after the other, what the stream holds.
func TestRotate(t *testing.T) {
	t.Parallel()
	const writers, pieces, length = 3, 40, 40 << 10
	c := harness.Start(t, harness.Options{Nodes: 3})
	w := newWeb(t, c.Nodes[0])
	w.mount("streamrotatefs", "/rotate", `{"output_path":"/memfs/out","rotation_size":"500KB","filename_pattern":"{channel}-{index}"}`)
	var wg sync.WaitGroup
	half := make(chan struct{}, writers*pieces)
	for i := range writers {
		cl := c.Client(i)
		wg.Go(func() {
			for k := range pieces {
				piece := fmt.Appendf(nil, "<%d-%03d>", i, k)
				piece = append(piece, bytes.Repeat([]byte{'.'}, length-len(piece))...)
				if _, err := cl.WriteFile(t.Context(), "/rotate/tv", piece); err != nil {
					t.Errorf("writer %d, piece %d: %v", i, k, err)
					return
				}
				half <- struct{}{}
			}
		})
	}
	for range writers * pieces / 3 {
		<-half
	}
	leader := c.Leader()
	leader.Kill()
	wg.Wait()
	leader.Start()
	c.Ready()
	c.SameDigest()

	got := make([]byte, writers*pieces*length)
	for i, n := range c.Nodes {
		r := newWeb(t, n).tune(t.Context(), "/rotate/tv&consistency=linearizable")
		mine := make([]byte, len(got))
		if _, err := io.ReadFull(r.Body, mine); err != nil || i > 0 && !bytes.Equal(mine, got) {
			t.Fatalf("%s: another stream, %v", n.ID, err)
		}
		got = mine
	}
	for i := range writers {
		last := -1
		for k := range pieces {
			name := fmt.Sprintf("<%d-%03d>", i, k)
			at := bytes.Index(got, []byte(name))
			if n := bytes.Count(got, []byte(name)); n != 1 || at <= last {
				t.Errorf("piece %s is there %d times, at %d after %d", name, n, at, last)
			}
			last = at
		}
	}
	var files strings.Builder
	names := w.names("/memfs/out")
	for _, name := range names {
		files.WriteString(w.want(200, "GET", "/files?path=/memfs/out/"+name, "").body)
	}
	if files.String() != string(got) || len(names) < 8 {
		t.Errorf("%d files hold %d bytes, not the %d of the stream", len(names), files.Len(), len(got))
	}
	t.Logf("%d bytes in %d files; the leader was killed", len(got), len(names))
}
