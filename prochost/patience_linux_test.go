package prochost

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// A plugin that answers each call in time and never comes to an end keeps neither a
// reading nor a change for longer than a few calls may take, and a reading no longer
// than its client waits.
func TestPatience(t *testing.T) {
	body := `
class Q(P):
    def stat(self, path): return File("d", is_dir=True) if path == "/d" else File("f", 1 << 20)
    def list(self, path): return [File("f%d" % n, 5) for n in range(9000)]
    def read(self, path, off, size): time.sleep(0.01); return b"x"
    def append(self, path, data): time.sleep(0.05)
    def remove(self, path): time.sleep(0.01)
P = Q
`
	for name, do := range map[string]func(f *FS) error{
		"read": func(f *FS) error {
			_, err := readAll(f, "/f", 1<<20)
			return err
		},
		"write": func(f *FS) error {
			_, err := f.Put(context.Background(), vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate}, io.LimitReader(zeros{}, 200<<20))
			return err
		},
		"remove": func(f *FS) error {
			_, err := f.Do(context.Background(), vfs.Op{Verb: vfs.RemoveAll, Path: "/d"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := speaks(t, body, vfs.Limits{Call: 8 * time.Second})
			err := f.keep.Use(t.Context(), func(_ context.Context, b backend) error {
				b.(*f4).all = time.Second
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := do(f); !errors.Is(err, errSlow) {
				t.Error(err)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		f, _ := speaks(t, body, vfs.Limits{Call: 5 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := f.ReadAt(ctx, nil, "/f", make([]byte, 1<<20), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A body that breaks off, or is too long, gives its place back.
func TestSpool(t *testing.T) {
	f := &FS{spool: make(chan struct{}, 1)}
	long := bytes.Repeat([]byte("x"), 2*shortPut)
	broken := errors.New("broken off")
	for range 3 {
		_, _, err := f.wait(io.MultiReader(bytes.NewReader(long), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
	}
	body, over, err := f.wait(bytes.NewReader(long))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, long) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, _, err := f.wait(bytes.NewReader(long)); vfs.KindOf(err) != vfs.Throttled {
		t.Error(err)
	}
	over()
	if len(f.spool) != 0 {
		t.Error("its place is not free")
	}
}
