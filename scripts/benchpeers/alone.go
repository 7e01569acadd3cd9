package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/peers"
)

// figure is one of a node alone, and the most that it may be.
type figure struct {
	bench.Fact
	Wanted float64 `json:"wanted,omitempty"` // 0: nothing was promised
}

// String is the value with its unit.
func (f figure) String() string { return strings.TrimSpace(fmt.Sprintf("%.2f %s", f.Value, f.Unit)) }

// Want is what was wanted in words.
func (f figure) Want() string {
	if f.Wanted == 0 {
		return "-"
	}
	return strings.TrimSpace(fmt.Sprintf("at most %.2f %s", f.Wanted, f.Unit))
}

// Reached says whether it is as wanted.
func (f figure) Reached() string {
	switch {
	case f.Wanted == 0:
		return "-"
	case f.Value <= f.Wanted:
		return "yes"
	}
	return "no"
}

// want is the most that the figure whose name begins so may be, in its unit.
type want struct {
	begins string
	most   float64
}

// alone measures a node without a peer, by the workload of pfs bench that the
// scene names. It has half the turns: each takes time before it. What it
// measured before an error it keeps, unless a write was lost; only the end of ctx is its
// own error.
func (c config) alone(ctx context.Context, sc scene, site peers.Site, out io.Writer) (result, error) {
	r := result{Name: sc.about, Clients: sc.clients}
	o := c.Options
	o.Rounds = max(1, o.Rounds/2)
	all, err := bench.Run(ctx, bench.Config{Program: c.pfs, Dir: site.Dir, Workloads: []string{sc.work}, Nodes: []int{1},
		Clients: []int{sc.clients}, Options: o, Log: out})
	if err != nil {
		r.Error = err.Error()
	}
	for _, part := range told(all, err) {
		r.Sides = append(r.Sides, part.Loads...)
		for _, f := range part.Facts {
			r.Figures = append(r.Figures, wanted(f, sc.wants))
		}
	}
	for i := range r.Sides {
		r.Sides[i].Name = "PFS, " + r.Sides[i].Name
	}
	return r, ctx.Err()
}

// told is what a run that ended with err says: of one that lost a write, nothing.
func told(all bench.Report, err error) []bench.Result {
	if errors.Is(err, bench.ErrLost) {
		return nil
	}
	return all.Results
}

// wanted is a fact with what was promised of it.
func wanted(f bench.Fact, wants []want) figure {
	for _, w := range wants {
		if strings.HasPrefix(f.Name, w.begins) {
			return figure{f, w.most}
		}
	}
	return figure{Fact: f}
}
