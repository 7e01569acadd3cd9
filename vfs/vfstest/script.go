package vfstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/pfs-project/pfs/vfs"
)

// Driver carries the verbs of a script out on one mount: on a filesystem
// alone, or through a client on a server. Paths are relative to the mount.
// What fails answers an error whose [vfs.KindOf] is that of the filesystem's.
type Driver interface {
	// Do carries out any change but Consume. The content of a Write is in
	// op.Data whatever its length.
	Do(ctx context.Context, op vfs.Op) (vfs.Result, error)
	// Read returns size bytes at off, fewer at the end of the file; size < 0
	// means all that follow.
	Read(ctx context.Context, p vfs.Path, off, size int64) ([]byte, error)
	// Consume returns what a file had to give, which is then gone. op is the
	// Op, with its Options.
	Consume(ctx context.Context, op vfs.Op) ([]byte, error)
	Stat(ctx context.Context, p vfs.Path) (vfs.Info, error)
	List(ctx context.Context, p vfs.Path) ([]vfs.Info, error)
	// Readlink returns the target of the link p as it was given.
	Readlink(ctx context.Context, p vfs.Path) (string, error)
}

// Scripts plays each *.txt of dir against a Driver of its own, in name order.
// That there is none is a failure.
func Scripts(t *testing.T, dir string, open func(t *testing.T) Driver) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			Script(t, file, open(t))
		})
	}
}

// Script plays one file against d. The format is in the package comment.
func Script(t testing.TB, file string, d Driver) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range Play(t.Context(), string(text), d) {
		t.Errorf("%s:%v", file, err)
	}
}

// errScript marks a line that cannot be played.
var errScript = errors.New("script")

func badLine(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errScript, fmt.Sprintf(format, args...))
}

// Play runs all lines of a script and returns what was wrong, each with its line
// number.
func Play(ctx context.Context, text string, d Driver) []error {
	var wrong []error
	played, known := 0, map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		played++
		if err := playLine(ctx, line, d, known); err != nil {
			wrong = append(wrong, fmt.Errorf("%d: %w\n\t%s", i+1, err, line))
		}
	}
	if played == 0 {
		wrong = append(wrong, errors.New("1: nothing to play"))
	}
	return wrong
}

// playLine runs one line. known are the values that earlier answers had at the
// named groups of their patterns.
func playLine(ctx context.Context, line string, d Driver, known map[string]string) error {
	words, want, err := split(line)
	if err != nil {
		return err
	}
	for i := range words {
		for name, value := range known {
			words[i] = strings.ReplaceAll(words[i], "${"+name+"}", value)
		}
	}
	got, err := perform(ctx, words, d)
	if errors.Is(err, errScript) {
		return err
	}
	if err != nil {
		got = reply{text: vfs.KindOf(err).Code()}
	}
	ok, matchErr := got.matches(want, known)
	switch {
	case matchErr != nil:
		return matchErr
	case !ok && err != nil:
		return fmt.Errorf("answered %s (%v), expected %s", got, err, want)
	case !ok:
		return fmt.Errorf("answered %s, expected %s", got, want)
	}
	return nil
}

// split takes a line apart into its words, unquoted, and what is expected.
func split(line string) (words []string, want string, err error) {
	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		switch {
		case line == "":
			return nil, "", badLine("no arrow")
		case line == "->", strings.HasPrefix(line, "-> "):
			return words, strings.TrimSpace(line[2:]), nil
		case line[0] == '"' || line[0] == '`':
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, "", badLine("unclosed quote")
			}
			word, err := strconv.Unquote(q)
			if err != nil {
				return nil, "", badLine("%s: %v", q, err)
			}
			words, line = append(words, word), line[len(q):]
		default:
			n := strings.IndexFunc(line, unicode.IsSpace)
			if n < 0 {
				n = len(line)
			}
			words, line = append(words, line[:n]), line[n:]
		}
	}
}

// reply is what a verb answers: content, or a word or two.
type reply struct {
	text    string
	content bool
}

func (r reply) String() string {
	switch {
	case r.content:
		return strconv.Quote(r.text)
	case r.text == "":
		return "nothing"
	}
	return r.text
}

// holders are what the placeholders stand for.
func holders() *strings.Replacer {
	return strings.NewReplacer(
		"<id>", `[0-9A-Za-z][0-9A-Za-z_-]*`,
		"<time>", `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)`,
		"<n>", `-?\d+`,
	)
}

// matches also enters the named groups of a pattern in known.
func (r reply) matches(want string, known map[string]string) (bool, error) {
	pattern, isPattern := strings.CutPrefix(want, "~")
	switch {
	case isPattern:
		pattern = strings.TrimSpace(pattern)
	case r.content && (want == "" || want[0] != '"' && want[0] != '`'):
		return false, nil
	case r.content:
		text, err := strconv.Unquote(want)
		if err != nil {
			return false, badLine("%s: %v", want, err)
		}
		if text == r.text { // bytes that are not UTF-8 are beyond a pattern
			return true, nil
		}
		want = text
		fallthrough
	default:
		pattern = holders().Replace(regexp.QuoteMeta(want))
	}
	re, err := regexp.Compile(`(?s)\A(?:` + pattern + `)\z`)
	if err != nil {
		return false, badLine("%v", err)
	}
	groups := re.FindStringSubmatch(r.text)
	for i, name := range re.SubexpNames() {
		if groups != nil && name != "" {
			known[name] = groups[i]
		}
	}
	return groups != nil, nil
}
