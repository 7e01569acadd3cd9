package remote

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// words are what servers say that answer every mistake with status 500.
var words = []struct {
	text string
	kind vfs.Kind
}{
	{"not found", vfs.NotFound}, {"no such file", vfs.NotFound}, {"does not exist", vfs.NotFound},
	{"already exists", vfs.Exists}, {"not empty", vfs.NotEmpty}, {"is a directory", vfs.IsDirectory},
	{"not a directory", vfs.NotDirectory}, {"not supported", vfs.Unsupported}, {"does not support", vfs.Unsupported},
	{"not permitted", vfs.Permission}, {"permission denied", vfs.Permission}, {"read-only", vfs.Permission},
}

// spoken finds the kind of an answer with status 500 and no code in its words.
func spoken(e *client.Error) (vfs.Kind, bool) {
	if e.Code != "" || e.Status != http.StatusInternalServerError {
		return 0, false
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(e.Message), w.text) {
			return w.kind, true
		}
	}
	return 0, false
}

// plain reports whether the words of an answer tell what its status does not.
func plain(e *client.Error) bool {
	_, ok := spoken(e)
	return ok
}

// answered is an answer of the server as an error of this one: its kind, and what
// the server said.
func answered(e *client.Error) error {
	out := &vfs.Error{Kind: vfs.KindOf(e), Reason: e.Message, Version: version(e.ETag)}
	if e.Code == "" {
		out.Reason = fmt.Sprintf("HTTP %d: %s", e.Status, e.Message)
	}
	if k, ok := spoken(e); ok {
		out.Kind = k
	}
	return out
}

// readlink fills in where a link leads. One that leads out of what is mounted
// here is shown as a file that nobody can follow.
func (f *FS) readlink(ctx context.Context, cl *client.Client, p vfs.Path, i *vfs.Info) error {
	target, err := cl.Readlink(ctx, string(f.c.Root.Join(p)))
	if err != nil {
		return err
	}
	var ok bool
	if i.Target, ok = f.target(p, target); !ok {
		i.Mode, i.Meta.Type = 0, "special"
	}
	return nil
}

// target is what the target of the server's link at p is here: a path of the
// server is none of this tree, and becomes one relative to the link.
func (f *FS) target(p vfs.Path, target string) (string, bool) {
	if f.c.Sibling {
		return target, true
	}
	at := target
	if !strings.HasPrefix(at, "/") {
		at = string(f.c.Root.Join(p).Dir()) + "/" + at
	}
	to, err := vfs.ParsePath(at)
	if err != nil || !to.Under(f.c.Root) {
		return "", false
	}
	if !strings.HasPrefix(target, "/") {
		return target, true
	}
	return strings.Repeat("../", len(p.Dir().Elems())) + "." + string(to.Rel(f.c.Root)), true
}
