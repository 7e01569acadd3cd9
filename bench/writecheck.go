package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/client"
)

// WriteCheck is many clients that append numbered lines to files of their own,
// each line under an idempotency key, while nodes may come and go. At the end
// every file is read back through every node that answers.
type WriteCheck struct {
	URLs     []string // of the nodes
	Clients  int
	For      time.Duration
	Dir      string        // is made, and removed unless something is wrong
	Patience time.Duration // with one write, in all its tries
	Log      io.Writer     // hears of leaders that come and go
}

// WriteResult is what a WriteCheck found.
type WriteResult struct {
	Acked     int     `json:"acked"`
	Lost      int     `json:"lost"`    // acknowledged and not there
	Doubled   int     `json:"doubled"` // there more than once
	Failed    int     `json:"failed"`  // never acknowledged: may be there or not
	Readers   int     `json:"nodes_read"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Pause     float64 `json:"longest_pause_ms"` // without any acknowledgement
	Leaders   int     `json:"leader_changes"`
}

// Sound reports whether nothing acknowledged was lost or doubled.
func (r WriteResult) Sound() bool { return r.Lost == 0 && r.Doubled == 0 }

// String is the result in two lines.
func (r WriteResult) String() string {
	return fmt.Sprintf("%.0f writes/s, p50 %.1f ms, p99 %.1f ms, longest pause %.0f ms, %d leader changes\nacked %d  lost %d  doubled %d  failed %d  (read back through %d nodes)",
		r.PerSecond, r.P50, r.P99, r.Pause, r.Leaders, r.Acked, r.Lost, r.Doubled, r.Failed, r.Readers)
}

// writer is one client's work.
type writer struct {
	file  string
	acked map[int]bool
	index uint64 // of the last
	tried int
	times []time.Duration
	ends  []time.Time // of what was acknowledged
}

// Run writes for c.For or until ctx ends, and then checks.
func (c WriteCheck) Run(ctx context.Context) (WriteResult, error) {
	nodes, err := c.dial()
	if err != nil {
		return WriteResult{}, err
	}
	if err := nodes[0].Mkdir(ctx, c.Dir, 0o755); err != nil {
		return WriteResult{}, err
	}
	load, cancel := context.WithTimeout(ctx, c.For)
	defer cancel()
	var wg sync.WaitGroup
	writers := make([]*writer, c.Clients)
	begun := time.Now()
	for i := range writers {
		w := &writer{file: path.Join(c.Dir, strconv.Itoa(i)), acked: map[int]bool{}}
		writers[i] = w
		wg.Go(func() { c.write(load, nodes[i%len(nodes)], w) })
	}
	var changes atomic.Int64
	wg.Go(func() { c.watch(load, nodes, &changes) })
	wg.Wait()
	r := summary(writers, begun)
	r.Leaders = int(changes.Load())
	check, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := c.verify(check, writers, &r); err != nil {
		return r, err
	}
	if !r.Sound() {
		return r, nil
	}
	return r, nodes[0].RemoveAll(check, c.Dir)
}

// dial returns a client for each node, which tries the others after it.
func (c WriteCheck) dial() ([]*client.Client, error) {
	nodes := make([]*client.Client, len(c.URLs))
	for i := range c.URLs {
		var err error
		nodes[i], err = client.New(client.Config{URLs: slices.Concat(c.URLs[i:], c.URLs[:i]),
			Retries: 1000, Backoff: 20 * time.Millisecond})
		if err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// write appends lines until ctx ends. A line under way then is waited for, so
// that few are left without an outcome.
func (c WriteCheck) write(ctx context.Context, cl *client.Client, w *writer) {
	for ctx.Err() == nil {
		n := w.tried
		w.tried++
		at := time.Now()
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Patience)
		a, err := cl.WriteFile(try, w.file, fmt.Appendf(nil, "%d\n", n), client.Append(),
			client.Key(fmt.Sprintf("%s#%d", w.file, n)))
		cancel()
		if err != nil {
			continue
		}
		end := time.Now()
		w.acked[n], w.index = true, a.Index
		w.times = append(w.times, end.Sub(at))
		w.ends = append(w.ends, end)
	}
}

// watch tells of leaders that come and go.
func (c WriteCheck) watch(ctx context.Context, nodes []*client.Client, changes *atomic.Int64) {
	last, lost := "", time.Time{}
	for i := 0; ctx.Err() == nil; i++ {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		s, err := nodes[i%len(nodes)].Cluster(ask)
		cancel()
		switch now := s.LeaderID; {
		case err != nil || now == last:
		case now == "":
			lost = time.Now()
			fmt.Fprintf(c.Log, "leader %s lost\n", last)
			last = now
		default:
			if !lost.IsZero() {
				fmt.Fprintf(c.Log, "leader is %s, after %.1fs\n", now, time.Since(lost).Seconds())
			} else if last != "" {
				fmt.Fprintf(c.Log, "leader is %s, after %s\n", now, last)
			}
			if last != "" || !lost.IsZero() {
				changes.Add(1)
			}
			last, lost = now, time.Time{}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func summary(writers []*writer, begun time.Time) WriteResult {
	var r WriteResult
	var times []time.Duration
	ends := []time.Time{begun}
	for _, w := range writers {
		r.Acked += len(w.acked)
		r.Failed += w.tried - len(w.acked)
		times = append(times, w.times...)
		ends = append(ends, w.ends...)
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i := 1; i < len(ends); i++ {
		r.Pause = max(r.Pause, float64(ends[i].Sub(ends[i-1]).Microseconds())/1000)
	}
	r.P50, r.P99 = percentile(times, 0.50), percentile(times, 0.99)
	if took := ends[len(ends)-1].Sub(begun); took > 0 {
		r.PerSecond = float64(r.Acked) / took.Seconds()
	}
	return r
}

// percentile sorts times, and returns one in milliseconds; 0 of none.
func percentile(times []time.Duration, q float64) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return float64(times[min(len(times)-1, int(q*float64(len(times))))].Microseconds()) / 1000
}

// verify reads every file through every node that answers, and counts the
// worst that any of them shows.
func (c WriteCheck) verify(ctx context.Context, writers []*writer, r *WriteResult) error {
	var last error
	for _, u := range c.URLs {
		lost, doubled, err := readBack(ctx, u, writers)
		if err != nil {
			last = err
			continue
		}
		r.Readers++
		r.Lost, r.Doubled = max(r.Lost, lost), max(r.Doubled, doubled)
	}
	if r.Readers == 0 {
		return fmt.Errorf("nothing could be read back: %w", last)
	}
	return nil
}

// readBack counts what one node, once it has applied every acknowledged write,
// lacks and has more than once.
func readBack(ctx context.Context, url string, writers []*writer) (lost, doubled int, err error) {
	cl, err := client.New(client.Config{URLs: []string{url}})
	if err != nil {
		return 0, 0, err
	}
	defer cl.Close()
	var last uint64
	for _, w := range writers {
		last = max(last, w.index)
	}
	if _, _, err := cl.Digest(ctx, last); err != nil {
		return 0, 0, err
	}
	for _, w := range writers {
		b, err := cl.ReadFile(ctx, w.file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, 0, err
		}
		seen := map[int]int{}
		for line := range strings.Lines(string(b)) {
			n, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %q was never written", w.file, line)
			}
			if seen[n]++; seen[n] > 1 {
				doubled++
			}
		}
		for n := range w.acked {
			if seen[n] == 0 {
				lost++
			}
		}
	}
	return lost, doubled, nil
}
