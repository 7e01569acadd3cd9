// Package cluster makes a node of one machine and lets nodes act as one
// service: raft and its log, forming and joining, proposals from any node,
// reads of every level, chunks beside the log, and the leader's clockwork.
//
// A data directory holds node.json (who the node is), LOCK, raft/ (log and
// vote), state/ (the store), blobs/ (chunks), restore/ (a backup on its way in)
// and recovered.json (what Recover has done).
//
// Invariants:
//
//   - A proposal is answered with its outcome only once it is committed and
//     applied on the node that answers. An error tells whether it was never
//     handed to the log ([vfs.Unavailable]) or may have been ([vfs.Unknown]).
//   - A linearizable read asks a quorum after it started; a leader answers
//     for itself only once the first Event of its term is applied.
//   - A chunk is named by an Event only after a quorum of voters has synced it.
//   - One data directory belongs to one cluster for ever, and no two nodes
//     begin two clusters out of one set of peers.
//   - What waits or is buffered is bounded by count and bytes. Every call ends
//     within ten seconds, with an answer or an error; Keep, as fast as its
//     reader.
//   - Whoever is not a member reaches the two calls that forming needs and
//     nothing else on the node-to-node port.
package cluster
