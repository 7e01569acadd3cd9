package queuefs

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/plugins/queuefs/early"
	"github.com/pfs-project/pfs/vfs"
)

const (
	readmeName = "README"
	dirMode    = vfs.ModeDir | 0o755
	holdMode   = vfs.ModeDir | 0o555
)

// control is one of the files and directories that every queue has.
type control struct {
	name string
	mode vfs.Mode
	kind string // Meta.Type
}

// controls is sorted by name. The id of a file is that of its queue, shifted,
// and its place here plus one.
var controls = [...]control{
	{"ack", 0o222, "control"},
	{"clear", 0o222, "control"},
	{"ctl", 0o644, "control"},
	{"dead", holdMode, "messages"},
	{"delayed", holdMode, "messages"},
	{"dequeue", 0o444, "control"},
	{"enqueue", 0o222, "control"},
	{"extend", 0o222, "control"},
	{"inflight", holdMode, "messages"},
	{"nack", 0o222, "control"},
	{"peek", 0o444, "control"},
	{"redrive", 0o222, "control"},
	{"size", 0o444, "status"},
	{"stats.json", 0o444, "status"},
	{"take", 0o444, "control"},
}

const (
	idShift  = 5
	idMask   = 1<<idShift - 1
	idReadme = idMask
)

// idMark tells these ids from those before level 3, which handles may still have.
const idMark = 1 << 62

func dirID(queue uint64) uint64 { return idMark | queue<<idShift }

func fileID(queue uint64, name string) uint64 {
	if name == readmeName {
		return dirID(queue) | idReadme
	}
	return dirID(queue) | uint64(controlIndex(name)+1)
}

func reserved(name string) bool { return controlIndex(name) >= 0 }

func controlIndex(name string) int {
	return slices.IndexFunc(controls[:], func(c control) bool { return c.name == name })
}

// holds reports whether a control is a directory of messages.
func holds(name string) bool {
	i := controlIndex(name)
	return i >= 0 && controls[i].mode.IsDir()
}

// spot is a path taken apart: a queue, a control in it or "" for itself, and
// an entry of that or "".
type spot struct {
	queue vfs.Path
	file  string
	entry string
}

// isDir reports whether the spot, if it is there, is a directory.
func (s spot) isDir() bool { return s.file == "" || s.entry == "" && holds(s.file) }

func locate(p vfs.Path) spot {
	dir, base := p.Dir(), p.Base()
	switch {
	case p.IsRoot():
		return spot{queue: vfs.Root}
	case dir.IsRoot() && base == readmeName, !dir.IsRoot() && reserved(base):
		return spot{queue: dir, file: base}
	case !dir.IsRoot() && !dir.Dir().IsRoot() && holds(dir.Base()):
		return spot{queue: dir.Dir(), file: dir.Base(), entry: base}
	}
	return spot{queue: p}
}

// PathOf returns the path of a queue or of a control in one.
func (f FS) PathOf(v vfs.View, file uint64) (vfs.Path, bool) {
	if isEarly(v) {
		return early.PathOf(v, file)
	}
	id, name, ok := splitID(file)
	if !ok {
		return "", false
	}
	p, ok := pathOf(v, id)
	if ok && name != "" {
		p = p.Child(name)
	}
	return p, ok
}

// pathOf returns the path of a queue, false for one that is gone, or below one
// that is.
func pathOf(v vfs.View, id uint64) (vfs.Path, bool) {
	var names []string
	for id != rootID {
		b, ok := v.Get(key(rowQueue, id))
		if !ok {
			return "", false
		}
		q := decodeQueue(b)
		if now, ok := child(v, q.parent, q.name); !ok || now != id {
			return "", false
		}
		names, id = append(names, q.name), q.parent
	}
	p := vfs.Root
	for _, n := range slices.Backward(names) {
		p = p.Child(n)
	}
	return p, true
}

// splitID is dirID and fileID turned round.
func splitID(file uint64) (queue uint64, name string, ok bool) {
	if file&idMark == 0 {
		return early.Split(file)
	}
	id, in := file&^idMark>>idShift, int(file&idMask)
	switch {
	case id == rootID && in == idReadme:
		name = readmeName
	case id != rootID && in >= 1 && in <= len(controls):
		name = controls[in-1].name
	case in != 0:
		return 0, "", false
	}
	return id, name, true
}

// bound returns the lowest n bytes whose text may come after the text given.
// The text of bytes is head, then their digits with dashes at the places that
// dashes names. ok is false if no text does.
func bound(after, head, dashes string, n int) (low []byte, ok bool) {
	rest, isBelow := strings.CutPrefix(after, head)
	if !isBelow {
		return make([]byte, n), after < head
	}
	digits, pad := "", "0"
	for i := 0; i < len(rest) && i < len(dashes) && pad == "0"; i++ {
		c, dash := rest[i], dashes[i] == '-'
		switch next := strings.IndexFunc(hexDigits, func(r rune) bool { return byte(r) >= c }); {
		case dash && c == '-':
		case dash && c < '-':
			return padded(digits, "0", n), true
		case dash || next < 0:
			pad = "f"
		case hexDigits[next] == c:
			digits += string(c)
		default:
			return padded(digits+hexDigits[next:next+1], "0", n), true
		}
	}
	return padded(digits, pad, n), true
}

const hexDigits = "0123456789abcdef"

func padded(digits, pad string, n int) []byte {
	b, err := hex.DecodeString(digits + strings.Repeat(pad, 2*n-len(digits)))
	if err != nil {
		panic(err) // they are digits
	}
	return b
}
