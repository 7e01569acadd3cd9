package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
)

// each runs do on every path, reports failures and goes on; it fails with the
// only error, or says how many failed.
func (a *app) each(cmd *cobra.Command, paths []string, do func(ctx context.Context, c *client.Client, p string) error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	ctx, cancel := a.context(cmd)
	defer cancel()
	failed := 0
	for _, p := range paths {
		err := do(ctx, c, remote(p))
		switch {
		case err == nil:
		case len(paths) == 1 || ctx.Err() != nil:
			return err
		default:
			failed++
			fmt.Fprintln(a.stderr, "pfs: "+explain(err))
		}
	}
	if failed > 0 {
		return partialError{failed, len(paths)}
	}
	return nil
}

func (a *app) context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if a.timeout > 0 {
		return context.WithTimeout(cmd.Context(), a.timeout)
	}
	return context.WithCancel(cmd.Context())
}

// remote drops the "pfs:" that marks a path as the server's.
func remote(p string) string { return strings.TrimPrefix(p, "pfs:") }

func (a *app) encode(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (a *app) ls() *cobra.Command {
	var long, all bool
	c := &cobra.Command{Use: "ls [path…]", Short: "List a directory"}
	c.Flags().BoolVarP(&long, "long", "l", false, "mode, size and time of each")
	c.Flags().BoolVarP(&all, "all", "a", false, "also names that start with a dot")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{"/"}
		}
		return a.each(cmd, args, func(ctx context.Context, cl *client.Client, p string) error {
			infos, err := cl.List(ctx, p)
			if errors.Is(err, fs.ErrInvalid) || isNotDirectory(err) {
				var i client.Info
				if i, err = cl.Stat(ctx, p); err == nil {
					infos = []client.Info{i}
				}
			}
			if err != nil {
				return err
			}
			if !all {
				infos = visible(infos)
			}
			return a.list(infos, long)
		})
	}
	return c
}

func isNotDirectory(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Code == "not_directory"
}

func visible(infos []client.Info) []client.Info {
	out := infos[:0]
	for _, i := range infos {
		if !strings.HasPrefix(i.Name, ".") {
			out = append(out, i)
		}
	}
	return out
}

func (a *app) list(infos []client.Info, long bool) error {
	if a.json() {
		return a.encode(infos)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, i := range infos {
		if long {
			fmt.Fprintf(w, "%s\t%d\t%s\t %s\n", modeText(i), i.Size, i.ModTime.Local().Format("2006-01-02 15:04"), shown(i))
		} else {
			a.printf("%s\n", shown(i))
		}
	}
	return w.Flush()
}

// shown is a name as a terminal may have it: control characters escaped, a
// slash behind directories.
func shown(i client.Info) string {
	name := i.Name
	if q := strconv.Quote(name); q != `"`+name+`"` && !strings.ContainsAny(name, `"\`) {
		name = q
	}
	if i.IsDir {
		return strings.TrimSuffix(name, "/") + "/"
	}
	return name
}

func modeText(i client.Info) string {
	m := fs.FileMode(i.Mode) & fs.ModePerm
	switch {
	case i.IsLink():
		return "l" + m.String()[1:]
	case i.IsDir:
		return "d" + m.String()[1:]
	}
	return m.String()
}

func (a *app) cat() *cobra.Command {
	var stream bool
	c := &cobra.Command{Use: "cat path…", Short: "Write files to stdout", Args: cobra.MinimumNArgs(1)}
	c.Flags().BoolVar(&stream, "stream", false, "follow a stream until interrupted")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.each(cmd, args, func(ctx context.Context, cl *client.Client, p string) error {
			open := cl.Open
			if stream {
				open = cl.Stream
			}
			r, err := open(ctx, p)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(a.stdout, r)
			return err
		})
	}
	return c
}

func (a *app) stat() *cobra.Command {
	return &cobra.Command{Use: "stat path…", Short: "Describe files", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd, args, func(ctx context.Context, cl *client.Client, p string) error {
				i, err := cl.Stat(ctx, p)
				if err != nil {
					return err
				}
				if a.json() {
					return a.encode(i)
				}
				a.printf("  File: %s\n  Size: %d\n  Mode: %s (%04o)\nModify: %s\n  Type: %s %s\n",
					p, i.Size, modeText(i), i.Mode, i.ModTime.UTC().Format(time.RFC3339Nano), i.Meta.Name, i.Meta.Type)
				return nil
			})
		}}
}

func (a *app) mkdir() *cobra.Command {
	var parents bool
	var mode string
	c := &cobra.Command{Use: "mkdir path…", Short: "Make directories", Args: cobra.MinimumNArgs(1)}
	c.Flags().BoolVarP(&parents, "parents", "p", false, "make parents too; an existing directory is fine")
	c.Flags().StringVarP(&mode, "mode", "m", "755", "permissions, octal")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := strconv.ParseUint(mode, 8, 12)
		if err != nil {
			return usage("--mode %s is not octal permissions such as 755", mode)
		}
		return a.each(cmd, args, func(ctx context.Context, cl *client.Client, p string) error {
			if parents {
				return mkdirAll(ctx, cl, p, uint32(m))
			}
			return cl.Mkdir(ctx, p, uint32(m))
		})
	}
	return c
}

// mkdirAll makes a directory and its parents; one that is there is fine.
func mkdirAll(ctx context.Context, c *client.Client, p string, mode uint32) error {
	err := c.Mkdir(ctx, p, mode)
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		return nil
	case !errors.Is(err, fs.ErrNotExist) || path.Dir(p) == p:
		return err
	}
	if err := mkdirAll(ctx, c, path.Dir(p), mode); err != nil {
		return err
	}
	if err := c.Mkdir(ctx, p, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (a *app) rm() *cobra.Command {
	var recursive, force bool
	c := &cobra.Command{Use: "rm path…", Short: "Remove files", Args: cobra.MinimumNArgs(1)}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "directories and all below them")
	c.Flags().BoolVarP(&force, "force", "f", false, "a missing file is fine")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.each(cmd, args, func(ctx context.Context, cl *client.Client, p string) error {
			rm := cl.Remove
			if recursive {
				rm = cl.RemoveAll
			}
			err := rm(ctx, p)
			if force && errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	return c
}

func (a *app) mv() *cobra.Command {
	return &cobra.Command{Use: "mv path… to", Short: "Rename, or move into a directory", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := remote(args[len(args)-1])
			from := args[:len(args)-1]
			return a.each(cmd, from, func(ctx context.Context, cl *client.Client, p string) error {
				dst := to
				if i, err := cl.Stat(ctx, to); err == nil && i.IsDir {
					dst = path.Join(to, path.Base(p))
				} else if len(from) > 1 {
					return usage("%s is not a directory", to)
				}
				return cl.Rename(ctx, p, dst)
			})
		}}
}
