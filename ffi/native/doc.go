// Package native loads libraries with the C ABI of plugins, of both published
// generations, and calls them: it is what pfs-plugin-host is made of. It is linked
// into a server with the tag inprocess alone, since purego makes a program depend on
// the system's C library, and a library that crashes ends the program.
//
// Invariants:
//
//   - out_len and out_count are C ints: four bytes are read, with their sign.
//   - What goes in is terminated and never NULL, and stays where it is until the
//     call is over. What comes out is copied at once, within bounds.
//   - Nothing that a library returns is freed, unless it exports PFSFree.
//   - PluginNew once; PluginShutdown and PluginFree at most once, when no call is
//     under way; the library stays mapped.
package native
