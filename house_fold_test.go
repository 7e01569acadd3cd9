package pfs

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// state refuses package-level variables other than errors, tables, embedded
// files and interface guards: such as start empty, hold something made to
// change, or are changed by the package.
func (h *house) state() {
	vars := map[string]map[string]bool{} // by package: its variables
	for _, f := range h.files {
		if f.test {
			continue
		}
		if vars[f.dir] == nil {
			vars[f.dir] = map[string]bool{}
		}
		f.specs(func(g *ast.GenDecl, s *ast.ValueSpec) {
			for i, n := range s.Names {
				vars[f.dir][n.Name] = true
				if n.Name != "_" && !constant(g, s, i) {
					h.report(n.Pos(), "package-level variable %s", n.Name)
				}
			}
		})
	}
	for _, f := range h.files {
		if !f.test {
			h.changes(f, vars[f.dir])
		}
	}
}

// constant reports whether the variable is filled where it is declared, and
// with nothing that is there to change.
func constant(g *ast.GenDecl, s *ast.ValueSpec, i int) bool {
	if i >= len(s.Values) {
		embedded := mentions(g.Doc, "//go:embed") || mentions(s.Doc, "//go:embed")
		linked := mentions(g.Doc, "-X") || mentions(s.Doc, "-X") || mentions(s.Comment, "-X")
		return embedded || linked
	}
	call, ok := s.Values[i].(*ast.CallExpr)
	if !ok {
		return true
	}
	if id, ok := call.Fun.(*ast.Ident); ok {
		return id.Name != "make" && id.Name != "new"
	}
	pkg, _ := selector(call.Fun)
	return !slices.Contains([]string{"prometheus", "promauto", "flag", "sync", "atomic", "rand"}, pkg)
}

func mentions(c *ast.CommentGroup, word string) bool {
	return c != nil && slices.ContainsFunc(c.List, func(c *ast.Comment) bool { return strings.Contains(c.Text, word) })
}

// changes reports assignments to package-level variables.
func (h *house) changes(f *source, vars map[string]bool) {
	check := func(e ast.Expr) {
		id := root(e)
		if id == nil || id.Name == "_" || !vars[id.Name] {
			return
		}
		if id.Obj != nil { // declared in this file: there, or in a function?
			s, ok := id.Obj.Decl.(*ast.ValueSpec)
			if !ok || !slices.ContainsFunc(f.tree.Decls, func(d ast.Decl) bool {
				g, ok := d.(*ast.GenDecl)
				return ok && g.Pos() <= s.Pos() && s.End() <= g.End()
			}) {
				return
			}
		}
		h.report(e.Pos(), "package-level variable %s is changed", id.Name)
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					check(e)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		}
		return true
	})
}

// root returns the variable that an assignable expression is part of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// folded are the packages whose code the fold runs, and in them the files that
// it does not.
var folded = map[string][]string{
	"vfs":              nil,
	"vfs/wire":         nil,
	"vfs/content":      nil,
	"vfs/tree":         nil,
	"plugins/memfs":    nil,
	"plugins/kvfs":     nil,
	"plugins/queuefs":  {"check.go", "sql*.go"},
	"plugins/streamfs": {"mem*.go"},
	"fsm":              {"backup.go", "devices.go", "dir.go", "image.go", "restore.go", "snapshot.go", "wait.go"},
}

// elsewhere are packages whose answers differ from node to node.
var elsewhere = []string{"os", "net", "math/rand", "math/rand/v2", "crypto/rand", "os/exec", "net/http", "runtime"}

// clocks are the functions of package time that look at the clock.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// determinism keeps from the fold all that differs between nodes: clocks,
// chance, the machine, goroutines and the order of maps.
func (h *house) determinism() {
	types := h.mapNames()
	for _, f := range h.files {
		except, ok := folded[f.dir]
		if !ok || f.test || slices.ContainsFunc(except, func(p string) bool {
			match, _ := path.Match(p, path.Base(f.name))
			return match
		}) {
			continue
		}
		for _, imp := range f.tree.Imports {
			if p, _ := strconv.Unquote(imp.Path.Value); slices.Contains(elsewhere, p) {
				h.report(imp.Pos(), "the fold imports %s", p)
			}
		}
		for _, d := range f.tree.Decls {
			h.fold(f, d, types[f.dir])
		}
	}
}

// fold checks one declaration of a folded file.
func (h *house) fold(f *source, d ast.Decl, maps map[string]bool) {
	sorts := false
	ast.Inspect(d, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			pkg, name := selector(e)
			sorts = sorts || pkg == "sort" || pkg == "slices" && strings.HasPrefix(name, "Sort")
			if pkg == "time" && slices.Contains(clocks, name) {
				h.report(e.Pos(), "the fold calls time.%s", name)
			}
		}
		return true
	})
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			h.report(n.Pos(), "the fold starts a goroutine")
		case *ast.RangeStmt:
			if !sorts && isMap(n.X, maps) && !h.excused(f, n.Pos()) {
				h.report(n.Pos(), "the fold goes by the order of a map: sort, or say // any order")
			}
		}
		return true
	})
}

// excused reports whether the line of pos says that any order will do.
func (h *house) excused(f *source, pos token.Pos) bool {
	line := h.fset.Position(pos).Line
	return slices.ContainsFunc(f.tree.Comments, func(c *ast.CommentGroup) bool {
		return h.fset.Position(c.Pos()).Line == line && strings.Contains(c.Text(), "any order")
	})
}

// mapNames returns, by package, the names of types and struct fields ("." in
// front) that are maps.
func (h *house) mapNames() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, f := range h.files {
		names := out[f.dir]
		if names == nil {
			names = map[string]bool{}
			out[f.dir] = names
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if _, ok := n.Type.(*ast.MapType); ok {
					names[n.Name.Name] = true
				}
			case *ast.StructType:
				for _, field := range n.Fields.List {
					for _, name := range field.Names {
						if isMapType(field.Type, names) {
							names["."+name.Name] = true
						}
					}
				}
			}
			return true
		})
	}
	return out
}

// isMap reports whether an expression is a map, as far as one file tells.
func isMap(e ast.Expr, maps map[string]bool) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return isMap(e.X, maps)
	case *ast.SelectorExpr:
		return maps["."+e.Sel.Name]
	case *ast.CompositeLit:
		return isMapType(e.Type, maps)
	case *ast.CallExpr:
		id, ok := e.Fun.(*ast.Ident)
		pkg, name := selector(e.Fun)
		return ok && id.Name == "make" && isMapType(e.Args[0], maps) ||
			pkg == "maps" && (name == "Keys" || name == "Values" || name == "All")
	case *ast.Ident:
		return e.Obj != nil && declaredMap(e, maps)
	}
	return false
}

// declaredMap looks at where a name was declared.
func declaredMap(id *ast.Ident, maps map[string]bool) bool {
	switch d := id.Obj.Decl.(type) {
	case *ast.Field:
		return isMapType(d.Type, maps)
	case *ast.ValueSpec:
		if d.Type != nil {
			return isMapType(d.Type, maps)
		}
		for i, n := range d.Names {
			if n.Name == id.Name && i < len(d.Values) {
				return isMap(d.Values[i], maps)
			}
		}
	case *ast.AssignStmt:
		for i, l := range d.Lhs {
			if n, ok := l.(*ast.Ident); ok && n.Name == id.Name && len(d.Lhs) == len(d.Rhs) {
				return isMap(d.Rhs[i], maps)
			}
		}
	}
	return false
}

func isMapType(e ast.Expr, maps map[string]bool) bool {
	switch t := e.(type) {
	case *ast.MapType:
		return true
	case *ast.Ident:
		return maps[t.Name]
	case *ast.ParenExpr:
		return isMapType(t.X, maps)
	}
	return false
}
