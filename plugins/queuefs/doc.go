// Package queuefs is a filesystem of message queues. A queue is a directory;
// writing its file enqueue adds a message, reading dequeue takes the oldest.
//
// Invariants:
//
//   - The messages of a queue stand in a box at consecutive positions, from
//     the oldest (Head) up to the one before the next (Next). Positions rise
//     by one and are never used twice in one queue.
//   - Enqueue and dequeue touch a fixed number of rows, however long the queue.
//   - A box belongs to one live queue or is an orphan that Reap will free.
//   - A queue is found by the names above it and keyed by its id, so names
//     that look alike are different queues.
//   - Message ids sort in the order in which the messages were enqueued.
package queuefs
