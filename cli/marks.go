package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// LocalFiles, in the Annotations of a command, says which of its words are files of
// this machine: arguments by number, from 0, or * for all of them, and flags, as in
// "0 --dir". Outside of a shell that means nothing. In one each has to be marked, as
// for Local, and none is left to its default; the command gets it without the mark.
const LocalFiles = "local-files"

// LocalProgram, as the value of LocalFiles, says that the command runs programs of
// this machine beside files that no word names: a shell has it run outside.
const LocalProgram = "!"

// unmark holds the words of a command to LocalFiles. It changes args.
func (e *Env) unmark(cmd *cobra.Command, args []string) error {
	if e.Shell == nil {
		return nil
	}
	for word := range strings.FieldsSeq(cmd.Annotations[LocalFiles]) {
		var err error
		switch n, no := strconv.Atoi(word); {
		case word == LocalProgram:
			_, name, _ := strings.Cut(cmd.CommandPath(), " ")
			err = e.Outside(name)
		case word == "*":
			err = e.unmarkAll(args)
		case no == nil && n < len(args):
			err = e.unmarkAll(args[n : n+1])
		case no == nil:
			err = unnamed(cmd, "local:DIRECTORY")
		default:
			err = e.unmarkFlag(cmd, word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) unmarkAll(args []string) (err error) {
	for i := range args {
		if args[i], err = e.Local(args[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) unmarkFlag(cmd *cobra.Command, name string) error {
	f := cmd.Flags().Lookup(strings.TrimPrefix(name, "--"))
	switch {
	case !f.Changed && f.DefValue == "":
		return nil
	case !f.Changed:
		return unnamed(cmd, name+" local:"+f.DefValue)
	}
	p, err := e.Local(f.Value.String())
	if err != nil {
		return err
	}
	return f.Value.Set(p)
}

// unnamed is the error of a command that would choose a local file by itself; example
// is what to write in its place.
func unnamed(cmd *cobra.Command, example string) error {
	return &Hinted{Code: ExitUsage, Text: cmd.CommandPath() + " is not told where on the local machine", Hint: "add " + example}
}
