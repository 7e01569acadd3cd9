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

// What another has put in the place of a copy with -n is not replaced by the next try.
func TestTransferKeepsAnothers(t *testing.T) {
	s := clitest.Start(t)
	c, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := client.WithFresh(t.Context())
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
