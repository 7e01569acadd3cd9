package main

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

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
)

func (a *app) put() *cobra.Command {
	var ifMatch, key string
	var ifAbsent, appendTo bool
	c := &cobra.Command{Use: "put file path", Short: "Write a local file, or - for stdin, to a path", Args: cobra.ExactArgs(2),
		SuggestFor: []string{"write", "upload", "store"},
		Long: `Writes a local file, or - for stdin, to a path. Readers see the old content or
the new. A path that ends in a slash is a directory to put the file into.

From stdin to a file named enqueue one newline at the end is left out, so that
echo makes the message that it shows. A local file is sent as it is.`,
		Example: "  pfs put notes.txt /memfs/notes.txt\n  echo job | pfs put - /queuefs/jobs/enqueue\n  pfs put --if-absent - /kvfs/keys/lock < me"}
	c.Flags().StringVar(&ifMatch, "if-match", "", "only if the file still has this ETag")
	c.Flags().BoolVar(&ifAbsent, "if-absent", false, "only if there is no such file")
	c.Flags().BoolVar(&appendTo, "append", false, "behind the end")
	c.Flags().StringVar(&key, "idempotency-key", "", "a repeat with this key has the first one's outcome")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if ifMatch != "" && ifAbsent {
			return usage("--if-match and --if-absent exclude each other")
		}
		var opts []client.Option
		if ifMatch != "" {
			opts = append(opts, client.IfMatch(ifMatch))
		}
		if ifAbsent {
			opts = append(opts, client.IfAbsent())
		}
		if appendTo {
			opts = append(opts, client.Append())
		}
		if cmd.Flags().Changed("idempotency-key") {
			opts = append(opts, client.Key(key))
		}
		local, p := args[0], remote(args[1])
		if strings.HasSuffix(p, "/") && local != "-" {
			p += filepath.Base(local)
		}
		return a.with(cmd, func(ctx context.Context, c *client.Client) error {
			w, _, err := a.send(ctx, c, local, p, opts...)
			if err == nil && a.json() {
				return a.encode(withETag(w))
			}
			return err
		})
	}
	return c
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
		return a.sendStdin(ctx, c, p, opts)
	}
	st, err := os.Stat(local) // first: to open a pipe may wait for ever
	if err != nil {
		return client.Written{}, 0, err
	}
	if !st.Mode().IsRegular() {
		return client.Written{}, 0, usage("%s is not a regular file; pipe it in with -", local)
	}
	f, err := os.Open(local)
	if err != nil {
		return client.Written{}, 0, err
	}
	defer f.Close()
	bar := a.progress(st.Size())
	defer bar.finish()
	w, err := c.Write(ctx, p, bar.seeker(f), st.Size(), opts...)
	return w, st.Size(), err
}

// held is how much of stdin is read ahead: what fits can be sent again.
const held = 32 << 10

func (a *app) sendStdin(ctx context.Context, c *client.Client, p string, opts []client.Option) (client.Written, int64, error) {
	in := &counted{r: a.stdin}
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
