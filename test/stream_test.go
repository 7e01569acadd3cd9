package test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// noise is bytes that nothing can compress or guess, the same for a seed.
func noise(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

func streamSum(r io.Reader) (n int64, sum string, err error) {
	h := sha256.New()
	n, err = io.Copy(h, r)
	return n, fmt.Sprintf("%x", h.Sum(nil)), err
}

// tune follows a stream; the head of the answer has come when it returns. A node
// that asks for patience is asked again.
func (w web) tune(ctx context.Context, query string) *http.Response {
	w.t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		req, err := http.NewRequestWithContext(ctx, "GET", w.url+"/files?stream=true&path="+query, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatalf("follow %s: %v", query, err)
		}
		w.t.Cleanup(func() { resp.Body.Close() })
		if resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "" && time.Now().Before(until) {
			continue
		}
		if resp.StatusCode != 200 {
			w.t.Fatalf("follow %s: %d", query, resp.StatusCode)
		}
		return resp
	}
}

// ears count what readers of one stream have heard.
type ears []atomic.Int64

// ahead is by how much a stream is written before all have heard it: less than is
// kept of it, since one of the nodes may stand still while the others go on.
const ahead = 16 << 20

// paced gives what src has as far as all ears follow.
func (e ears) paced(ctx context.Context, src io.Reader) io.Reader {
	var given int64
	return readerFunc(func(b []byte) (int, error) {
		for i := range e {
			for given-e[i].Load() > ahead && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
		}
		n, err := src.Read(b)
		given += int64(n)
		return n, err
	})
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestStream writes a stream as fast as it is heard. A reader on each of three nodes
// hears every byte, one that stands still is cut off with what it had, and no
// node holds more than its windows for any of them.
func TestStream(t *testing.T) {
	size, ring := int64(64<<20), "32MB"
	if os.Getenv("PFS_SOAK") != "" {
		size = 1 << 30
	} else {
		t.Parallel()
	}
	c := harness.Start(t, harness.Options{Nodes: 3})
	w := make([]web, len(c.Nodes))
	for i, n := range c.Nodes {
		w[i] = newWeb(t, n)
	}
	w[0].mount("streamfs", "/live", `{"buffer_size":"`+ring+`"}`)
	for i := range w { // each node has the mount
		w[i].want(200, "GET", "/directories?path=/live&consistency=linearizable", "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	stalled := w[1].tune(ctx, "/live/tv")
	var wg sync.WaitGroup
	sums := make([]string, len(w))
	lags, heard := make([]int, len(w)), make(ears, len(w))
	for i := range w {
		first := w[i].tune(ctx, "/live/tv")
		wg.Go(func() { sums[i], lags[i] = w[i].hear(ctx, first, size, &heard[i]) })
	}
	before := make([]int64, len(c.Nodes))
	for i, n := range c.Nodes {
		before[i] = n.RSS()
	}
	start := time.Now()
	a, err := w[2].do("PUT", "/files?path=/live/tv", heard.paced(ctx, noise(7, size)))
	if err != nil || a.status != 200 {
		t.Fatalf("write: %v %+v", err, a)
	}
	took := time.Since(start)
	wg.Wait()
	_, want, err := streamSum(noise(7, size))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sums {
		if sums[i] != want {
			t.Errorf("reader %d: %s, want %s", i, sums[i], want)
		}
	}
	n, _, err := streamSum(stalled.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || n >= size-32<<20 {
		t.Errorf("the reader that stood still: %d bytes, %v", n, err)
	}
	for i, n := range c.Nodes {
		peak := n.PeakRSS()
		t.Logf("%s: RSS %d MiB before, %d MiB at its peak; its reader was behind %d times", n.ID, before[i]>>20, peak>>20, lags[i])
		if peak > 400<<20 {
			t.Errorf("%s held %d MiB", n.ID, peak>>20)
		}
	}
	t.Logf("%d MiB in %.1f s, %.1f MiB/s, heard %s; the reader that stood still was cut off after %d bytes",
		size>>20, took.Seconds(), float64(size>>20)/took.Seconds(), want[:16], n)
	c.SameDigest()
}

// hear reads a stream to an offset and returns the hash of all its bytes. What
// breaks off is asked for again from where it was, which must still be there.
func (w web) hear(ctx context.Context, r *http.Response, size int64, count *atomic.Int64) (sum string, again int) {
	defer count.Store(1 << 62) // nobody waits for it any more
	h := sha256.New()
	for off := int64(0); ; again++ {
		n, err := io.CopyN(io.MultiWriter(h, writerFunc(func(b []byte) { count.Add(int64(len(b))) })), r.Body, size-off)
		r.Body.Close()
		if off += n; off == size {
			return fmt.Sprintf("%x", h.Sum(nil)), again
		}
		if ctx.Err() != nil || again > 20 {
			return fmt.Sprintf("only %d bytes: %v", off, err), again
		}
		r = w.tune(ctx, fmt.Sprintf("/live/tv&from=%d", off))
	}
}

type writerFunc func(b []byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

// TestStreamTurnover has readers come and go 10,000 times while a stream is
// written, with and without hearing anything.
func TestStreamTurnover(t *testing.T) {
	t.Parallel()
	n := harness.Start(t, harness.Options{}).Nodes[0]
	w := newWeb(t, n)
	w.mount("streamfs", "/live", "")
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	writing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b, err := io.ReadAll(noise(1, 1000))
		if err != nil {
			t.Error(err)
		}
		for writing.Err() == nil {
			if a, err := w.patient("PUT", "/files?path=/live/tv", string(b)); err != nil || a.status != 200 {
				t.Errorf("write: %v %+v", err, a)
				return
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			b := make([]byte, 100)
			for k := range 500 {
				path := []string{"tv", "never", "tv&from=now"}[k%3]
				one, leave := context.WithCancel(ctx)
				req, err := http.NewRequestWithContext(one, "GET", w.url+"/files?stream=true&path=/live/"+path, nil)
				if err != nil {
					t.Error(err)
				}
				resp, err := tr.RoundTrip(req)
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("reader %d, time %d: %v", i, k, err)
				} else if k%3 == 0 && k%2 == 0 {
					_, err = resp.Body.Read(b)
				}
				leave()
				if err == nil {
					resp.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	stop()
	<-done
	if !harness.Poll(30*time.Second, func() bool {
		a, err := w.do("GET", "/files?path=/live/tv&stream=true&from=999999999999", nil)
		return err == nil && a.status == 416
	}) || !n.Alive() {
		t.Errorf("the node does not answer any more\n%s", n.Tail())
	}
	t.Logf("10,000 readers came and went; RSS %d MiB, %d MiB at its peak", n.RSS()>>20, n.PeakRSS()>>20)
	if n.PeakRSS() > 256<<20 {
		t.Errorf("the node held %d MiB", n.PeakRSS()>>20)
	}
}
