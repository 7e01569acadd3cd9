package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// Bounds within which the doctor finds a cluster healthy.
const (
	mostLag     = 1000                // entries
	mostSkew    = 500                 // milliseconds between two clocks
	mostAppend  = 100                 // milliseconds of an append to the log, at p99
	soonest     = 14 * 24 * time.Hour // until a certificate ends
	leastFree   = 10 << 30            // bytes of a disk, or
	leastShare  = 10                  // percent of it
	reachWithin = 2 * time.Second
)

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to do if it is not well
}

// patient is what the checks look at.
type patient struct {
	client.Status
	apis map[string]error // of each node's API, asked from here
}

// check looks at one thing. bad names what is not well, by node; nothing is well.
type check struct {
	name string
	well string // said if nothing is bad
	fix  string
	bad  func(p *patient) []string
}

// checks are in the order in which a person would look.
func checks() []check {
	return []check{
		{"leader", "there is one", "start the nodes that are down; if a majority is lost for ever, see docs/operations.md", noLeader},
		{"peers", "every member answers", "start it, and see that the others reach its node-to-node port; if it will not come back, add another node and remove it", unreachable},
		{"quorum", "writes survive the loss of a voter", "start the voters that are down, or add one: three survive the loss of one", thinQuorum},
		{"api", "every node's API answers here", "see that -http-advertise of the node is what clients reach, and that the port is open", noAPI},
		{"ready", "every node is ready, with its mounts", "see GET /api/v1/mounts and the log of the node", notReady},
		{"versions", "all the same", "upgrade the others, one after the other", versions},
		{"clocks", "within half a second", "run a time service, such as chrony, on that host", clocks},
		{"certs", "no node's certificate ends soon", "pfs cluster init-certs makes new ones, which nodes read in without a restart; see docs/operations.md", expiring},
		{"disk", "enough is free", "make room, or give the node a larger disk", fullDisks},
		{"log", "appends are durable within 100 ms", "give the data directory a faster disk, or one that others do not use", slowLogs},
		{"lag", "every node has applied the log", "wait; if it does not get less, look for a slow disk or network there", behind},
		{"content", "every node has all content", "wait; if it does not get less, start the nodes that are down: they may have it", lacking},
		{"state", "the same on all nodes, as far as compared", "pfs cluster verify tells who differs, and where", differing},
	}
}

// each collects what f says of the nodes that answer.
func (p *patient) each(f func(n client.NodeStatus) string) (bad []string) {
	for _, n := range p.Nodes {
		if n.State == "unreachable" {
			continue
		}
		if text := f(n); text != "" {
			bad = append(bad, n.ID+" "+text)
		}
	}
	return bad
}

func noLeader(p *patient) []string {
	if p.LeaderID == "" {
		return []string{p.NodeID + " knows none"}
	}
	return nil
}

func unreachable(p *patient) (bad []string) {
	for _, n := range p.Nodes {
		if n.State != "unreachable" {
			continue
		}
		text := n.ID + " at " + n.RaftAddress + " does not answer"
		if n.Unreachable != nil {
			text += " since " + n.Unreachable.Format(time.RFC3339)
		}
		bad = append(bad, text)
	}
	return bad
}

func thinQuorum(p *patient) []string {
	voters, there := 0, 0
	for _, n := range p.Nodes {
		if n.Role == "voter" {
			voters++
			if n.State != "unreachable" {
				there++
			}
		}
	}
	if voters > 1 && there-1 <= voters/2 {
		return []string{fmt.Sprintf("%d of %d voters answer: with one less there are no writes", there, voters)}
	}
	return nil
}

func noAPI(p *patient) []string {
	return p.each(func(n client.NodeStatus) string {
		if err := p.apis[n.ID]; err != nil {
			return "at " + dash(n.HTTPAddress) + ": " + err.Error()
		}
		return ""
	})
}

func notReady(p *patient) []string {
	return p.each(func(n client.NodeStatus) string { return n.NotReady })
}

func versions(p *patient) []string {
	seen := map[string][]string{}
	for _, n := range p.Nodes {
		if n.State != "unreachable" {
			seen[n.Version] = append(seen[n.Version], n.ID)
		}
	}
	var bad []string
	for v, ids := range seen { // sorted below
		bad = append(bad, strings.Join(ids, ", ")+" "+dash(v))
	}
	slices.Sort(bad)
	if len(bad) == 1 {
		return nil
	}
	return bad
}

func clocks(p *patient) []string {
	return p.each(func(n client.NodeStatus) string {
		if n.Clock > mostSkew || n.Clock < -mostSkew {
			return fmt.Sprintf("is %+d ms off %s", n.Clock, p.NodeID)
		}
		return ""
	})
}

func expiring(p *patient) []string {
	bad := p.each(func(n client.NodeStatus) string {
		if n.CertExpires == nil || time.Until(*n.CertExpires) > soonest {
			return ""
		}
		return "has one until " + n.CertExpires.Format(time.RFC3339)
	})
	if p.NodePort == "plaintext" {
		bad = append(bad, p.NodeID+" has none, and its node-to-node port is open to all who reach it")
	}
	return bad
}

func fullDisks(p *patient) []string {
	return p.each(func(n client.NodeStatus) string {
		if n.DiskFree < leastFree && n.DiskFree < n.DiskSize/100*leastShare {
			return cli.SizeText(n.DiskFree) + " of " + cli.SizeText(n.DiskSize) + " are free"
		}
		return ""
	})
}

func slowLogs(p *patient) []string {
	return p.each(func(n client.NodeStatus) string {
		if n.AppendP99 > mostAppend {
			return fmt.Sprintf("takes %.0f ms at p99", n.AppendP99)
		}
		return ""
	})
}

func behind(p *patient) []string {
	return p.each(func(n client.NodeStatus) string {
		if l := lag(p.Status, n); l > mostLag {
			return fmt.Sprintf("is %d entries behind", l)
		}
		return ""
	})
}

func lacking(p *patient) []string {
	return p.each(func(n client.NodeStatus) string {
		if n.Missing > 0 {
			return fmt.Sprintf("lacks %d chunks", n.Missing)
		}
		return ""
	})
}

func differing(p *patient) []string {
	seen := map[string][]string{}
	for _, n := range p.Nodes {
		if n.Digest != "" {
			seen[n.Digest] = append(seen[n.Digest], n.ID)
		}
	}
	var bad []string
	for d, ids := range seen { // sorted below
		bad = append(bad, strings.Join(ids, ", ")+" "+short(d))
	}
	slices.Sort(bad)
	if len(bad) < 2 {
		return nil
	}
	return bad
}

// examine does all checks.
func (p *patient) examine() []finding {
	var out []finding
	for _, c := range checks() {
		f := finding{Check: c.name, OK: true, Detail: c.well}
		if bad := c.bad(p); len(bad) > 0 {
			f = finding{c.name, false, strings.Join(bad, "; "), c.fix}
		}
		out = append(out, f)
	}
	return out
}

func (a *app) clusterDoctor() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "Check the health of the cluster, and say what to do", Args: cobra.NoArgs,
		Long: "Asks any node about all, looks for what is not well, and says what to do about it.\nExit code 1 if anything is not.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				s, err := c.ClusterDigests(ctx)
				if err != nil {
					return err
				}
				p := &patient{s, reach(ctx, s)}
				return a.diagnose(p.examine())
			})
		}}
}

// reach asks the API of each node from here.
func reach(ctx context.Context, s client.Status) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	type answer struct {
		id  string
		err error
	}
	answers := make(chan answer, len(s.Nodes))
	for _, n := range s.Nodes {
		go func() { // ends with ctx
			c, err := client.New(client.Config{URLs: []string{n.HTTPAddress}, Retries: -1})
			if err == nil {
				defer c.Close()
				_, err = c.Cluster(ctx)
			}
			answers <- answer{n.ID, err}
		}()
	}
	out := map[string]error{}
	for range s.Nodes {
		got := <-answers
		out[got.id] = got.err
	}
	return out
}

// diagnose prints the findings.
func (a *app) diagnose(all []finding) error {
	bad := 0
	for _, f := range all {
		if !f.OK {
			bad++
		}
	}
	if a.JSON() {
		if err := a.Encode(all); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			if f.OK {
				a.Printf("ok    %-9s %s\n", f.Check, cli.Plain(f.Detail))
			} else {
				a.Printf("FAIL  %-9s %s\n      fix: %s\n", f.Check, cli.Plain(f.Detail), f.Fix)
			}
		}
	}
	if bad > 0 {
		return &cli.Hinted{Code: cli.ExitFailure, Text: fmt.Sprintf("%d of %d checks failed", bad, len(all))}
	}
	return nil
}
