package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"sync"

	"github.com/pfs-project/pfs/store"
)

const (
	identityFile = "node.json"
	lockFile     = "LOCK"
	raftDir      = "raft"
	stateDir     = "state"
	blobDir      = "blobs"

	maxID = 128 // bytes of a node's id
)

// ErrLocked says that another process uses the data directory.
var ErrLocked = errors.New("directory is in use by another process")

// ErrDirectory says that a node must not run in its data directory: it is of
// another node or another cluster, an old copy, or not whole.
var ErrDirectory = errors.New("this data directory cannot be used")

// server is a voter of a cluster that is being formed.
type server struct {
	ID      string `json:"id"`
	Address string `json:"address"`
}

// card is who a node is, as node.json keeps it.
type card struct {
	Node    string `json:"node_id"`
	Cluster string `json:"cluster_id,omitempty"`
	// Key seals secrets; all nodes of a cluster have the same.
	Key string `json:"key,omitempty"`
	// Forming is the set of voters of a cluster that this node has promised
	// to begin. It is kept until raft has it, so that a crash between the two
	// cannot lead to a second cluster.
	Forming []server `json:"forming,omitempty"`
	// Began says that raft has had a configuration, so that an empty log is
	// a lost one.
	Began bool `json:"began,omitempty"`
	// Incarnation names this directory: it was made with it. Boots counts the
	// starts in it, this one too.
	Incarnation string `json:"incarnation,omitempty"`
	Boots       uint64 `json:"boots,omitempty"`
}

// identity is the card and its file. Safe for concurrent use.
type identity struct {
	disk store.FS
	dir  string
	mu   sync.Mutex
	c    card
}

// openIdentity reads the card in dir, or makes one for the node. It refuses a
// directory that belongs to another node, and one that has state but no card.
func openIdentity(disk store.FS, dir, node string, given bool) (*identity, error) {
	i := &identity{disk: disk, dir: dir}
	b, err := store.ReadFile(disk, disk.PathJoin(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		for _, sub := range []string{raftDir, stateDir} {
			if _, err := disk.Stat(disk.PathJoin(dir, sub)); err == nil {
				return nil, fmt.Errorf("%w: %s has %s/ but no %s: restore that file, or start with an empty directory", ErrDirectory, dir, sub, identityFile)
			}
		}
		return i, i.set(card{Node: node, Incarnation: randomText()})
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &i.c); err != nil || i.c.Node == "" {
		return nil, fmt.Errorf("%w: %s in %s is damaged: restore that file, or start with an empty directory", ErrDirectory, identityFile, dir)
	}
	if given && i.c.Node != node {
		return nil, fmt.Errorf("%w: %s belongs to node %q, not %q: name the directory of this node", ErrDirectory, dir, i.c.Node, node)
	}
	if i.c.Incarnation == "" { // made by a version that had none
		c := i.c
		c.Incarnation = randomText()
		return i, i.set(c)
	}
	return i, nil
}

func (i *identity) card() card {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.c
}

func (i *identity) cluster() string { return i.card().Cluster }

// promise binds the node to a cluster and its key, once: a second promise must
// be of the same cluster. It is durable when it returns nil.
func (i *identity) promise(cluster, key string, forming []server) error {
	return i.change(func(c *card) error {
		switch {
		case c.Cluster == cluster && forming == nil:
			return nil
		case c.Cluster != "" && c.Cluster != cluster:
			return fmt.Errorf("this node belongs to cluster %s", c.Cluster)
		}
		c.Cluster, c.Key, c.Forming = cluster, key, forming
		return nil
	})
}

// formed forgets the set of voters, which raft has now.
func (i *identity) formed() error {
	return i.change(func(c *card) error {
		c.Forming, c.Began = nil, true
		return nil
	})
}

// boot counts a start.
func (i *identity) boot() error {
	return i.change(func(c *card) error {
		c.Boots++
		return nil
	})
}

// change makes what f does to the card durable, if it does anything.
func (i *identity) change(f func(*card) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.c
	if err := f(&c); err != nil || reflect.DeepEqual(c, i.c) {
		return err
	}
	return i.write(c)
}

func (i *identity) set(c card) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.write(c)
}

// write makes the card durable under its name: a file is whole or not there.
func (i *identity) write(c card) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := store.WriteFile(i.disk, i.disk.PathJoin(i.dir, identityFile), append(b, '\n')); err != nil {
		return err
	}
	i.c = c
	return nil
}
