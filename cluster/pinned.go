package cluster

import (
	"context"
	"net/http"
	"sync"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/vfs"
)

// silentCalls is how many calls in a row a node leaves unanswered before those
// to its mounts fail at once, but for one every other second.
const silentCalls = 3

// elsewhere is what stands on this node for a mount that lives on another.
func (n *Node) elsewhere(m vfs.Mounted) vfs.FileSystem {
	fs, _ := n.machine.NewFS(m) // of nothing but what it says of itself
	k, ok := fs.(vfs.Keyer)
	far := remote.New(remote.Config{Name: "node " + m.Node, Root: m.Path, Verbs: m.Verbs, Sibling: true, Keys: ok && k.KeepsKeys(), Tries: silentCalls, Dial: func() (*client.Client, error) {
		url, ok := n.API(m.Node)
		if !ok {
			return nil, vfs.Unavailable.With("mount lives on node " + m.Node + ", which is not known")
		}
		return n.apis.dial(url)
	}})
	if d, ok := fs.(vfs.Relayed); ok {
		return d.Relay(far)
	}
	return far
}

// runDevices keeps the Devices of this node.
func (n *Node) runDevices(ctx context.Context) {
	n.devices.Run(ctx)
	n.apis.close()
}

// API returns the base URL of the API of a node, as the log has it.
func (n *Node) API(id string) (string, bool) {
	im := n.machine.Image()
	defer im.Release()
	for _, m := range im.Members() {
		if m.ID == id {
			return m.HTTP, m.HTTP != ""
		}
	}
	return "", false
}

// MountStates asks all nodes how their mounts outside the log fare, for a second
// at most, by node and path. A node that does not answer is not in it.
func (n *Node) MountStates(ctx context.Context) map[string]map[vfs.Path]vfs.MountState {
	var ids []string
	for _, s := range n.configuration().Servers {
		if id := string(s.ID); n.contacts.since(id).IsZero() { // else it is known to be away
			ids = append(ids, id)
		}
	}
	out := map[string]map[vfs.Path]vfs.MountState{}
	for id, s := range n.census(ctx, ids) {
		out[id] = s.Mounts
	}
	return out
}

// apis are clients of other nodes, one for each URL.
type apis struct {
	mu      sync.Mutex
	clients map[string]*client.Client
}

func (a *apis) dial(url string) (*client.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cl := a.clients[url]; cl != nil {
		return cl, nil
	}
	// No retries: who waits for the other node asks again.
	cl, err := client.New(client.Config{URLs: []string{url}, Retries: -1, Header: http.Header{remote.HopHeader: {"1"}}})
	if err != nil {
		return nil, err
	}
	if a.clients == nil {
		a.clients = map[string]*client.Client{}
	}
	a.clients[url] = cl
	return cl, nil
}

func (a *apis) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, cl := range a.clients {
		cl.Close()
	}
}

// ClusterID returns the id of the cluster, "" before it has formed.
func (n *Node) ClusterID() string { return n.self.cluster() }
