// Package ffi is the room of native plugins: libraries in C, Rust or any
// language with a C ABI. It will hold the side that starts a child process for
// each library and talks to it; the child loads the library, so a plugin that
// crashes takes nothing else with it. Every such plugin is a Device.
package ffi
