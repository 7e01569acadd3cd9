// Package early folds Ops of queuefs as every version did before feature level
// 3: below it, all members must fold them alike, and some may be of such a
// version. So nothing here ever changes. It can go, with what leads here, once
// no cluster at level 2 can come any more.
//
// A queue is a box of messages at consecutive positions, from the oldest one
// (head) up to the one before the next (next). Enqueue adds one, dequeue takes
// the oldest for good.
package early
