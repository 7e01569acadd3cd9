package remote

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// verbs are the changes that a server takes.
var verbs = [...]func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error){
	vfs.Create: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		return vfs.Result{}, cl.Create(ctx, name, opts...)
	},
	vfs.Mkdir: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		mode := op.Mode
		if mode == 0 {
			mode = 0o755
		}
		return vfs.Result{}, cl.Mkdir(ctx, name, uint32(mode.Perm()), opts...)
	},
	vfs.Write: write,
	vfs.Truncate: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		return vfs.Result{}, cl.Truncate(ctx, name, op.Off, opts...)
	},
	vfs.Chmod: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		return vfs.Result{}, cl.Chmod(ctx, name, uint32(op.Mode.Perm()), opts...)
	},
	vfs.Touch: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		return vfs.Result{}, cl.Touch(ctx, name, opts...)
	},
	vfs.Remove: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		return vfs.Result{}, cl.Remove(ctx, name, opts...)
	},
	vfs.RemoveAll: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		return vfs.Result{}, cl.RemoveAll(ctx, name, opts...)
	},
	vfs.Symlink: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		return vfs.Result{}, cl.Symlink(ctx, op.Target, name, opts...)
	},
	vfs.Consume: func(ctx context.Context, cl *client.Client, name string, _ vfs.Op, _ []client.Option) (vfs.Result, error) {
		b, err := cl.ReadFile(ctx, name)
		return vfs.Result{Data: b}, err
	},
}

// Do asks the server for one change.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	known := op.Verb == vfs.Rename || int(op.Verb) < len(verbs) && verbs[op.Verb] != nil
	if !f.c.Verbs.Has(op.Verb) || !known || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	if f.plain() {
		if err := plainly(op); err != nil {
			return vfs.Result{}, err
		}
	}
	ctx, cancel := f.within(ctx)
	defer cancel()
	ctx, cl, name, err := f.at(ctx, op.Path)
	if err != nil {
		return vfs.Result{}, err
	}
	if f.plain() && op.Verb == vfs.Write && appends(op) {
		r, err := appendPlainly(ctx, cl, name, op)
		return r, f.told(err)
	}
	opts := f.options(ctx, op)
	if op.Verb == vfs.Rename {
		return vfs.Result{}, f.told(cl.Rename(ctx, name, string(f.c.Root.Join(op.To)), opts...))
	}
	r, err := verbs[op.Verb](ctx, cl, name, op, opts)
	if f.plain() && op.Verb == vfs.Touch && noTouch(err) {
		err = vfs.Unsupported.With("the server cannot touch a file that is there")
	}
	return r, f.told(err)
}

func write(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
	if op.Flag&vfs.FlagAppend == 0 && op.Off >= 0 && op.Flag&vfs.FlagTruncate == 0 {
		opts = append(opts, client.At(op.Off))
	}
	w, err := cl.WriteFile(ctx, name, op.Data, append(opts, client.Flags(flags(op)))...)
	return vfs.Result{N: int64(len(op.Data)), Version: version(w.ETag), Data: extra(w.Body)}, err
}

// flags names the flags of a write as the API takes them; "" for a write that
// replaces the file.
func flags(op vfs.Op) string {
	if op.Flag == vfs.FlagCreate|vfs.FlagTruncate && op.Off == 0 {
		return ""
	}
	var names []string
	for _, f := range []struct {
		flag vfs.Flag
		name string
	}{{vfs.FlagCreate, "create"}, {vfs.FlagExclusive, "exclusive"}, {vfs.FlagTruncate, "truncate"}, {vfs.FlagSync, "sync"}} {
		if op.Flag&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	if op.Off == vfs.AtEnd || op.Flag&vfs.FlagAppend != 0 {
		names = append(names, "append")
	}
	return strings.Join(names, ",")
}

// KeepsKeys reports that another cluster keeps idempotency keys. A node of this
// one has none for what is outside the log, and other servers have none at all.
func (f *FS) KeepsKeys() bool { return !f.c.Sibling && !f.plain() }

// options carries the condition of an Op, and its key.
func (f *FS) options(ctx context.Context, op vfs.Op) (opts []client.Option) {
	if !f.KeepsKeys() {
		opts = append(opts, client.NoKey())
	} else if key := vfs.KeyOf(ctx); key != "" {
		opts = append(opts, client.Key(key))
	}
	switch op.If.Kind {
	case vfs.IfVersion:
		return append(opts, client.IfMatch(etag(op.If.Version)))
	case vfs.IfExists:
		return append(opts, client.IfMatch("*"))
	case vfs.IfAbsent:
		return append(opts, client.IfAbsent())
	case vfs.Always:
	}
	return opts
}

func etag(version uint64) string { return strconv.Quote(strconv.FormatUint(version, 10)) }

// extra is what the answer to a write says beside what every answer does: the id
// of a message.
func extra(answer []byte) []byte {
	var all map[string]json.RawMessage
	if json.Unmarshal(answer, &all) != nil {
		return nil
	}
	delete(all, "message")
	delete(all, "index")
	if len(all) == 0 {
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil { // not of what was JSON
		panic(err)
	}
	return b
}
