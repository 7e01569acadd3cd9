// Package api is the HTTP API: the compatible REST contract and what PFS adds
// to it, on fasthttp.
//
// A request comes in through the framing guard (guard.go), is routed by the
// one table in routes.go, becomes a [call] whose values are copies, and ends
// in one place that writes JSON (status.go). A handler reads from an Image of
// the node and writes by proposing Ops.
//
// Invariants:
//
//   - No byte that belongs to fasthttp outlives its handler: a call copies what
//     it hands out.
//   - A request whose framing is doubtful is refused and its connection closed;
//     a body that was not read to its end closes the connection too.
//   - An answer of 4xx means that nothing was changed. A write whose fate is
//     not known answers 503 with "outcome":"unknown".
//   - Memory does not grow with the length of a body or of a file: both are
//     streamed. Bodies that must be held whole have a limit.
//   - A transfer that moves is never cut by a total timeout; one that stalls is.
package api
