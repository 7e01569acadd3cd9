package text

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// base64Tool is base64: it encodes, or with -d decodes.
func base64Tool(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := syntax{flags: "diw:", usage: 1, long: map[string]string{"decode": "d", "wrap": "w", "ignore-garbage": "i"}}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	width, err := count("wrap size", last(opts, 'w', "76"), 0)
	if err != nil {
		return err
	}
	if len(names) > 1 {
		return fail(1, "extra operand '%s'", names[1])
	}
	return c.each(ctx, names, func(_ string, r io.Reader) error {
		if has(opts, 'd') {
			in := &alphabet{r: bufio.NewReaderSize(r, bufSize), strict: !has(opts, 'i')}
			if _, err := io.Copy(out, base64.NewDecoder(base64.StdEncoding, in)); err != nil {
				if gone(err) || ctx.Err() != nil {
					return err
				}
				return fail(1, "invalid input")
			}
			return nil
		}
		w := &wrapped{out: out, width: width}
		enc := base64.NewEncoder(base64.StdEncoding, w)
		if _, err := io.Copy(enc, r); err != nil {
			return err
		}
		if err := enc.Close(); err != nil {
			return err
		}
		return w.end()
	})
}

// alphabet passes on what base64 is written with; newlines are left out, and other
// bytes too unless strict.
type alphabet struct {
	r      *bufio.Reader
	strict bool
}

// Read reads.
func (a *alphabet) Read(p []byte) (int, error) {
	for {
		n, err := a.r.Read(p)
		kept := p[:0]
		for _, b := range p[:n] {
			alnum := b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
			if alnum || b == '+' || b == '/' || b == '=' || a.strict && b != '\n' {
				kept = append(kept, b)
			}
		}
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}

// wrapped breaks what is written to it into lines.
type wrapped struct {
	out           *bufio.Writer
	width, column int
}

// Write writes.
func (w *wrapped) Write(p []byte) (int, error) {
	size := len(p)
	for len(p) > 0 && w.width > 0 {
		if w.column == w.width {
			w.out.WriteByte('\n') // its error stays in out
			w.column = 0
		}
		n := min(w.width-w.column, len(p))
		w.out.Write(p[:n])
		w.column += n
		p = p[n:]
	}
	_, err := w.out.Write(p)
	return size, err
}

func (w *wrapped) end() error {
	if w.column == 0 {
		return nil
	}
	return w.out.WriteByte('\n')
}

func md5sum(ctx context.Context, c *Call, out *bufio.Writer) error {
	return digests(ctx, c, out, md5.New)
}
func sha1sum(ctx context.Context, c *Call, out *bufio.Writer) error {
	return digests(ctx, c, out, sha1.New)
}
func sha256sum(ctx context.Context, c *Call, out *bufio.Writer) error {
	return digests(ctx, c, out, sha256.New)
}
func sha512sum(ctx context.Context, c *Call, out *bufio.Writer) error {
	return digests(ctx, c, out, sha512.New)
}

var digestSyntax = syntax{flags: "bctqS", usage: 1, long: map[string]string{
	"check": "c", "quiet": "q", "status": "S", "binary": "b", "text": "t",
}}

// digests prints a digest of each file, or with -c checks a list of them.
func digests(ctx context.Context, c *Call, out *bufio.Writer, kind func() hash.Hash) error {
	opts, names, err := digestSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	if !has(opts, 'c') {
		mark := "  "
		if has(opts, 'b') {
			mark = " *"
		}
		return c.each(ctx, names, func(name string, r io.Reader) error {
			h := kind()
			if _, err := io.Copy(h, r); err != nil {
				return err
			}
			return put(out, []byte(hex.EncodeToString(h.Sum(nil))+mark+name))
		})
	}
	bad := false
	err = c.eachLine(ctx, names, func(line []byte, _ bool) error {
		same, name, err := c.checkDigest(ctx, string(line), kind())
		if err != nil {
			c.say("%s", err)
		}
		bad = bad || !same
		switch {
		case has(opts, 'S') || same && has(opts, 'q'):
			return ctx.Err()
		case same:
			_, err = out.WriteString(name + ": OK\n")
		case err == nil:
			_, err = out.WriteString(name + ": FAILED\n")
		default:
			_, err = out.WriteString(name + ": FAILED open or read\n")
		}
		return err
	})
	if err == nil && bad {
		return status(1)
	}
	return err
}

// checkDigest takes a line "DIGEST  NAME" and reads the file.
func (c *Call) checkDigest(ctx context.Context, line string, h hash.Hash) (same bool, name string, err error) {
	want, name, ok := strings.Cut(line, " ")
	sum, bad := hex.DecodeString(want)
	if !ok || bad != nil || len(sum) != h.Size() || name == "" {
		return false, line, fail(1, "not a digest and a name: %s", line)
	}
	name = name[1:]
	f, err := c.open(ctx, name)
	if err != nil {
		return false, name, err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return false, name, err
	}
	return bytes.Equal(h.Sum(nil), sum), name, nil
}
