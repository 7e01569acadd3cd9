package cluster

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// beats is which members raft's heartbeats do not reach, as long as this node leads:
// of those that vote and of those that do not. Safe for concurrent use.
type beats struct {
	mu   sync.Mutex
	from time.Time // this node leads since, if it does
	lost map[string]beat
}

// beat is a member whose last heartbeat had no answer.
type beat struct {
	heard  time.Time // its last answer to raft; when raft began to ask, if there was none
	failed time.Time // the last heartbeat
}

// watch has raft tell b of all that it takes down, from now on.
func (b *beats) watch(r *raft.Raft) {
	r.RegisterObserver(raft.NewObserver(nil, false, func(o *raft.Observation) bool {
		b.take(o.Data, time.Now())
		return false // nothing waits in a channel, so nothing is dropped
	}))
}

// take takes down what raft has observed. Raft waits for it.
func (b *beats) take(observed any, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch o := observed.(type) {
	case raft.RaftState: // before raft asks anybody: who leads begins with nothing known
		b.from, b.lost = now, nil
	case raft.PeerObservation:
		delete(b.lost, string(o.Peer.ID))
	case raft.ResumedHeartbeatObservation:
		delete(b.lost, string(o.PeerID))
	case raft.FailedHeartbeatObservation:
		if o.LastContact.Before(b.from) {
			return // of a term before: this one has asked it since
		}
		if b.lost == nil {
			b.lost = map[string]beat{}
		}
		b.lost[string(o.PeerID)] = beat{o.LastContact, now}
	}
}

// silent is for how long a member had not been heard when the last heartbeat to it
// failed, of the time since began; 0 if the last one reached it.
func (b *beats) silent(id string, began time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, lost := b.lost[id]
	if !lost {
		return 0
	}
	if k.heard.Before(began) {
		k.heard = began
	}
	return max(0, k.failed.Sub(k.heard))
}
