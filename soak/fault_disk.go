//go:build linux

package soak

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pfs-project/pfs/soak/history"
	"github.com/pfs-project/pfs/test/harness"
)

// fillDisk leaves no space on the disk of a node.
func (r *round) fillDisk() {
	i := r.shuffled()[0]
	r.begin("", i)
	r.c.disks[i].Fill()
	r.hold(2 * time.Second)
	r.c.disks[i].Free()
}

// fillMajority leaves so many disks without space that nothing can be kept.
func (r *round) fillMajority() {
	nodes := r.shuffled()[:len(r.c.Nodes)/2+1]
	r.begin("", nodes...)
	for _, i := range nodes {
		r.c.disks[i].Fill()
	}
	r.hold(2 * time.Second)
	for _, i := range nodes {
		r.c.disks[i].Free()
	}
}

// stickDisk has the writes to the disk of a node hang.
func (r *round) stickDisk() {
	i := r.shuffled()[0]
	d := r.some(1000, 4000)
	r.begin(d.String(), i)
	r.c.disks[i].Freeze()
	r.hold(d)
	r.c.disks[i].Thaw()
}

// wipe takes all that a follower has; it comes back under its old name, and to
// its vote.
func (r *round) wipe() {
	i := r.follower()
	r.begin("", i)
	r.c.Nodes[i].Kill()
	r.check(empty(r.c.Nodes[i].Dir))
	r.check(r.c.start(i))
	r.votes(i)
	r.hold(0)
}

func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}

// damageAndWipe damages files of a follower, and lets it run as far as it does:
// whatever it answers must be right. Then the follower is wiped.
func (r *round) damageAndWipe() {
	i := r.follower()
	r.begin("", i)
	n := r.c.Nodes[i]
	n.Kill()
	var hurt []string
	for range 3 {
		what, err := r.damage(n.Dir, damageable)
		r.check(err)
		hurt = append(hurt, what)
	}
	r.target += " " + strings.Join(hurt, ",")
	n.Start()
	pauseFor(r.some(500, 1500))
	n.Kill()
	r.check(empty(n.Dir))
	r.check(r.c.start(i))
	r.votes(i)
	r.hold(0)
}

// damageable leaves out content, which damageChunks is for, and the manifests of
// pebble: one that is cut short is a version of the store that once was, and
// nothing tells it apart from the last one yet.
func damageable(p string) bool {
	return !strings.Contains(p, "/blobs/") && !strings.HasPrefix(filepath.Base(p), "MANIFEST")
}

// damageChunks flips bits in the content that a node keeps beside the log, and
// reads it there.
func (r *round) damageChunks() {
	i := r.follower()
	cl := r.c.newClient(probers, 0)
	defer cl.close()
	tries := 0
	probe := func(kind history.Kind, f int) bool {
		tries++
		o := &history.Op{ID: fmt.Sprintf("r%d.big.%d.%d.%d", r.c.round, kind, f, tries), Kind: kind, MinIndex: cl.seen,
			Path: fmt.Sprintf("%s/big%d", registers, f), Size: bigBytes, Keyed: kind == history.Put}
		cl.do(o, manner{nodes: []int{i}, within: 5 * time.Second})
		r.load.note(o)
		return o.Status == history.OK
	}
	const files = 4
	for f := range files {
		harness.Poll(patience, func() bool { return probe(history.Put, f) }) // there may be no leader
	}
	r.begin("", i)
	n := r.c.Nodes[i]
	blobs := filepath.Join(n.Dir, "blobs")
	harness.Poll(patience, func() bool { // a node whose disk was full fetches them later
		all, err := filesIn(blobs, func(string) bool { return true })
		return err == nil && len(all) >= files
	})
	n.Kill()
	for range 2 * files {
		_, err := r.damage(blobs, func(string) bool { return true })
		r.check(err)
	}
	r.check(r.c.start(i))
	for f := range files {
		probe(history.Get, f)
	}
	r.hold(down)
}

// filesIn returns the files below dir that hold anything.
func filesIn(dir string, which func(path string) bool) (files []string, err error) {
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if info, ierr := os.Stat(p); err == nil && ierr == nil && info.Mode().IsRegular() && info.Size() > 0 && which(p) {
			files = append(files, p)
		}
		return err
	})
	return files, err
}

// damage changes one file below dir and says how.
func (r *round) damage(dir string, which func(path string) bool) (string, error) {
	files, err := filesIn(dir, which)
	if err == nil && len(files) == 0 {
		err = errors.New("it has none")
	}
	if err != nil {
		return "", fmt.Errorf("damage a file below %s: %w", dir, err)
	}
	p := files[r.rng.IntN(len(files))]
	b, err := os.ReadFile(p)
	if err != nil {
		return "", err
	}
	at, how := r.rng.IntN(len(b)), "flip"
	switch r.rng.IntN(4) {
	case 0:
		how, b = "cut", b[:at]
	case 1:
		how = "zero"
		clear(b[at:min(len(b), at+4096)])
	default:
		b[at] ^= 1 << r.rng.IntN(8)
	}
	return how + " " + filepath.Base(p), os.WriteFile(p, b, 0o600)
}
