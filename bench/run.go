package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/bench/load"
	"github.com/pfs-project/pfs/bench/target"
	"github.com/pfs-project/pfs/client"
)

// Config says what to measure and where.
type Config struct {
	Program   string   // a pfs binary, to start nodes with
	Version   string   // of it
	Dir       string   // for the data of nodes that are started; "": the working directory
	Server    Server   // measured as it is, if it has URLs; Files and Queue are directories to work below
	Workloads []string // "": those that are Quick
	Nodes     []int    // sizes of clusters to start, as 1 and 3
	Clients   []int    // numbers of clients, rising; nil: what suits the workload
	Options
	Log io.Writer // progress
}

// stage is one workload on one cluster.
type stage struct {
	Config
	work    Workload
	cluster *Cluster // nil if it was not started here
	server  Server   // with directories of this workload's own
	target  target.Target
	api     *client.Client
	mounts  []string // that were not there
	result  *Result
}

// usual are the numbers of clients that suit most workloads.
func usual() []int { return []int{1, 64, 256} }

// Run measures the workloads one after the other, on each size of cluster or on
// the server of c.Server. It returns what it measured up to an error.
func Run(ctx context.Context, c Config) (Report, error) {
	r := Report{Version: c.Version, Began: time.Now().UTC().Truncate(time.Second)}
	works, err := choose(c.Workloads)
	if err != nil {
		return r, err
	}
	if c.Dir, err = os.MkdirTemp(cmp.Or(c.Dir, "."), "pfs-bench-"); err != nil {
		return r, err
	}
	defer os.RemoveAll(c.Dir)
	if r.Machine, err = Look(c.Dir); err != nil {
		return r, err
	}
	if len(c.Server.URLs) > 0 {
		for _, w := range works {
			if w.Alone {
				return r, fmt.Errorf("%s stops and starts nodes: it runs without --url only", w.Name)
			}
		}
		return r, c.all(ctx, &r, works, nil)
	}
	for _, n := range c.Nodes {
		if err := c.fresh(ctx, &r, works, n); err != nil {
			return r, fmt.Errorf("nodes: %d: %w", n, err)
		}
	}
	return r, nil
}

// fresh starts a cluster, measures it and stops it. A workload that stops nodes
// has one of its own.
func (c Config) fresh(ctx context.Context, r *Report, works []Workload, nodes int) error {
	var shared []Workload
	for _, w := range works {
		if !w.Alone {
			shared = append(shared, w)
		}
	}
	sets := [][]Workload{shared}
	for _, w := range works {
		if w.Alone {
			sets = append(sets, []Workload{w})
		}
	}
	for i, set := range sets {
		if len(set) == 0 {
			continue
		}
		dir := filepath.Join(c.Dir, fmt.Sprintf("%d-%d", nodes, i))
		cl, err := StartCluster(ctx, c.Program, dir, nodes)
		if err != nil {
			return err
		}
		c.Server.URLs, c.Server.Files, c.Server.Queue = cl.URLs, FilesMount, QueueMount
		err = c.all(ctx, r, set, cl)
		cl.Stop()
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) all(ctx context.Context, r *Report, works []Workload, cl *Cluster) error {
	for _, w := range works {
		fmt.Fprintf(c.Log, "%s on %s\n", w.Name, count(len(c.Server.URLs), "node"))
		res, err := c.one(ctx, w, cl)
		if ctx.Err() != nil {
			err = ctx.Err() // what could not be asked any more is not lost
		}
		if err == nil || res != nil && len(res.Loads)+len(res.Facts) > 0 {
			r.Results = append(r.Results, *res)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// one measures a workload in directories of its own, which it removes. Beside an
// error it returns what was measured before, if anything was.
func (c Config) one(ctx context.Context, w Workload, cl *Cluster) (*Result, error) {
	s := &stage{Config: c, work: w, cluster: cl, result: &Result{Workload: w.Name, Nodes: len(c.Server.URLs)}}
	if cl != nil {
		s.Usage = Meter(cl.Groups)
	} else {
		s.Usage = Meter(nil)
	}
	if len(s.Clients) == 0 {
		if s.Clients = usual(); w.Single {
			s.Clients = []int{1}
		}
	}
	unique := "bench-" + w.Name + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	s.server = c.Server
	s.server.Files, s.server.Queue = c.Server.Files+"/"+unique, ""
	if w.Name == "queue" || w.Name == "take" {
		s.server.Queue = c.Server.Queue + "/" + unique
	}
	most := 0
	for _, n := range s.Clients {
		most = max(most, n)
	}
	if err := s.make(ctx, most); err != nil {
		return nil, err
	}
	defer s.end(context.WithoutCancel(ctx))
	s.result.Target, s.result.Version, s.result.Durability = s.target.Name, s.target.Version, s.target.Durability
	if w.Case == nil {
		return s.result, w.run(ctx, s)
	}
	return s.result, s.perClients(ctx, func(o Options) (Case, error) { return w.Case(s.target, o) })
}

func (s *stage) make(ctx context.Context, clients int) error {
	var err error
	if s.api, err = client.New(client.Config{URLs: s.server.URLs, Token: s.server.Token, TLS: s.server.TLS, NoWait: true}); err != nil {
		return err
	}
	if err = s.mounted(ctx); err == nil {
		err = s.api.Mkdir(ctx, s.server.Files, 0o755)
	}
	if err == nil {
		s.target, err = s.server.Target(ctx, clients)
	}
	if err != nil {
		s.api.Close()
	}
	return err
}

// mounted makes the mounts to work below, unless they are there. A directory in
// a mount is its user's to make.
func (s *stage) mounted(ctx context.Context) error {
	need := map[string]string{s.Server.Files: "memfs"}
	if s.server.Queue != "" {
		need[s.Server.Queue] = "queuefs"
	}
	for path, fstype := range need {
		_, err := s.api.Stat(ctx, path)
		if errors.Is(err, fs.ErrNotExist) && strings.LastIndexByte(path, '/') == 0 {
			if err = s.api.Mount(ctx, fstype, path, nil); err == nil {
				s.mounts = append(s.mounts, path)
			}
		}
		if err != nil {
			return fmt.Errorf("no place to work in: %w", err)
		}
	}
	return nil
}

// end removes what the workload made, and closes its connections.
func (s *stage) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	dirs, mounts := []string{s.server.Files, s.server.Queue}, s.mounts
	if s.cluster != nil {
		dirs, mounts = nil, nil // a cluster that was started here goes as a whole
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		if err := s.api.RemoveAll(ctx, dir); err != nil {
			fmt.Fprintf(s.Log, "  %s is left: %v\n", dir, err)
		}
	}
	for _, path := range mounts {
		if err := s.api.Unmount(ctx, path); err != nil {
			fmt.Fprintf(s.Log, "  the mount %s is left: %v\n", path, err)
		}
	}
	_ = s.target.Close() // connections of a load that is over
	s.api.Close()
}

// perClients measures a Case for each number of clients.
func (s *stage) perClients(ctx context.Context, make func(o Options) (Case, error)) error {
	for _, n := range s.Clients {
		o := s.Options
		o.Clients = n
		c, err := make(o)
		if err != nil {
			return err
		}
		if err := s.measure(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) measure(ctx context.Context, c Case) error {
	f, err := c.Run(ctx, s.Rounds)
	if err == nil {
		s.add(f)
	}
	return err
}

func (s *stage) add(f load.Figures) {
	s.result.Loads = append(s.result.Loads, f)
	fmt.Fprintf(s.Log, "  %s, %s: %s/s, p99 %s ms\n", f.Name, count(f.Clients, "client"), number3(f.PerSecond), number3(f.P99))
}

// compare measures sides in turns.
func (s *stage) compare(ctx context.Context, cases ...Case) error {
	c, err := Compare(ctx, s.Rounds, cases...)
	if err != nil {
		return err
	}
	for _, f := range c.Sides {
		s.add(f)
	}
	s.result.Ratios = append(s.result.Ratios, c.Ratios...)
	return nil
}

// fact adds a figure that is no load.
func (s *stage) fact(name string, value float64, unit string) {
	s.result.Facts = append(s.result.Facts, Fact{Name: name, Value: value, Unit: unit})
	fmt.Fprintf(s.Log, "  %s: %s %s\n", name, number3(value), unit)
}

// sessions are connections of the PFS that is measured, one for each client.
func (s *stage) sessions() []*session { return s.target.KV.(*rest).sessions }

// file is the query of a file or directory in this workload's directory.
func (s *stage) file(name string) string { return "path=" + url.QueryEscape(s.server.Files+"/"+name) }

func choose(names []string) ([]Workload, error) {
	var out []Workload
	for _, w := range Workloads() {
		if len(names) == 0 && w.Quick {
			out = append(out, w)
		}
	}
next:
	for _, n := range names {
		for _, w := range Workloads() {
			if w.Name == n {
				out = append(out, w)
				continue next
			}
		}
		return nil, fmt.Errorf("there is no workload %q; pfs bench --list shows them", n)
	}
	return out, nil
}
