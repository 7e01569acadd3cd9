// Package mcp serves a tree to agents by the Model Context Protocol
// (https://modelcontextprotocol.io/specification): at most ten tools, and files as
// resources, over standard input and output or HTTP.
//
// It reaches the tree through a client, as anybody else does. Its invariants:
//
//   - No tool but queue takes anything away by reading; of agfs-mcp's, agfs_cat does.
//   - Every answer is bounded; what did not fit is told, with where to go on.
//   - A path that leads out of the root, by its name or through a symbolic link,
//     is refused. The check and the operation are two steps: what is read or
//     replaced in between must still have the version that was checked.
//   - What a tool cannot do is an answer of the tool, with what to do next. The
//     protocol's own errors are for what is not a call of a tool.
package mcp
