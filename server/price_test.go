//go:build !race

package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/test/ports"
)

// price is a request and what it may cost: allocations and bytes of the whole
// process, which is the node, or all three of them, and a client that allocates
// nothing. The race detector has costs of its own, so it is left out.
type price struct {
	name          string
	method, path  string // path: of the API, with its query
	body          string
	allocs, bytes float64 // ceilings
}

// Prices of one node. The ceilings have room for what differs between machines
// and releases of Go; a change that makes a request cheaper lowers its line.
func prices() []price {
	return []price{
		{"get", "GET", "/files?path=/memfs/small", "", 23, 1_500},
		{"get linearizable", "GET", "/files?path=/memfs/small&consistency=linearizable", "", 58, 4_400},
		{"get 32 KiB", "GET", "/files?path=/memfs/long", "", 25, 52_600},
		{"stat", "GET", "/stat?path=/memfs/small", "", 18, 1_400},
		{"list 100", "GET", "/directories?path=/memfs/dir", "", 510, 110_000},
		{"put", "PUT", "/files?path=/memfs/small", content, 188, 14_500},
		{"append", "PUT", "/files?path=/memfs/log&flags=append,create", content, 185, 25_800},
		{"enqueue", "PUT", "/files?path=/queuefs/q/enqueue", content, 208, 16_000},
		{"dequeue", "GET", "/files?path=/queuefs/q/dequeue", "", 255, 21_000},
	}
}

// Prices of three nodes for a request to a follower; all nodes count.
func followerPrices() []price {
	return []price{
		{"follower get linearizable", "GET", "/files?path=/memfs/small&consistency=linearizable", "", 180, 14_000},
		{"follower put", "PUT", "/files?path=/memfs/small", content, 705, 53_000},
	}
}

var content = strings.Repeat("x", 256)

const (
	priceRounds   = 7  // the cheapest counts: what the node does beside it only adds
	priceMost     = 70 // rounds, where requests take so long that it adds to each
	priceRequests = 100
)

// TestPrices holds requests to a real node against their ceilings.
func TestPrices(t *testing.T) {
	n, _, _ := startNode(t)
	c := dialPrice(t, n)
	c.furnish(t)
	for _, p := range prices() {
		c.hold(t, p)
	}
}

func TestFollowerPrices(t *testing.T) {
	c := dialPrice(t, startFollower(t))
	c.furnish(t)
	for _, p := range followerPrices() {
		c.hold(t, p)
	}
}

// BenchmarkPrices is for profiles: go test -run '^$' -bench 'Prices/put$'
// -memprofile mem.out -memprofilerate 1 ./server
func BenchmarkPrices(b *testing.B) {
	n, _, _ := startNode(b)
	benchmark(b, n, prices())
}

func BenchmarkFollowerPrices(b *testing.B) { benchmark(b, startFollower(b), followerPrices()) }

// crowd is how many connections BenchmarkCrowd has at once.
const crowd = 64

// BenchmarkCrowd has the requests from many clients at once: what they share, such as
// an entry of the log, counts as it does under load.
func BenchmarkCrowd(b *testing.B) {
	n, _, _ := startNode(b)
	dialPrice(b, n).furnish(b)
	for _, p := range prices() {
		b.Run(strings.ReplaceAll(p.name, " ", "-"), func(b *testing.B) {
			raw := p.request()
			b.ReportAllocs()
			var work sync.WaitGroup
			for i := range crowd {
				c := dialPrice(b, n)
				work.Go(func() {
					for range b.N/crowd + min(1, max(0, b.N%crowd-i)) {
						c.do(b, raw)
					}
				})
			}
			work.Wait()
		})
	}
}

func benchmark(b *testing.B, n *node, all []price) {
	c := dialPrice(b, n)
	c.furnish(b)
	for _, p := range all {
		b.Run(strings.ReplaceAll(p.name, " ", "-"), func(b *testing.B) {
			raw := p.request()
			b.ReportAllocs()
			for b.Loop() {
				c.do(b, raw)
			}
		})
	}
}

// startFollower starts three nodes and returns one that does not lead.
func startFollower(t testing.TB) *node {
	t.Helper()
	raft := ports.Free(t, 3)
	var nodes []*node
	for i, addr := range raft {
		n, _, _ := launch(t, "-node-id", fmt.Sprint("n", i+1), "-raft-addr", addr, "-bootstrap-expect", "3", "-join", strings.Join(raft, ","))
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		awaitReady(t, n)
	}
	for _, n := range nodes {
		if st := n.cluster.Status(t.Context(), false); st.LeaderID != st.NodeID {
			return n
		}
	}
	t.Fatal("every node leads")
	return nil
}

// priceClient sends requests over one connection and allocates nothing.
type priceClient struct {
	net.Conn
	r   *bufio.Reader
	buf []byte
}

func dialPrice(t testing.TB, n *node) *priceClient {
	t.Helper()
	conn, err := net.Dial("tcp", n.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &priceClient{conn, bufio.NewReaderSize(conn, 64<<10), make([]byte, 64<<10)}
}

// furnish makes the files that the prices are about.
func (c *priceClient) furnish(t testing.TB) {
	t.Helper()
	for _, p := range []price{
		{method: "PUT", path: "/files?path=/memfs/small", body: content},
		{method: "PUT", path: "/files?path=/memfs/long", body: strings.Repeat("x", 32<<10)},
		{method: "POST", path: "/directories?path=/memfs/dir"},
		{method: "POST", path: "/directories?path=/queuefs/q"},
	} {
		c.do(t, p.request())
	}
	for i := range 100 {
		c.do(t, price{method: "PUT", path: fmt.Sprintf("/files?path=/memfs/dir/file%03d", i), body: content}.request())
	}
}

func (p price) request() []byte {
	head := fmt.Sprintf("%s /api/v1%s HTTP/1.1\r\nHost: pfs.example:8080\r\nUser-Agent: price/1\r\nAccept: */*\r\n", p.method, p.path)
	if p.method != "GET" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(p.body))
	}
	return []byte(head + "\r\n" + p.body)
}

var (
	lengthField = []byte("Content-Length: ")
	statusGood  = []byte("HTTP/1.1 20")
	statusBusy  = []byte("HTTP/1.1 503")
)

// do sends one request, which must be done. A node that is held up may find no
// leader: it is asked again, and that round is not the cheapest.
func (c *priceClient) do(t testing.TB, raw []byte) {
	for tries := 0; !c.ask(t, raw); tries++ {
		if tries == 20 { // each takes seconds
			t.Fatalf("%s is never served", bytes.SplitN(raw, []byte("\r"), 2)[0])
		}
	}
}

// ask sends one request and reads the whole answer, which must be good, or 503:
// then it returns false.
func (c *priceClient) ask(t testing.TB, raw []byte) (served bool) {
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	length := 0
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			t.Fatal(err)
		}
		if first {
			served = !bytes.HasPrefix(line, statusBusy)
		}
		if first && served && !bytes.HasPrefix(line, statusGood) {
			rest, _ := c.r.Peek(c.r.Buffered())
			t.Fatalf("%s answers %s%s", bytes.SplitN(raw, []byte("\r"), 2)[0], line, rest)
		}
		if len(line) == 2 {
			break
		}
		if v, ok := bytes.CutPrefix(line, lengthField); ok {
			for _, d := range v[:len(v)-2] {
				length = 10*length + int(d-'0')
			}
		}
	}
	if _, err := io.ReadFull(c.r, c.buf[:length]); err != nil {
		t.Fatal(err)
	}
	return served
}

// hold measures a request and fails when it costs more than it may.
func (c *priceClient) hold(t *testing.T, p price) {
	t.Helper()
	raw := p.request()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // pools keep what they have
	var allocs, size float64
	for round := 0; round < priceRounds || round < priceMost && (allocs > p.allocs || size > p.bytes); round++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range priceRequests {
			c.do(t, raw)
		}
		runtime.ReadMemStats(&after)
		a := float64(after.Mallocs-before.Mallocs) / priceRequests
		b := float64(after.TotalAlloc-before.TotalAlloc) / priceRequests
		if round == 0 {
			allocs, size = a, b
		}
		allocs, size = min(allocs, a), min(size, b)
	}
	t.Logf("%-26s %6.1f allocations, %8.0f bytes", p.name, allocs, size)
	if allocs > p.allocs || size > p.bytes {
		t.Errorf("%s costs %.1f allocations and %.0f bytes; the ceilings are %.0f and %.0f."+
			" Profile it (see BenchmarkPrices) and make it cheaper, or raise its line and say in the commit what the price buys",
			p.name, allocs, size, p.allocs, p.bytes)
	}
}
