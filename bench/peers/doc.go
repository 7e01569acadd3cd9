// Package peers starts servers of other projects, and PFS, as children of this
// process and drives them with the same words (bench/target), so that loads
// compare them side by side on one machine. Linux only.
//
// Everything listens on loopback, keeps its data below Site.Dir, and ends with
// Target.Close, and also when this process is killed. Each target says in
// Durability what its acknowledgement means. Each client of a load has a
// connection of its own, but for etcd, whose clients share as many connections
// as served it best.
//
// The clients of those servers are large; nothing of the product imports this.
package peers
