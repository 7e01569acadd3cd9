package vfstest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// call is one line on its way: its arguments and where they go.
type call struct {
	ctx  context.Context
	d    Driver
	args []string
}

// verbs holds what each verb of a script does, and how many arguments it has.
var verbs = map[string]struct {
	least, most int
	do          func(call) (reply, error)
}{
	"mkdir":    {1, 2, func(c call) (reply, error) { return c.withMode(vfs.Mkdir) }},
	"create":   {1, 2, func(c call) (reply, error) { return c.withMode(vfs.Create) }},
	"chmod":    {2, 2, func(c call) (reply, error) { return c.withMode(vfs.Chmod) }},
	"touch":    {1, 1, func(c call) (reply, error) { return c.change(vfs.Op{Verb: vfs.Touch}) }},
	"write":    {2, 5, call.write},
	"read":     {1, 3, call.read},
	"consume":  {1, 4, call.consume},
	"truncate": {2, 2, call.truncate},
	"rm":       {1, 2, call.remove},
	"mv":       {2, 2, call.rename},
	"ln":       {2, 2, call.link},
	"readlink": {1, 1, call.readlink},
	"ls":       {1, 1, call.list},
	"stat":     {1, 1, call.stat},
}

func perform(ctx context.Context, words []string, d Driver) (reply, error) {
	if len(words) == 0 {
		return reply{}, badLine("no verb")
	}
	v, ok := verbs[words[0]]
	if n := len(words) - 1; !ok || n < v.least || n > v.most {
		return reply{}, badLine("unknown verb, or not as many arguments as it has")
	}
	return v.do(call{ctx, d, words[1:]})
}

func (c call) path(i int) (vfs.Path, error) { return vfs.ParsePath(c.args[i]) }

// change does op on the path that is the first argument.
func (c call) change(op vfs.Op) (_ reply, err error) {
	if op.Path, err = c.path(0); err == nil {
		_, err = c.d.Do(c.ctx, op)
	}
	return reply{text: "ok"}, err
}

func (c call) withMode(verb vfs.Verb) (reply, error) {
	op := vfs.Op{Verb: verb}
	if len(c.args) > 1 {
		mode, err := strconv.ParseUint(c.args[1], 8, 32)
		if err != nil {
			return reply{}, badLine("mode %s", c.args[1])
		}
		op.Mode = vfs.Mode(mode)
	}
	return c.change(op)
}

func (c call) write() (_ reply, err error) {
	op := vfs.Op{Verb: vfs.Write, Data: []byte(c.args[1]), Flag: vfs.FlagCreate | vfs.FlagTruncate}
	o := vfs.Options{}
	for _, flag := range c.args[2:] {
		name, value, isOption := strings.Cut(flag, "=")
		at, isAt := strings.CutPrefix(flag, "at=")
		switch {
		case isAt:
			op.Flag &^= vfs.FlagTruncate
			if op.Off, err = strconv.ParseInt(at, 10, 64); err != nil {
				return reply{}, badLine("%s", flag)
			}
		case flag == "append":
			op.Flag = op.Flag&^vfs.FlagTruncate | vfs.FlagAppend
			op.Off = vfs.AtEnd
		case flag == "notrunc":
			op.Flag &^= vfs.FlagTruncate
		case flag == "excl":
			op.Flag |= vfs.FlagExclusive
		case isOption:
			o[name] = value
		default:
			return reply{}, badLine("unknown flag %s", flag)
		}
	}
	if op.Path, err = c.path(0); err != nil {
		return reply{}, err
	}
	op.Target = o.Encode()
	r, err := c.d.Do(c.ctx, op)
	return reply{text: strconv.FormatInt(r.N, 10)}, err
}

func (c call) read() (reply, error) {
	p, err := c.path(0)
	if err != nil {
		return reply{}, err
	}
	off, size := int64(0), int64(-1)
	for _, arg := range c.args[1:] {
		name, text, _ := strings.Cut(arg, "=")
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			return reply{}, badLine("%s", arg)
		case name == "off":
			off = n
		case name == "size":
			size = n
		default:
			return reply{}, badLine("%s", arg)
		}
	}
	if info, err := c.d.Stat(c.ctx, p); err == nil && info.Consumes() {
		if len(c.args) > 1 {
			return reply{}, badLine("a file that is consumed has no off and no size")
		}
		return c.consume()
	}
	b, err := c.d.Read(c.ctx, p, off, size)
	return reply{string(b), true}, err
}

func (c call) consume() (reply, error) {
	p, err := c.path(0)
	if err != nil {
		return reply{}, err
	}
	o := vfs.Options{}
	for _, arg := range c.args[1:] {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return reply{}, badLine("%s", arg)
		}
		o[name] = value
	}
	b, err := c.d.Consume(c.ctx, vfs.Op{Verb: vfs.Consume, Path: p, Target: o.Encode()})
	return reply{string(b), true}, err
}

func (c call) truncate() (reply, error) {
	n, err := strconv.ParseInt(c.args[1], 10, 64)
	if err != nil {
		return reply{}, badLine("size %s", c.args[1])
	}
	return c.change(vfs.Op{Verb: vfs.Truncate, Off: n})
}

func (c call) remove() (reply, error) {
	op := vfs.Op{Verb: vfs.Remove}
	if c.args[0] == "-r" && len(c.args) == 2 {
		op.Verb, c.args = vfs.RemoveAll, c.args[1:]
	}
	if len(c.args) != 1 {
		return reply{}, badLine("rm takes -r and a path")
	}
	return c.change(op)
}

func (c call) rename() (reply, error) {
	to, err := c.path(1)
	if err != nil {
		return reply{}, err
	}
	return c.change(vfs.Op{Verb: vfs.Rename, To: to})
}

func (c call) link() (reply, error) {
	c.args[0], c.args[1] = c.args[1], c.args[0]
	return c.change(vfs.Op{Verb: vfs.Symlink, Target: c.args[1]})
}

func (c call) readlink() (reply, error) {
	p, err := c.path(0)
	if err != nil {
		return reply{}, err
	}
	target, err := c.d.Readlink(c.ctx, p)
	return reply{target, true}, err
}

func (c call) list() (reply, error) {
	p, err := c.path(0)
	if err != nil {
		return reply{}, err
	}
	infos, err := c.d.List(c.ctx, p)
	names := make([]string, len(infos))
	for i, info := range infos {
		if names[i] = info.Name; info.IsDir() {
			names[i] += "/"
		}
		if strings.ContainsAny(names[i], " \"`") {
			names[i] = strconv.Quote(names[i])
		}
	}
	return reply{text: strings.Join(names, " ")}, err
}

func (c call) stat() (reply, error) {
	p, err := c.path(0)
	if err != nil {
		return reply{}, err
	}
	info, err := c.d.Stat(c.ctx, p)
	switch {
	case info.IsDir():
		return reply{text: fmt.Sprintf("dir %o", info.Mode.Perm())}, err
	case info.Mode.IsLink():
		return reply{text: "link"}, err
	}
	return reply{text: fmt.Sprintf("file %o %d", info.Mode.Perm(), info.Size)}, err
}
