package server

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/pfs-project/pfs/hosts"
)

// banner says where the node listens and what to try next.
func (n *node) banner(w io.Writer) {
	url := baseURL(n.listener.Addr())
	c := n.config
	fmt.Fprintf(w, "PFS %s  node %s  data %s (durable)\n", version, n.cluster.ID(), c.Server.DataDir)
	fmt.Fprintf(w, "API  %s/api/v1    raft %s\n", url, c.Cluster.RaftAddress)
	if n.adminAt != nil {
		fmt.Fprintf(w, "Admin %s/debug/pprof/\n", baseURL(n.adminAt))
	}
	if n.external != nil && c.External.Isolation == hosts.IsolationNone {
		fmt.Fprintln(w, "NO ISOLATION  native plugins run in this process: one that crashes ends this node")
	}
	if len(c.Cluster.Join) > 0 && c.Cluster.BootstrapExpect == 1 {
		fmt.Fprintf(w, "Joins %s\n", strings.Join(c.Cluster.Join, " "))
		return
	}
	if len(c.Cluster.Join) > 0 {
		fmt.Fprintf(w, "Cluster of %d: %s\n", c.Cluster.BootstrapExpect, strings.Join(c.Cluster.Join, " "))
		return
	}
	fmt.Fprintf(w, `
Try:
  curl -X PUT '%[1]s/api/v1/files?path=/memfs/hello.txt' --data 'hello'
  curl '%[1]s/api/v1/files?path=/memfs/hello.txt'
  build/pfs ls /
  build/pfs mkdir /queuefs/jobs && echo job | build/pfs put - /queuefs/jobs/enqueue
  build/pfs cat /queuefs/jobs/dequeue

Ctrl-C stops it; everything is still there at the next start.
`, url)
}

// baseURL is an address as a client on this machine would dial it.
func baseURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "http://" + a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
