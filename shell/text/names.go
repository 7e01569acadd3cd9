package text

import (
	"bufio"
	"context"
	"strings"
)

// basename prints the last element of a path, without a suffix if one is given.
func basename(_ context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := syntax{flags: "as:z", first: true, usage: 1, long: map[string]string{"multiple": "a", "suffix": "s"}}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	suffix := last(opts, 's', "")
	switch {
	case len(names) == 0:
		return fail(1, "missing operand")
	case has(opts, 'a') || has(opts, 's'):
	case len(names) > 2:
		return fail(1, "extra operand '%s'", names[2])
	case len(names) == 2:
		suffix, names = names[1], names[:1]
	}
	for _, name := range names {
		if trimmed := strings.TrimRight(name, "/"); trimmed == "" && name != "" {
			name = "/"
		} else {
			name = trimmed[strings.LastIndexByte(trimmed, '/')+1:]
		}
		if name != suffix {
			name = strings.TrimSuffix(name, suffix)
		}
		put(out, []byte(name)) // its error stays in out
	}
	return nil
}

// dirname prints all of a path but its last element.
func dirname(_ context.Context, c *Call, out *bufio.Writer) error {
	_, names, err := syntax{usage: 1}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fail(1, "missing operand")
	}
	for _, name := range names {
		trimmed := strings.TrimRight(name, "/")
		i := strings.LastIndexByte(trimmed, '/')
		switch {
		case trimmed == "" && name != "":
			name = "/"
		case i < 0:
			name = "."
		default:
			if name = strings.TrimRight(trimmed[:i], "/"); name == "" {
				name = "/"
			}
		}
		put(out, []byte(name)) // its error stays in out
	}
	return nil
}
