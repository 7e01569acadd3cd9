// Package link puts a TCP proxy in front of every node of a cluster, so that a
// test can hurt the network between any two of them, each direction by itself.
//
// A node advertises its proxy, so all others dial that. The greeting that opens
// every stream between nodes names who dials, in plain text: the proxy reads it
// and knows which two nodes the stream is of. Bytes from a to b then follow the
// rule of the way from a to b, whichever of them dialled. So nothing in the
// program under test knows that it is being tested, and neither network
// namespaces nor kernel modules are needed. Streams under TLS cannot be read
// this way; they follow the rule of the way from "".
package link
