package early

import (
	"slices"

	"github.com/pfs-project/pfs/vfs"
)

const readmeName = "README"

// controls are the files of every queue, sorted. A file's id is its queue's id
// times eight plus its place here plus one.
var controls = [...]string{"clear", "dequeue", "enqueue", "peek", "size"}

const (
	idShift  = 3
	idMask   = 1<<idShift - 1
	idReadme = idMask
)

func reserved(name string) bool { return controlIndex(name) >= 0 }

func controlIndex(name string) int {
	return slices.Index(controls[:], name)
}

// spot is a path taken apart: a queue, and a file in it or "" for itself.
type spot struct {
	queue vfs.Path
	file  string
}

func locate(p vfs.Path) spot {
	switch dir, base := p.Dir(), p.Base(); {
	case p.IsRoot():
		return spot{queue: vfs.Root}
	case dir.IsRoot() && base == readmeName, !dir.IsRoot() && reserved(base):
		return spot{dir, base}
	}
	return spot{queue: p}
}

// fileStamp tells when the content behind a file changed last.
func fileStamp(t tally, name string) stamp {
	switch name {
	case "enqueue":
		return t.enqueued
	case "clear":
		return t.cleared
	}
	return t.changed
}

func oldest(v vfs.View, t tally) message {
	b, ok := v.Get(messageKey(t.box, t.head))
	if !ok {
		panic(corrupt())
	}
	return decodeMessage(b)
}

// FileID returns the id of a queue, or with a name of the file in it; false if
// there is no such file.
func FileID(queue uint64, name string) (id uint64, ok bool) {
	switch i := controlIndex(name); {
	case name == "":
		return queue << idShift, true
	case name == readmeName:
		return queue<<idShift | idReadme, true
	case i >= 0:
		return fileID(queue, name), true
	}
	return 0, false
}

// Split is FileID turned round.
func Split(file uint64) (queue uint64, name string, ok bool) {
	id, in := file>>idShift, int(file&idMask)
	switch {
	case id == rootID && in == idReadme:
		name = readmeName
	case id != rootID && in >= 1 && in <= len(controls):
		name = controls[in-1]
	case in != 0:
		return 0, "", false
	}
	return id, name, true
}

// PathOf returns the path of a queue or of a file in one.
func PathOf(v vfs.View, file uint64) (vfs.Path, bool) {
	id, name, ok := Split(file)
	if !ok {
		return "", false
	}
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
	if name != "" {
		p = p.Child(name)
	}
	return p, true
}
