//go:build linux

package soak

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// usage is what a process holds.
type usage struct {
	goroutines, files, rss int64 // rss in bytes
}

// slack is what a process may hold more than a tenth over what it held before,
// for each of so many other nodes: a node that leads talks to all, and elections
// leave up to four idle streams in each direction.
func slack(others int64) usage {
	return usage{goroutines: 20 * others, files: 15 * others, rss: 96 << 20}
}

// over tells what of u is more than was allowed after before.
func (u usage) over(before, slack usage) (out []string) {
	for _, c := range []struct {
		what             string
		was, is, allowed int64
	}{
		{"goroutines", before.goroutines, u.goroutines, slack.goroutines},
		{"open files", before.files, u.files, slack.files},
		{"bytes of memory", before.rss, u.rss, slack.rss},
	} {
		if c.is > c.was+c.was/10+c.allowed {
			out = append(out, fmt.Sprintf("%d %s, %d before", c.is, c.what, c.was))
		}
	}
	return out
}

// use looks at what a node holds.
func use(n *harness.Node) (u usage, err error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.Pid()))
	if err != nil {
		return u, err
	}
	u.files, u.rss = int64(len(files)), n.RSS()
	cl := http.Client{Timeout: askTime}
	defer cl.CloseIdleConnections()
	resp, err := cl.Get(n.URL + "/metrics")
	if err != nil {
		return u, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			u.goroutines, err = strconv.ParseInt(v, 10, 64)
		}
	}
	if err == nil && u.goroutines == 0 {
		err = fmt.Errorf("%s does not tell its goroutines", n.ID)
	}
	return u, err
}

// baseRound is the round that later ones are compared with.
const baseRound = 10

// grown notes what the nodes hold after round baseRound, and later tells which
// of them hold more.
func (c *cluster) grown() error {
	if c.round < baseRound {
		return nil
	}
	var out []string
	for i, n := range c.Nodes {
		var over []string
		var u usage
		var err error
		harness.Poll(30*time.Second, func() bool { // what a round held is let go of in time
			if u, err = use(n); err != nil || c.round == baseRound {
				return true
			}
			over = u.over(c.usage[i], slack(int64(len(c.Nodes)-1)))
			return len(over) == 0
		})
		if err != nil {
			return err
		}
		if c.round == baseRound {
			c.usage = append(c.usage, u)
		}
		for _, o := range over {
			out = append(out, fmt.Sprintf("%s holds %s at round %d", n.ID, o, baseRound))
		}
	}
	if len(out) > 0 {
		return fmt.Errorf("%s", strings.Join(out, "; "))
	}
	return nil
}
