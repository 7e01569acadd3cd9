package text

import (
	"fmt"
	"strconv"
	"strings"
)

// option is one flag of a command line, and its value if it takes one.
type option struct {
	name  byte
	value string
}

// syntax says which flags a tool knows.
type syntax struct {
	flags string            // letters as in getopts: "a" is a flag, "a:" takes a value
	long  map[string]string // long names, to "a" or "a=value"
	first bool              // operands begin at the first word that is no flag
	usage int               // the exit status of mistakes; 0 stands for 2
}

// parse splits arguments, those behind the name, into flags in their order and
// operands. As GNU tools it takes flags behind operands too, unless first is set.
func (s syntax) parse(args []string) (opts []option, rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return opts, append(rest, args...), nil
		case strings.HasPrefix(arg, "--"):
			var o option
			if o, args, err = s.named(arg[2:], args); err != nil {
				return nil, nil, err
			}
			opts = append(opts, o)
		case len(arg) > 1 && arg[0] == '-':
			if opts, args, err = s.letters(opts, arg[1:], args); err != nil {
				return nil, nil, err
			}
		default:
			rest = append(rest, arg)
			if s.first {
				return opts, append(rest, args...), nil
			}
		}
	}
	return opts, rest, nil
}

// letters takes apart "abc" of "-abc".
func (s syntax) letters(opts []option, word string, args []string) ([]option, []string, error) {
	for len(word) > 0 {
		name := word[0]
		word = word[1:]
		i := strings.IndexByte(s.flags, name)
		switch {
		case i < 0 || name == ':':
			return nil, nil, s.mistake("invalid option -- '%c'", name)
		case i+1 == len(s.flags) || s.flags[i+1] != ':':
			opts = append(opts, option{name: name})
			continue
		case word == "" && len(args) == 0:
			return nil, nil, s.mistake("option requires an argument -- '%c'", name)
		case word == "":
			word, args = args[0], args[1:]
		}
		opts, word = append(opts, option{name, word}), ""
	}
	return opts, args, nil
}

// named takes a long flag, "name" or "name=value".
func (s syntax) named(word string, args []string) (option, []string, error) {
	name, value, given := strings.Cut(word, "=")
	to, ok := s.long[name]
	if !ok {
		return option{}, nil, s.mistake("unrecognized option '--%s'", name)
	}
	letter, preset, fixed := strings.Cut(to, "=")
	takes := strings.Contains(s.flags, letter+":") && !fixed
	switch {
	case given && !takes:
		return option{}, nil, s.mistake("option '--%s' doesn't allow an argument", name)
	case takes && !given && len(args) == 0:
		return option{}, nil, s.mistake("option '--%s' requires an argument", name)
	case takes && !given:
		value, args = args[0], args[1:]
	case fixed:
		value = preset
	}
	return option{letter[0], value}, args, nil
}

func (s syntax) mistake(format string, args ...any) error {
	if s.usage == 0 {
		return fail(exitUsage, format, args...)
	}
	return fail(s.usage, format, args...)
}

// has reports whether a flag is among them.
func has(opts []option, name byte) bool {
	for _, o := range opts {
		if o.name == name {
			return true
		}
	}
	return false
}

// last returns the value of the last of a flag, or what stands for none.
func last(opts []option, name byte, none string) string {
	for _, o := range opts {
		if o.name == name {
			none = o.value
		}
	}
	return none
}

// count reads a number that a flag was given, at least least.
func count(what, s string, least int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least {
		return 0, fmt.Errorf("invalid %s: '%s'", what, s)
	}
	return n, nil
}
