package verbs

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/client"
)

// overtaken is a tree in which another replaces a copy before its digest is asked for, or
// late, after that.
type overtaken struct {
	*remoteTree
	late    bool
	replace func()
}

func (o *overtaken) digest(ctx context.Context, rel string) (string, error) {
	replace := o.replace
	o.replace = func() {}
	if !o.late {
		replace()
	}
	sum, err := o.remoteTree.digest(ctx, rel)
	if o.late {
		replace()
	}
	return sum, err
}

// served is a client of a new server, and the context in which it reads what it wrote.
func served(t *testing.T) (*client.Client, context.Context) {
	t.Helper()
	s := clitest.Start(t)
	c, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, client.WithFresh(t.Context())
}

// What another has put in the place of a copy with -n is not replaced by the next try.
func TestTransferKeepsAnothers(t *testing.T) {
	c, ctx := served(t)
	write := func(p, text string) {
		t.Helper()
		if _, err := c.WriteFile(ctx, p, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for to, want := range map[string]error{"early": errOther, "late": errMoved} {
		write("/memfs/a", "mine")
		k, err := (&mover{app: &app{Env: cli.New(strings.NewReader(""), io.Discard, io.Discard)}, keep: true}).copier(false)
		if err != nil {
			t.Fatal(err)
		}
		defer k.moved.files.close()
		tree := &remoteTree{clients: []*client.Client{c}, root: "/memfs"}
		l := &leg{k, tree, &overtaken{tree, to == "late", func() {
			write("/memfs/"+to, "theirs")
			write("/memfs/a", "mine") // another version
		}}}
		if _, kept, err := l.transfer(ctx, "a", to, entry{name: "a", mode: 0o644, size: 4}); kept || !errors.Is(err, want) {
			t.Errorf("%s: kept %v, %v", to, kept, err)
		}
		if b, err := c.ReadFile(ctx, "/memfs/"+to); string(b) != "theirs" || err != nil {
			t.Errorf("%s: %q, %v", to, b, err)
		}
	}
}

// untold is a tree that tells no versions of what is written to it.
type untold struct{ *remoteTree }

func (u untold) write(ctx context.Context, rel string, r io.Reader, e entry) (string, error) {
	_, err := u.remoteTree.write(ctx, rel, r, e)
	return "", err
}

// A copy with -n of what changes meanwhile is made again in the place of itself; where that
// cannot be told from what another makes, what is left is.
func TestTransferAgain(t *testing.T) {
	c, ctx := served(t)
	write := func(text string) {
		if _, err := c.WriteFile(ctx, "/memfs/a", []byte(text)); err != nil {
			t.Error(err)
		}
	}
	tree := &remoteTree{clients: []*client.Client{c}, root: "/memfs"}
	for to, dst := range map[string]target{"told": tree, "untold": untold{tree}} {
		write("old")
		k, err := (&mover{app: &app{Env: cli.New(strings.NewReader(""), io.Discard, io.Discard)}, keep: true}).copier(false)
		if err != nil {
			t.Fatal(err)
		}
		defer k.moved.files.close()
		l := &leg{k, &meddling{tree, func() { write("newer") }}, dst}
		_, kept, err := l.transfer(ctx, "a", to, entry{name: "a", mode: 0o644, size: 3})
		b, rerr := c.ReadFile(ctx, "/memfs/"+to)
		if whole := err == nil && string(b) == "newer"; kept || rerr != nil || whole != (to == "told") {
			t.Errorf("%s: kept %v, %v; %q, %v", to, kept, err, b, rerr)
		}
		if to == "untold" && (!errors.Is(err, errMoved) || !strings.Contains(err.Error(), "what is at /memfs/untold by now may be no whole copy")) {
			t.Error(err)
		}
	}
}
