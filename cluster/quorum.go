package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// contentWait is how long a removal waits for content that is on its way to
// other nodes.
const contentWait = 3 * time.Second

// askState asks one node how it is; false if it does not answer.
func (n *Node) askState(ctx context.Context, id string) (state, bool) {
	if id == n.id {
		return n.state(), true
	}
	ctx, cancel := context.WithTimeout(ctx, stateTime)
	defer cancel()
	return n.callState(ctx, id)
}

// census asks nodes how they are, all at once; those that do not answer are
// not in it.
func (n *Node) census(ctx context.Context, ids []string) map[string]state {
	var (
		mu  sync.Mutex
		wg  sync.WaitGroup
		out = map[string]state{}
	)
	for _, id := range ids {
		wg.Go(func() {
			if st, ok := n.askState(ctx, id); ok {
				mu.Lock()
				defer mu.Unlock()
				out[id] = st
			}
		})
	}
	wg.Wait()
	return out
}

// votersWithout are the voters of a configuration but for one node.
func votersWithout(conf raft.Configuration, id string) (ids []string) {
	for _, s := range conf.Servers {
		if s.Suffrage == raft.Voter && string(s.ID) != id {
			ids = append(ids, string(s.ID))
		}
	}
	return ids
}

// mayLose refuses to take the vote of a node away if the others could not go
// on without it.
func (n *Node) mayLose(ctx context.Context, a Action, conf raft.Configuration) error {
	left := votersWithout(conf, a.ID)
	switch {
	case len(left) == 0:
		return vfs.Conflict.Withf("%s is the only voter: promote another node first", a.ID)
	case a.Force:
		return nil
	}
	return n.checkQuorum(ctx, left)
}

// checkQuorum refuses if the voters that would be left, as far as they answer,
// are no quorum of their own, or if they are one alone.
func (n *Node) checkQuorum(ctx context.Context, left []string) error {
	if len(left) < 2 {
		return vfs.Conflict.Withf("%s alone would be left to vote, and everything would be lost with its disk: promote another node first, or repeat with force", strings.Join(left, ""))
	}
	there := n.census(ctx, left)
	if len(there) > len(left)/2 {
		return nil
	}
	return vfs.Conflict.Withf("of the %s that would be left, %s not answer, and without a majority there would be no more writes: start them first, or repeat with force",
		count(len(left), "voter"), absent(left, there))
}

// stepAside hands leadership over if it is this node that is to lose its vote.
func (n *Node) stepAside(ctx context.Context, id string) error {
	if id != n.id {
		return nil
	}
	if err := n.handOver(ctx, ""); err != nil {
		return err
	}
	return errNotLeader // the one who leads now goes on with it
}

// checkContent refuses to take a node out while it may have the only copy of
// some content.
func (n *Node) checkContent(ctx context.Context, a Action, conf raft.Configuration) error {
	if a.Force {
		return nil
	}
	left := votersWithout(conf, a.ID)
	for end := time.Now().Add(contentWait); ; {
		there := n.census(ctx, left)
		if len(there) < len(left) {
			return vfs.Conflict.Withf("%s not answer, so nobody can tell whether all content has copies without %s: start them first, or repeat with force", absent(left, there), a.ID)
		}
		var lacks []string
		for _, id := range left {
			if m := there[id].Missing; m > 0 {
				lacks = append(lacks, fmt.Sprintf("%s lacks %s", id, count(m, "chunk")))
			}
		}
		if len(lacks) == 0 {
			return nil
		}
		if time.Now().After(end) || !pause(ctx, 5*retryPause) {
			return vfs.Conflict.Withf("%s of content, and %s may have the only copy: wait until they are fetched, or repeat with force", strings.Join(lacks, ", "), a.ID)
		}
	}
}

// absent names those of ids that are not there, with their verb.
func absent(ids []string, there map[string]state) string {
	var out []string
	for _, id := range ids {
		if _, ok := there[id]; !ok {
			out = append(out, id)
		}
	}
	if len(out) == 1 {
		return out[0] + " does"
	}
	return strings.Join(out, ", ") + " do"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
