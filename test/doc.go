// Package test runs PFS from outside: real processes, real sockets, real
// faults. The short form runs with the other tests; PFS_SOAK=1 runs the long
// form. It needs Linux.
package test
