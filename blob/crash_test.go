package blob

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// cuts is how many power cuts TestPowerCut makes; other packages make the rest
// of a thousand.
const cuts = 350

// TestPowerCut cuts the power between and during Puts, again and again, each
// time going on from what the cut left: every chunk that was said yes to is
// there and intact, and none is ever served torn.
func TestPowerCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d cuts", seed, cuts)
	r := rand.New(rand.NewPCG(seed, 1))
	disk := newCrashFS()
	s := open(t, "/node/blobs", disk)
	chunks := map[[32]byte][]byte{} // all ever tried
	safe := map[[32]byte]bool{}     // said yes to
	next, partial := uint64(0), 0
	for cut := range cuts {
		var mu sync.Mutex
		yes := map[[32]byte]bool{}
		var puts sync.WaitGroup
		for range 1 + r.IntN(3) {
			data := noise(seed+next, r.IntN(3*blockLen))
			next++
			if len(chunks) > 0 && r.IntN(5) == 0 {
				data = anyOf(r, chunks) // known already
			}
			chunks[Sum(data)] = data
			puts.Go(func() {
				h := put(t, s, data)
				mu.Lock()
				defer mu.Unlock()
				yes[h] = true
			})
		}
		if cut%2 == 0 {
			puts.Wait()
		}
		mu.Lock()
		for h := range yes {
			safe[h] = true
		}
		mu.Unlock()
		percent := []int{0, 0, 20, 50, 90}[r.IntN(5)]
		crashed := disk.crash(percent, rand.New(rand.NewPCG(seed, uint64(cut))))
		puts.Wait()
		disk = crashed
		s = open(t, "/node/blobs", disk)
		for h, data := range chunks {
			b := make([]byte, len(data))
			err := s.ReadAt(h, b, 0)
			switch {
			case err != nil && safe[h], errors.Is(err, ErrCorrupt):
				t.Fatalf("seed %d, cut %d, %d%% of the unsynced kept: a chunk of %d bytes: %v", seed, cut, percent, len(data), err)
			case err == nil && !bytes.Equal(b, data):
				t.Fatalf("seed %d, cut %d, %d%% of the unsynced kept: torn bytes served", seed, cut, percent)
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				t.Fatal(err)
			case err != nil:
				partial++
			}
		}
		if cut%10 == 9 { // begin again, so that the disk stays small
			s.opened = time.Time{}
			_, err := s.Sweep(context.Background(), func([32]byte) bool { return false }, 0)
			check(t, err)
			clear(chunks)
			clear(safe)
		}
	}
	if partial == 0 {
		t.Log("no cut met a Put half-way")
	}
}

func anyOf(r *rand.Rand, chunks map[[32]byte][]byte) []byte {
	n := r.IntN(len(chunks))
	for _, data := range chunks {
		if n--; n < 0 {
			return data
		}
	}
	return nil
}

// TestKnownIsDurable: a chunk that an earlier process renamed, but that was
// ended before it could sync the directory, is durable once Put or Touch says
// yes to it.
func TestKnownIsDurable(t *testing.T) {
	for _, how := range []string{"put", "touch"} {
		disk := newCrashFS()
		f := &faultyFS{FS: disk}
		s := open(t, "/blobs", f)
		f.fail = func(call, _ string) error {
			if call == "syncdir" {
				return errors.New("the process was ended here")
			}
			return nil
		}
		data := noise(1, 1000)
		if _, err := s.Put(data); err == nil {
			t.Fatal("put without a durable name")
		}
		s = open(t, "/blobs", disk) // the next process; the page cache lives on
		h := Sum(data)
		if how == "put" {
			put(t, s, data)
		} else if !s.Touch(h) {
			t.Fatal("not here")
		}
		holds(t, open(t, "/blobs", disk.crash(0, nil)), h, data)
	}
}
