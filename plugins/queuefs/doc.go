// Package queuefs is a filesystem of message queues. A queue is a directory
// with files that act: a write to enqueue adds a message, a read of take lends
// one to a worker until a deadline, ack settles it; dequeue is both in one.
//
// Invariants:
//
//   - Every message of a queue has a number, its seq, which rises by one and is
//     never used twice in one queue. What is ready is given by priority, then
//     by seq, however often a message has come back.
//   - A message of a box is in one of three states: ready (in the front of the
//     tally or in the bits), delayed, or lent under a lease. Dead ones are in
//     a box of their own.
//   - Enqueue, take, ack and dequeue touch a number of rows that does not grow
//     with the queue, and look for none: no Scan meets what was deleted.
//   - Deadlines of a mount are in one agenda. What is due is done by Reap, an
//     Event, in bounded pieces; nothing happens because a node's clock says so.
//   - Fences rise in a queue, and go on rising when a queue is removed and made
//     again. A lease names its box, so it is no lease in any other queue.
//   - A box belongs to one live queue or is an orphan that Reap will free.
//   - A queue is found by the names above it and keyed by its id, so names
//     that look alike are different queues.
//   - Message ids sort in the order in which the messages were enqueued.
//
// That is the memory backend, which is folded. The SQL backends (the files
// sql*.go) are a Device with the same files, and keep other rows:
//
//   - A queue is a row, found by its whole path, and its messages are rows of
//     one table below the number of its box. No name becomes SQL.
//   - What changes a queue holds its row to the end of the transaction, and took
//     the rows of messages before it; a queue waits for no other queue.
//   - Only the clock of the database says that a lease or a delay is over. What
//     is due is done by whoever looks at the queue next, before anything else.
//   - The answer to an idempotency key commits with what it tells of.
//   - What is settled is deleted; what cannot be reached is swept, by any server.
package queuefs
