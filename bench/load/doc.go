// Package load sends one kind of request with many clients and says how many
// were answered and how long they took.
//
// A closed loop (Rate 0): each client sends its next request when the last was
// answered. An open loop: requests are due at fixed times, whatever became of
// those before, and a latency is counted from the time the request was due; so a
// server that stands still for a second shows in every request of that second,
// not in one (coordinated omission).
package load
