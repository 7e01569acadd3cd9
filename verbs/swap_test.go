package verbs

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/client"
)

// hung is a tree whose node no longer answers once something was to be written there.
type hung struct {
	*localTree
	end  context.CancelFunc // of the command
	gone bool
}

func (h *hung) write(ctx context.Context, _ string, _ io.Reader, _ entry) (string, error) {
	h.gone = true
	h.end()
	return "", ctx.Err()
}

func (h *hung) remove(ctx context.Context, rel string, all bool) error {
	if h.gone {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.localTree.remove(ctx, rel, all)
}

// A command that is to end does so, whatever the node that it would put things back on
// does, and tells where they are.
func TestPuttingBackHasAnEnd(t *testing.T) {
	src, dst := plantFiles(t, "f"), plantFiles(t, "f/old")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		said, held, err := mirroredIn(ctx, t, src, &hung{localTree: dst, end: cancel})
		if err == nil || len(held) != 2 || !strings.HasPrefix(held[0], unfinished+"old-") || held[1] != held[0]+"/old" {
			t.Errorf("%v, holds %v", err, held)
		} else if want := "pfs: what was at " + dst.name("f") + " is now " + dst.name(held[0]) + "\n"; said != want {
			t.Errorf("it says %q, not %q", said, want)
		}
	})
}

// uncertain is a tree whose node renames and is then lost.
type uncertain struct{ *localTree }

func (u uncertain) rename(ctx context.Context, from, to string) error {
	if err := u.localTree.rename(ctx, from, to); err != nil {
		return err
	}
	return &fs.PathError{Op: "rename", Path: from, Err: fmt.Errorf("cut off: %w", client.ErrUnknown)}
}

// What may have made way is told, also if nobody knows.
func TestWhatMayHaveMadeWayIsTold(t *testing.T) {
	for _, source := range []string{"f", "f/new"} {
		dst := plantFiles(t, "f")
		if source == "f" {
			dst = plantFiles(t, "f/old")
		}
		said, held, err := mirrored(t, plantFiles(t, source), uncertain{dst})
		if err == nil || !strings.HasPrefix(held[0], unfinished+"old-") {
			t.Fatalf("%s: %v, holds %v", source, err, held)
		}
		if want := "pfs: what was at " + dst.name("f") + " may be " + dst.name(held[0]) + " now\n"; !strings.Contains(said, want) {
			t.Errorf("%s: it says %q, not %q", source, said, want)
		}
	}
}

// sealed is a tree of which some files cannot be read.
type sealed struct {
	*localTree
	names []string
}

func (s sealed) open(ctx context.Context, rel string) (io.ReadCloser, error) {
	if slices.Contains(s.names, rel) {
		return nil, &fs.PathError{Op: "open", Path: rel, Err: fs.ErrPermission}
	}
	return s.localTree.open(ctx, rel)
}

// What made way for a directory stays as long as something below that is missing,
// whatever else fails.
func TestWhatGaveWayGoesForWholeDirectories(t *testing.T) {
	src := sealed{plantFiles(t, "a", "b/x", "b/y", "c/d/x", "c/y", "ca"), []string{"a", "c/d/x", "ca"}}
	dst := plantFiles(t, "b", "c")
	said, held, err := mirrored(t, src, dst)
	if err == nil || len(held) != 7 || !strings.HasPrefix(held[0], unfinished+"old-") || strings.Join(held[1:], " ") != "b b/x b/y c c/d c/y" {
		t.Fatalf("%v, %q holds %v", err, said, held)
	}
	if want := "what was at " + dst.name("c") + " is kept as " + dst.name(held[0]); !strings.Contains(said, want) || strings.Count(said, "is kept as") != 1 {
		t.Errorf("it says %q, not that %s", said, want)
	}
	src.names = nil
	if said, held, err := mirrored(t, src, dst); err != nil || strings.Join(held, " ") != "a b b/x b/y c c/d c/d/x c/y ca" {
		t.Errorf("%v, %q holds %v", err, said, held)
	}
}

// What made way is met in the listing of a long directory, of which it is no part.
func TestWhatGaveWayIsNoSurplus(t *testing.T) {
	s := clitest.Start(t)
	c, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := range 1001 { // more than are listed at a time, and before the name that it has then
		if _, err := c.WriteFile(t.Context(), fmt.Sprintf("/memfs/-%04d", n), []byte("old")); err != nil {
			t.Fatal(err)
		}
	}
	dst := &remoteTree{clients: []*client.Client{c}, root: "/memfs"}
	said, held, err := mirrored(t, sealed{plantFiles(t, "-0000/x", "-0000/y"), []string{"-0000/x"}}, dst)
	if err == nil || len(held) != 3 || strings.Join(held[:2], " ") != "-0000 -0000/y" || !strings.HasPrefix(held[2], unfinished+"old-") {
		t.Fatalf("%v, %q holds %v", err, said, held)
	}
	if b, err := c.ReadFile(t.Context(), "/memfs/"+held[2]); string(b) != "old" || err != nil {
		t.Errorf("it holds %q, %v", b, err)
	}
}
