package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
				return nil, fmt.Errorf("%s has %s/ but no %s: restore that file, or start with an empty directory", dir, sub, identityFile)
			}
		}
		return i, i.set(card{Node: node})
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &i.c); err != nil || i.c.Node == "" {
		return nil, fmt.Errorf("%s in %s is damaged", identityFile, dir)
	}
	if given && i.c.Node != node {
		return nil, fmt.Errorf("%s belongs to node %q, not %q", dir, i.c.Node, node)
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
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c.Cluster == cluster && forming == nil {
		return nil
	}
	if i.c.Cluster != "" && i.c.Cluster != cluster {
		return fmt.Errorf("this node belongs to cluster %s", i.c.Cluster)
	}
	return i.write(card{Node: i.c.Node, Cluster: cluster, Key: key, Forming: forming})
}

// formed forgets the set of voters, which raft has now.
func (i *identity) formed() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c.Forming == nil {
		return nil
	}
	return i.write(card{Node: i.c.Node, Cluster: i.c.Cluster, Key: i.c.Key})
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
