package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pfs-project/pfs/client"
)

// Config says what to measure.
type Config struct {
	Program string // a pfs binary, to start nodes with
	Version string
	Nodes   []int         // sizes of clusters to start on this machine, as 1 and 3
	Clients []int         // numbers of clients, rising
	For     time.Duration // of each small load
	Large   int64         // bytes of the large file
	Log     io.Writer     // progress
}

// Run starts each cluster in turn, measures it, and stops it.
func Run(ctx context.Context, c Config) (Report, error) {
	r := Report{Version: c.Version}
	dir, err := os.MkdirTemp(".", "pfs-bench-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	if r.Sync, err = syncTime(dir); err != nil {
		return r, err
	}
	for _, n := range c.Nodes {
		fmt.Fprintf(c.Log, "measuring %d node(s)\n", n)
		res, err := c.one(ctx, filepath.Join(dir, fmt.Sprint(n)), n)
		if err != nil {
			return r, fmt.Errorf("%d nodes: %w", n, err)
		}
		r.Runs = append(r.Runs, res)
	}
	return r, nil
}

func (c Config) one(ctx context.Context, dir string, nodes int) (Result, error) {
	res := Result{Nodes: nodes}
	cl, err := startCluster(ctx, c.Program, dir, nodes)
	if err != nil {
		return res, err
	}
	defer cl.stop()
	for _, n := range c.Clients {
		f, err := cl.puts(ctx, n, c.For)
		if err != nil {
			return res, err
		}
		res.Small = append(res.Small, f)
		fmt.Fprintf(c.Log, "  %s, %d clients: %.0f/s\n", f.Name, n, f.PerSecond)
	}
	res.Packing = res.Small[len(res.Small)-1].PerSecond / res.Small[0].PerSecond
	for _, n := range c.Clients {
		f, err := cl.gets(ctx, n, c.For)
		if err != nil {
			return res, err
		}
		res.Small = append(res.Small, f)
		fmt.Fprintf(c.Log, "  %s, %d clients: %.0f/s\n", f.Name, n, f.PerSecond)
	}
	if nodes > 1 {
		if res.Follower, err = cl.followerReads(ctx, c.For); err != nil {
			return res, err
		}
		fmt.Fprintf(c.Log, "  linearizable reads on a follower: %.2f of local ones\n", res.Follower.Ratio)
	}
	res.In, res.Out, err = cl.large(ctx, c.Large)
	return res, err
}

// puts measures durable writes of 256 bytes, spread over the nodes.
func (cl *cluster) puts(ctx context.Context, clients int, d time.Duration) (Figures, error) {
	before, err := cl.counters(ctx)
	if err != nil {
		return Figures{}, err
	}
	f, err := Load{Name: "PUT 256 B", Method: "PUT", Body: make([]byte, 256), Clients: clients, For: d,
		URL: func(c, i int) string {
			return fmt.Sprintf("%s/api/v1/files?path=/memfs/put-%d-%d-%d", cl.url(c), clients, c, i%64)
		}}.Run(ctx)
	if err != nil {
		return f, err
	}
	after, err := cl.counters(ctx)
	if err != nil || f.Requests == 0 {
		return f, err
	}
	f.Entries = (after.entries - before.entries) / float64(f.Requests)
	f.Syncs = (after.syncs - before.syncs) / float64(f.Requests)
	return f, nil
}

// gets measures local reads of 1 KiB, spread over the nodes.
func (cl *cluster) gets(ctx context.Context, clients int, d time.Duration) (Figures, error) {
	if err := cl.everywhere(ctx, readPath, 1024); err != nil {
		return Figures{}, err
	}
	return Load{Name: "GET 1 KiB", Method: "GET", Clients: clients, For: d,
		URL: func(c, _ int) string { return cl.url(c) + "/api/v1/files?path=" + readPath }}.Run(ctx)
}

// readPath is the file that reads measure.
const readPath = "/memfs/get"

// everywhere writes a file and waits until every node has it.
func (cl *cluster) everywhere(ctx context.Context, path string, size int) error {
	w, err := cl.client.WriteFile(ctx, path, make([]byte, size))
	if err != nil {
		return err
	}
	for _, u := range cl.urls {
		one, err := client.New(client.Config{URLs: []string{u}})
		if err != nil {
			return err
		}
		_, _, err = one.Digest(ctx, w.Index)
		one.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// large measures one file of random bytes, in through the first node and out
// of the last, in 10^6 bytes a second.
func (cl *cluster) large(ctx context.Context, size int64) (in, out float64, err error) {
	from := time.Now()
	body := io.LimitReader(rand.Reader, size)
	w, err := cl.client.Write(ctx, "/memfs/large", body, size)
	if err != nil {
		return 0, 0, err
	}
	in = float64(size) / 1e6 / time.Since(from).Seconds()
	last, err := client.New(client.Config{URLs: cl.urls[len(cl.urls)-1:]})
	if err != nil {
		return 0, 0, err
	}
	defer last.Close()
	if _, _, err := last.Digest(ctx, w.Index); err != nil {
		return 0, 0, err
	}
	from = time.Now()
	r, err := last.Open(ctx, "/memfs/large")
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if err == nil && n != size {
		err = fmt.Errorf("read %d of %d bytes", n, size)
	}
	return in, float64(n) / 1e6 / time.Since(from).Seconds(), err
}

// syncTime returns the median time of a small write and fsync in milliseconds.
func syncTime(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	times := make([]time.Duration, 50)
	for i := range times {
		at := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times[i] = time.Since(at)
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Microseconds()) / 1000, nil
}
