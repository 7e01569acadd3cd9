package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// studio is three nodes and streams in the memory of one of them.
type studio struct {
	*testing.T
	c     *harness.Cluster
	w     []web // the owner first
	nodes []*harness.Node
}

func startStudio(t *testing.T) *studio {
	s := &studio{T: t, c: harness.Start(t, harness.Options{Nodes: 3})}
	lead := s.c.Leader()
	for _, n := range s.c.Nodes { // the owner does not lead: the log is to go on without it
		if n != lead && len(s.nodes) == 0 {
			s.nodes = append(s.nodes, n)
		}
	}
	for _, n := range s.c.Nodes {
		if n != s.nodes[0] {
			s.nodes = append(s.nodes, n)
		}
	}
	for _, n := range s.nodes {
		s.w = append(s.w, newWeb(t, n))
	}
	return s
}

// mount mounts streams in the memory of the owner, by a request to another node,
// and waits until each node has them.
func (s *studio) mount(path, settings string) {
	s.Helper()
	s.w[1].want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":"streamfs","path":%q,"node":%q,"config":{"durability":"memory",%s}}`,
		path, s.nodes[0].ID, settings))
	for _, w := range s.w {
		ok := harness.Poll(30*time.Second, func() bool {
			a, err := w.do("GET", "/directories?path="+path, nil)
			return err == nil && a.status == 200 && strings.Contains(a.body, "README")
		})
		if !ok {
			s.Fatalf("%s is not up", path)
		}
	}
}

// index returns the index of the log, as a state has it that is not behind.
func (s *studio) index() int64 {
	s.Helper()
	a := s.w[1].want(200, "GET", "/stat?path=/&consistency=linearizable", "")
	n, err := strconv.ParseInt(a.header.Get("X-Pfs-Index"), 10, 64)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func (s *studio) offset(resp *http.Response) int64 {
	s.Helper()
	n, err := strconv.ParseInt(resp.Header.Get("X-Pfs-Offset"), 10, 64)
	if err != nil {
		s.Fatalf("X-Pfs-Offset: %v", err)
	}
	return n
}

// TestMemoryStream writes streams in the memory of one node through another one.
func TestMemoryStream(t *testing.T) {
	if os.Getenv("PFS_SOAK") == "" {
		t.Parallel()
	}
	s := startStudio(t)
	s.named()
	s.gaps()
	s.full()
	s.exact()
	s.turnover()
	s.frozen()
	s.crash()
	for _, n := range s.nodes {
		if peak := n.PeakRSS(); peak > 400<<20 {
			t.Errorf("%s held %d MiB", n.ID, peak>>20)
		}
	}
}

// named: the mount says on each node what it is.
func (s *studio) named() {
	s.mount("/small", `"ring_buffer_size":"1MB"`)
	for i, w := range s.w {
		w.put("/small/said", "x")
		e := w.stat("/small/said")
		if c := e.Meta.Content; c["durability"] != "memory" || c["total_written"] != strconv.Itoa(i+1) || e.Size != int64(i+1) {
			s.Errorf("node %d: %+v", i, e)
		}
		if m := w.shownUp("/small"); m.Placement != "pinned" || m.Node != s.nodes[0].ID {
			s.Errorf("node %d: %+v", i, m)
		}
		a := w.want(200, "GET", "/mounts", "")
		if !strings.Contains(a.body, `"durability":"memory"`) {
			s.Errorf("the list of mounts: %s", a.body)
		}
		if a := w.want(200, "GET", "/files?path=/small/README", ""); !strings.Contains(a.body, "crashes") {
			s.Errorf("README: %s", a.body)
		}
		w.want(400, "GET", "/files?path=/small/said", "")
		w.want(400, "PUT", "/files?path=/small/said&offset=1", "x")
		w.want(404, "PUT", "/files?path=/small/none&flags=append", "x")
		w.want(409, "PUT", "/files?path=/small/said&flags=exclusive", "x")
		w.want(412, "PUT", "/files?path=/small/said", "x", "If-None-Match", "*")
	}
	s.handle()
	ended := s.w[1].tune(s.Context(), "/small/said")
	b := make([]byte, 4)
	if _, err := io.ReadFull(ended.Body, b); err != nil || string(b) != "xxxy" {
		s.Errorf("heard %q, %v", b, err)
	}
	s.w[2].want(200, "DELETE", "/files?path=/small/said", "")
	if more, err := io.ReadAll(ended.Body); err != nil || len(more) > 0 {
		s.Errorf("the end of a stream: %q, %v", more, err)
	}
}

// handle: a handle writes at the end and follows from the oldest byte.
func (s *studio) handle() {
	var h struct {
		ID int64 `json:"handle_id"`
	}
	s.w[1].json("POST", "/handles/open?path=/small/said&flags=readwrite", "", &h)
	at := fmt.Sprintf("/handles/%d/", h.ID)
	s.w[1].want(200, "PUT", at+"write", "y")
	s.w[1].want(400, "GET", at+"read", "")
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.w[1].url+at+"stream", nil)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "xxxy" {
		s.Errorf("a handle hears %q, %v", b, err)
	}
}

// gaps: a writer that waits for nobody, and readers on each node that are slower
// than it. What they get is what was written, but for the holes they are told of;
// one that stands still is cut off.
func (s *studio) gaps() {
	size := int64(192 << 20)
	if os.Getenv("PFS_SOAK") != "" {
		size = 4 << 30
	}
	whole := make([]byte, size)
	if _, err := io.ReadFull(noise(3, size), whole); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute)
	defer cancel()
	var stalled []*http.Response
	var wg sync.WaitGroup
	holes := make([]int64, len(s.w))
	for i, w := range s.w {
		stalled = append(stalled, w.tune(ctx, "/small/tv"))
		first := w.tune(ctx, "/small/tv")
		wg.Go(func() {
			var err error
			if holes[i], err = w.compare(ctx, first, s.offset(first), whole); err != nil {
				s.Errorf("node %d: %v", i, err)
			}
		})
	}
	before := s.index()
	start := time.Now()
	if a, err := s.w[1].do("PUT", "/files?path=/small/tv", bytes.NewReader(whole)); err != nil || a.status != 200 {
		s.Fatalf("write: %v %+v", err, a)
	}
	took := time.Since(start)
	wg.Wait()
	if after := s.index(); after-before > 50 {
		s.Errorf("the log went from %d to %d", before, after)
	}
	for i, r := range stalled {
		n, err := io.Copy(io.Discard, r.Body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || n >= size-1<<20 {
			s.Errorf("the reader of node %d that stood still: %d bytes, %v", i, n, err)
		}
		peak := s.nodes[i].PeakRSS()
		s.Logf("%s: its readers missed %d of %d MiB, one that stood still was cut off after %d KiB; RSS %d MiB at its peak",
			s.nodes[i].ID, holes[i]>>20, size>>20, n>>10, peak>>20)
		if peak > 256<<20 {
			s.Errorf("%s held %d MiB", s.nodes[i].ID, peak>>20)
		}
	}
	s.Logf("ring of 1 MiB: %.0f MiB/s for the writer", float64(size>>20)/took.Seconds())
}

// compare reads a stream from off, where its first byte is, to its end, and holds
// each byte against what was written. It returns how many it was told that it
// has missed.
func (w web) compare(ctx context.Context, r *http.Response, first int64, whole []byte) (missed int64, err error) {
	buf := make([]byte, 64<<10)
	for at := int64(0); ; {
		for err == nil && at < int64(len(whole)) {
			var n int
			n, err = r.Body.Read(buf)
			if !bytes.Equal(buf[:n], whole[at:at+int64(n)]) {
				return missed, fmt.Errorf("other bytes within %d of %d", n, at)
			}
			at += int64(n)
		}
		r.Body.Close()
		if at == int64(len(whole)) {
			return missed, nil
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return missed, fmt.Errorf("after %d bytes: %w", at, err)
		}
		var oldest int64
		if r, oldest, err = w.again(ctx, first+at); err != nil {
			return missed, err
		}
		for r == nil { // a hole; it may be written faster than asked for
			missed, at = missed+oldest-first-at, oldest-first
			if r, oldest, err = w.again(ctx, oldest); err != nil {
				return missed, err
			}
		}
	}
}

// again follows /small/tv from an offset; without an answer that offset is gone,
// and the oldest is told. An owner that does not answer for a moment is asked again.
func (w web) again(ctx context.Context, off int64) (resp *http.Response, oldest int64, err error) {
	harness.Poll(time.Minute, func() bool {
		resp, oldest, err = w.onceMore(ctx, off)
		return !errors.Is(err, errPatience)
	})
	return resp, oldest, err
}

var errPatience = errors.New("the node asks for patience")

func (w web) onceMore(ctx context.Context, off int64) (*http.Response, int64, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/files?stream=true&path=/small/tv&from=%d", w.url, off), nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode == 200 {
		return resp, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == 503 {
		return nil, 0, fmt.Errorf("from %d: %w: %s", off, errPatience, b)
	}
	if err != nil || resp.StatusCode != 416 {
		return nil, 0, fmt.Errorf("from %d: %d, %v: %s", off, resp.StatusCode, err, b)
	}
	var out struct{ Oldest int64 }
	if err := decode(answer{body: string(b)}, &out); err != nil || out.Oldest <= off {
		return nil, 0, fmt.Errorf("from %d: %v: %s", off, err, b)
	}
	return nil, out.Oldest, nil
}

// full: the memory of a mount is bounded, and a writer is told. Others go on.
func (s *studio) full() {
	s.mount("/tiny", `"buffer_size":"256KB","memory_budget":"1MB"`)
	piece := strings.Repeat("x", 300<<10)
	for range 5 {
		s.w[2].put("/tiny/early", piece)
	}
	refused := 0
	for i := range 10 {
		a, err := s.w[1].do("PUT", fmt.Sprintf("/files?path=/tiny/%d", i), io.MultiReader(strings.NewReader(piece), noise(1, 8<<20)))
		switch {
		case err != nil || a.status != 200 && a.status != 507:
			s.Errorf("stream %d: %d, %v: %s", i, a.status, err, a.body)
		case a.status == 507:
			refused++
		}
	}
	if refused < 5 {
		s.Errorf("%d of 10 streams were refused", refused)
	}
	s.w[0].want(507, "PUT", "/files?path=/tiny/more", piece)
	s.w[2].put("/tiny/early", piece)
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute)
	defer cancel()
	var readers []*http.Response
	for _, w := range s.w {
		readers = append(readers, w.tune(ctx, "/tiny/early&from=now"))
	}
	s.w[2].want(200, "POST", "/unmount", `{"path":"/tiny"}`)
	for i, r := range readers { // there was more, and it is lost
		if n, err := io.Copy(io.Discard, r.Body); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			s.Errorf("node %d, unmounted: %d bytes, %v", i, n, err)
		}
	}
}

// turnover: readers come and go through each node while a stream is written, and
// none stays.
func (s *studio) turnover() {
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute)
	defer cancel()
	s.w[1].put("/fast/turn", "begin")
	writing, stop := context.WithCancel(ctx)
	var wg, writer sync.WaitGroup
	writer.Go(func() {
		for writing.Err() == nil {
			s.w[2].put("/fast/turn", strings.Repeat("x", 1000))
		}
	})
	for i := range 6 {
		rounds := 150
		if os.Getenv("PFS_SOAK") != "" {
			rounds = 1700
		}
		wg.Go(func() {
			for k := range rounds {
				one, leave := context.WithCancel(ctx)
				r := s.w[i%3].tune(one, []string{"/fast/turn", "/fast/never", "/fast/turn&from=now"}[k%3])
				if k%6 == 0 {
					if _, err := r.Body.Read(make([]byte, 100)); err != nil {
						s.Errorf("reader %d: %v", i, err)
					}
				}
				leave()
				r.Body.Close()
			}
		})
	}
	wg.Wait()
	stop()
	writer.Wait()
	for i, w := range s.w {
		if !harness.Poll(30*time.Second, func() bool { return w.stat("/fast/turn").Meta.Content["active_readers"] == "0" }) {
			s.Errorf("node %d has %s readers", i, w.stat("/fast/turn").Meta.Content["active_readers"])
		}
	}
}

// frozen: an owner that stands still, with its connections open, is as good as
// gone to readers and writers on the others, and has lost nothing.
func (s *studio) frozen() {
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute)
	defer cancel()
	s.w[1].put("/fast/still", "before")
	r := s.w[1].tune(ctx, "/fast/still")
	first := s.offset(r)
	if _, err := io.ReadFull(r.Body, make([]byte, 6)); err != nil {
		s.Fatal(err)
	}
	s.nodes[0].Pause()
	start := time.Now()
	n, err := io.Copy(io.Discard, r.Body)
	heard := time.Since(start)
	if n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		s.Errorf("the reader: %d bytes more, %v", n, err)
	}
	s.w[1].want(503, "PUT", "/files?path=/fast/still", "lost")
	s.w[2].want(503, "GET", "/files?path=/fast/still&stream=true", "")
	if all := time.Since(start); all > 2*time.Minute {
		s.Errorf("that took %v", all)
	}
	s.Logf("the owner stands still: its reader hears of it after %.0f s, a writer and another one %.0f s later", heard.Seconds(), (time.Since(start) - heard).Seconds())
	s.nodes[0].Signal(syscall.SIGCONT)
	ok := harness.Poll(30*time.Second, func() bool {
		a, err := s.w[1].do("GET", "/stat?path=/fast/still", nil)
		return err == nil && a.status == 200
	})
	if !ok {
		s.Fatal("it is not back")
	}
	again := s.w[1].tune(ctx, fmt.Sprintf("/fast/still&from=%d", first))
	b := make([]byte, 6)
	if _, err := io.ReadFull(again.Body, b); err != nil || string(b) != "before" {
		s.Errorf("then: %q, %v", b, err)
	}
	again.Body.Close()
}

// exact: with a ring that holds all of it, readers on three nodes get every byte,
// and each stream comes to a node once. The same in the log is slower.
func (s *studio) exact() {
	const size = 64 << 20
	s.mount("/fast", `"buffer_size":"80MB"`)
	s.w[0].mount("streamfs", "/logged", `{"buffer_size":"80MB"}`)
	for _, w := range s.w {
		w.soon("/logged")
	}
	_, want, err := streamSum(noise(7, size))
	if err != nil {
		s.Fatal(err)
	}
	before := s.index()
	memory, _ := s.heard("/fast/tv", size, want)
	if after := s.index(); after-before > 50 {
		s.Errorf("the log went from %d to %d", before, after)
	}
	logged, ok := 0.0, false
	for try := 0; !ok && try < 4; try++ { // what loses its leader on the way is another stream's to show
		logged, ok = s.heard(fmt.Sprint("/logged/tv", try), size, want)
	}
	if !ok {
		s.Error("no stream in the log was written to its end")
	}
	s.Logf("%d MiB through a node that is not the owner, two readers on each of three nodes, heard %.16s by all: %.1f MiB/s in memory, %.1f MiB/s in the log",
		size>>20, want, memory, logged)
	s.w[0].want(200, "POST", "/unmount", `{"path":"/logged"}`)
}

// heard writes a stream while two readers on each node follow, and returns how
// many MiB a second all of them got; false if a leader was lost while it was written.
func (s *studio) heard(path string, size int64, want string) (rate float64, ok bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var lost atomic.Bool
	var readers []*http.Response
	for i := range 2 * len(s.w) {
		readers = append(readers, s.w[i%3].tune(ctx, path))
	}
	start := time.Now()
	for i, r := range readers {
		wg.Go(func() {
			n, sum, err := streamSum(io.LimitReader(r.Body, size))
			if !lost.Load() && (err != nil || n != size || sum != want) {
				s.Errorf("%s, reader %d: %d bytes, %s, %v", path, i, n, sum, err)
			}
		})
	}
	term, _ := metricOf(s.nodes[0], "pfs_term")
	elected := func() bool {
		now, known := metricOf(s.nodes[0], "pfs_term")
		return known && now > term
	}
	a, err := s.w[1].do("PUT", "/files?path="+path, noise(7, size))
	if err == nil && a.status == 503 && strings.HasPrefix(path, "/logged/") && harness.Poll(20*time.Second, elected) {
		lost.Store(true)
		cancel()
		wg.Wait()
		return 0, false
	}
	if err != nil || a.status != 200 {
		s.Fatalf("write: %v %+v", err, a)
	}
	wg.Wait()
	took := time.Since(start)
	for i, w := range s.w {
		want := "2"
		if i == 0 {
			want = "4" // two of its own and two nodes
		}
		var n string
		if (i > 0 || path == "/fast/tv") && !harness.Poll(20*time.Second, func() bool {
			n = w.stat(path).Meta.Content["active_readers"]
			return n == want
		}) {
			s.Errorf("node %d has %s readers, expected %s", i, n, want)
		}
	}
	for _, r := range readers {
		r.Body.Close()
	}
	return float64(size>>20) / took.Seconds(), true
}

// crash kills the owner under readers and writers.
func (s *studio) crash() {
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute)
	defer cancel()
	s.w[1].put("/fast/news", "before")
	var readers []*http.Response
	for _, w := range s.w[1:] {
		readers = append(readers, w.tune(ctx, "/fast/news"), w.tune(ctx, "/fast/not-yet"))
	}
	first := s.offset(readers[0])
	body, feed := io.Pipe()
	ended := make(chan answer, 1)
	go func() {
		a, err := s.w[2].do("PUT", "/files?path=/fast/live", body)
		if err != nil {
			s.Errorf("the writer hears nothing but %v", err)
		}
		ended <- a
	}()
	go func() { // a writer that goes on until it is told
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := fmt.Fprintf(feed, "line %d\n", i); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	live := s.w[1].tune(ctx, "/fast/live")
	if _, err := io.ReadFull(live.Body, make([]byte, 100)); err != nil {
		s.Fatal(err)
	}
	s.nodes[0].Kill()
	killed := time.Now()
	for i, r := range append(readers, live) {
		if n, err := io.Copy(io.Discard, r.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			s.Errorf("reader %d: %d bytes more, %v", i, n, err)
		}
	}
	a := <-ended
	feed.Close()
	if a.status != 503 {
		s.Errorf("the writer: %d %s", a.status, a.body)
	}
	for _, w := range s.w[1:] {
		a := w.want(503, "PUT", "/files?path=/fast/news", "lost")
		if !strings.Contains(a.body, s.nodes[0].ID) {
			s.Errorf("which node: %s", a.body)
		}
		w.want(503, "GET", "/files?stream=true&path=/fast/news", "")
		w.want(503, "GET", "/stat?path=/fast/news", "")
	}
	if took := time.Since(killed); took > 2*time.Minute {
		s.Errorf("all that took %v", took)
	}
	s.nodes[0].Start()
	s.nodes[0].Ready()
	s.back(ctx, first)
}

// back: the owner is there again, and nothing of its streams is. Offsets of
// before are gone, on each node, also when there are new bytes.
func (s *studio) back(ctx context.Context, first int64) {
	for i, w := range s.w {
		ok := harness.Poll(30*time.Second, func() bool {
			a, err := w.do("GET", "/directories?path=/fast", nil)
			return err == nil && a.status == 200
		})
		if !ok {
			s.Fatalf("node %d: the mount does not come back", i)
		}
		w.want(404, "GET", "/stat?path=/fast/news", "")
		s.gone(w, first)
	}
	s.w[2].put("/fast/news", "after the restart")
	for _, w := range s.w {
		s.gone(w, first)
		s.gone(w, first+6)
		r := w.tune(ctx, "/fast/news")
		b := make([]byte, 17)
		if _, err := io.ReadFull(r.Body, b); err != nil || string(b) != "after the restart" {
			s.Errorf("%q, %v", b, err)
		}
		r.Body.Close()
	}
	s.c.SameDigest()
}

// gone: an offset is none of the stream that is there.
func (s *studio) gone(w web, off int64) {
	s.Helper()
	a := w.want(416, "GET", fmt.Sprintf("/files?stream=true&path=/fast/news&from=%d", off), "")
	var out struct{ Oldest int64 }
	if err := decode(a, &out); err != nil || out.Oldest <= off {
		s.Errorf("from %d: %v: %s", off, err, a.body)
	}
}
