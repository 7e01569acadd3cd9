package verbs

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) head() *cobra.Command {
	var lines, bytes string
	var quiet, verbose bool
	c := &cobra.Command{Use: "head [path…]", Annotations: map[string]string{cli.CountFlag: "n"}, Short: "Print the beginning of files, or of stdin",
		Long:    "Prints the first lines of files, or of stdin: 10, or as many as -n says; with -c bytes.\nA negative number leaves out that many at the end. No more is read than that needs.",
		Example: "  pfs head -n 3 /memfs/log\n  pfs head -c 512 /memfs/data.bin"}
	f := c.Flags()
	f.StringVarP(&lines, "lines", "n", "10", "lines; K and M are units")
	f.StringVarP(&bytes, "bytes", "c", "", "bytes in place of lines")
	f.BoolVarP(&quiet, "quiet", "q", false, "no file names over each of several")
	f.BoolVarP(&verbose, "verbose", "v", false, "a file name over each")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := headCount(lines)
		if bytes != "" {
			n, err = headCount(bytes)
		}
		if err != nil {
			return err
		}
		if len(args) == 0 {
			args = []string{"-"}
		}
		shown := 0
		return a.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
			r, err := a.open(ctx, c, arg)
			if err != nil {
				return err
			}
			defer r.Close()
			if verbose || len(args) > 1 && !quiet {
				a.Printf("%s==> %s <==\n", strings.Repeat("\n", min(shown, 1)), headName(arg))
				shown++
			}
			if bytes != "" {
				return headBytes(a.Stdout, r, n)
			}
			return headLines(a.Stdout, r, n)
		})
	}
	return c
}

// headName is what stands over the lines of a file.
func headName(arg string) string {
	if arg == "-" {
		return "standard input"
	}
	return cli.Plain(arg)
}

// headCount reads a number with a unit.
func headCount(s string) (int64, error) {
	n, err := cli.Size(strings.TrimPrefix(s, "-"))
	if err != nil {
		return 0, err
	}
	if strings.HasPrefix(s, "-") {
		return -n, nil
	}
	return n, nil
}

// headBytes copies the first n bytes; with n < 0 all but the last -n.
func headBytes(w io.Writer, r io.Reader, n int64) error {
	if n >= 0 {
		_, err := io.Copy(w, io.LimitReader(r, n))
		return err
	}
	in := bufio.NewReaderSize(r, 64<<10)
	keep := int(min(-n, maxKept))
	buf := make([]byte, 0, keep+64<<10)
	chunk := make([]byte, 64<<10)
	for {
		m, err := in.Read(chunk)
		buf = append(buf, chunk[:m]...)
		if over := len(buf) - keep; over > 0 {
			if _, werr := w.Write(buf[:over]); werr != nil {
				return werr
			}
			buf = append(buf[:0], buf[over:]...)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// maxKept is how many lines or bytes may be kept back from the end.
const maxKept = 64 << 20

// headLines copies the first n lines; with n < 0 all but the last -n.
func headLines(w io.Writer, r io.Reader, n int64) error {
	in, out := bufio.NewReaderSize(r, 64<<10), bufio.NewWriter(w)
	var kept []string
	for i := int64(0); n < 0 || i < n; i++ {
		if err := lineTo(in, out, n, &kept); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	return out.Flush()
}

// lineTo copies a line, or with n < 0 keeps it and copies the one -n lines before.
func lineTo(in *bufio.Reader, out *bufio.Writer, n int64, kept *[]string) error {
	if n < 0 {
		line, err := longLine(in)
		if len(line) == 0 {
			return err
		}
		if *kept = append(*kept, string(line)); int64(len(*kept)) > -n {
			_, err = out.WriteString((*kept)[0])
			*kept = (*kept)[1:]
		}
		return err
	}
	for {
		part, err := in.ReadSlice('\n')
		if _, werr := out.Write(part); werr != nil {
			return werr
		}
		if err != bufio.ErrBufferFull {
			return err
		}
	}
}

// counts are those of a file.
type counts struct {
	Lines int64  `json:"lines"`
	Words int64  `json:"words"`
	Bytes int64  `json:"bytes"`
	Chars int64  `json:"chars"`
	Path  string `json:"path,omitempty"`
}

func (a *app) wc() *cobra.Command {
	var lines, words, size, chars bool
	c := &cobra.Command{Use: "wc [path…]", Short: "Count lines, words and bytes of files, or of stdin",
		Example: "  pfs wc -l /memfs/log\n  pfs cat /memfs/a | pfs wc -w"}
	f := c.Flags()
	f.BoolVarP(&lines, "lines", "l", false, "lines alone")
	f.BoolVarP(&words, "words", "w", false, "words alone")
	f.BoolVarP(&size, "bytes", "c", false, "bytes alone")
	f.BoolVarP(&chars, "chars", "m", false, "characters of UTF-8 alone")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !lines && !words && !size && !chars {
			lines, words, size = true, true, true
		}
		stdin := len(args) == 0
		if stdin {
			args = []string{"-"}
		}
		row := func(n counts) error {
			if a.JSON() {
				return a.Line(n)
			}
			var out []string
			for _, v := range []struct {
				want bool
				n    int64
			}{{lines, n.Lines}, {words, n.Words}, {chars, n.Chars}, {size, n.Bytes}} {
				if v.want {
					out = append(out, fmt.Sprint(v.n))
				}
			}
			if n.Path != "" {
				out = append(out, cli.Plain(n.Path))
			}
			a.Printf("%s\n", strings.Join(out, " "))
			return nil
		}
		total := counts{Path: "total"}
		err := a.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
			r, err := a.open(ctx, c, arg)
			if err != nil {
				return err
			}
			defer r.Close()
			n, err := countOf(r)
			if err != nil {
				return err
			}
			total.add(n)
			if !stdin {
				n.Path = arg
			}
			return row(n)
		})
		if len(args) > 1 && !a.JSON() {
			return cmp.Or(err, row(total))
		}
		return err
	}
	return c
}

func (n *counts) add(m counts) {
	n.Lines, n.Words, n.Bytes, n.Chars = n.Lines+m.Lines, n.Words+m.Words, n.Bytes+m.Bytes, n.Chars+m.Chars
}

// countOf counts what is read.
func countOf(r io.Reader) (n counts, err error) {
	buf, in := make([]byte, 64<<10), false
	for {
		m, err := r.Read(buf)
		n.Bytes += int64(m)
		for _, c := range buf[:m] {
			if c == '\n' {
				n.Lines++
			}
			if c&0xc0 != 0x80 {
				n.Chars++
			}
			space := c == ' ' || c >= '\t' && c <= '\r'
			if !space && !in {
				n.Words++
			}
			in = !space
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
