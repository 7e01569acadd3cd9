// Package heartbeatfs tells who is alive: an item is a directory that goes away
// unless somebody writes to its file keepalive in time.
//
// All of it is folded from the log. An item ends by an Event that the leader
// proposes when its time is over, and that looks again at the moment it is
// applied: a beat before it in the log keeps the item. No clock of any other
// node counts.
package heartbeatfs
