package cluster

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// recoveredFile tells of the recoveries in a data directory.
const recoveredFile = "recovered.json"

// recoverTime bounds one write to the log of a node that does not run.
const recoverTime = 10 * time.Minute

// Recovery says how to go on with what is left of a cluster that has lost its
// quorum for ever.
type Recovery struct {
	Dir     string       // data directory of a node that is left, and does not run
	Cluster string       // the cluster's id: a sign that it is meant
	Node    string       // the node of the directory; "": whichever it is
	Peers   []Peer       // the voters from now on, the same on each of them; nil: this node alone
	Plugins []vfs.Plugin // those that are compiled in
	Log     *slog.Logger
}

// Peer is a node and where it is dialled.
type Peer struct {
	ID      string `json:"id"`
	Address string `json:"address"`
}

// Recovered is what a recovery has done.
type Recovered struct {
	Time    time.Time `json:"time"`
	Node    string    `json:"node_id"`
	Was     string    `json:"was_cluster_id"`
	Cluster string    `json:"cluster_id"` // from now on
	Before  []Peer    `json:"before"`     // all that the state knew as members
	Voters  []Peer    `json:"voters"`
	Index   uint64    `json:"index"` // of the last entry that is part of the state now
	Term    uint64    `json:"term"`
	From    uint64    `json:"from"`    // entries after this one came from the log
	Missing int       `json:"missing"` // chunks of content that are not on this node
	Done    bool      `json:"done"`
}

// Recover makes a cluster of what one node has, or of what several have if the
// same Peers are given on each. Entries in their logs that no quorum had agreed
// on become part of the state. The cluster gets a new id, so that nodes which
// were left out cannot come back with what they hold. It may be repeated after
// a crash, with the same arguments; until it has ended the node does not start.
func Recover(ctx context.Context, r Recovery) (done Recovered, err error) {
	disk := store.Disk()
	if _, err := disk.Stat(filepath.Join(r.Dir, identityFile)); err != nil {
		return done, fmt.Errorf("no node has lived in %s: %w", r.Dir, err)
	}
	lock, err := lockDir(r.Dir)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	s := &survivor{r: r}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(); err != nil {
		return done, err
	}
	if err := s.plan(); err != nil {
		return done, err
	}
	if err := s.note(); err != nil { // from here on the node does not start
		return done, err
	}
	if err := s.recover(); err != nil {
		return done, err
	}
	if err := s.count(ctx); err != nil {
		return done, err
	}
	s.done.Done = true
	return s.done, s.note()
}

// survivor is a node that is recovered.
type survivor struct {
	r       Recovery
	self    *identity
	machine *fsm.Machine
	logs    *raftlog.Watched
	failed  error
	past    []Recovered
	done    Recovered
}

func (s *survivor) open() error {
	var err error
	if s.self, err = openIdentity(store.Disk(), s.r.Dir, s.r.Node, s.r.Node != ""); err != nil {
		return err
	}
	card := s.self.card()
	if s.past, err = readRecovered(store.Disk(), s.r.Dir); err != nil {
		return err
	}
	begun := len(s.past) > 0 && !s.past[len(s.past)-1].Done
	switch {
	case card.Cluster == "":
		return errors.New("this node has never been in a cluster: there is nothing to recover")
	case s.r.Cluster != card.Cluster && !(begun && s.r.Cluster == s.past[len(s.past)-1].Was):
		return fmt.Errorf("the directory is not of cluster %q: %s has the id", s.r.Cluster, identityFile)
	case begun:
		s.done, s.past = s.past[len(s.past)-1], s.past[:len(s.past)-1]
	}
	box := &secret.Box{}
	if key, err := secret.ParseKey(card.Key); err == nil {
		box.SetKey(key)
	}
	s.machine, err = fsm.Open(fsm.Options{Dir: filepath.Join(s.r.Dir, stateDir), Plugins: s.r.Plugins, Secrets: box,
		Log: s.r.Log, Fatal: func(err error) { s.failed = err }})
	if err != nil {
		return err
	}
	logs, err := raftlog.OpenFound(filepath.Join(s.r.Dir, raftDir))
	if err != nil {
		return err
	}
	s.logs = raftlog.Watch(logs, raftlog.WatchOptions{Deadline: recoverTime})
	first, err := s.logs.FirstIndex()
	if applied := s.machine.Applied(); err == nil && first > applied+1 {
		err = fmt.Errorf("the log begins at entry %d, but the state ends at %d: use the directory of another node", first, applied)
	}
	return err
}

func (s *survivor) close() error {
	var errs []error
	if s.machine != nil {
		errs = append(errs, s.machine.Close())
	}
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	return errors.Join(errs...)
}

// plan fills in what will be done, or finds that an earlier try had begun it.
func (s *survivor) plan() error {
	conf, err := s.lastConfig()
	if err != nil {
		return err
	}
	card := s.self.card()
	voters := slices.Clone(s.r.Peers)
	if len(voters) == 0 {
		me, ok := serverOf(conf, card.Node)
		if !ok {
			return fmt.Errorf("the state does not know where node %s is dialled: give its address as a peer", card.Node)
		}
		voters = []Peer{{card.Node, string(me.Address)}}
	}
	slices.SortFunc(voters, func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	if !slices.ContainsFunc(voters, func(p Peer) bool { return p.ID == card.Node }) {
		return fmt.Errorf("the peers must name the node of this directory, %s", card.Node)
	}
	if s.done.Was != "" { // an earlier try
		if !slices.Equal(s.done.Voters, voters) {
			return fmt.Errorf("a recovery with the peers %v was interrupted: repeat that one", s.done.Voters)
		}
		return nil
	}
	s.done = Recovered{Time: time.Now().UTC(), Node: card.Node, Was: card.Cluster, Cluster: nextCluster(card.Cluster, voters),
		Voters: voters, From: s.machine.Applied()}
	for _, o := range conf.Servers {
		s.done.Before = append(s.done.Before, Peer{string(o.ID), string(o.Address)})
	}
	return nil
}

// lastConfig returns the newest members that the log or the state knows of.
func (s *survivor) lastConfig() (raft.Configuration, error) {
	conf, _ := s.machine.LastConfig()
	first, err := s.logs.FirstIndex()
	if err != nil {
		return conf, err
	}
	last, err := s.logs.LastIndex()
	if err != nil || last == 0 {
		return conf, err
	}
	for i := max(first, s.machine.Applied()+1); i <= last; i++ {
		var l raft.Log
		if err := s.logs.GetLog(i, &l); err != nil {
			return conf, err
		}
		if l.Type == raft.LogConfiguration {
			conf = raft.DecodeConfiguration(l.Data)
		}
	}
	return conf, nil
}

// nextCluster returns the id of the cluster from now on: the same on every node
// that is recovered with the same peers, and unlike any other.
func nextCluster(cluster string, voters []Peer) string {
	h := blake3.New()
	fmt.Fprintf(h, "%q", cluster)
	for _, p := range voters {
		fmt.Fprintf(h, " %q %q", p.ID, p.Address)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// recover applies what the log has, replaces the members, and empties the log.
func (s *survivor) recover() error {
	conf := raft.Configuration{}
	for _, p := range s.done.Voters {
		conf.Servers = append(conf.Servers, raft.Server{ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address)})
	}
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(s.done.Node)
	c.Logger = newLogBridge(s.r.Log).named("raft")
	snaps := s.machine.Snapshots()
	if s.self.cluster() == s.done.Was {
		if err := raft.RecoverCluster(c, s.machine, s.logs, s.logs, snaps, nil, conf); err != nil {
			return errors.Join(err, s.failed)
		}
	}
	list, err := snaps.List()
	if err != nil || len(list) == 0 || s.failed != nil {
		return errors.Join(errors.New("there is no state"), err, s.failed)
	}
	s.done.Index, s.done.Term = list[0].Index, list[0].Term
	if err := errors.Join(s.machine.Rename(s.done.Cluster), s.machine.Unlogged()); err != nil {
		return err
	}
	return s.self.change(func(c *card) error {
		c.Cluster, c.Forming, c.Began = s.done.Cluster, nil, true
		return nil
	})
}

// count counts the chunks that are not here.
func (s *survivor) count(ctx context.Context) error {
	blobs, err := blob.Open(filepath.Join(s.r.Dir, blobDir), blob.Disk{})
	if err != nil {
		return err
	}
	im := s.machine.Image()
	defer im.Release()
	s.done.Missing = 0
	for hash, count := range fsm.Chunks(im.View) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if count > 0 && !blobs.Has(hash) {
			s.done.Missing++
		}
	}
	return nil
}

// note writes down what is being done.
func (s *survivor) note() error {
	b, err := json.MarshalIndent(append(slices.Clone(s.past), s.done), "", "  ")
	if err != nil {
		return err
	}
	return store.WriteFile(store.Disk(), filepath.Join(s.r.Dir, recoveredFile), append(b, '\n'))
}

func readRecovered(disk store.FS, dir string) (past []Recovered, err error) {
	b, err := store.ReadFile(disk, disk.PathJoin(dir, recoveredFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &past)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", recoveredFile, err)
	}
	return past, nil
}

// tellRecovered logs that the cluster was recovered, and refuses to start in the
// middle of it.
func (n *Node) tellRecovered() error {
	past, err := readRecovered(n.c.disk.files, n.c.Dir)
	if err != nil {
		return err
	}
	for _, r := range past {
		if !r.Done {
			return fmt.Errorf("%w: a recovery was interrupted: repeat pfs cluster recover with the same arguments", ErrDirectory)
		}
		n.c.Log.Warn("this cluster was recovered without a quorum", "at", r.Time, "index", r.Index, "cluster", r.Was, "voters", len(r.Voters))
	}
	return nil
}
