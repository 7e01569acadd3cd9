package shell

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/reeflective/readline"
	"github.com/spf13/pflag"

	"github.com/pfs-project/pfs/cli"
)

const (
	budget = 300 * time.Millisecond // for the names of a directory, before nothing is offered
	fresh  = 2 * time.Second        // for which they are not asked for again
	most   = 1000                   // of them
)

// completer offers commands, their flags, and names of files.
type completer struct {
	s     *Shell
	ctx   context.Context
	mu    sync.Mutex
	lists map[string]listed // by directory
}

// listed are the names of a directory, with a slash behind directories.
type listed struct {
	names []string
	at    time.Time
}

// complete offers what the word before the cursor may become.
func (c *completer) complete(line []rune, cursor int) readline.Completions {
	text := string(line[:min(cursor, len(line))])
	word, command := lastWord(text)
	lead := text[len(text)-len(word):]
	blank := text[strings.LastIndexAny(text, " \t\n")+1:]
	glued := strings.TrimSuffix(blank, lead) // as the < of <FILE
	var values []string
	switch {
	case command == "" && !strings.Contains(word, "/"):
		values = c.commands(word)
	case strings.HasPrefix(word, "-"):
		return c.flags(command, word)
	default:
		values = c.files(word)
	}
	for i := range values {
		values[i] = glued + values[i]
	}
	return readline.CompleteValues(values...).NoSpace('/')
}

// lastWord returns the word at the end of a line, and the command that it is an
// argument of: "" if it is the command itself.
func lastWord(text string) (word, command string) {
	var words []string
	start := 0
	flush := func(end int) {
		if end > start {
			words = append(words, text[start:end])
		}
		start = end + 1
	}
	redirected := false // what comes is a file, whatever stands before it
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case ch == '\\':
			i++
		case strings.IndexByte(" \t", ch) >= 0:
			flush(i)
		case strings.IndexByte("<>", ch) >= 0:
			flush(i)
			redirected = true
		case strings.IndexByte("|;&()\n", ch) >= 0:
			flush(i)
			words, redirected = nil, false
		}
	}
	if start < len(text) {
		word = text[start:]
	}
	switch {
	case len(words) > 0:
		return word, words[0]
	case redirected:
		return word, "<"
	}
	return word, ""
}

func (c *completer) commands(word string) []string {
	var out []string
	for _, name := range c.s.Names() {
		if strings.HasPrefix(name, word) && name != "refuse" {
			out = append(out, name)
		}
	}
	return out
}

// flags offers those of a command, with what they are for.
func (c *completer) flags(command, word string) readline.Completions {
	cmd := c.s.names[command]
	if cmd == nil {
		return readline.Completions{}
	}
	var pairs []string
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if name := "--" + f.Name; !f.Hidden && strings.HasPrefix(name, word) {
			pairs = append(pairs, name, f.Usage)
		}
		if name := "-" + f.Shorthand; f.Shorthand != "" && strings.HasPrefix(name, word) {
			pairs = append(pairs, name, f.Usage)
		}
	})
	return readline.CompleteValuesDescribed(pairs...)
}

// files offers names of the server, or behind "local:" of the local machine; none that
// could not be typed, or would steer the terminal.
func (c *completer) files(word string) []string {
	p, isLocal := local(word)
	p = strings.ReplaceAll(p, `\`, "")
	dir, base := path.Split(p)
	var names []string
	if isLocal {
		names = localNames(dir)
		dir = "local:" + dir
	} else {
		names = c.names(dir)
	}
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, base) && cli.Plain(n) == n && utf8.ValidString(n) && (base != "" || !strings.HasPrefix(n, ".")) {
			out = append(out, escaped(dir+n))
		}
	}
	return out
}

// escaped is a name as the shell reads it.
func escaped(name string) string {
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune(" \t\\'\"$&|;()<>*?[]#!`{}", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func localNames(dir string) []string {
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(filepath.FromSlash(dir))
	if err != nil {
		return nil // nothing to offer
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		out = append(out, name)
	}
	return out
}

// names lists a directory of the server, if it answers in time.
func (c *completer) names(dir string) []string {
	if !path.IsAbs(dir) {
		dir = path.Join(c.s.run.Dir, dir)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lists[dir]; time.Since(l.at) < fresh {
		return l.names
	}
	ctx, cancel := context.WithTimeout(c.ctx, budget)
	defer cancel()
	getenv := func(name string) string {
		if v := c.s.run.Vars[name]; v.Exported {
			return v.Str
		}
		return ""
	}
	cs, err := (&cli.Env{Getenv: getenv, Connect: c.s.clients.connect}).Clients()
	if err != nil {
		return nil
	}
	infos, err := cs[0].Page(ctx, dir, "", most)
	if err != nil {
		return nil // nothing to offer
	}
	l := listed{at: time.Now()}
	for _, i := range infos {
		if i.IsDir {
			i.Name += "/"
		}
		l.names = append(l.names, i.Name)
	}
	clear(c.lists)
	c.lists[dir] = l
	return l.names
}
