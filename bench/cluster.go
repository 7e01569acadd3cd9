package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/client"
)

// cluster is nodes on this machine, started for one measurement.
type cluster struct {
	urls   []string
	procs  []*exec.Cmd
	client *client.Client
}

func startCluster(ctx context.Context, program, dir string, nodes int) (*cluster, error) {
	c := &cluster{}
	api, raft, err := addresses(nodes)
	if err != nil {
		return nil, err
	}
	for i := range nodes {
		home := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, err
		}
		args := []string{"server", "-addr", api[i], "-raft-addr", raft[i], "-data-dir", home,
			"-node-id", fmt.Sprintf("n%d", i+1), "-log-level", "error"}
		if nodes > 1 {
			args = append(args, "-bootstrap-expect", fmt.Sprint(nodes), "-join", strings.Join(raft, ","))
		}
		cmd := exec.Command(program, args...)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			c.stop()
			return nil, err
		}
		c.procs = append(c.procs, cmd)
		c.urls = append(c.urls, "http://"+api[i])
	}
	if c.client, err = client.New(client.Config{URLs: c.urls, Retries: 60}); err == nil {
		err = c.ready(ctx)
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// addresses finds free ports on loopback: API and node-to-node, one of each
// for a node.
func addresses(n int) (api, raft []string, err error) {
	for i := range 2 * n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		defer l.Close()
		if i < n {
			api = append(api, l.Addr().String())
		} else {
			raft = append(raft, l.Addr().String())
		}
	}
	return api, raft, nil
}

// ready waits until every node is.
func (c *cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, u := range c.urls {
		one, err := client.New(client.Config{URLs: []string{u}, Retries: 300})
		if err != nil {
			return err
		}
		err = one.Ready(ctx)
		one.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) url(i int) string { return c.urls[i%len(c.urls)] }

func (c *cluster) stop() {
	for _, p := range c.procs {
		_ = p.Process.Signal(os.Interrupt) // it may be gone already
	}
	for _, p := range c.procs {
		_ = p.Wait() // a measurement does not judge how a node ends
	}
	if c.client != nil {
		c.client.Close()
	}
}

// counters are what the leader's metrics count.
type counters struct{ entries, syncs float64 }

// counters reads the leader's metrics: only a leader makes entries, so the
// node with the most entries proposed is asked.
func (c *cluster) counters(ctx context.Context) (counters, error) {
	var sum counters
	for _, u := range c.urls {
		m, err := scrape(ctx, u+"/metrics")
		if err != nil {
			return sum, err
		}
		sum.entries += m["pfs_entry_events_count"]
		if s := m["pfs_log_syncs_total"]; m["pfs_is_leader"] == 1 {
			sum.syncs = s
		}
	}
	return sum, nil
}

// scrape reads the values of the metrics without labels.
func scrape(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := bytes.Cut(lines.Bytes(), []byte(" "))
		if v, err := strconv.ParseFloat(string(value), 64); ok && err == nil {
			out[string(name)] = v
		}
	}
	return out, lines.Err()
}
