package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/peers"
	"github.com/pfs-project/pfs/bench/target"
)

// scene is servers that are there together and what is measured between them.
type scene struct {
	name    string
	nodes   int // of PFS
	others  []start
	matches []match

	// One node alone is measured by a workload of pfs bench instead.
	work, about string
	clients     int
	wants       []want
}

type start func(context.Context, peers.Site) (*target.Target, error)

// match is sides that take turns: the first one's rate over that of each other.
type match struct {
	name    string
	clients int
	side    func(*servers, bench.Options) ([]bench.Case, error)
	wanted  []float64 // of the first over each other; 0: nothing was promised
	latency bool      // the ratio is that of times, and is to be below what is wanted
}

// servers are those of a scene.
type servers struct {
	site   peers.Site
	pfs    *peers.PFS
	others []*target.Target
}

// scenes are all of them, in the order of the page.
func scenes() []scene {
	etcd := func(nodes int) start {
		return func(ctx context.Context, s peers.Site) (*target.Target, error) { return peers.StartEtcd(ctx, s, nodes) }
	}
	return []scene{
		{name: "put", nodes: 1, others: []start{etcd(1), peers.StartRedis}, matches: []match{
			{"small durable PUT, one node", 64, work("put", 0, 1), []float64{2, 0}, false}}},
		{name: "put3", nodes: 3, others: []start{etcd(3)}, matches: []match{
			{"small durable PUT, three nodes", 64, work("put", 0), []float64{3}, false},
			{"linearizable GET on a follower, over a local one", 64, followers, []float64{0.5}, false}}},
		{name: "floor", nodes: 1, others: []start{peers.StartFloor, peers.StartAppendFloor}, matches: []match{
			{"time of one PUT by one client", 1, bare, []float64{1.5, 0}, true}}},
		{name: "memory", nodes: 1, others: []start{peers.StartHandler, peers.StartStandin}, matches: []match{
			{"small GET, 64 clients", 64, reads(0), []float64{0.8}, false},
			{"small GET, 256 clients", 256, reads(0, 1), []float64{0.8, 1.1}, false},
			{"small PUT, durable over in memory", 256, work("put", 1), []float64{0.6}, false}}},
		{name: "queue", nodes: 1, others: []start{peers.StartNATS, peers.StartRedis}, matches: []match{
			{"a message in and out of a queue", 64, work("queue", 0, 1), []float64{1, 0}, false}}},
		{name: "large", nodes: 1, others: []start{peers.StartDD, peers.StartNginx, peers.StartS3}, matches: []match{
			{"large file in, one node", 1, uploads, []float64{0.7}, false},
			{"large file in, over a server that does not sync", 1, work("upload", 2), []float64{0}, false},
			{"large file out", 1, work("download", 1, 2), []float64{0.7, 0}, false}}},
		{name: "large3", nodes: 3, others: []start{peers.StartDD}, matches: []match{
			{"large file in, three nodes", 1, uploads, []float64{0.25}, false}}},
		{name: "keys", work: "scale", about: "a node with more and more keys", clients: 64,
			wants: []want{{"p99 of get with 10000000 ", 2}, {"peak resident", 1024}}},
		{name: "restart", work: "recovery", about: "a restart with much state", clients: 1,
			wants: []want{{"restart to ready", 3}, {"resident after", 1024}}},
		{name: "footprint", work: "footprint", about: "what a node takes", clients: 1,
			wants: []want{{"resident after", 60}, {"resident with 10000 ", 190}, {"pfs, stripped", 60e6 / (1 << 20)}}},
	}
}

// theirs is the scene of a server that runs already, by its URL; "": none.
func theirs(url, files string) []scene {
	if url == "" {
		return nil
	}
	return []scene{{name: "url", nodes: 1, others: []start{peers.AtURL(url, files)}, matches: []match{
		{"small PUT, over the server at the URL", 64, work("put", 0), []float64{0}, false},
		{"small GET, over the server at the URL", 64, reads(0), []float64{0}, false},
		{"large file in, over the server at the URL", 1, work("upload", 0), []float64{0}, false},
		{"large file out, over the server at the URL", 1, work("download", 0), []float64{0}, false}}}}
}

// names are those of all scenes.
func names() (all []string) {
	for _, s := range scenes() {
		all = append(all, s.name)
	}
	return all
}

// named gives a case the name of its server.
func named(c bench.Case, name string) bench.Case {
	c.Spec.Name = name
	return c
}

// metered has a load against t tell what it used.
func metered(o bench.Options, t target.Target) bench.Options {
	o.Usage = bench.Meter(func() []int { return t.Groups })
	return o
}

// workload is one of package bench against a target.
func workload(name string, t target.Target, o bench.Options) (bench.Case, error) {
	for _, w := range bench.Workloads() {
		if w.Name == name {
			c, err := w.Case(t, metered(o, t))
			return named(c, t.Name), err
		}
	}
	return bench.Case{}, fmt.Errorf("no workload is called %s", name)
}

// work is a workload against PFS and some of the others.
func work(name string, others ...int) func(*servers, bench.Options) ([]bench.Case, error) {
	return func(s *servers, o bench.Options) ([]bench.Case, error) {
		first, err := workload(name, s.pfs.Target, o)
		cases := []bench.Case{first}
		for _, i := range others {
			c, err2 := workload(name, *s.others[i], o)
			cases, err = append(cases, c), errors.Join(err, err2)
		}
		return cases, err
	}
}

// reads are small GETs of one key. The handler has one value for all keys, so
// the workload of package bench is not for it.
func reads(others ...int) func(*servers, bench.Options) ([]bench.Case, error) {
	return func(s *servers, o bench.Options) ([]bench.Case, error) {
		cases := []bench.Case{bench.ReadCase(s.pfs.Name, s.pfs.KV, s.pfs.KV, metered(o, s.pfs.Target))}
		for _, i := range others {
			cases = append(cases, bench.ReadCase(s.others[i].Name, s.others[i].KV, s.others[i].KV, metered(o, *s.others[i])))
		}
		return cases, nil
	}
}

func followers(s *servers, o bench.Options) ([]bench.Case, error) {
	o = metered(o, s.pfs.Target)
	return []bench.Case{bench.ReadCase("linearizable", s.pfs.KV, s.pfs.Linearizable, o),
		bench.ReadCase("local", s.pfs.KV, s.pfs.Follower, o)}, nil
}

// bare is one client's PUT and what it cannot do without.
func bare(s *servers, o bench.Options) ([]bench.Case, error) {
	put, err := workload("put", s.pfs.Target, o)
	cases := []bench.Case{put}
	for _, floor := range s.others {
		op := func(ctx context.Context, client, _ int) error { return floor.KV.Put(ctx, client, "", nil) }
		cases = append(cases, bench.Case{Spec: metered(o, *floor).Spec(floor.Name, int64(o.Size), op)})
	}
	return cases, err
}

// uploads are of PFS and dd. A server that does not sync has a match of its own:
// what it leaves to be written would be in dd's fsync.
func uploads(s *servers, o bench.Options) ([]bench.Case, error) {
	first, err := workload("upload", s.pfs.Target, o)
	return []bench.Case{first, copies(s.others[0].Name, s.others[0].Blob.(peers.DD), s.site.Dir, o)}, err
}

// copies are dd's, of a file that is in memory (it is written before), each to a
// file that was not there. All but the last are removed between the turns.
func copies(name string, dd peers.DD, dir string, o bench.Options) bench.Case {
	from := filepath.Join(dir, "source")
	want := make([]byte, o.Large)
	made, kept := 0, 1 // numbers of the last file, and of the oldest that is there
	file := func(n int) string { return fmt.Sprintf("copy-%d", n) }
	op := func(ctx context.Context, _, _ int) error {
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		defer f.Close()
		made++
		return dd.Upload(ctx, file(made), f, o.Large)
	}
	between := func(context.Context) error {
		for ; kept < made; kept++ {
			if err := dd.Remove(file(kept)); err != nil {
				return err
			}
		}
		return nil
	}
	after := func(ctx context.Context) error {
		if made == 0 {
			return nil
		}
		var got bytes.Buffer
		if _, err := dd.Download(ctx, file(made), &got); err != nil {
			return err
		}
		if !bytes.Equal(got.Bytes(), want) {
			return fmt.Errorf("%w: dd copied other bytes", bench.ErrLost)
		}
		return errors.Join(between(ctx), dd.Remove(file(made)))
	}
	return bench.Case{Spec: o.Spec(name, o.Large, op), After: after, Between: between, Before: func(context.Context) error {
		random(want)
		return os.WriteFile(from, want, 0o600)
	}}
}
