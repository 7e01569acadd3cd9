package main

import (
	"context"
	"errors"
	"fmt"
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
	c := &cobra.Command{Use: "put file path", Short: "Write a local file, or - for stdin, to a path", Args: cobra.ExactArgs(2)}
	c.Flags().StringVar(&ifMatch, "if-match", "", "only if the file still has this ETag")
	c.Flags().BoolVar(&ifAbsent, "if-absent", false, "only if there is no such file")
	c.Flags().BoolVar(&appendTo, "append", false, "behind the end")
	c.Flags().StringVar(&key, "idempotency-key", "", "a repeat with this key has the first one's outcome")
	c.RunE = func(cmd *cobra.Command, args []string) error {
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
		if key != "" {
			opts = append(opts, client.Key(key))
		}
		return a.each(cmd, args[1:], func(ctx context.Context, c *client.Client, p string) error {
			if strings.HasSuffix(p, "/") && args[0] != "-" {
				p += filepath.Base(args[0])
			}
			w, err := a.send(ctx, c, args[0], p, opts)
			if err == nil && a.json() {
				return a.encode(w.Body)
			}
			return err
		})
	}
	return c
}

// send writes a local file, or stdin, to a path.
func (a *app) send(ctx context.Context, c *client.Client, local, p string, opts []client.Option) (client.Written, error) {
	if local == "-" {
		return c.Write(ctx, p, struct{ io.Reader }{a.stdin}, -1, opts...) // a pipe cannot be read twice
	}
	f, err := os.Open(local)
	if err != nil {
		return client.Written{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return client.Written{}, err
	}
	if !st.Mode().IsRegular() {
		return client.Written{}, usage("%s is not a regular file; pipe it in with -", local)
	}
	bar := a.progress(st.Size())
	defer bar.finish()
	return c.Write(ctx, p, bar.seeker(f), st.Size(), opts...)
}

func (a *app) get() *cobra.Command {
	return &cobra.Command{Use: "get path [file]", Short: "Read a path into a local file, or - for stdout", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd, args[:1], func(ctx context.Context, c *client.Client, p string) error {
				local := path.Base(p)
				if len(args) == 2 {
					local = args[1]
				}
				if st, err := os.Stat(local); err == nil && st.IsDir() {
					local = filepath.Join(local, path.Base(p))
				}
				return a.fetch(ctx, c, p, local)
			})
		}}
}

// fetch reads a path into a local file, which appears whole or not at all.
func (a *app) fetch(ctx context.Context, c *client.Client, p, local string) error {
	r, err := c.Open(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	if local == "-" {
		_, err = io.Copy(a.stdout, r)
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(local), ".pfs-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, r)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), local)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

func (a *app) cp() *cobra.Command {
	var recursive bool
	var jobs int
	c := &cobra.Command{Use: "cp source destination", Short: "Copy files between the server and this machine", Args: cobra.ExactArgs(2),
		Long: `Copies a file, or with -r a directory.

A local path is written local:PATH, or plain when the other side is pfs:PATH.
Two plain paths are both on the server. With several nodes in --url the files
are spread over them.`,
		Example: "  pfs cp -r local:./src /memfs/src\n  pfs cp -r ./src pfs:/memfs/src\n  pfs cp /memfs/a /memfs/b"}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "directories and all below them")
	c.Flags().IntVarP(&jobs, "jobs", "j", 16, "files at a time")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if jobs < 1 || jobs > 256 {
			return usage("--jobs %d is not between 1 and 256", jobs)
		}
		src, dst := args[0], args[1]
		ctx, cancel := a.context(cmd)
		defer cancel()
		cs, err := a.clients()
		if err != nil {
			return err
		}
		k := copier{app: a, clients: cs, jobs: jobs, recursive: recursive}
		switch local, ok := sides(src, dst); {
		case ok && local == 0:
			return k.in(ctx, strings.TrimPrefix(src, "local:"), remote(dst))
		case ok:
			return k.out(ctx, remote(src), strings.TrimPrefix(dst, "local:"))
		}
		if strings.HasPrefix(src, "local:") {
			return usage("both sides are local; use cp")
		}
		return k.within(ctx, remote(src), remote(dst))
	}
	return c
}

// sides says which side is local: 0 the source, 1 the destination; false for
// both or none.
func sides(src, dst string) (local int, ok bool) {
	l0, l1 := strings.HasPrefix(src, "local:"), strings.HasPrefix(dst, "local:")
	p0, p1 := strings.HasPrefix(src, "pfs:"), strings.HasPrefix(dst, "pfs:")
	switch {
	case l0 != l1:
		if l0 {
			return 0, true
		}
		return 1, true
	case l0: // both
		return 0, false
	case p1 && !p0:
		return 0, true
	case p0 && !p1:
		return 1, true
	}
	return 0, false
}

// summary prints what a copy did, for people and for programs.
func (k *copier) summary() error {
	if k.app.json() {
		return k.app.encode(map[string]int64{"files": k.files.Load(), "bytes": k.bytes.Load(), "failed": k.failed.Load()})
	}
	if !k.app.quiet {
		fmt.Fprintf(k.app.stderr, "%d files, %d bytes\n", k.files.Load(), k.bytes.Load())
	}
	return nil
}
