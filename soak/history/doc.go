// Package history holds what the clients of a cluster saw against what the
// cluster's log says that it did.
//
// Clients note every request as an [Op]: when it began and ended, on one clock,
// and what the answer was. The log of the nodes, dumped with "pfs debug
// log-dump", is the witness: [Witness] replays it in order against a model in
// plain maps and demands that
//
//   - every acknowledged change is in the log, once, where its answer says, and
//     that its answer is the one that the model gives there;
//   - what was refused is not in the log, and what nobody asked for neither;
//   - an Op that ended before another began has the smaller place in the log,
//     and no linearizable read is older than what ended before it began;
//   - every read answers what the model holds at the index that it names.
//
// That takes time in proportion to the history, and leaves no outcome unknown:
// what a client does not know, the log does. [Linearizable] checks registers a
// second time, from the times and the values alone, with porcupine.
package history
