package content_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

type nothing struct{}

func (nothing) Get([]byte) ([]byte, bool) { return nil, false }

func (nothing) Scan(_, _ []byte) iter.Seq2[[]byte, []byte] {
	return func(func(k, v []byte) bool) {}
}

// memory is a state and the one Tx into it.
type memory struct {
	*vfs.Overlay
	counts     map[[32]byte]int
	puts, dels int
}

func newMemory() *memory {
	return &memory{Overlay: vfs.NewOverlay(nothing{}), counts: map[[32]byte]int{}}
}

func (m *memory) Put(k, v []byte)          { m.puts++; m.Overlay.Put(k, v) }
func (m *memory) Delete(k []byte)          { m.dels++; m.Overlay.Delete(k) }
func (m *memory) Retain(ref vfs.ChunkRef)  { m.counts[ref.Hash]++ }
func (m *memory) Release(ref vfs.ChunkRef) { m.counts[ref.Hash]-- }
func (m *memory) Now() time.Time           { return time.Unix(1, 0) }
func (m *memory) Seq() uint64              { return 1 }
func (m *memory) touched() (puts, dels int) {
	puts, dels = m.puts, m.dels
	m.puts, m.dels = 0, 0
	return
}

// chunks reads chunks whose bytes follow from their hash.
type chunks struct{ reads int }

func chunkByte(hash [32]byte, at int64) byte {
	return hash[0] ^ byte(at) ^ byte(at>>8)*31
}

func (c *chunks) ReadChunk(_ context.Context, ref vfs.ChunkRef, b []byte, off int64) error {
	if off+int64(len(b)) > int64(ref.Len) {
		return errors.New("read beyond the slice")
	}
	c.reads++
	for i := range b {
		b[i] = chunkByte(ref.Hash, int64(ref.Off)+off+int64(i))
	}
	return nil
}

func chunkRef(n byte, off, length uint32) vfs.ChunkRef {
	return vfs.ChunkRef{Hash: [32]byte{n, 1}, Off: off, Len: length}
}

// file is a file under test and what it should be.
type file struct {
	t     *testing.T
	tx    *memory
	key   []byte
	size  int64
	model []byte
}

func newFile(t *testing.T) *file { return &file{t: t, tx: newMemory(), key: []byte("c12")} }

func (f *file) write(off int64, data []byte, refs ...vfs.ChunkRef) {
	f.t.Helper()
	size, err := content.Write(f.tx, f.key, f.size, off, data, refs)
	if err != nil {
		f.t.Fatalf("write at %d: %v", off, err)
	}
	f.size = size
	flat := bytes.Clone(data)
	for _, r := range refs {
		for i := range int64(r.Len) {
			var b byte
			if r.Hash != [32]byte{} {
				b = chunkByte(r.Hash, int64(r.Off)+i)
			}
			flat = append(flat, b)
		}
	}
	if len(flat) == 0 {
		return
	}
	if end := int(off) + len(flat); end > len(f.model) {
		f.model = append(f.model, make([]byte, end-len(f.model))...)
	}
	copy(f.model[off:], flat)
}

func (f *file) truncate(to int64) {
	f.t.Helper()
	if err := content.Truncate(f.tx, f.key, f.size, to); err != nil {
		f.t.Fatalf("truncate to %d: %v", to, err)
	}
	f.size = to
	if to <= int64(len(f.model)) {
		f.model = f.model[:to]
	} else {
		f.model = append(f.model, make([]byte, to-int64(len(f.model)))...)
	}
}

func (f *file) rows() int { return content.Rows(f.tx, f.key, math.MaxInt) }

// check compares everything with the model.
func (f *file) check() {
	f.t.Helper()
	if f.size != int64(len(f.model)) {
		f.t.Fatalf("size %d, want %d", f.size, len(f.model))
	}
	if err := content.Check(f.tx, f.key, f.size); err != nil {
		f.t.Fatal(err)
	}
	got := bytes.Repeat([]byte{0xee}, len(f.model)+1)
	n, err := content.ReadAt(context.Background(), f.tx, &chunks{}, f.key, f.size, got, 0)
	if n != len(f.model) || err != io.EOF || !bytes.Equal(got[:n], f.model) {
		f.t.Fatalf("read %d bytes (%v), want %d; equal %v", n, err, len(f.model), bytes.Equal(got[:n], f.model))
	}
	counts := map[[32]byte]int{}
	content.Refs(f.tx, f.key, func(r vfs.ChunkRef) { counts[r.Hash]++ })
	for h, n := range f.tx.counts {
		if counts[h] != n {
			f.t.Fatalf("chunk %x is counted %d times, rows name it %d times", h[:2], n, counts[h])
		}
	}
	for h, n := range counts {
		if f.tx.counts[h] != n {
			f.t.Fatalf("chunk %x is counted %d times, rows name it %d times", h[:2], f.tx.counts[h], n)
		}
	}
}

func TestRandomAgainstModel(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		f := newFile(t)
		for range 150 {
			randomStep(f, r)
			f.check()
			randomRead(f, r)
		}
		size := f.size
		for !content.Remove(f.tx, f.key, size, 1+r.IntN(9)) {
			size = -1
		}
		f.size, f.model = 0, nil
		f.check()
		if f.rows() != 0 {
			t.Fatalf("%d rows left", f.rows())
		}
	}
}

func randomStep(f *file, r *rand.Rand) {
	off := r.Int64N(f.size + 1 + r.Int64N(300))
	switch r.IntN(10) {
	case 0:
		f.truncate(r.Int64N(2*f.size + 100))
	case 1, 2:
		var refs []vfs.ChunkRef
		for range 1 + r.IntN(4) {
			ref := chunkRef(byte(1+r.IntN(5)), r.Uint32N(50), r.Uint32N(9000))
			if r.IntN(5) == 0 {
				ref = vfs.ChunkRef{Len: ref.Len}
			}
			refs = append(refs, ref)
		}
		f.write(off, nil, refs...)
	case 3:
		f.write(off, random(r, r.IntN(70_000)))
	case 4:
		f.write(f.size, random(r, r.IntN(200)))
	default:
		f.write(off, random(r, r.IntN(40)))
	}
	if f.size > 300_000 {
		f.truncate(r.Int64N(1000))
	}
}

func randomRead(f *file, r *rand.Rand) {
	off := r.Int64N(f.size + 10)
	b := make([]byte, r.IntN(5000))
	n, err := content.ReadAt(context.Background(), f.tx, &chunks{}, f.key, f.size, b, off)
	want := f.model[min(off, f.size):]
	want = want[:min(len(b), len(want))]
	short := n < len(b) || off >= f.size
	if !bytes.Equal(b[:n], want) || short != (err == io.EOF) || err != nil && err != io.EOF {
		f.t.Fatalf("read at %d of %d: %d bytes, %v, want %d", off, f.size, n, err, len(want))
	}
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestAppendsJoin(t *testing.T) {
	f := newFile(t)
	for range 10_000 {
		f.write(f.size, []byte("a line in a log\n"))
		if puts, dels := f.tx.touched(); puts > 1 || dels > 1 {
			t.Fatalf("append put %d rows and deleted %d", puts, dels)
		}
	}
	f.check()
	if got, most := f.rows(), int(f.size)/(4<<10)+1; got > most {
		t.Errorf("%d rows for %d bytes, want at most %d", got, f.size, most)
	}
}

func TestSmallWritesIntoLongFile(t *testing.T) {
	f := newFile(t)
	const gib = 1 << 30
	for i := range gib / vfs.ChunkSize {
		// The model is left out: it would be the whole gibibyte.
		size, err := content.Write(f.tx, f.key, f.size, f.size, nil, []vfs.ChunkRef{chunkRef(byte(i), 0, vfs.ChunkSize)})
		if err != nil {
			t.Fatal(err)
		}
		f.size = size
	}
	if f.rows() != 256 {
		t.Fatalf("%d rows, want 256", f.rows())
	}
	f.tx.touched()
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		off := r.Int64N(gib)
		if _, err := content.Write(f.tx, f.key, f.size, off, []byte{1}, nil); err != nil {
			t.Fatal(err)
		}
		if puts, dels := f.tx.touched(); puts > 3 || dels > 3 {
			t.Fatalf("one byte at %d put %d rows and deleted %d", off, puts, dels)
		}
		var b [1]byte
		c := &chunks{}
		if _, err := content.ReadAt(context.Background(), f.tx, c, f.key, f.size, b[:], off); err != nil || b[0] != 1 || c.reads != 0 {
			t.Fatalf("read %v, %v, %d chunks read", b, err, c.reads)
		}
	}
	if err := content.Truncate(f.tx, f.key, f.size, gib-10); err != nil {
		t.Fatal(err)
	}
	if puts, dels := f.tx.touched(); puts > 2 || dels > 10 {
		t.Errorf("truncate by ten bytes put %d rows and deleted %d", puts, dels)
	}
}

// scanned is a Tx that counts its Scans.
type scanned struct {
	*memory
	scans int
}

func (s *scanned) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	s.scans++
	return s.memory.Scan(prefix, from)
}

// A Scan over a row that is written often passes all its replaced versions, as
// a store keeps them for a while: a short file does without.
func TestShortFileIsNotScanned(t *testing.T) {
	tx, key, size := &scanned{memory: newMemory()}, []byte("k"), int64(0)
	for i := range 100 {
		data := bytes.Repeat([]byte{byte(i)}, 10+i%7)
		if !content.Remove(tx, key, size, 8) {
			t.Fatal("a short file is not removed at once")
		}
		var err error
		if size, err = content.Write(tx, key, 0, 0, data, nil); err == nil {
			size, err = content.Write(tx, key, size, size, []byte("end"), nil)
		}
		if err == nil {
			_, err = content.Write(tx, key, size, 3, []byte("x"), nil)
		}
		b := make([]byte, size)
		if n, rerr := content.ReadAt(t.Context(), tx, nil, key, size, b, 0); err != nil || rerr != nil || n != len(data)+3 || b[3] != 'x' {
			t.Fatal(n, err, rerr)
		}
	}
	if tx.scans > 0 {
		t.Errorf("%d scans", tx.scans)
	}
}

func TestHolesAreOneRow(t *testing.T) {
	f := newFile(t)
	f.write(0, []byte("head"))
	for _, to := range []int64{1 << 20, 1 << 40, vfs.MaxSize} {
		if err := content.Truncate(f.tx, f.key, f.size, to); err != nil {
			t.Fatal(err)
		}
		f.size = to
	}
	if f.rows() != 2 {
		t.Errorf("%d rows, want 2", f.rows())
	}
	b := make([]byte, 100)
	n, err := content.ReadAt(context.Background(), f.tx, nil, f.key, f.size, b, vfs.MaxSize-50)
	if n != 50 || err != io.EOF || !bytes.Equal(b, make([]byte, 100)) {
		t.Errorf("read %d, %v", n, err)
	}
	n, err = content.ReadAt(context.Background(), f.tx, nil, f.key, f.size, b, 2)
	if n != 100 || err != nil || string(b[:3]) != "ad\x00" {
		t.Errorf("read %d, %v, %q", n, err, b[:3])
	}
}

func TestRefused(t *testing.T) {
	ref := chunkRef(1, 0, 10)
	for _, c := range []struct {
		name string
		off  int64
		data []byte
		refs []vfs.ChunkRef
		want vfs.Kind
	}{
		{"negative", -1, []byte("x"), nil, vfs.Invalid},
		{"at end", vfs.AtEnd, []byte("x"), nil, vfs.Invalid},
		{"beyond", vfs.MaxSize, []byte("x"), nil, vfs.TooLarge},
		{"overflow", math.MaxInt64, []byte("x"), nil, vfs.TooLarge},
		{"long refs", vfs.MaxSize - 9, nil, []vfs.ChunkRef{ref}, vfs.TooLarge},
		{"both", 0, []byte("x"), []vfs.ChunkRef{ref}, vfs.Invalid},
		{"malformed ref", 0, nil, []vfs.ChunkRef{chunkRef(1, math.MaxUint32, 2)}, vfs.Invalid},
	} {
		f := newFile(t)
		f.write(0, []byte("content"))
		f.tx.touched()
		size, err := content.Write(f.tx, f.key, f.size, c.off, c.data, c.refs)
		if vfs.KindOf(err) != c.want || size != f.size {
			t.Errorf("%s: size %d, %v, want %v", c.name, size, err, c.want)
		}
		if puts, dels := f.tx.touched(); puts+dels > 0 {
			t.Errorf("%s: state has changed", c.name)
		}
	}
	f := newFile(t)
	for to, want := range map[int64]vfs.Kind{-1: vfs.Invalid, vfs.MaxSize + 1: vfs.TooLarge, vfs.MaxSize: 0} {
		if err := content.Truncate(f.tx, f.key, 0, to); vfs.KindOf(err) != want {
			t.Errorf("truncate to %d: %v", to, err)
		}
	}
	if _, err := content.ReadAt(context.Background(), f.tx, nil, f.key, 1, nil, -1); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("read at -1: %v", err)
	}
}

func TestNothingWrittenChangesNothing(t *testing.T) {
	f := newFile(t)
	f.write(100, nil)
	f.write(100, nil, vfs.ChunkRef{Hash: [32]byte{1}})
	f.check()
	if puts, dels := f.tx.touched(); puts+dels > 0 {
		t.Error("state has changed")
	}
}

func TestChunksMissing(t *testing.T) {
	f := newFile(t)
	f.write(0, nil, chunkRef(1, 0, 10))
	for range 2 { // a file of one extent, then of two
		b := make([]byte, f.size)
		if n, err := content.ReadAt(context.Background(), f.tx, nil, f.key, f.size, b, 0); n != 0 || vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("read without a reader of chunks: %d bytes, %v", n, err)
		}
		f.write(f.size, []byte("more"))
	}
}

func TestDamagedRowIsAFault(t *testing.T) {
	for _, row := range []string{"", "\x01", "\x02short", "\x03short", "\x09unknown", "\x03\xff\xff\xff\xff\xff\xff\xff\xff", "\x01longer than its end"} {
		tx := newMemory()
		tx.Put(binary.BigEndian.AppendUint64([]byte("k"), 5), []byte(row))
		func() {
			defer func() {
				if _, ok := recover().(vfs.StoreFault); !ok {
					t.Errorf("row %q is read", row)
				}
			}()
			_, _ = content.ReadAt(context.Background(), tx, nil, []byte("k"), 5, make([]byte, 5), 0)
		}()
	}
}

func FuzzSplice(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("write here and there, cut and grow"))
	f.Fuzz(func(t *testing.T, in []byte) {
		file := newFile(t)
		for ; len(in) >= 4 && file.size < 1<<20; in = in[4:] {
			off := int64(in[1])<<4 | int64(in[2])
			switch n := int(in[3]); in[0] % 4 {
			case 0:
				file.truncate(off)
			case 1:
				file.write(off, nil, chunkRef(in[2], uint32(n), uint32(n)*16))
			case 2:
				file.write(file.size, bytes.Repeat(in[1:2], n))
			default:
				file.write(off, bytes.Repeat(in[3:4], n))
			}
			file.check()
		}
	})
}
