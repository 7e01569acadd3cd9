package streamfs_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// spooled is a streamrotatefs whose files are outside the log.
type spooled struct {
	t *testing.T
	*vfstest.State
	*streamfs.Rotating
	chunks *vfstest.Chunks
}

func newSpooled(t *testing.T, config vfs.Config) *spooled {
	chunks := vfstest.NewChunks()
	config["output_path"] = "/disk"
	config["filename_pattern"] = "{channel}-{index}"
	fs, err := streamfs.RotatePlugin().New(vfs.Env{Chunks: chunks}, config)
	if err != nil {
		t.Fatal(err)
	}
	s := &spooled{t, vfstest.NewState(), fs.(*streamfs.Rotating), chunks}
	s.must(vfs.Op{Verb: vfs.Mount, Path: vfs.Root, Data: []byte("doc")})
	tx := s.Begin()
	s.Level(tx, 0)
	tx.Commit()
	return s
}

func (s *spooled) must(op vfs.Op) {
	s.t.Helper()
	if _, err := s.State.Apply(s.Rotating, op); err != nil {
		s.t.Fatalf("%v %s: %v", op.Verb, op.Path, err)
	}
	s.sound()
}

func (s *spooled) sound() {
	s.t.Helper()
	if err := s.Check(s.View()); err != nil {
		s.t.Fatal(err)
	}
}

// write appends to a stream as the mount table does.
func (s *spooled) write(stream vfs.Path, b []byte) {
	s.t.Helper()
	op := vfs.Op{Verb: vfs.Write, Path: stream, Flag: vfs.FlagCreate}
	s.chunks.Fill(&op, b)
	tx := s.Begin()
	defer tx.Drop()
	r, err := s.Rotating.Apply(tx, op)
	if err != nil {
		s.t.Fatal(err)
	}
	ops, err := s.Echo(tx, op, r)
	for _, o := range ops {
		if err == nil {
			err = s.Spool(tx, o, r)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	tx.Commit()
	s.sound()
}

// ships demands that the next file is the one named, takes it and notes it.
func (s *spooled) ships(name vfs.Path, want []byte) {
	s.t.Helper()
	f, ok := s.Ship(s.View())
	if !ok || f.To != name || f.Size != int64(len(want)) {
		s.t.Fatalf("to be written: %v %s of %d bytes, not %s of %d", ok, f.To, f.Size, name, len(want))
	}
	got := make([]byte, f.Size)
	if n, err := s.ReadShipment(s.t.Context(), s.View(), f, got, 0); err != nil || n != len(want) || !bytes.Equal(got, want) {
		s.t.Fatalf("%s: %d bytes of %d, %v", name, n, len(want), err)
	}
	s.must(f.Done)
	s.must(f.Done) // two leaders may have written it
	if _, err := s.ReadShipment(s.t.Context(), s.View(), f, got, 0); vfs.KindOf(err) != vfs.NotFound {
		s.t.Fatalf("%s is still there: %v", name, err)
	}
}

// none demands that no file is complete, and that nothing waits.
func (s *spooled) none() {
	s.t.Helper()
	if f, ok := s.Ship(s.View()); ok {
		s.t.Fatalf("%s is to be written", f.To)
	}
	if err := s.Settle(s.Rotating); err != nil {
		s.t.Fatal(err)
	}
	s.sound()
}

// TestSpool writes two streams of small and of long pieces; their files are
// written in the order in which they were complete, and leave nothing behind.
func TestSpool(t *testing.T) {
	s := newSpooled(t, vfs.Config{"rotation_size": 1 << 20})
	before := s.Len()
	files := map[vfs.Path][]byte{}
	for i := range 12 {
		for _, stream := range []vfs.Path{"/tv", "/cam"} {
			piece := bytes.Repeat([]byte{byte('a' + i)}, []int{400 << 10, 200 << 10, 500 << 10}[i%3])
			s.write(stream, piece)
			name := vfs.Path(fmt.Sprintf("/disk%s-%06d", stream, i/2+1))
			files[name] = append(files[name], piece...)
		}
	}
	for i := 1; i < 6; i++ {
		for _, stream := range []string{"tv", "cam"} {
			name := vfs.Path(fmt.Sprintf("/disk/%s-%06d", stream, i))
			s.ships(name, files[name])
		}
	}
	s.none()
	for _, stream := range []string{"cam", "tv"} { // a stream that goes ends its file
		s.must(vfs.Op{Verb: vfs.Remove, Path: vfs.Path("/" + stream)})
		name := vfs.Path("/disk/" + stream + "-000006")
		s.ships(name, files[name])
	}
	s.none()
	for hash, n := range s.Counts() {
		if n != 0 {
			t.Errorf("chunk %x is counted %d times", hash[:4], n)
		}
	}
	if n := s.Len() - before; n > 3 { // counters
		t.Errorf("%d rows are left", n)
	}
}

// TestSpoolInTime has files that are complete because they are old.
func TestSpoolInTime(t *testing.T) {
	s := newSpooled(t, vfs.Config{"rotation_interval": "10s"})
	s.write("/tv", []byte("one"))
	s.none()
	s.Advance(9 * time.Second)
	s.write("/tv", []byte("two"))
	s.none()
	s.Advance(time.Second)
	if err := s.Settle(s.Rotating); err != nil {
		t.Fatal(err)
	}
	s.ships("/disk/tv-000001", []byte("onetwo"))
	s.write("/tv", []byte("three"))
	s.none()
	s.Advance(time.Minute)
	if err := s.Settle(s.Rotating); err != nil {
		t.Fatal(err)
	}
	s.ships("/disk/tv-000002", []byte("three"))
	s.none()
}
