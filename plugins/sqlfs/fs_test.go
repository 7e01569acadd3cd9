package sqlfs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// on runs a test on both kinds of database; fresh gives the settings of an empty
// one.
func on(t *testing.T, test func(t *testing.T, fresh func(t *testing.T) vfs.Config)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(t *testing.T) vfs.Config { return vfs.Config{"db_path": filepath.Join(t.TempDir(), "a ?#%41.db")} })
	})
	t.Run("mariadb", func(t *testing.T) {
		s := sqldbtest.Start(t)
		n := 0
		test(t, func(*testing.T) vfs.Config { n++; return s.Config(fmt.Sprintf("db-%d", n)) })
	})
}

func start(t *testing.T, c vfs.Config) *FS {
	t.Helper()
	fs, err := Plugin().New(vfs.Env{Node: "n1", Log: slog.New(slog.DiscardHandler)}, c)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestLaws holds the plugin to the laws of all filesystems and plays its scripts.
func TestLaws(t *testing.T) {
	on(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		p := Plugin()
		make := p.New
		p.New = func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
			e.Log = slog.New(slog.DiscardHandler)
			return make(e, fresh(t)) // each mount has its own
		}
		vfstest.Run(t, vfstest.Subject{Plugin: p, Config: fresh(t), Scripts: "testdata"})
	})
}

func (f *FS) all(t *testing.T, p vfs.Path) []byte {
	t.Helper()
	r, err := f.Stream(t.Context(), p, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f *FS) put(t *testing.T, p vfs.Path, b []byte) {
	t.Helper()
	op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate}
	if r, err := f.Put(t.Context(), op, bytes.NewReader(b)); err != nil || r.N != int64(len(b)) || r.Version == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Pieces that are written, cut and appended anywhere come out as on a slice of
// bytes, over the bounds of rows and blocks.
func TestPieces(t *testing.T) {
	on(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		f := start(t, fresh(t))
		r := rand.New(rand.NewPCG(1, 2))
		var want []byte
		edges := []int{0, 1, inlineMax - 1, inlineMax, inlineMax + 1, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize, 3*blockSize + 7}
		for i := range 250 {
			at := edges[r.IntN(len(edges))]
			op := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate, Off: int64(at), Data: noise(r, []int{1, 100, 40_000, 2*blockSize + 5}[r.IntN(4)])}
			grow := func(n int) {
				if n > len(want) {
					want = append(want, make([]byte, n-len(want))...)
				}
			}
			switch r.IntN(6) {
			case 0:
				op = vfs.Op{Verb: vfs.Truncate, Path: "/f", Off: int64(at)}
				grow(at)
				want = want[:at:at]
			case 1:
				op.Off = vfs.AtEnd
				op.Data = op.Data[:min(len(op.Data), 5000)]
				want = append(want, op.Data...)
			case 2:
				op.Off, op.Flag = 0, op.Flag|vfs.FlagTruncate
				want = bytes.Clone(op.Data)
			default:
				grow(at + len(op.Data))
				copy(want[at:], op.Data)
			}
			if _, err := f.Do(t.Context(), op); err != nil && i > 0 {
				t.Fatalf("%d: %v at %d: %v", i, op.Verb, op.Off, err)
			}
			if got := f.all(t, "/f"); !bytes.Equal(got, want) {
				t.Fatalf("%d: %v at %d of %d: %d bytes, expected %d", i, op.Verb, op.Off, len(op.Data), len(got), len(want))
			}
			off, b := r.IntN(len(want)+10), make([]byte, r.IntN(300_000))
			n, err := f.ReadAt(t.Context(), nil, "/f", b, int64(off))
			if off = min(off, len(want)); !bytes.Equal(b[:n], want[off:min(off+len(b), len(want))]) || err != nil && err != io.EOF {
				t.Fatalf("%d: reading at %d of %d: %d, %v", i, off, len(want), n, err)
			}
		}
	})
}

// Readers see the old content or the new from first byte to last, also while it
// is swept; writers that ask for one version have one winner.
func TestOneContent(t *testing.T) {
	on(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		c := fresh(t)
		f := start(t, c)
		other := start(t, c) // as on another node
		contents := map[[32]byte]bool{}
		var list [][]byte
		for i, n := range []int{700_000, 10, 1_500_000, 40_000} {
			list = append(list, bytes.Repeat([]byte{byte('a' + i)}, n))
			contents[sha256.Sum256(list[i])] = true
		}
		f.put(t, "/f", list[0])
		done := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if b := other.all(t, "/f"); !contents[sha256.Sum256(b)] {
						t.Errorf("%d bytes that begin %.3q", len(b), b)
						return
					}
				}
			})
		}
		for i := range 24 {
			f.put(t, "/f", list[i%4])
			if err := f.sweepOnce(t.Context()); err != nil {
				t.Error(err)
			}
		}
		close(done)
		wg.Wait()
		i, err := f.Stat(t.Context(), nil, "/f")
		if err != nil {
			t.Fatal(err)
		}
		var won, lost int
		var mu sync.Mutex
		for n := range 6 {
			wg.Go(func() {
				op := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate, If: vfs.Cond{Kind: vfs.IfVersion, Version: i.Version}, Data: []byte("x")}
				_, err := []*FS{f, other}[n%2].Do(t.Context(), op)
				mu.Lock()
				defer mu.Unlock()
				switch vfs.KindOf(err) {
				case 0:
					won++
				case vfs.Stale:
					lost++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 || lost != 5 {
			t.Errorf("%d have won, %d lost", won, lost)
		}
	})
}

// What an upload that broke off and replaced content leave is swept to the last
// block, and a reader that comes too late is told.
func TestSweep(t *testing.T) {
	on(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		f := start(t, fresh(t))
		long := bytes.Repeat([]byte("x"), 3<<20)
		f.put(t, "/f", long)
		r, err := f.Stream(t.Context(), "/f", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("cut off")
		op := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate}
		if _, err := f.Put(t.Context(), op, io.MultiReader(bytes.NewReader(long), failing{broken})); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if got := f.all(t, "/f"); !bytes.Equal(got, long) {
			t.Errorf("%d bytes after a write that broke off", len(got))
		}
		if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: "/f"}); err != nil {
			t.Error(err)
		}
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, long) {
			t.Errorf("a reader of a removed file: %d bytes, %v", len(b), err)
		}
		if r, err = f.Stream(t.Context(), "/f", 0, 0); vfs.KindOf(err) != vfs.NotFound {
			t.Fatal(err)
		}
		f.put(t, "/g", long)
		if r, err = f.Stream(t.Context(), "/g", 0, 0); err != nil {
			t.Fatal(err)
		}
		f.put(t, "/g", nil)
		if err := f.db.Update(t.Context(), func(q sqldb.Queryer) error {
			_, err := q.ExecContext(t.Context(), "UPDATE file_contents SET expires = 1")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := f.sweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); vfs.KindOf(err) != vfs.Stale {
			t.Errorf("a reader that came too late: %v", err)
		}
		var n int
		if err := f.db.Reader().QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM file_blocks) + (SELECT COUNT(*) FROM file_contents)").Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows are left, %v", n, err)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
