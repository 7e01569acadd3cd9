package vfstest_test

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// flow is a shelf whose files can be read on, and followed. What is bent of it is in
// the tests.
type flow struct {
	*shelf
	stream func(b []byte, version, want uint64, off int64) ([]byte, error)
	tune   func(b []byte, off int64) ([]byte, int64)
	spoils func(*vfs.Op)
}

// all reads a file.
func (f *flow) all(ctx context.Context, p vfs.Path) ([]byte, vfs.Info, error) {
	i, err := f.Stat(ctx, nil, p)
	if err != nil {
		return nil, i, err
	}
	b := make([]byte, i.Size)
	if _, err = f.ReadAt(ctx, nil, p, b, 0); err == io.EOF {
		err = nil
	}
	return b, i, err
}

func (f *flow) Stream(ctx context.Context, p vfs.Path, want uint64, off int64) (io.ReadCloser, error) {
	b, i, err := f.all(ctx, p)
	if err == nil {
		b, err = f.stream(b, i.Version, want, off)
	}
	return io.NopCloser(bytes.NewReader(b)), err
}

func (f *flow) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	if f.tune == nil {
		return nil, -1, vfs.Unsupported
	}
	b, _, err := f.all(ctx, p)
	off := int64(0)
	if from != "oldest" {
		off, _ = strconv.ParseInt(from, 10, 64)
	}
	b, off = f.tune(b, off)
	return io.NopCloser(bytes.NewReader(b)), off, err
}

func (f *flow) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	i, err := f.shelf.Stat(ctx, v, p)
	if f.tune != nil && !i.IsDir() {
		i.Meta.Content = map[string]string{vfs.EndlessKey: "true"}
	}
	return i, err
}

func (f *flow) Appends(vfs.Path) bool { return true }

func (f *flow) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if op.Verb == vfs.Write {
		f.spoils(&op)
	}
	return f.shelf.Do(ctx, op)
}

// flowing has a tree inside a Device whose files can be read on or followed.
func flowing(f flow) vfstest.Subject {
	s := shelved(bend{})
	bare := s.Plugin.New
	s.Plugin.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		fs, err := bare(e, c)
		if err != nil {
			return nil, err
		}
		g := f
		g.shelf = fs.(*shelf)
		return &g, nil
	}
	return s
}

func lawOf(t *testing.T, word string) vfstest.Law {
	t.Helper()
	for _, l := range vfstest.Laws() {
		if strings.Contains(l.Name, word) {
			return l
		}
	}
	t.Fatalf("no law of %s", word)
	return vfstest.Law{}
}

// TestReadOn shows that a Device that reads on something else than was written, or
// of another version, is found out.
func TestReadOn(t *testing.T) {
	law := lawOf(t, "what is written is read")
	straight := func(b []byte, version, want uint64, off int64) ([]byte, error) {
		if want != 0 && want != version {
			return nil, vfs.Stale
		}
		return b[off:], nil
	}
	check := func(stream func(b []byte, version, want uint64, off int64) ([]byte, error)) error {
		return law.Check(flowing(flow{stream: stream, spoils: func(*vfs.Op) {}}))
	}
	if err := check(straight); err != nil {
		t.Errorf("a straight one: %v", err)
	}
	if err := check(func([]byte, uint64, uint64, int64) ([]byte, error) { return nil, vfs.Unsupported }); err != nil {
		t.Errorf("one that does not: %v", err)
	}
	for name, stream := range map[string]func(b []byte, version, want uint64, off int64) ([]byte, error){
		"ignores offsets":  func(b []byte, version, want uint64, _ int64) ([]byte, error) { return straight(b, version, want, 0) },
		"ignores versions": func(b []byte, version, _ uint64, off int64) ([]byte, error) { return straight(b, version, 0, off) },
		"ends too soon": func(b []byte, version, want uint64, off int64) ([]byte, error) {
			b, err := straight(b, version, want, off)
			return b[:max(0, len(b)-1)], err
		},
		"fails": func([]byte, uint64, uint64, int64) ([]byte, error) { return nil, vfs.Internal },
	} {
		if err := check(stream); err == nil {
			t.Errorf("a Device that %s is not found out", name)
		}
	}
}

// TestStreams shows that a Device whose streams lose or spoil something is found out.
func TestStreams(t *testing.T) {
	law := lawOf(t, "who follows a stream")
	straight := func(b []byte, off int64) ([]byte, int64) { return b[off:], off }
	appends := func(op *vfs.Op) { op.Off = vfs.AtEnd }
	for _, c := range []struct {
		name   string
		tune   func(b []byte, off int64) ([]byte, int64)
		spoils func(*vfs.Op)
		ok     bool
	}{
		{"is straight", straight, appends, true},
		{"knows no offsets", func(b []byte, _ int64) ([]byte, int64) { return b, -1 }, appends, true},
		{"has no streams", nil, appends, true},
		{"does not append", straight, func(*vfs.Op) {}, false},
		{"loses the beginning", func(b []byte, off int64) ([]byte, int64) { return b[min(off+1, int64(len(b))):], off }, appends, false},
		{"ends too soon", func(b []byte, off int64) ([]byte, int64) { return b[min(off, 5):min(5, len(b))], off }, appends, false},
		{"is elsewhere", func(b []byte, off int64) ([]byte, int64) { return b, off }, appends, false},
		{"spoils a byte", straight, func(op *vfs.Op) { op.Off, op.Data[0] = vfs.AtEnd, 'x' }, false},
	} {
		if err := law.Check(flowing(flow{tune: c.tune, spoils: c.spoils})); (err == nil) != c.ok {
			t.Errorf("a Device that %s: %v", c.name, err)
		}
	}
}
