package verbs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) put() *cobra.Command {
	var w writing
	c := &cobra.Command{Use: "put file path", Short: "Write a local file, or - for stdin, to a path", Args: cobra.ExactArgs(2),
		SuggestFor: []string{"store"},
		Long: `Writes a local file, or - for stdin, to a path. Readers see the old content or
the new. A path that ends in a slash is a directory to put the file into.

From stdin to a file named enqueue one newline at the end is left out, so that
echo makes the message that it shows. A local file is sent as it is. With --stream
what comes from stdin is sent as it comes: a stream has each piece at once. In the
shell the file is written local:FILE.`,
		Example: "  pfs put notes.txt /memfs/notes.txt\n  echo job | pfs put - /queuefs/jobs/enqueue\n  pfs put --if-absent - /kvfs/keys/lock < me"}
	w.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := w.options(cmd)
		if err != nil {
			return err
		}
		local, err := a.Local(args[0])
		if err != nil {
			return err
		}
		p, err := a.Path(args[1])
		if err != nil {
			return err
		}
		if strings.HasSuffix(p, "/") && local != "-" {
			p += filepath.Base(local)
		}
		if w.stream && local != "-" {
			return cli.Usage("--stream is of stdin, which is written -")
		}
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			if w.stream {
				return a.wrote(c.Write(ctx, p, onlyReader{a.Stdin}, -1, opts...))
			}
			got, _, err := a.send(ctx, c, local, p, opts...)
			return a.wrote(got, err)
		})
	}
	return c
}

// wrote tells programs what came of a write.
func (a *app) wrote(w client.Written, err error) error {
	if err == nil && a.JSON() {
		return a.Encode(withETag(w))
	}
	return err
}

// withETag is a node's answer to a write with the file's version in it.
func withETag(w client.Written) any {
	var m map[string]json.RawMessage
	if json.Unmarshal(w.Body, &m) != nil || w.ETag == "" {
		return w.Body
	}
	m["etag"], _ = json.Marshal(w.ETag) // a string always encodes
	return m
}

// send writes a local file, or stdin, to a path and tells its length.
func (a *app) send(ctx context.Context, c *client.Client, local, p string, opts ...client.Option) (client.Written, int64, error) {
	if local == "-" {
		return a.sendStdin(ctx, c, a.Stdin, p, opts...)
	}
	st, err := os.Stat(local) // first: to open a pipe may wait for ever
	if err != nil {
		return client.Written{}, 0, err
	}
	if !st.Mode().IsRegular() {
		return client.Written{}, 0, cli.Usage("%s is not a regular file; pipe it in with -", local)
	}
	f, err := os.Open(local)
	if err != nil {
		return client.Written{}, 0, err
	}
	defer f.Close()
	bar := a.Progress(st.Size())
	defer bar.Finish()
	w, err := c.Write(ctx, p, bar.Seeker(f), st.Size(), opts...)
	return w, st.Size(), err
}

// held is how much of stdin is read ahead: what fits can be sent again.
const held = 32 << 10

// sendStdin writes what comes from stdin to a path and tells its length.
func (a *app) sendStdin(ctx context.Context, c *client.Client, stdin io.Reader, p string, opts ...client.Option) (client.Written, int64, error) {
	in := &counted{r: stdin}
	var r io.Reader = in
	if path.Base(p) == "enqueue" {
		r = chomp(in)
	}
	head := make([]byte, held)
	n, err := io.ReadFull(r, head)
	var w client.Written
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		w, err = c.WriteFile(ctx, p, head[:n], opts...)
	case err == nil:
		w, err = c.Write(ctx, p, onlyReader{io.MultiReader(bytes.NewReader(head), r)}, -1, opts...)
	}
	return w, in.n.Load(), err
}

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }

// chomped leaves out one newline at the end of r.
type chomped struct{ r *bufio.Reader }

func chomp(r io.Reader) io.Reader { return chomped{bufio.NewReader(r)} }

// Read looks past a newline before it gives it away.
func (c chomped) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if n > 0 && b[n-1] == '\n' {
		if _, end := c.r.Peek(1); end != nil {
			if n--; n == 0 {
				err = end
			}
		}
	}
	return n, err
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n atomic.Int64
}

// Read reads on.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
