// Package prochost runs process plugins as Devices: programs beside the server
// that speak one of two published protocols, unchanged.
//
// [HTTP] is that of the Go Plugin Framework: the program tells what it can do when
// it is run with the argument "capabilities", prints where it listens, and answers
// HTTP there. Of its contracts, dataProcessor is mounted as files to write to and
// to read from; fileSystem, which is ours, is a whole filesystem.
//
// [MessagePack] is that of the f4 file manager: maps in both directions over
// standard input and output, without frames, so that one wrong byte ends the
// process. A [Module] is a WASI program that speaks it, run by the host of modules.
//
// Nothing that a program sends is believed: sizes are checked before memory is
// taken, names like those of clients, calls have deadlines. What goes wrong ends
// the process alone; package supervise starts it again.
package prochost
