// Package supervise runs third-party programs beside the server: one [Child] is
// one process with as little as the machine lets us give it, and a [Supervisor]
// keeps one of them for a mount.
//
// A Child is started from bytes whose hash was checked, not from a path: what is
// checked is what runs. It has a process group and, where the machine allows, a
// user, process ids and a network of its own, and starts no processes; limits are set
// before its first instruction; its environment is a short list; it dies with the server. What
// could not be had is told once in the log. What it writes to its standard error
// goes to the log, bounded, and its last lines into the report of its end.
//
// A Supervisor starts a process when it is first needed and again after it has
// ended, with growing pauses, and stops trying after too many ends in a short
// time. Calls are bounded in number; what waits longer is refused.
package supervise
