// Package wasmhost is the room of WASM plugins. It will hold the host that runs
// their modules, each with bounded memory and time, and gives them the
// functions of the published ABI. Every such plugin is a Device.
package wasmhost
