// Command benchpeers measures PFS and its peers side by side on this machine, in
// turns, and writes a page about it with plots. make bench-peers runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/load"
	"github.com/pfs-project/pfs/bench/peers"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == peers.ServeArg {
		fmt.Fprintln(os.Stderr, "benchpeers:", peers.Serve(os.Args[2:])) // it ends with an error or by a signal
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		os.Exit(1)
	}
}

// config is what to measure and where to write it.
type config struct {
	pfs, dir, page, json string
	url, files           string // of a server to measure, and where in it
	scenes               []scene
	bench.Options
}

func run(ctx context.Context, args []string, out io.Writer) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	p, err := c.measure(ctx, out)
	p.print(out)
	if ctx.Err() != nil {
		return errors.Join(errors.New("the run was ended: no file is written"), err)
	}
	return errors.Join(err, c.save(p))
}

// save writes the files that were asked for.
func (c config) save(p page) error {
	if c.json != "" {
		b, err := json.MarshalIndent(p, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.json, b, 0o644); err != nil {
			return err
		}
	}
	if c.page != "" {
		return p.write(c.page)
	}
	return nil
}

func parse(args []string) (config, error) {
	var c config
	f := flag.NewFlagSet("benchpeers", flag.ContinueOnError)
	f.StringVar(&c.pfs, "pfs", "build/pfs", "the pfs program to start nodes with")
	f.StringVar(&c.dir, "dir", ".", "a folder on the disk to measure; data go into one inside it, which is removed")
	f.StringVar(&c.page, "page", "", "write this page, with plots beside it, as docs/benchmarks.md")
	f.StringVar(&c.json, "json", "", "write all figures to this file")
	only := f.String("only", "", "measure these alone: "+strings.Join(names(), ",")+", and url with -url")
	f.IntVar(&c.Rounds, "rounds", 6, "turns of each side")
	f.DurationVar(&c.For, "for", 2*time.Second, "length of a turn")
	f.DurationVar(&c.Warm, "warm", 500*time.Millisecond, "of a turn, before anything is counted")
	f.IntVar(&c.Size, "size", 256, "bytes of a small value")
	f.Int64Var(&c.Large, "large", 128<<20, "bytes of a large file")
	f.Int64Var(&c.State, "state", 1<<30, "bytes of state to restart with")
	f.DurationVar(&c.Idle, "idle", 10*time.Second, "time with nothing to do before a node's memory is asked for")
	f.IntVar(&c.Connections, "connections", 10_000, "connections to hold open")
	f.StringVar(&c.url, "url", "", "measure the server of the compatible API at this URL, too: the scene url")
	f.StringVar(&c.files, "files", "/memfs", "a folder of that server to work below")
	keys := f.Int("keys", 0, "the most keys of one node (default 1,000,000; 10,000,000 with -long)")
	long := f.Bool("long", false, "take the time for many keys")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if *keys == 0 {
		if *keys = 1_000_000; *long {
			*keys = 10_000_000
		}
	}
	c.Counts = []int{min(10_000, *keys/10), *keys}
	for _, s := range append(scenes(), theirs(c.url, c.files)...) {
		if *only == "" || slices.Contains(strings.Split(*only, ","), s.name) {
			c.scenes = append(c.scenes, s)
		}
	}
	if f.NArg() > 0 || *keys < 20 || len(c.scenes) == 0 || *only != "" && len(c.scenes) != len(strings.Split(*only, ",")) {
		return c, errors.New("benchpeers takes flags alone; -only takes names of what -help lists")
	}
	var err error
	c.pfs, err = filepath.Abs(c.pfs)
	return c, err
}

// measure plays the scenes one after the other. A match that cannot be measured
// has its error in the place of figures. It returns what it measured up to an error.
func (c config) measure(ctx context.Context, out io.Writer) (p page, err error) {
	p = page{Began: time.Now().UTC().Truncate(time.Second), Options: c.Options}
	dir, err := os.MkdirTemp(c.dir, "pfs-peers-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return p, err
	}
	if p.Machine, err = bench.Look(dir); err != nil {
		return p, err
	}
	self, err := os.Executable()
	if err != nil {
		return p, err
	}
	for i, s := range c.scenes {
		fmt.Fprintf(out, "%s: scene %d of %d; about %s are left\n", s.name, i+1, len(c.scenes), c.left(i).Round(10*time.Second))
		site := peers.Site{Dir: filepath.Join(dir, s.name), Self: self, PFS: c.pfs}
		held := len(p.Results)
		wrong := c.play(ctx, s, site, &p, out)
		if wrong != nil {
			wrong = fmt.Errorf("%s: %w", s.name, wrong)
			fmt.Fprintln(out, wrong)
		}
		if ctx.Err() != nil {
			return p, errors.Join(err, wrong)
		}
		for _, m := range s.matches[min(len(p.Results)-held, len(s.matches)):] {
			p.Results = append(p.Results, result{Name: m.name, Clients: m.clients, Error: wrong.Error()})
		}
		err = errors.Join(err, wrong, os.RemoveAll(site.Dir))
	}
	p.Took = time.Since(p.Began).Round(time.Second)
	return p, err
}

// left is about how long the scenes from a number on will take.
func (c config) left(from int) (all time.Duration) {
	turn := c.Warm + c.For + 200*time.Millisecond
	for _, s := range c.scenes[from:] {
		all += 8 * time.Second // its servers start and end, and what was written is read
		for _, m := range s.matches {
			all += turn * time.Duration(c.Rounds*(1+len(m.wanted)))
		}
		switch s.work { // at the rates of a small machine
		case "scale":
			all += time.Duration(c.Counts[1])*time.Second/10_000 + turn*time.Duration(2*c.Rounds)
		case "recovery":
			all += time.Duration(c.State>>20) * time.Second / 40
		case "footprint":
			all += c.Idle + time.Duration(c.Connections)*time.Second/2000
		}
	}
	return all
}

// play starts a scene's servers, measures and ends them. After an error the scene
// may have results of its first matches, or of all.
func (c config) play(ctx context.Context, sc scene, site peers.Site, p *page, out io.Writer) (err error) {
	for _, m := range sc.matches {
		site.Clients = max(site.Clients, m.clients)
	}
	if err := os.MkdirAll(site.Dir, 0o755); err != nil {
		return err
	}
	if sc.work != "" {
		r, err := c.alone(ctx, sc, site, out)
		p.add(r, out)
		return err
	}
	s := &servers{site: site}
	if s.pfs, err = peers.StartPFS(ctx, site, sc.nodes); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.pfs.Close()) }()
	p.met(s.pfs.Target)
	for _, start := range sc.others {
		t, err2 := start(ctx, site)
		if err2 != nil {
			return err2
		}
		defer func() { err = errors.Join(err, t.Close()) }()
		s.others = append(s.others, t)
		p.met(*t)
	}
	for _, m := range sc.matches {
		r, err := c.hold(ctx, m, s)
		if err != nil {
			return err
		}
		p.add(r, out)
	}
	return nil
}

// hold measures a match. Only the end of ctx is its error.
func (c config) hold(ctx context.Context, m match, s *servers) (result, error) {
	r := result{Name: m.name, Clients: m.clients}
	o := c.Options
	o.Clients = m.clients
	cases, err := m.side(s, o)
	var all load.Comparison
	if err == nil {
		all, err = bench.Compare(ctx, c.Rounds, cases...)
	}
	if err != nil {
		r.Error = err.Error()
		return r, ctx.Err()
	}
	r.Sides = all.Sides
	for i, ratio := range all.Ratios {
		if m.latency {
			ratio = inverse(ratio)
		}
		r.Lines = append(r.Lines, line{Wanted: m.wanted[i], Latency: m.latency, Ratio: ratio})
	}
	return r, nil
}

// inverse turns a ratio of rates of one client into that of times.
func inverse(r load.Ratio) load.Ratio {
	out := load.Ratio{A: r.A, B: r.B, Clients: r.Clients, Min: 1 / r.Max, Max: 1 / r.Min}
	for _, v := range r.Rounds {
		out.Rounds = append(out.Rounds, 1/v)
	}
	s := slices.Sorted(slices.Values(out.Rounds))
	out.Median = (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	return out
}

// random fills b with bytes that cannot be compressed.
func random(b []byte) {
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b) // it never fails
}
