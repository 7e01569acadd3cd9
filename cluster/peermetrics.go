package cluster

import (
	"strings"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// peerFigures tells at each scrape what this node knows of the others. There
// are as many series as members.
type peerFigures struct {
	n       *Node
	up      *prometheus.Desc
	lag     *prometheus.Desc
	members *prometheus.Desc
}

func newPeerFigures(n *Node) *peerFigures {
	return &peerFigures{n,
		prometheus.NewDesc("pfs_peer_up", "1 if that member answered this node's last question, asked every two seconds.", []string{"peer"}, nil),
		prometheus.NewDesc("pfs_peer_lag_entries", "Log entries that the member had not applied when it answered last; told by the leader.", []string{"peer"}, nil),
		prometheus.NewDesc("pfs_members", "Members of the cluster, as this node knows them.", []string{"role"}, nil)}
}

// Describe is for the registry.
func (f *peerFigures) Describe(ch chan<- *prometheus.Desc) { ch <- f.up; ch <- f.lag; ch <- f.members }

// Collect is for the registry.
func (f *peerFigures) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, strings.ToValidUTF8(label, "?"))
	}
	leads := f.n.reign.Load() != nil
	for id, c := range f.n.contacts.all() {
		gauge(f.up, flag(!c.lost), id)
		if leads && !c.lost {
			gauge(f.lag, float64(c.lag), id)
		}
	}
	voters, others := 0, 0
	for _, s := range f.n.configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters++
		} else {
			others++
		}
	}
	gauge(f.members, float64(voters), "voter")
	gauge(f.members, float64(others), "non-voter")
}
