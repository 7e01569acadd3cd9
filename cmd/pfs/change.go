package main

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
)

func (a *app) mkdir() *cobra.Command {
	var parents bool
	var mode string
	c := &cobra.Command{Use: "mkdir path…", Short: "Make directories", Args: cobra.MinimumNArgs(1), SuggestFor: []string{"md"}}
	c.Flags().BoolVarP(&parents, "parents", "p", false, "make parents too; an existing directory is fine")
	c.Flags().StringVarP(&mode, "mode", "m", "755", "permissions, octal")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := strconv.ParseUint(mode, 8, 12)
		if err != nil || m > 0o777 {
			return usage("--mode %s is not octal permissions such as 755", mode)
		}
		return a.each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			if parents {
				return mkdirAll(ctx, c, path.Clean("/"+p), uint32(m))
			}
			return c.Mkdir(ctx, p, uint32(m))
		})
	}
	return c
}

// mkdirAll makes a directory and its parents; one that is there is fine. p is
// clean.
func mkdirAll(ctx context.Context, c *client.Client, p string, mode uint32) error {
	err := c.Mkdir(ctx, p, mode)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(p) != p {
		if err := mkdirAll(ctx, c, path.Dir(p), 0o755); err != nil {
			return err
		}
		err = c.Mkdir(ctx, p, mode)
	}
	// The root of the tree and of a mount may be refused for other reasons.
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) {
		if i, serr := c.Stat(ctx, p); serr == nil && i.IsDir {
			return nil
		}
	}
	return err
}

func (a *app) rm() *cobra.Command {
	var recursive, force bool
	c := &cobra.Command{Use: "rm path…", Short: "Remove files, links and empty directories", Args: cobra.MinimumNArgs(1),
		SuggestFor: []string{"del", "delete", "remove", "rmdir", "unlink"}}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "directories and all below them")
	c.Flags().BoolVarP(&force, "force", "f", false, "a missing file is fine")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			remove := c.Remove
			if recursive {
				remove = c.RemoveAll
			}
			err := remove(ctx, p)
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
		SuggestFor: []string{"move", "rename", "ren"},
		RunE: func(cmd *cobra.Command, args []string) error {
			to, from := remote(args[len(args)-1]), args[:len(args)-1]
			return a.each(cmd, from, func(ctx context.Context, c *client.Client, p string) error {
				dst := to
				if i, err := c.Stat(ctx, to); err == nil && i.IsDir {
					dst = path.Join("/", to, path.Base(p))
				} else if len(from) > 1 {
					return usage("%s is not a directory", to)
				}
				return c.Rename(ctx, p, dst)
			})
		}}
}
