package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/bench/target"
	"github.com/pfs-project/pfs/test/harness"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ServeArg {
		fmt.Fprintln(os.Stderr, Serve(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(withPrograms(m))
}

// withPrograms compiles PFS once for all tests.
func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pfs-peers-")
	if err == nil {
		defer os.RemoveAll(dir)
		if err = harness.Compile("../..", dir); err == nil {
			err = os.Setenv(harness.BinEnv, dir)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// installs is how to get the servers of other projects.
const installs = "scripts/peers.sh, which make bench-peers runs, installs it"

// clients of each test.
const clients = 5

func site(t *testing.T) Site {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Site{Dir: t.TempDir(), Clients: clients, Self: self}
}

// start1 makes the starters of servers without more to say alike.
type start1 = func(context.Context, Site) (*target.Target, error)

func pfsOf(bin string, nodes int) start1 {
	return func(ctx context.Context, s Site) (*target.Target, error) {
		s.PFS = filepath.Join(bin, "pfs")
		p, err := StartPFS(ctx, s, nodes)
		if err != nil {
			return nil, err
		}
		return &p.Target, nil
	}
}

func etcdOf(nodes int) start1 {
	return func(ctx context.Context, s Site) (*target.Target, error) { return StartEtcd(ctx, s, nodes) }
}

// TestTargets drives each real server through all that it has.
func TestTargets(t *testing.T) {
	bin := harness.Build(t)
	for _, c := range []struct {
		name  string
		start start1
		nodes int
		kv    bool
		queue bool
		blob  bool
		needs []string
	}{
		{"pfs", pfsOf(bin, 1), 1, true, true, true, nil},
		{"pfs3", pfsOf(bin, 3), 3, true, true, true, nil},
		{"etcd", etcdOf(1), 1, true, false, false, []string{"etcd"}},
		{"etcd3", etcdOf(3), 3, true, false, false, []string{"etcd"}},
		{"redis", StartRedis, 1, true, true, false, []string{"redis-server"}},
		{"nats", StartNATS, 1, false, true, false, []string{"nats-server"}},
		{"nginx", StartNginx, 1, false, false, true, []string{"nginx"}},
		{"s3", StartS3, 1, false, false, true, []string{"versitygw"}},
		{"dd", StartDD, 1, false, false, true, []string{"dd"}},
		{"standin", StartStandin, 1, true, false, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			harness.Need(t, installs, c.needs...)
			tg, err := c.start(context.WithoutCancel(t.Context()), site(t)) // its end is told after the test
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := tg.Close(); err != nil {
					t.Error(err)
				}
			})
			if tg.Name == "" || tg.Version == "" || tg.Durability == "" || tg.Nodes != c.nodes {
				t.Errorf("it says too little: %+v", tg)
			}
			if (tg.KV != nil) != c.kv || (tg.Queue != nil) != c.queue || (tg.Blob != nil) != c.blob {
				t.Fatalf("it is not what was wanted: %+v", tg)
			}
			if c.kv {
				values(t, tg.KV)
			}
			if c.queue {
				messages(t, tg.Queue)
			}
			if c.blob {
				content(t, tg.Blob)
			}
		})
	}
}

// each runs a client's work in a goroutine of its own.
func each(t *testing.T, work func(client int) error) {
	t.Helper()
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() { errs[c] = work(c) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// values puts and gets, each client its own keys, over what was there.
func values(t *testing.T, kv target.KV) {
	each(t, func(client int) error {
		var buf []byte
		for i := range 20 {
			key, want := fmt.Sprintf("c%d-%d", client, i%7), fmt.Appendf(nil, "%d of %d %s", i, client, bytes.Repeat([]byte{0, 0xff}, 100))
			if err := kv.Put(t.Context(), client, key, want); err != nil {
				return err
			}
			var err error
			if buf, err = kv.Get(t.Context(), client, key, buf); err != nil || !bytes.Equal(buf, want) {
				return fmt.Errorf("%s: got %q, %w", key, buf, err)
			}
		}
		return nil
	})
	if b, err := kv.Get(t.Context(), 0, "absent", nil); err == nil {
		t.Errorf("a key that nobody has put is %q", b)
	}
}

// messages sends some, and takes out each once.
func messages(t *testing.T, q target.Queue) {
	if b, err := q.Dequeue(t.Context(), 0); b != nil || err != nil {
		t.Fatalf("an empty queue gives %q, %v", b, err)
	}
	each(t, func(client int) error {
		for i := range 10 {
			if err := q.Enqueue(t.Context(), client, fmt.Appendf(nil, "%d/%d", client, i)); err != nil {
				return err
			}
		}
		return nil
	})
	var mu sync.Mutex
	seen := map[string]int{}
	each(t, func(client int) error {
		for {
			b, err := q.Dequeue(t.Context(), client)
			if b == nil {
				return err
			}
			mu.Lock()
			seen[string(b)]++
			mu.Unlock()
		}
	})
	for client := range clients {
		for i := range 10 {
			if m := fmt.Sprintf("%d/%d", client, i); seen[m] != 1 {
				t.Errorf("%s came %d times", m, seen[m])
			}
		}
	}
	if len(seen) != 10*clients {
		t.Errorf("%d messages came, %d were sent", len(seen), 10*clients)
	}
}

// content uploads a file twice and reads it back.
func content(t *testing.T, b target.Blob) {
	want := make([]byte, 9<<20+17)
	rand.NewChaCha8([32]byte{1}).Read(want)
	name := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(name, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		err = b.Upload(t.Context(), "large", f, int64(len(want)))
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	var got bytes.Buffer
	if n, err := b.Download(t.Context(), "large", &got); err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d of %d bytes came back, equal %v, %v", n, len(want), bytes.Equal(got.Bytes(), want), err)
	}
	if _, err := b.Download(t.Context(), "absent", &got); err == nil {
		t.Error("what is absent was read")
	}
}

// A follower of three nodes reads what was written through another, at once
// where it is asked to.
func TestFollower(t *testing.T) {
	s := site(t)
	s.PFS = filepath.Join(harness.Build(t), "pfs")
	p, err := StartPFS(t.Context(), s, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 30 {
		want := fmt.Sprint(i)
		if err := p.KV.Put(t.Context(), i%clients, "x", []byte(want)); err != nil {
			t.Fatal(err)
		}
		if b, err := p.Linearizable.Get(t.Context(), 0, "x", nil); err != nil || string(b) != want {
			t.Fatalf("got %q, %v, want %s", b, err, want)
		}
	}
	if _, err := p.Follower.Get(t.Context(), 0, "x", nil); err != nil {
		t.Error(err)
	}
}

// The handler has one value for all keys, and the floor is never read.
func TestNoServers(t *testing.T) {
	h, err := StartHandler(t.Context(), site(t))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.KV.Put(t.Context(), 1, "x", []byte("body")); err != nil {
		t.Fatal(err)
	}
	if b, err := h.KV.Get(t.Context(), 2, "y", nil); err != nil || string(b) != "body" {
		t.Errorf("%q, %v", b, err)
	}
	s := site(t)
	for _, start := range []start1{StartFloor, StartAppendFloor} {
		f, err := start(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range 3 {
			if err := f.KV.Put(t.Context(), 0, "x", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]int64{"synced-true": 3 * 4096, "synced-false": 8 << 20} {
		if i, err := os.Stat(filepath.Join(s.Dir, echo, name)); err != nil || i.Size() != want {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
}

// Every message of NATS comes in the one inbox of its worker, who is told that
// there is none only where there is none.
func TestNATSInbox(t *testing.T) {
	harness.Need(t, installs, "nats-server")
	tg, err := StartNATS(t.Context(), site(t))
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	q := tg.Queue.(*jetQueue)
	each(t, func(client int) error {
		for range 50 {
			if err := q.Enqueue(t.Context(), client, []byte("x")); err != nil {
				return err
			}
			if b, err := q.Dequeue(t.Context(), client); err != nil || b == nil {
				return errors.Join(err, errors.New("nothing came out"))
			}
		}
		return nil
	})
	for client, in := range q.inbox {
		if n, err := in.Delivered(); err != nil || n < 50 {
			t.Errorf("client %d: %d came in its inbox, %v", client, n, err)
		}
	}
}
