package verbs

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestChomp(t *testing.T) {
	for _, in := range []string{"", "\n", "\n\n", "a", "a\n", "a\n\n", "a\nb", "\na\n"} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(wrap(chomp(wrap(strings.NewReader(in)))))
			if string(got) != strings.TrimSuffix(in, "\n") || err != nil {
				t.Errorf("%s: %q became %q, %v", name, in, got, err)
			}
		}
	}
	boom := errors.New("boom")
	got, err := io.ReadAll(chomp(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(boom))))
	if string(got) != "a" || err != boom {
		t.Errorf("%q, %v", got, err)
	}
}

// No name of a server leads out of the directory that it is put into.
func TestLocalNames(t *testing.T) {
	for name, fine := range map[string]bool{"a": true, "..a": true, "..": false, "": false, "/a": false, "a/b": false, `a\b`: filepath.Separator == '/'} {
		if err := localName(name); (err == nil) != fine {
			t.Errorf("%q: %v", name, err)
		}
	}
}
