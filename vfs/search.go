package vfs

import (
	"context"
	"io/fs"
)

// walkPage is how many entries of a directory Walk holds at a time.
const walkPage = 512

// Walk calls fn for p and all below it: a directory before its entries, those
// by the bytes of their names. It does not follow links, and it passes over
// files whose read takes something away. fn gets an error where a file cannot
// be described (with a zero Info) or a directory not be listed (a second call,
// with its Info). fn returns nil to go on, [fs.SkipDir] to leave out what is
// below a directory (of a file: what is left of its directory), [fs.SkipAll] to
// end early; another error ends the walk.
func Walk(ctx context.Context, f FileSystem, v View, p Path, fn func(p Path, info Info, err error) error) error {
	info, err := f.Stat(ctx, v, p)
	if err != nil {
		err = fn(p, Info{}, err)
	} else {
		err = walkInto(ctx, f, v, p, info, fn)
	}
	if err == fs.SkipDir || err == fs.SkipAll {
		return nil
	}
	return err
}

func walkInto(ctx context.Context, f FileSystem, v View, p Path, info Info, fn func(Path, Info, error) error) error {
	if info.Consumes() || info.Endless() {
		return nil
	}
	if err := fn(p, info, nil); err != nil || !info.IsDir() {
		if err == fs.SkipDir && info.IsDir() {
			return nil
		}
		return err
	}
	after := ""
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, err := f.List(ctx, v, p, after, walkPage)
		if err != nil {
			if err = fn(p, info, err); err == fs.SkipDir {
				return nil
			}
			return err
		}
		for _, child := range page {
			err := walkInto(ctx, f, v, p.Child(child.Name), child, fn)
			if err == fs.SkipDir {
				return nil
			}
			if err != nil {
				return err
			}
		}
		if len(page) < walkPage {
			return nil
		}
		after = page[len(page)-1].Name
	}
}
