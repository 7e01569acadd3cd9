//go:build linux

package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/soak/history"
)

const (
	checkTime = 5 * time.Minute // for porcupine and one register
	dumpTime  = 2 * time.Minute
)

// judge replays what the log had up to index at a time, and returns what is wrong and the
// changes that were done though their client does not know.
func (c *cluster) judge(ops []*history.Op, index uint64, at time.Duration) (late []*history.Op, found []history.Finding, err error) {
	log, err := c.logs(index)
	if err != nil {
		return nil, nil, err
	}
	late, found = c.witness.Check(ops, log, at)
	return late, found, nil
}

// logs dumps the logs of all nodes up to index, holds them against each other,
// and returns the longest.
func (c *cluster) logs(index uint64) (*history.Log, error) {
	all, errs := make([]*history.Log, len(c.Nodes)), make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i := range c.Nodes {
		wg.Go(func() { all[i], errs[i] = c.dump(i, index) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	best := all[0]
	for _, l := range all {
		if err := all[0].Same(l); err != nil {
			return nil, err
		}
		if l.Last == index && (best.Last != index || l.First < best.First) {
			best = l
		}
	}
	if best.Last != index {
		return nil, fmt.Errorf("the log ends at %d, all nodes have applied %d", best.Last, index)
	}
	return best, nil
}

// dump reads the log of node i from where the witness is. The node stands still
// while its files are copied: that is how a kill would leave them.
func (c *cluster) dump(i int, index uint64) (*history.Log, error) {
	dir, err := os.MkdirTemp("", "pfs-soak-log-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	n := c.Nodes[i]
	n.Pause()
	err = copyFiles(filepath.Join(n.Dir, "raft"), filepath.Join(dir, "raft"))
	n.Signal(syscall.SIGCONT)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dumpTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, "pfs"), "debug", "log-dump", "--data",
		"--data-dir", dir, "--from", strconv.FormatUint(c.witness.Index()+1, 10))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	log, err := history.ReadLog(out, index)
	cancel() // what follows is not committed yet
	_ = cmd.Wait()
	if err != nil {
		return nil, fmt.Errorf("%s: %w %s", n.ID, err, stderr.String())
	}
	return log, nil
}

// copyFiles copies a directory. Files that are gone when it comes to them are
// left out.
func copyFiles(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(from, p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || rerr != nil:
			return errors.Join(err, rerr)
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}
