package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
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
	// Forming is the set of voters of a cluster that this node has promised
	// to begin. It is kept until raft has it, so that a crash between the two
	// cannot lead to a second cluster.
	Forming []server `json:"forming,omitempty"`
}

// identity is the card and its file. Safe for concurrent use.
type identity struct {
	dir string
	mu  sync.Mutex
	c   card
}

// makeDir makes a directory and its parents, so that a power cut does not take
// them away again.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// openIdentity reads the card in dir, or makes one for the node. It refuses a
// directory that belongs to another node, and one that has state but no card.
func openIdentity(dir, node string, given bool) (*identity, error) {
	i := &identity{dir: dir}
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		for _, sub := range []string{raftDir, stateDir} {
			if _, err := os.Stat(filepath.Join(dir, sub)); err == nil {
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

// promise binds the node to a cluster, once: a second promise must be of the
// same cluster. It is durable when it returns nil.
func (i *identity) promise(cluster string, forming []server) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c.Cluster == cluster && forming == nil {
		return nil
	}
	if i.c.Cluster != "" && i.c.Cluster != cluster {
		return fmt.Errorf("this node belongs to cluster %s", i.c.Cluster)
	}
	return i.write(card{Node: i.c.Node, Cluster: cluster, Forming: forming})
}

// formed forgets the set of voters, which raft has now.
func (i *identity) formed() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c.Forming == nil {
		return nil
	}
	return i.write(card{Node: i.c.Node, Cluster: i.c.Cluster})
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
	name := filepath.Join(i.dir, identityFile)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	if err := syncDir(i.dir); err != nil {
		return err
	}
	i.c = c
	return nil
}
