package cluster

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Why the node-to-node port turned somebody or something away: a label of
// pfs_node_port_refused_total.
const (
	becauseFull        = "full"        // too many streams
	becauseCrowded     = "crowded"     // it was silent while others waited
	becauseSilent      = "silent"      // no whole greeting in time
	becauseAlien       = "alien"       // not what a node sends
	becausePlain       = "plaintext"   // plain TCP on a port of TLS
	becauseTLS         = "tls"         // TLS on a port of plain TCP
	becauseHandshake   = "handshake"   // TLS that failed, or no certificate
	becauseCertificate = "certificate" // of no authority that is trusted, or of another node
	becauseNoNode      = "not_a_node"  // a certificate of the authority that names no node
	becauseGreeting    = "greeting"    // a greeting that this node does not take
	becauseCluster     = "cluster"     // a node of another cluster, or of none
	becauseMember      = "not_member"  // a node that is not in the configuration
	becauseTerm        = "term"        // out of bounds
	becauseSnapshot    = "snapshot"    // of a size that cannot be
	becauseRequest     = "request"     // of raft, and broken
	becauseFrame       = "frame"       // of a call, and too long
	becauseDialled     = "dialled"     // the node that this one dialled is not who it should be
)

// reasons are all of them: their counters are there from the start.
var reasons = []string{becauseFull, becauseCrowded, becauseSilent, becauseAlien, becausePlain, becauseTLS, becauseHandshake,
	becauseCertificate, becauseNoNode, becauseGreeting, becauseCluster, becauseMember, becauseTerm, becauseSnapshot,
	becauseRequest, becauseFrame, becauseDialled}

// refusedError is a request or a stream that the port turned away.
type refusedError struct{ reason, text string }

func (e *refusedError) Error() string { return e.text }

// told is when a reason was last told of, and how often it came since.
type told struct {
	at     time.Time
	missed int
}

// refusals counts what the port turns away and tells of it, of each reason at
// most once a second. Safe for concurrent use; nil does nothing.
type refusals struct {
	total *prometheus.CounterVec
	log   *slog.Logger
	mu    sync.Mutex
	told  map[string]told
}

const refusalPause = time.Second

func newRefusals(log *slog.Logger) *refusals {
	r := &refusals{log: log, told: map[string]told{}, total: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pfs_node_port_refused_total", Help: "Streams and requests that the node-to-node port turned away."}, []string{"reason"})}
	for _, reason := range reasons {
		r.total.WithLabelValues(reason)
	}
	return r
}

// add notes one refusal. who is the node that it says it is; "" if it has not.
func (r *refusals) add(reason string, from net.Addr, who string, err error) {
	if r == nil {
		return
	}
	r.total.WithLabelValues(reason).Inc()
	r.mu.Lock()
	t, now := r.told[reason], time.Now()
	tell := now.Sub(t.at) >= refusalPause
	missed := t.missed
	if t.missed++; tell {
		t = told{at: now}
	}
	r.told[reason] = t
	r.mu.Unlock()
	if tell {
		r.log.Warn("refused on the node-to-node port", "reason", reason, "address", from.String(), "node", who, "missed", missed, "error", err)
	}
}

// because returns the reason that an error carries, or another.
func because(err error, other string) string {
	var r *refusedError
	if errors.As(err, &r) {
		return r.reason
	}
	return other
}
