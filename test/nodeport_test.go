package test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// greet opens a stream to the node-to-node port, 'R' for raft or 'C' for calls,
// in the name of a node, and returns what it answers.
func greet(t *testing.T, n *harness.Node, kind byte, cluster, from string) (net.Conn, string) {
	t.Helper()
	c := knock(t, n)
	hi, err := json.Marshal(map[string]any{"v": 1, "cluster": cluster, "from": from, "to": n.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(hi))), hi...)); err != nil {
		t.Fatal(err)
	}
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return c, string(b)
}

// knock opens a stream that says nothing yet.
func knock(t *testing.T, n *harness.Node) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.Raft)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return c
}

// msgpack is a map of one entry, as raft's requests are.
func msgpack(request byte, key string, value ...byte) []byte {
	return append(append([]byte{request, 0x81, 0xa0 | byte(len(key))}, key...), value...)
}

// TestNodePort sends the port of a leader what a stranger would: it goes on
// leading, holds what it held, takes little memory for it, and says what it saw.
func TestNodePort(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3, Args: []string{"-log-level", "warn"}})
	lord := c.Leader()
	if lord == nil {
		t.Fatal("no leader")
	}
	write := func(what string) {
		t.Helper()
		if _, err := c.Client(0).WriteFile(t.Context(), "/memfs/a", []byte(what)); err != nil {
			t.Fatal(err)
		}
	}
	write("x")
	before := status(t, lord)

	holds := func(what, reason string, attack func()) {
		was := metric(t, lord, refused(reason))
		attack()
		if !harness.Poll(20*time.Second, func() bool { return metric(t, lord, refused(reason)) > was }) {
			t.Errorf("%s: not counted as %s", what, reason)
		}
		if !harness.Poll(20*time.Second, func() bool {
			return logged(t, lord, "level=WARN", "refused on the node-to-node port", "reason="+reason)
		}) {
			t.Errorf("%s: not in the log", what)
		}
	}
	holds("a thousand silent ones", "crowded", func() {
		for range 1000 {
			knock(t, lord)
		}
		if _, w := greet(t, lord, 'C', "", "x"); !strings.Contains(w, `"id":"`+lord.ID) {
			t.Errorf("a newcomer is answered %s", w)
		}
		write("y")
	})
	_, digest := c.SameDigest()
	holds("HTTP", "alien", func() { shout(t, lord, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) })
	holds("random bytes", "alien", func() {
		for range 50 {
			junk := make([]byte, 64)
			for i := range junk {
				junk[i] = byte(rand.Uint32())
			}
			junk[0] = 'x'
			shout(t, lord, junk)
		}
	})
	holds("a stranger's raft", "not_member", func() {
		if _, w := greet(t, lord, 'R', before.ClusterID, "x"); !strings.Contains(w, "not in the configuration") {
			t.Errorf("answered %s", w)
		}
	})
	var member string
	for _, n := range c.Nodes {
		if n != lord {
			member = n.ID
		}
	}
	for _, term := range []uint64{1e15, 1<<64 - 1} {
		holds(fmt.Sprint("term ", term), "term", func() {
			s, _ := greet(t, lord, 'R', before.ClusterID, member)
			_, _ = s.Write(msgpack(0, "Term", binary.BigEndian.AppendUint64([]byte{0xcf}, term)...))
			_, _ = io.Copy(io.Discard, s) // it is closed
		})
	}
	for _, bomb := range []struct {
		what string
		head []byte
		body byte
		n    int
		most int64 // MiB of memory
	}{
		{"an array of 2^31", msgpack(0, "Entries", 0xdd, 0x7f, 0xff, 0xff, 0xff), 0xc1, 1000, 32},
		{"5,000,000 levels", msgpack(0, "x"), 0x91, 5_000_000, 32},
		{"bytes of 2^31", msgpack(0, "Leader", 0xc6, 0x7f, 0xff, 0xff, 0xff), 0, 40 << 20, 128}, // 33 MiB of which are read
	} {
		holds(bomb.what, "request", func() {
			took := memory(t, lord, func() {
				s, _ := greet(t, lord, 'R', before.ClusterID, member)
				_, _ = s.Write(append(bomb.head, bytes.Repeat([]byte{bomb.body}, bomb.n)...)) // closed on the way
				_, _ = io.Copy(io.Discard, s)
			})
			t.Logf("%s: %d KiB", bomb.what, took>>10)
			if took > bomb.most<<20 {
				t.Errorf("%s takes %d bytes of memory", bomb.what, took)
			}
		})
	}

	var after client.Status
	harness.Poll(60*time.Second, func() bool { after = status(t, lord); return after.LeaderID != "" })
	if after.LeaderID == "" || after.Term > before.Term+20 { // a loaded machine may choose another leader, more than once
		t.Errorf("term %d became %d, led by %q", before.Term, after.Term, after.LeaderID)
	}
	if _, d := c.SameDigest(); d != digest {
		t.Error("the state has changed")
	}
	write("z")
}

func status(t *testing.T, n *harness.Node) client.Status {
	t.Helper()
	s, err := n.Client().Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shout sends bytes and waits until the node closes the stream.
func shout(t *testing.T, n *harness.Node, b []byte) {
	t.Helper()
	c := knock(t, n)
	defer c.Close()
	_, _ = c.Write(b) // it may be closed before
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("not closed after %q", b[:1])
	}
}

// memory returns by how much the memory of a process has grown at most while f
// ran.
func memory(t *testing.T, n *harness.Node, f func()) int64 {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.Pid()), []byte("5"), 0o600); err != nil {
		t.Fatal(err) // which makes the peak what it is now
	}
	was := n.PeakRSS()
	f()
	return n.PeakRSS() - was
}
