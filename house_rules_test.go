package pfs

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of sizes.
const (
	maxFile      = 500 // lines
	maxTestFile  = 800
	maxFunc      = 80
	maxTestFunc  = 130 // a table of cases is data
	maxInterface = 6   // methods
	maxSwitch    = 10  // cases
)

// wide is the one interface that may have more methods: two numbers, two counts
// and an ordered map are what a fold is given, and splitting it helps nobody.
const wide = "vfs.Tx"

// sizes bounds files, functions, interfaces and switches.
func (h *house) sizes() {
	for _, f := range h.files {
		limit, limitFunc := maxFile, maxFunc
		if f.test {
			limit, limitFunc = maxTestFile, maxTestFunc
		}
		if f.lines > limit {
			h.report(f.tree.Package, "%d lines in a file, at most %d", f.lines, limit)
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if l := h.lines(n); l > limitFunc {
					h.report(n.Pos(), "%s has %d lines, at most %d", n.Name.Name, l, limitFunc)
				}
			case *ast.TypeSpec:
				if i, ok := n.Type.(*ast.InterfaceType); ok && methods(i) > maxInterface && f.dir+"."+n.Name.Name != wide {
					h.report(n.Pos(), "interface of %d methods, at most %d", methods(i), maxInterface)
				}
			case *ast.SwitchStmt:
				h.cases(n, n.Body)
			case *ast.TypeSwitchStmt:
				h.cases(n, n.Body)
			}
			return true
		})
	}
}

func (h *house) cases(n ast.Node, body *ast.BlockStmt) {
	if c := len(body.List); c > maxSwitch {
		h.report(n.Pos(), "switch of %d cases, at most %d: use a table", c, maxSwitch)
	}
}

func (h *house) lines(n ast.Node) int {
	return h.fset.Position(n.End()).Line - h.fset.Position(n.Pos()).Line + 1
}

func methods(i *ast.InterfaceType) (n int) {
	for _, m := range i.Methods.List {
		n += max(1, len(m.Names))
	}
	return n
}

// docs asks for a comment on every package and every exported name.
func (h *house) docs() {
	documented := map[string]bool{}
	for _, f := range h.files {
		if f.tree.Doc != nil && (!f.test || f.dir == ".") {
			documented[f.dir] = true
		}
	}
	missing := map[string]bool{}
	for _, f := range h.files {
		if f.test {
			continue
		}
		if !documented[f.dir] && !missing[f.dir] {
			missing[f.dir] = true
			h.report(f.tree.Package, "no package comment")
		}
		for _, d := range f.tree.Decls {
			h.docsOf(d)
		}
	}
}

func (h *house) docsOf(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
			h.report(d.Pos(), "%s has no comment", d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
					h.report(s.Pos(), "%s has no comment", s.Name.Name)
				}
			case *ast.ValueSpec:
				h.docsOfValue(d, s)
			}
		}
	}
}

// docsOfValue takes the comment of a group for its names, unless other names
// of the group have comments of their own.
func (h *house) docsOfValue(d *ast.GenDecl, s *ast.ValueSpec) {
	if s.Doc != nil || s.Comment != nil || d.Doc != nil {
		return
	}
	for _, n := range s.Names {
		if n.IsExported() {
			h.report(n.Pos(), "%s has no comment", n.Name)
		}
	}
}

// receiver returns the name of the type that a method is of.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// banned are words that say nothing.
var banned = []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "impl", "misc"}

// names refuses banned words as packages, files and types.
func (h *house) names() {
	for _, f := range h.files {
		stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.name), ".go"), "_test")
		for word := range strings.SplitSeq(stem, "_") {
			if slices.Contains(banned, word) {
				h.report(f.tree.Package, "file name %s", stem)
			}
		}
		if name := strings.TrimSuffix(f.tree.Name.Name, "_test"); slices.Contains(banned, name) {
			h.report(f.tree.Package, "package name %s", name)
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok {
				for _, word := range words(s.Name.Name) {
					if slices.Contains(banned, word) {
						h.report(s.Pos(), "type %s", s.Name.Name)
					}
				}
			}
			return true
		})
	}
}

// words splits a name at its capitals.
func words(name string) (out []string) {
	start := 0
	for i, r := range name {
		if i > start && unicode.IsUpper(r) {
			out = append(out, strings.ToLower(name[start:i]))
			start = i
		}
	}
	return append(out, strings.ToLower(name[start:]))
}

// manners refuses init functions, unfinished work, skipped tests, and tests
// that sleep other than between two looks.
func (h *house) manners() {
	for _, f := range h.files {
		for _, group := range f.tree.Comments {
			for _, c := range group.List {
				if strings.Contains(c.Text, "TO"+"DO") || strings.Contains(c.Text, "FIX"+"ME") {
					h.report(c.Pos(), "unfinished: %s", c.Text)
				}
			}
		}
		for _, d := range f.tree.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
				h.report(d.Pos(), "init function")
			}
		}
		for _, imp := range f.tree.Imports {
			if imp.Path.Value == `"log"` {
				h.report(imp.Pos(), "package log: errors are returned, and logged with log/slog")
			}
		}
		if f.test {
			h.testManners(f)
		}
	}
}

func (h *house) testManners(f *source) {
	var loops []ast.Node
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			loops = append(loops, n)
		case *ast.CallExpr:
			recv, name := selector(n.Fun)
			switch {
			case recv == "time" && name == "Sleep" && !imports(f.tree, "testing/synctest") && !slices.ContainsFunc(loops, func(l ast.Node) bool { return n.Pos() < l.End() }):
				h.report(n.Pos(), "time.Sleep: look again until a deadline instead")
			case (recv == "t" || recv == "b") && strings.HasPrefix(name, "Skip"):
				h.report(n.Pos(), "a test skips")
			}
		}
		return true
	})
}

// selector returns x and name of an expression x.name; "", "" for others.
func selector(e ast.Expr) (x, name string) {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if id, ok := s.X.(*ast.Ident); ok {
			return id.Name, s.Sel.Name
		}
	}
	return "", ""
}

// specs calls fn for every package-level variable declaration of the file.
func (f *source) specs(fn func(*ast.GenDecl, *ast.ValueSpec)) {
	for _, d := range f.tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				fn(g, s.(*ast.ValueSpec))
			}
		}
	}
}

// imports reports whether a file imports a package.
func imports(f *ast.File, pkg string) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(pkg) })
}
