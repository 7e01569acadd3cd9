package wasmhost

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Two mounts of one module, with settings of their own, do not see each other, and
// the callers of each get their own bytes. The long form is a minute.
func TestOwnBytes(t *testing.T) {
	long := 2 * time.Second
	if os.Getenv("PFS_SOAK") != "" {
		long = time.Minute
	}
	h := newHost(t)
	memory, hello := plugin(t, h, example(t, "memory"), vfs.Limits{}), plugin(t, h, example(t, "hello"), vfs.Limits{Instances: 4})
	mount := func(p vfs.Plugin, c vfs.Config) *FS {
		return mounted(t, p, vfs.Env{Log: h.log, Mount: "/at"}, c)
	}
	var wg sync.WaitGroup
	var rounds atomic.Int64
	until := time.Now().Add(long)
	for _, name := range []string{"one", "two"} {
		f, says := mount(memory, nil), mount(hello, vfs.Config{"greeting": name})
		for who := range 16 {
			wg.Go(func() {
				p := vfs.Path(fmt.Sprintf("/f%d", who))
				for n := 0; time.Now().Before(until) && !t.Failed(); n++ {
					sum := sha256.Sum256(fmt.Append(nil, who, n, name))
					want := bytes.Repeat(sum[:], 100+who*10)
					if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Data: want, Flag: vfs.FlagCreate | vfs.FlagTruncate}); err != nil {
						t.Error(err)
					}
					b := make([]byte, len(want)+1)
					if k, err := f.ReadAt(t.Context(), nil, p, b, 0); !errors.Is(err, io.EOF) || !bytes.Equal(b[:k], want) {
						t.Errorf("%s: %d bytes, %v", p, k, err)
					}
					if got := says.mustRead(t, "/hello", 99, 0); got != name+"\n" {
						t.Errorf("the settings of %s: %q", name, got)
					}
					rounds.Add(1)
				}
			})
		}
	}
	wg.Wait()
	t.Logf("%d rounds", rounds.Load())
}
