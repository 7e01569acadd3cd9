//go:build linux

package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pfs-project/pfs/soak/history"
)

// head is above the lines of a table of rounds: acked counts what was
// acknowledged while the fault was there, unknown the changes whose client does
// not know the outcome, late those of them that the log has, back is when writes
// were acknowledged again after a leader was killed, live when every node had
// taken a write after the fault. Both are milliseconds.
const head = "round  fault               target              acked  unknown  late  back  live  lost  doubled  violations  undecided"

// line is a round in the table.
func (r *round) line() string {
	back := "-"
	if r.died > 0 {
		back = fmt.Sprint(r.back.Milliseconds())
	}
	s := fmt.Sprintf("%5d  %-18s  %-18.18s  %5d  %7d  %4d  %4s  %4d  %4d  %7d  %10d  %9d", r.c.round, r.fault.name,
		r.target, r.inside, r.unknown, r.late, back, r.recovered.Milliseconds(), r.count(history.Lost),
		r.count(history.Doubled), r.count(history.Violation), r.undecided)
	if len(r.ended) > 0 {
		s += "  ended by itself: " + strings.Join(r.ended, " ")
	}
	return s
}

// wrong tells all that is wrong with a round, and how to have it again.
func (r *round) wrong() string {
	var b strings.Builder
	fmt.Fprintf(&b, "round %d of %s, %s of %s from %.3f to %.3f s:\n", r.c.round, r.c.setup.name,
		r.fault.name, r.target, r.from.Seconds(), r.to.Seconds())
	for _, err := range r.errs {
		fmt.Fprintf(&b, "  %v\n", err)
	}
	for _, f := range r.found {
		fmt.Fprintf(&b, "  %s: %s\n", f.What, f.Text)
	}
	return b.String()
}

// keep leaves what is known of a round in a directory, and names it: the
// history, and the log and the last lines of each node.
func (r *round) keep() (dir string, err error) {
	if dir, err = os.MkdirTemp(os.Getenv("PFS_SOAK_DIR"), "pfs-soak-"); err != nil {
		return "", err
	}
	f, err := os.Create(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return dir, err
	}
	enc := json.NewEncoder(f)
	err = enc.Encode(struct {
		Fault, Target string
		Seed          uint64
		From, To      time.Duration
	}{r.fault.name, r.target, r.seed, r.from, r.to})
	for _, o := range r.ops {
		err = errors.Join(err, enc.Encode(o))
	}
	err = errors.Join(err, f.Close())
	for _, n := range r.c.Nodes {
		b, rerr := os.ReadFile(n.Log)
		err = errors.Join(err, rerr, os.WriteFile(filepath.Join(dir, n.ID+".log"), b, 0o600),
			copyFiles(filepath.Join(n.Dir, "raft"), filepath.Join(dir, n.ID, "raft")))
	}
	return dir, err
}
