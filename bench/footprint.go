package bench

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// footprint is what a node takes of the machine: its memory after a while with
// nothing to do, and with many open connections of which each has made one
// request, and the length of its program.
func footprint(ctx context.Context, s *stage) error {
	if err := sleep(ctx, s.Idle); err != nil {
		return err
	}
	s.resident("resident after " + s.Idle.String() + " with nothing to do")
	if err := s.connections(ctx, s.Connections); err != nil {
		return err
	}
	for _, name := range []string{s.Program, filepath.Join(filepath.Dir(s.Program), "pfs-server")} {
		if info, err := os.Stat(name); err == nil { // the second is not always there
			s.fact(filepath.Base(name)+", "+symbols(name), float64(info.Size())/(1<<20), "MiB")
		}
	}
	return nil
}

// connections opens n of them, each for one small GET, and finds them open still
// once it has asked for the memory.
func (s *stage) connections(ctx context.Context, n int) error {
	if err := roomForFiles(n + 500); err != nil {
		return err
	}
	r, err := s.server.open(n)
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }() // connections of a load that is over
	v := newValues(s.Size)
	if err := r.Put(ctx, 0, "one", v.write(nil, 1, 1)); err != nil {
		return err
	}
	query := r.files + "one"
	if index := r.sessions[0].header("X-Pfs-Index"); index != "" { // other nodes may not have it yet
		query += "&min_index=" + index
	}
	get := func(ctx context.Context, _, c int) error {
		body, err := r.sessions[c].once(ctx, "GET", query, nil)
		if err == nil {
			_, err = v.read(body, 1)
		}
		if err != nil {
			err = fmt.Errorf("connection %d of %d: %w", c+1, n, err)
		}
		return err
	}
	if err := each(ctx, n, 64, get); err != nil {
		return err
	}
	if err := sleep(ctx, time.Second); err != nil { // what the requests left goes to the collector
		return err
	}
	s.resident(fmt.Sprintf("resident with %d open connections", n))
	return each(ctx, n, 64, get)
}

// symbols says whether a program was stripped of what only a debugger reads.
func symbols(name string) string {
	f, err := elf.Open(name)
	if err != nil {
		return "not of this system"
	}
	defer f.Close()
	if slices.ContainsFunc(f.Sections, func(s *elf.Section) bool {
		return s.Name == ".symtab" || s.Name == ".debug_info" || s.Name == ".zdebug_info"
	}) {
		return "with symbols"
	}
	return "stripped"
}

// resident notes what a node holds in memory now, on the average.
func (s *stage) resident(name string) {
	if m := s.cluster.memory(); m > 0 {
		s.fact(name, float64(m)/float64(len(s.cluster.nodes))/(1<<20), "MiB")
	}
}

// peak notes the most that a node has held since it began, on the average.
func (s *stage) peak(name string) {
	if s.Usage != nil {
		s.fact(name, float64(s.Usage().Peak)/float64(len(s.cluster.nodes))/(1<<20), "MiB")
	}
}
