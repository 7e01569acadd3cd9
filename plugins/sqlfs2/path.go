package sqlfs2

import (
	"regexp"
	"strconv"

	"github.com/pfs-project/pfs/vfs"
)

// node is what a path names.
type node struct {
	db, table string // "" above them
	session   int64  // 0: none
	file      string // "" for a directory
}

// depth is how many names are above the node's own level.
func (n node) depth() int {
	switch {
	case n.table != "":
		return 2
	case n.db != "":
		return 1
	}
	return 0
}

// identifier is what a name of a database or a table may be.
const identifier = `^[A-Za-z_][A-Za-z0-9_]{0,62}$`

func isName(s string) bool { return regexp.MustCompile(identifier).MatchString(s) }

// levelFiles are the files of a directory that is no session's, by depth.
func levelFiles(depth int) []string {
	if depth == 2 {
		return []string{"count", "ctl", "execute", "insert_json", "query", "schema"}
	}
	return []string{"ctl"}
}

// sessionFiles are the files of a session, by depth.
func sessionFiles(depth int) []string {
	if depth == 2 {
		return []string{"ctl", "data", "error", "query", "result", "result.csv", "result.ndjson"}
	}
	return []string{"ctl", "error", "query", "result", "result.csv", "result.ndjson"}
}

// parse says what p names; whether it is there is another question.
func parse(p vfs.Path) (n node, err error) {
	for _, e := range p.Elems() {
		id, num := strconv.ParseInt(e, 10, 64)
		switch {
		case n.file != "":
			return n, vfs.NotDirectory
		case n.session != 0 && has(sessionFiles(n.depth()), e), n.session == 0 && has(levelFiles(n.depth()), e):
			n.file = e
		case n.session != 0:
			return n, vfs.NotFound
		case num == nil && id > 0 && e[0] != '+':
			n.session = id
		case n.table != "":
			return n, vfs.NotFound
		case !isName(e):
			return n, vfs.NotFound.Withf("%q is no name of a database or a table: letters, digits and _ only", e)
		case n.db == "":
			n.db = e
		default:
			n.table = e
		}
	}
	return n, nil
}

func has(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}
