package shell

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// own marks commands of this package for the interpreter, which has other ones of
// the same names, and words that are to come back as they are.
const own = "\x01"

// parse reads a script, and refuses what cannot be had.
func parse(r io.Reader, name string) (*syntax.File, error) {
	file, err := syntax.NewParser().Parse(r, name)
	if err != nil {
		return nil, err
	}
	return file, check(file)
}

// scriptError renders an error in a script: "name:line:column: cause".
func scriptError(err error) string {
	var p syntax.ParseError
	var l syntax.LangError
	switch {
	case errors.As(err, &p) && p.Filename == "":
		return fmt.Sprintf("line %d: %s", p.Pos.Line(), p.Text)
	case errors.As(err, &l) && l.Filename == "":
		return strings.TrimPrefix(l.Error(), ": ")
	}
	return err.Error()
}

// check refuses what the interpreter would do on the local machine.
func check(node syntax.Node) error {
	var found error
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ProcSubst:
			found = fmt.Errorf("line %d: %s…) is not supported: use a pipe, or a file", n.Pos().Line(), n.Op)
		case *syntax.CoprocClause:
			found = fmt.Errorf("line %d: coproc is not supported", n.Pos().Line())
		case *syntax.Redirect:
			if n.Op == syntax.RdrClob {
				n.Op = syntax.RdrOut // there is no noclobber
			}
		case *syntax.ParamExp:
			highParam(n)
		case *syntax.UnaryTest:
			if n.Op >= syntax.TsExists && n.Op <= syntax.TsNoEmpty {
				asWritten(n.X)
			}
		case *syntax.BinaryTest:
			if n.Op == syntax.TsNewer || n.Op == syntax.TsOlder || n.Op == syntax.TsDevIno {
				asWritten(n.X)
				asWritten(n.Y)
			}
		}
		return found == nil
	})
	return found
}

// highParam makes ${10} ${*:10:1}: the interpreter finds nine parameters by number.
func highParam(n *syntax.ParamExp) {
	if n.Param == nil || len(n.Param.Value) < 2 || strings.Trim(n.Param.Value, "0123456789") != "" {
		return
	}
	if n.Excl || n.Length || n.Width || n.Index != nil || n.Slice != nil || n.Repl != nil || n.Exp != nil {
		return
	}
	n.Slice = &syntax.Slice{Offset: word(n.Param.Value), Length: word("1")}
	n.Param.Value = "*"
}

// asWritten has an operand of [[ that is a file come to the handlers as it is written,
// behind own: they see absolute paths, in which ./local:x looks as local:x does.
func asWritten(x syntax.TestExpr) {
	w, ok := x.(*syntax.Word)
	if !ok || len(w.Parts) == 0 {
		return
	}
	if l, ok := w.Parts[0].(*syntax.Lit); ok && (strings.HasPrefix(l.Value, own) || strings.HasPrefix(l.Value, "~")) {
		return // it is done, or a home, which is no local file
	}
	w.Parts = append([]syntax.WordPart{&syntax.Lit{Value: own}}, w.Parts...)
}

// guard lets each statement that redirects to or from a file fail if that file
// does: the interpreter takes the exit code before it closes the file and does not
// look at what comes of that. After such a statement, a command of ours gives the
// exit code of the statement or, if that is 0, of the file.
func guard(node syntax.Node) {
	var all []*syntax.Stmt // first, since a guarded statement has another in it
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			catSubst(n)
		case *syntax.Stmt:
			all = append(all, n)
		}
		return true
	})
	for _, st := range all {
		guardStmt(st)
	}
}

// catSubst makes $(<file) what it is short for.
func catSubst(n *syntax.CmdSubst) {
	if len(n.Stmts) == 1 && n.Stmts[0].Cmd == nil && len(n.Stmts[0].Redirs) == 1 {
		n.Stmts[0].Cmd = &syntax.CallExpr{Args: []*syntax.Word{word("cat")}}
	}
}

func word(text string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: text}}}
}

// commit is the command of ours behind a guarded statement.
const commit = "pfs-commit"

func guardStmt(st *syntax.Stmt) {
	call, ok := st.Cmd.(*syntax.CallExpr)
	forGood := ok && len(st.Redirs) > 0 && len(call.Args) == 1 && call.Args[0].Lit() == "exec"
	if !forGood && !opens(st) {
		return
	}
	inner := *st
	inner.Negated, inner.Background, inner.Disown, inner.Comments = false, false, false, nil
	after := &syntax.CallExpr{Args: []*syntax.Word{word(commit)}}
	if forGood {
		after.Args = append(after.Args, word("exec"))
	}
	st.Cmd = &syntax.Block{Lbrace: st.Pos(), Stmts: []*syntax.Stmt{&inner, {Position: st.End(), Cmd: after}}}
	st.Redirs = nil
}

// opens reports whether a statement redirects to or from a file.
func opens(st *syntax.Stmt) bool {
	for _, r := range st.Redirs {
		switch r.Op {
		case syntax.RdrIn, syntax.RdrOut, syntax.AppOut, syntax.RdrAll, syntax.AppAll:
			return r.Word.Lit() != nullDevice
		}
	}
	return false
}

// guardText is guard for text that the interpreter parses itself: of eval, of
// traps, of files that are sourced.
func (s *Shell) guardText(text, name string) (string, error) {
	file, err := parse(strings.NewReader(text), name)
	if err != nil {
		return "", err
	}
	s.noteFunctions(file)
	changed := false
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			changed = changed || opens(n)
		case *syntax.ParamExp: // perhaps by highParam
			changed = changed || n.Slice != nil
		case *syntax.TestClause: // perhaps by asWritten
			changed = true
		}
		return !changed
	})
	if !changed {
		return text, nil
	}
	guard(file)
	var out bytes.Buffer
	err = syntax.NewPrinter().Print(&out, file)
	return out.String(), err
}

// noteFunctions remembers which functions a script declares: they go before
// commands of ours.
func (s *Shell) noteFunctions(file *syntax.File) {
	syntax.Walk(file, func(n syntax.Node) bool {
		if f, ok := n.(*syntax.FuncDecl); ok && f.Name != nil {
			s.mu.Lock()
			s.custom[f.Name.Value] = true
			s.mu.Unlock()
		}
		return true
	})
}
