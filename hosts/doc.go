// Package hosts runs third-party plugins of every kind: it tells what the code of
// one is and hands it to the host that runs such code.
//
//   - A module of WebAssembly runs in this process, in package wasmhost.
//   - A native library runs in a process of its own, started by package ffi.
//   - A program is a process that package prochost speaks with.
//
// Where code comes from, and who may bring it, is the caller's to say.
package hosts
