package backup

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/store"
)

// content is what a backup of a test holds. A row whose key starts with "c"
// counts the chunk that its value is the hash of.
type content struct {
	rows   []Pair
	chunks [][]byte // by hash
}

func refers(key, value []byte) (hash [32]byte, ok bool) {
	if len(key) == 0 || key[0] != 'c' || len(value) != 32 {
		return hash, false
	}
	return [32]byte(value), true
}

func sample(rows, chunks int) content {
	var c content
	for i := range chunks {
		c.chunks = append(c.chunks, bytes.Repeat([]byte(fmt.Sprint("chunk ", i)), 1000*i))
	}
	slices.SortFunc(c.chunks, func(a, b []byte) int {
		x, y := blake3.Sum256(a), blake3.Sum256(b)
		return bytes.Compare(x[:], y[:])
	})
	for i, data := range c.chunks {
		hash := blake3.Sum256(data)
		c.rows = append(c.rows, Pair{fmt.Appendf(nil, "c%06d", i), hash[:]})
	}
	for i := range rows {
		c.rows = append(c.rows, Pair{fmt.Appendf(nil, "r%06d", i), bytes.Repeat([]byte{byte(i)}, i)})
	}
	return c
}

func (c content) header() Header {
	h := Header{Cluster: "c1", Node: "n1", Version: "test", Time: time.Unix(1e9, 5).UTC(), Index: 7, Term: 2, Seq: 6,
		LogTime: 1e18, Rows: uint64(len(c.rows)), Chunks: uint64(len(c.chunks))}
	d := store.NewHasher()
	for _, p := range c.rows {
		d.Add(p.Key, p.Value)
		h.Bytes += int64(len(p.Key) + len(p.Value))
	}
	sum := d.Sum()
	h.Digest = hex.EncodeToString(sum[:])
	return h
}

func (c content) write(t testing.TB, h Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.rows {
		if err := w.Row(p.Key, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	for _, data := range c.chunks {
		if err := w.Chunk(blake3.Sum256(data), data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil || w.Bytes() != int64(b.Len()) {
		t.Fatalf("%v, %d bytes of %d", err, w.Bytes(), b.Len())
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []content{sample(0, 0), sample(3, 0), sample(0, 2), sample(2000, 5)} {
		data := c.write(t, c.header())
		r, err := NewReader(iotest.OneByteReader(bytes.NewReader(data)), refers)
		if err != nil {
			t.Fatal(err)
		}
		var got content
		for {
			rec, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range rec.Rows {
				got.rows = append(got.rows, Pair{bytes.Clone(p.Key), bytes.Clone(p.Value)})
			}
			if rec.Rows == nil {
				got.chunks = append(got.chunks, bytes.Clone(rec.Data))
			}
		}
		want := c.header()
		want.Format = Format
		if fmt.Sprint(got) != fmt.Sprint(c) || r.Header() != want {
			t.Errorf("%d rows and %d chunks, header %+v", len(got.rows), len(got.chunks), r.Header())
		}
		if tr := r.Trailer(); tr.Rows != want.Rows || tr.Chunks != want.Chunks || tr.Bytes >= int64(len(data)) {
			t.Errorf("trailer %+v", tr)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Error("after its end:", err)
		}
	}
}

// However a backup is cut or changed, it is none.
func TestDamage(t *testing.T) {
	c := sample(40, 3)
	data := c.write(t, c.header())
	if _, _, err := Verify(bytes.NewReader(data), refers); err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, _, err := Verify(bytes.NewReader(data[:n]), refers); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "cut short") {
			t.Fatalf("the first %d of %d bytes: %v", n, len(data), err)
		}
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := Verify(bytes.NewReader(bad), refers); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d of %d changed: %v", i, len(data), err)
		}
	}
	if _, _, err := Verify(bytes.NewReader(append(bytes.Clone(data), 0)), refers); !errors.Is(err, ErrDamaged) {
		t.Error("a byte more:", err)
	}
	cause := errors.New("network")
	if _, _, err := Verify(io.MultiReader(bytes.NewReader(data[:len(data)-1]), iotest.ErrReader(cause)), refers); !errors.Is(err, cause) {
		t.Error("a failing reader:", err)
	}
}

// records returns the offsets at which the records of a backup begin.
func records(data []byte) (at []int) {
	for i := len(magic) + 1; i < len(data); i += headLen + int(binary.BigEndian.Uint32(data[i+1:])) + sumLen {
		at = append(at, i)
	}
	return at
}

// Somebody who gets the checksums of records right cannot change them either.
func TestForged(t *testing.T) {
	c := sample(40, 3)
	data := c.write(t, c.header())
	for _, i := range records(data) {
		bad := bytes.Clone(data)
		n := headLen + int(binary.BigEndian.Uint32(bad[i+1:]))
		bad[i+n-1] ^= 1
		binary.BigEndian.PutUint32(bad[i+n:], crc32.Checksum(bad[i:i+n], castagnoli()))
		if _, _, err := Verify(bytes.NewReader(bad), refers); !errors.Is(err, ErrDamaged) {
			t.Errorf("record %q at %d: %v", bad[i], i, err)
		}
	}
	at := records(data)
	for i, from := range at[:len(at)-1] { // one record left out, or twice
		rec := data[from:at[i+1]]
		for _, bad := range [][]byte{slices.Concat(data[:from], data[at[i+1]:]), slices.Concat(data[:from], rec, data[from:])} {
			if _, _, err := Verify(bytes.NewReader(bad), refers); !errors.Is(err, ErrDamaged) {
				t.Errorf("record %d: %v", i, err)
			}
		}
	}
	lacking := sample(40, 3)
	lacking.chunks = lacking.chunks[1:]
	h := lacking.header()
	if _, _, err := Verify(bytes.NewReader(lacking.write(t, h)), refers); !errors.Is(err, ErrDamaged) {
		t.Error("a chunk that a row counts is missing:", err)
	}
	newer := bytes.Clone(data)
	newer[len(magic)]++
	if _, _, err := Verify(bytes.NewReader(newer), refers); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

// A writer finishes nothing that it was not told the truth about.
func TestWriterRefuses(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	for name, do := range map[string]func(*Writer) error{
		"order":     func(w *Writer) error { _ = w.Row(b, a); return w.Row(a, a) },
		"twice":     func(w *Writer) error { _ = w.Row(a, a); return w.Row(a, a) },
		"late row":  func(w *Writer) error { _ = w.Chunk(blake3.Sum256(a), a); return w.Row(a, a) },
		"hash":      func(w *Writer) error { return w.Chunk(blake3.Sum256(a), b) },
		"same":      func(w *Writer) error { _ = w.Chunk(blake3.Sum256(a), a); return w.Chunk(blake3.Sum256(a), a) },
		"too few":   func(w *Writer) error { return w.Row(a, a) },
		"long row":  func(w *Writer) error { return w.Row(a, make([]byte, maxRows)) },
		"long data": func(w *Writer) error { c := make([]byte, maxChunk+1); return w.Chunk(blake3.Sum256(c), c) },
	} {
		var out bytes.Buffer
		w, err := NewWriter(&out, Header{Rows: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := do(w); err == nil && name != "too few" {
			t.Errorf("%s: no error", name)
		}
		if w.End() == nil {
			t.Errorf("%s: it has an end", name)
		}
		if _, _, err := Verify(&out, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReader reads whatever it is given without harm.
func FuzzReader(f *testing.F) {
	for _, c := range []content{sample(0, 0), sample(10, 2)} {
		data := c.write(f, c.header())
		f.Add(data, false)
		f.Add(data[:len(data)/2], true)
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal { // get behind the checksums of records
			b = bytes.Clone(b)
			for _, i := range sealable(b) {
				n := headLen + int(binary.BigEndian.Uint32(b[i+1:]))
				binary.BigEndian.PutUint32(b[i+n:], crc32.Checksum(b[i:i+n], castagnoli()))
			}
		}
		h, tr, err := Verify(bytes.NewReader(b), refers)
		switch {
		case err == nil && (tr.Rows != h.Rows || tr.Bytes >= int64(len(b))):
			t.Errorf("%+v %+v", h, tr)
		case err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer):
			t.Error(err)
		}
	})
}

// sealable returns where records begin in what may be no backup.
func sealable(b []byte) (at []int) {
	for i := len(magic) + 1; i+headLen < len(b); {
		n := int(binary.BigEndian.Uint32(b[i+1:]))
		if n > len(b)-i-headLen-sumLen {
			break
		}
		at = append(at, i)
		i += headLen + n + sumLen
	}
	return at
}

func TestName(t *testing.T) {
	h := Header{Cluster: "a.b", Time: time.Unix(1e9, 7), Index: 42}
	name := h.Name()
	if at, ok := Named("a.b", name); !ok || at.Unix() != 1e9 || name != "pfs-a.b-20010909T014640Z-42.pfsbackup" {
		t.Error(name, at, ok)
	}
	for _, other := range []string{"", "x" + name, name + ".part", "pfs-axb-20010909T014640Z-42.pfsbackup",
		"pfs-a.b-20019909T014640Z-42.pfsbackup", "pfs-a.b-20010909T014640Z-.pfsbackup", "../" + name} {
		if _, ok := Named("a.b", other); ok {
			t.Error(other)
		}
	}
}
