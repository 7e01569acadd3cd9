package client_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

func TestGrep(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	if err := c.Mkdir(ctx, "/memfs/d", 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, c, "/memfs/d/a", "one\nTwo <&>\r\nthree\n")
	put(t, c, "/memfs/d/b", strings.Repeat("x", 100<<10)+" two\nno")
	grep := func(path, pattern string, o client.GrepOptions) (got []string, err error) {
		for m, err := range c.Grep(ctx, path, pattern, o) {
			if err != nil {
				return got, err
			}
			got = append(got, fmt.Sprintf("%s:%d:%s", m.File, m.Line, m.Content[max(0, len(m.Content)-8):]))
		}
		return got, nil
	}
	for _, g := range []struct {
		path, pattern string
		o             client.GrepOptions
		want          []string
		err           error
	}{
		{"/memfs/d/a", "t", client.GrepOptions{}, []string{"/memfs/d/a:3:three"}, nil},
		{"/memfs/d", "two", client.GrepOptions{Recursive: true, IgnoreCase: true}, []string{"/memfs/d/a:2:Two <&>", "/memfs/d/b:1:xxxx two"}, nil},
		{"/memfs/d", ".", client.GrepOptions{Recursive: true, Limit: 1}, []string{"/memfs/d/a:1:one"}, nil},
		{"/memfs/d/a", "nothing", client.GrepOptions{}, nil, nil},
		{"/memfs/d", "two", client.GrepOptions{}, nil, vfs.Invalid},
		{"/memfs/d/a", "(", client.GrepOptions{}, nil, vfs.Invalid},
		{"/memfs/none", "two", client.GrepOptions{}, nil, fs.ErrNotExist},
	} {
		got, err := grep(g.path, g.pattern, g.o)
		if !slices.Equal(got, g.want) || !errors.Is(err, g.err) || g.err == nil && err != nil {
			t.Errorf("%s in %s: %q, %v", g.pattern, g.path, got, err)
		}
	}
	for range c.Grep(ctx, "/memfs/d", ".", client.GrepOptions{Recursive: true}) {
		break // ends the search
	}
	// What has no summary was not searched to its end.
	s := &script{}
	line := `{"file":"/f","line":1,"content":"c"}` + "\n"
	c = dial(t, client.Config{URLs: []string{s.serve(t, answer(200, line), cut(true),
		answer(200, line+`{"count":1,"error":"grep: timed out","type":"summary"}`),
		answer(200, `{"count":0,"error":"grep failed: disk","type":"summary"}`))}})
	for _, want := range []error{io.ErrUnexpectedEOF, nil, vfs.Timeout, vfs.Internal} {
		if _, err := grep("/f", "c", client.GrepOptions{}); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("an answer that breaks off: %v, want %v", err, want)
		}
	}
}

// A transport that looks for the end of a request after its answer has come, as
// that of the standard library may, finds the end.
func TestGrepEarlyAnswer(t *testing.T) {
	f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
		if _, err := io.ReadFull(r.Body, make([]byte, r.ContentLength)); err != nil {
			t.Error(err)
		}
		return 200, &late{r.Body, strings.NewReader(`{"count":0,"type":"summary"}`)}, nil
	}}
	for _, err := range f.dial(t, "n1").Grep(t.Context(), "/f", "x", client.GrepOptions{}) {
		t.Error(err)
	}
}

// late is an answer that fails unless its request has come to its end.
type late struct{ sent, rest io.Reader }

// Read looks first.
func (l *late) Read(b []byte) (int, error) {
	if n, err := l.sent.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return 0, fmt.Errorf("connection closed: %d, %v", n, err)
	}
	return l.rest.Read(b)
}

func TestFileDigest(t *testing.T) {
	_, c := start(t)
	put(t, c, "/memfs/f", "hello world")
	for algorithm, want := range map[string]string{"xxh3": "a99b8775cc15b6c7", "md5": "5eb63bbbe01eeed093cb22bb8f5acdc3"} {
		if got, err := c.FileDigest(t.Context(), "/memfs/f", algorithm); got != want || err != nil {
			t.Errorf("%s: %s, %v", algorithm, got, err)
		}
	}
	if _, err := c.FileDigest(t.Context(), "/memfs/none", "md5"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := c.FileDigest(t.Context(), "/memfs/f", "crc"); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	s, c := start(t)
	h, err := c.Health(t.Context())
	if err != nil || !h.Ready || h.Status != "healthy" || h.Mounts.Mounted < 4 {
		t.Errorf("%+v, %v", h, err)
	}
	s.Node.SetReady(errors.New("behind"))
	if h, err = c.Health(t.Context()); err != nil || h.Ready || h.Reason != "behind" {
		t.Errorf("%+v, %v", h, err)
	}
	a, err := c.Capabilities(t.Context(), "")
	if err != nil || !slices.Contains(a.Features, "handlefs") || len(a.At) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = c.Capabilities(t.Context(), "/memfs/f"); err != nil || !a.At["write"] || a.At["stream"] {
		t.Errorf("%+v, %v", a, err)
	}
}

// The versions of a file, as they come.
func TestWatch(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	var got []string
	for i, err := range c.Watch(ctx, "/memfs/f") {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if got = append(got, "none"); len(got) > 3 {
				break
			}
			put(t, c, "/memfs/f", "1")
			continue
		}
		switch got = append(got, fmt.Sprint(i.Size)); i.Size {
		case 1:
			put(t, c, "/memfs/f", "22")
		case 2:
			if err := c.Remove(ctx, "/memfs/f"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := []string{"none", "1", "2", "none"}; !slices.Equal(got, want) {
		t.Errorf("saw %q, want %q", got, want)
	}
}
