// Command pfs-plugin-host loads one native plugin and serves it to the node that
// has started it. Nobody else starts it: it talks on descriptor 3.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/ffi/native"
)

// node is the descriptor of the connection to the node.
const node = 3

func main() {
	if err := native.Settle(); err != nil {
		fmt.Fprintln(os.Stderr, "pfs-plugin-host:", err)
		os.Exit(2)
	}
	os.Exit(run(os.NewFile(node, "node"), os.Stderr))
}

// run serves until the node is gone or says so. What the library still does then
// ends with the process. Reads block a thread: that is quicker than to be woken.
func run(conn *os.File, stderr io.Writer) int {
	if _, err := conn.Stat(); err != nil {
		fmt.Fprintln(stderr, "pfs-plugin-host: it is started by pfs-server, for a native plugin:", err)
		return 2
	}
	if err := ffi.Serve(conn, native.Open); err != nil {
		return 1
	}
	return 0
}
