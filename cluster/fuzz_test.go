package cluster

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// tape is a stream whose other side has said all that it will.
type tape struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (t *tape) Read(b []byte) (int, error)       { return t.in.Read(b) }
func (t *tape) Write(b []byte) (int, error)      { return t.out.Write(b) }
func (t *tape) Close() error                     { return nil }
func (t *tape) LocalAddr() net.Addr              { return advertised("here") }
func (t *tape) RemoteAddr() net.Addr             { return advertised("there") }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

// FuzzGreeting: whatever comes first on a stream is a greeting that this node
// may take, or an error.
func FuzzGreeting(f *testing.F) {
	for _, s := range []string{"", "C", "R\x00\x02{}", "C\x00\x18" + `{"v":1,"from":"x"}      `, "C\xff\xff", "GET / HTTP/1.1\r\n\r\n",
		"C\x00\x26" + `{"v":1,"cluster":"c","from":"x","to":""}`, "C\x00\x04null", "\x16\x03\x01"} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "x")
	}
	f.Fuzz(func(t *testing.T, in []byte, shown string) {
		m := &mux{self: &identity{c: card{Node: "n1"}}}
		c := &tape{in: bytes.NewReader(in)}
		kind, g, err := hear(t.Context(), c, m, shown)
		if err == nil && (kind != streamCall || g.Version != protocol || g.From == "" || len(g.From) > maxID || shown != "" && shown != g.From) {
			t.Errorf("%c %+v is heard, with the certificate of %q", kind, g, shown)
		}
		var w welcome
		if c.out.Len() > 0 && readShort(&c.out, &w) != nil {
			t.Errorf("answers %q", c.out.String())
		}
	})
}

// FuzzFrame: no frame is longer than the bound, and what was written is read.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{}, uint64(1), byte(1), uint32(1))
	f.Add([]byte{0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 9}, uint64(0), byte(4), uint32(1<<32-1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0}, uint64(1<<64-1), byte(0), uint32(0))
	f.Fuzz(func(t *testing.T, in []byte, id uint64, code byte, millis uint32) {
		c := &tape{in: bytes.NewReader(in)}
		if _, n, err := readHead(c, bufio.NewReader(c)); err == nil && (n < 0 || n > maxFrame-(frameHead-4)) {
			t.Errorf("a payload of %d bytes", n)
		}
		w := bufio.NewWriter(c)
		out := frame{id: id, code: code, millis: millis, payload: [][]byte{in, in}}
		if err := writeFrame(c, w, &out); err != nil || w.Flush() != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(&c.out)
		got, n, err := readHead(c, r)
		if err != nil || got.id != id || got.code != code || got.millis != millis || n != 2*len(in) {
			t.Errorf("%+v became %+v, %d bytes, %v", out, got, n, err)
		}
		if b, _ := io.ReadAll(r); !bytes.Equal(b, append(in, in...)) {
			t.Errorf("payload %q became %q", in, b)
		}
	})
}

// FuzzRaftStream: whatever a member sends as requests of raft, only what the
// guard lets through reaches raft.
func FuzzRaftStream(f *testing.F) {
	for _, b := range bombs() {
		head, _ := io.ReadAll(io.LimitReader(b(), 64))
		f.Add(head)
	}
	for _, q := range (&raider{id: "x"}).requests(3) {
		f.Add(encoded(f, q))
	}
	log := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, in []byte) {
		nt := &network{log: newLogBridge(log), muted: new(atomic.Bool), rpcs: make(chan raft.RPC), memory: newBudget(requestMemory), order: newBudget(everyRequest),
			stop: make(chan struct{}), slow: time.Second,
			guard: &guard{refused: newRefusals(log), standing: func(context.Context, string) standing { return member },
				listed: func(string) (bool, bool) { return true, false }, term: func() uint64 { return 5 },
				leader: func() string { return "x" }, room: func() int64 { return 1000 }}}
		nt.backlog = func() int64 { return 0 }
		nt.install = func(_ context.Context, _ *raft.InstallSnapshotRequest, from io.Reader, _ func()) raft.RPCResponse {
			if n, _ := io.Copy(io.Discard, from); n > 1000 {
				t.Errorf("a snapshot of %d bytes", n)
			}
			return raft.RPCResponse{Response: &raft.InstallSnapshotResponse{}}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case rpc := <-nt.rpcs:
					if err := nt.guard.check(t.Context(), "x", rpc.Command); err != nil {
						t.Errorf("%+v: %v", rpc.Command, err)
					}
					rpc.Respond(&raft.TimeoutNowResponse{}, nil)
				case <-nt.stop:
					return
				}
			}
		})
		nt.serve(t.Context(), stream{Conn: &tape{in: bytes.NewReader(in)}, from: "x"})
		close(nt.stop)
		wg.Wait()
		if used := nt.memory.used(); used != 0 {
			t.Errorf("%d bytes are held", used)
		}
	})
}

// encoded is what raft's transport sends for a request.
func encoded(t testing.TB, q any) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	nt := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: once{asking{here}}, Timeout: awhile, Logger: newLogBridge(slog.New(slog.DiscardHandler)).named("x")})
	defer nt.Close()
	go func() { _ = (&raider{f: &fort{lord: &Node{id: "n1"}}, nt: &network{NetworkTransport: nt}}).try(q) }()
	var b bytes.Buffer
	_, _ = io.Copy(&b, there) // until it waits for an answer
	return b.Bytes()
}

// asking is a connection that ends when an answer is waited for.
type asking struct{ net.Conn }

func (c asking) Read([]byte) (int, error) {
	_ = c.Close()
	return 0, io.EOF
}

// TestGrammar: what raft's transport writes is read to its end, in whatever
// pieces it comes.
func TestGrammar(t *testing.T) {
	requests := (&raider{id: "x"}).requests(3)
	entries := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n1"), Addr: []byte("127.0.0.1:1")}, Term: 1 << 40, LeaderCommitIndex: 1}
	for i := range maxAppend {
		entries.Entries = append(entries.Entries, &raft.Log{Index: uint64(i + 1), Term: 1, Data: make([]byte, 1<<(i%20)), Extensions: []byte("x"), AppendedAt: time.Now()})
	}
	entries.Entries[0].Data = make([]byte, vfs.MaxEntry)
	requests["entries"] = entries
	for kind, q := range requests {
		b := encoded(t, q)
		if kind == "snapshot" {
			b = bytes.TrimRight(b, "x") // its content
		}
		for _, step := range []int{1, 7, 4096, len(b)} {
			var g grammar
			whole := 0
			for at := 0; at < len(b); {
				n, done, err := g.scan(b[at:min(at+step, len(b))])
				if err != nil || n == 0 {
					t.Fatalf("%s: at %d of %d: %v", kind, at, len(b), err)
				}
				if at += n; done {
					whole = at
				}
			}
			if whole != len(b) || g.begun {
				t.Errorf("%s by %d: %d of %d bytes", kind, step, whole, len(b))
			}
		}
	}
}

// FuzzGrammar: pieces are read as the whole is, and nothing is ever awaited
// that is longer than the bounds.
func FuzzGrammar(f *testing.F) {
	for _, b := range bombs() {
		head, _ := io.ReadAll(io.LimitReader(b(), 64))
		f.Add(head, 1)
	}
	for _, q := range (&raider{id: "x"}).requests(3) {
		f.Add(encoded(f, q), 5)
	}
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		step = max(step, 1)
		ends := func(step int) (out []int, failed bool) {
			var g grammar
			for at := 0; at < len(in); {
				n, whole, err := g.scan(in[at:min(at+step, len(in))])
				if at += n; err != nil {
					return out, true
				}
				if whole {
					out = append(out, at)
				}
				if len(g.open) > maxNesting || g.skip > maxText+1 {
					t.Fatalf("%+v", g)
				}
			}
			return out, false
		}
		a, bad := ends(len(in))
		b, badly := ends(min(step, len(in)))
		if !slices.Equal(a, b) || bad != badly {
			t.Errorf("%v, %v and by %d: %v, %v", a, bad, step, b, badly)
		}
	})
}
