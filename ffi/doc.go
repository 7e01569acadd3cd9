// Package ffi runs native plugins: libraries in C, Rust or any language with a C
// ABI. Each mount is a Device with a process of its own, of pfs-plugin-host,
// which loads the library; nothing of a library is in the node's process, unless
// [Host.InProcess] says so, which only a server built for that can.
//
// Invariants:
//
//   - What a library does to its process ends that process and the calls under
//     way in it, nothing else. The next call starts another one, initialised with
//     the same settings; one that crashes again and again is off for a while.
//   - A call ends by its deadline: a process that does not answer is killed, with
//     what it has started. It ends when the node does, too.
//   - What is loaded are the bytes whose hash is in the log: they are written to
//     a file without a name that can no longer change, and that file is loaded.
//   - What a process answers is checked as a client's input is: a library can
//     write whatever it likes into its memory and to its sockets, and at any time
//     into the memory that calls cross in. What stands there is copied once, and
//     then judged.
//   - No call keeps a thread of the node for longer than a moment.
package ffi
