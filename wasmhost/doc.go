// Package wasmhost runs plugins that are WASM modules, of both published
// generations of their ABI. Each mount is a Device with a runtime of its own. It
// also runs modules that are programs, for who speaks to them through pipes.
//
// Invariants:
//
//   - A module reaches nothing but what is in its grants: no file, variable,
//     argument or connection of the machine. What it changes in the tree is
//     changed as by a client, under the path that it leads to; what it asks of the
//     web goes to the addresses that were granted.
//   - A call ends by its deadline and its memory stays below its limit. What
//     traps, exits or is cut off is dropped with its memory, and no later call
//     meets it; the next gets an instance that was initialised from the start.
//   - One call at a time is in an instance. All that it returns is checked
//     against the bounds of its memory and copied before another one begins.
//   - What a module says of its files is checked as a client's input is.
package wasmhost
