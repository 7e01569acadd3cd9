package remote

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

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
	vfs.Consume: func(ctx context.Context, cl *client.Client, name string, op vfs.Op, opts []client.Option) (vfs.Result, error) {
		b, err := cl.ReadAsked(ctx, name, vfs.ParseOptions(op.Target), opts...)
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
	ctx, cancel := context.WithTimeout(ctx, f.c.Timeout+waiting(op))
	defer cancel()
	ctx, cl, name, err := f.at(ctx, op.Path)
	if err != nil {
		return vfs.Result{}, err
	}
	if f.plain() && op.Verb == vfs.Write && op.Appends() {
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
	if op.Appends() {
		names = append(names, "append")
	}
	return strings.Join(names, ",")
}

// KeepsKeys reports that another cluster keeps idempotency keys. A node of this
// one has none for what is outside the log, but where the mount keeps them, and
// other servers have none at all.
func (f *FS) KeepsKeys() bool { return (!f.c.Sibling || f.c.Keys) && !f.plain() }

// asks are what a request may ask of the files of a queue, and of others, by
// the header that says so.
var asks = []struct{ option, header, verb, file string }{
	{"dedup", "X-Pfs-Dedup-Id", "write", "enqueue"},
	{"delay", "X-Pfs-Delay", "write", "enqueue"},
	{"priority", "X-Pfs-Priority", "write", "enqueue"},
	{"batch", "Content-Type", "write", "enqueue"},
	{"lease", "", "read", "take"},
	{"max", "", "read", "take"},
	{"wait", "", "read", "take"},
	{"wait", "", "read", "dequeue"},
}

// Options returns what goes along to the server, which knows whether the file
// takes it.
func (f *FS) Options(_ vfs.View, verb vfs.Verb, p vfs.Path) (names []string, _ error) {
	if f.plain() { // it takes nothing of this
		return nil, nil
	}
	for _, a := range asks {
		if a.verb == verb.String() && a.file == p.Base() {
			names = append(names, a.option)
		}
	}
	return names, nil
}

// asked carries what a write asks for beside its content.
func asked(op vfs.Op) (opts []client.Option) {
	o := vfs.ParseOptions(op.Target)
	for _, a := range asks {
		v, ok := o[a.option]
		if !ok || op.Verb != vfs.Write || a.header == "" {
			continue
		}
		if a.option == "batch" {
			v = "application/x-ndjson"
		}
		opts = append(opts, client.Header(a.header, v))
	}
	return opts
}

// waiting is how long a read may take for nothing being there.
func waiting(op vfs.Op) time.Duration {
	if op.Verb != vfs.Consume {
		return 0
	}
	d, _ := time.ParseDuration(vfs.ParseOptions(op.Target)["wait"]) // of our own making; 0 without one
	return d
}

// options carries the condition of an Op, its key and what it asks for.
func (f *FS) options(ctx context.Context, op vfs.Op) (opts []client.Option) {
	opts = asked(op)
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
