package verbs

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) stat() *cobra.Command {
	var form string
	c := &cobra.Command{Use: "stat path…", Short: "Describe files", Args: cobra.MinimumNArgs(1),
		Long: `Describes files. A symbolic link is described itself. The ETag is what --if-match
takes.

With -c one line is printed for each: %n its name, %s its size in bytes, %a and %A
its mode as octal and as letters, %F what it is, %Y its time in seconds since 1970,
%y the same for people, %e its ETag, %N its name and where a link leads, %% a percent sign.`,
		Example: "  pfs stat /memfs/notes.txt\n  pfs stat -c '%s %n' /memfs/notes.txt"}
	c.Flags().StringVarP(&form, "format", "c", "", "print this for each, with % followed by a letter filled in")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
			i, err := c.Stat(ctx, a.Remote(arg))
			switch {
			case err != nil:
				return err
			case form != "":
				return a.fill(ctx, c, form, arg, i)
			case a.JSON():
				return a.Encode(i)
			}
			a.Printf("  File: %s\n  Size: %d\n  Mode: %s (%04o)\nModify: %s\n  Type: %s\n",
				cli.Plain(a.Remote(arg)), i.Size, modeText(i), i.Mode, i.ModTime.UTC().Format(time.RFC3339Nano),
				strings.TrimSpace(cli.Plain(i.Meta.Name+" "+i.Meta.Type)))
			if i.ETag != "" {
				a.Printf("  ETag: %s\n", i.ETag)
			}
			return nil
		})
	}
	return c
}

// statFields are what stat -c fills in, by letter.
var statFields = map[byte]func(i client.Info, arg string) string{
	'n': func(_ client.Info, arg string) string { return arg },
	's': func(i client.Info, _ string) string { return strconv.FormatInt(i.Size, 10) },
	'a': func(i client.Info, _ string) string { return strconv.FormatUint(uint64(i.Mode&0o777), 8) },
	'A': func(i client.Info, _ string) string { return modeText(i) },
	'F': func(i client.Info, _ string) string { return kindOf(i) },
	'Y': func(i client.Info, _ string) string { return strconv.FormatInt(i.ModTime.Unix(), 10) },
	'y': func(i client.Info, _ string) string {
		return i.ModTime.UTC().Format("2006-01-02 15:04:05.000000000 -0700")
	},
	'e': func(i client.Info, _ string) string { return i.ETag },
	'%': func(client.Info, string) string { return "%" },
}

// fill prints a line of stat -c.
func (a *app) fill(ctx context.Context, c *client.Client, form, arg string, i client.Info) error {
	var b strings.Builder
	for n := 0; n < len(form); n++ {
		if form[n] != '%' || n == len(form)-1 {
			b.WriteByte(form[n])
			continue
		}
		n++
		if form[n] == 'N' {
			b.WriteString("'" + arg + "'")
			if i.IsLink() {
				target, err := c.Readlink(ctx, a.Remote(arg))
				if err != nil {
					return err
				}
				b.WriteString(" -> '" + target + "'")
			}
			continue
		}
		field, ok := statFields[form[n]]
		if !ok {
			return cli.Usage("-c knows no %%%c", form[n])
		}
		b.WriteString(field(i, arg))
	}
	a.Printf("%s\n", b.String())
	return nil
}

// kindOf is what a file is, in the words of POSIX.
func kindOf(i client.Info) string {
	switch {
	case i.IsLink():
		return "symbolic link"
	case i.IsDir:
		return "directory"
	case i.Size == 0 && !i.Control():
		return "regular empty file"
	}
	return "regular file"
}

func (a *app) readlink() *cobra.Command {
	var noLine bool
	c := &cobra.Command{Use: "readlink path…", Short: "Print where symbolic links lead", Args: cobra.MinimumNArgs(1)}
	c.Flags().BoolVarP(&noLine, "no-newline", "n", false, "no line end behind the last")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		n := 0
		return a.Each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			target, err := c.Readlink(ctx, p)
			if err != nil {
				return err
			}
			if n++; noLine && n == len(args) {
				a.Printf("%s", target)
				return nil
			}
			a.Printf("%s\n", target)
			return nil
		})
	}
	return c
}
