package early

import (
	"encoding/json"

	"github.com/pfs-project/pfs/vfs"
)

// Apply folds one Op in. An Op with a File addresses it wherever it is, and is
// NotFound once it is gone; only an Op by name makes a queue that is missing.
func Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if op.File != 0 {
		p, ok := PathOf(tx, op.File)
		if !ok {
			return vfs.Result{}, vfs.NotFound
		}
		op.Path = p
	}
	switch op.Verb {
	case vfs.Mount:
		return mount(tx)
	case vfs.Mkdir:
		return mkdir(tx, op.Path)
	case vfs.Write:
		return write(tx, op)
	case vfs.Create, vfs.Touch, vfs.Truncate:
		return settle(tx, op)
	case vfs.Remove:
		return remove(tx, op.Path)
	case vfs.RemoveAll:
		return removeAll(tx, op.Path)
	case vfs.Consume:
		return consume(tx, op.Path)
	case vfs.Reap:
		return reap(tx)
	}
	return vfs.Result{}, vfs.Unsupported
}

func mount(tx vfs.Tx) (vfs.Result, error) {
	if _, ok := tx.Get(key(rowQueue, rootID)); !ok {
		tx.Put(key(rowQueue, rootID), queue{made: now(tx), changed: now(tx)}.encode())
	}
	return vfs.Result{Version: getQueue(tx, rootID).changed.version, File: rootID << idShift}, nil
}

// mkdir makes a queue and those above it; one that is there is left alone.
func mkdir(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	switch {
	case p.IsRoot():
		return vfs.Result{}, vfs.Exists.With("directory")
	case locate(p).file == readmeName:
		return vfs.Result{}, vfs.Exists
	}
	id, err := makeQueues(tx, p)
	if err != nil {
		return vfs.Result{}, err
	}
	return vfs.Result{Version: getQueue(tx, id).changed.version, File: id << idShift}, nil
}

// makeQueues returns the id of the queue at p, making what is missing.
func makeQueues(tx vfs.Tx, p vfs.Path) (uint64, error) {
	id := uint64(rootID)
	for i, name := range p.Elems() {
		next, ok := child(tx, id, name)
		switch {
		case ok:
		case reserved(name):
			return 0, vfs.Permission.Withf("%s is a reserved name", name)
		case i == 0 && name == readmeName:
			return 0, vfs.NotDirectory
		default:
			next = addQueue(tx, id, name)
		}
		id = next
	}
	return id, nil
}

func addQueue(tx vfs.Tx, parent uint64, name string) uint64 {
	id, at := newID(tx), now(tx)
	tx.Put(entryKey(parent, name), encodeID(id))
	tx.Put(key(rowQueue, id), queue{parent: parent, name: name, made: at, changed: at}.encode())
	t := tally{box: newID(tx), head: 1, next: 1, enqueued: at, changed: at, cleared: at}
	tx.Put(key(rowTally, id), t.encode())
	touchDir(tx, parent)
	return id
}

func touchDir(tx vfs.Tx, id uint64) {
	q := getQueue(tx, id)
	q.changed = now(tx)
	tx.Put(key(rowQueue, id), q.encode())
}

// write adds a message, or clears a queue. Where and how the bytes were meant
// to be written does not matter.
func write(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	s := locate(op.Path)
	if s.file == "enqueue" {
		return enqueue(tx, s.queue, op)
	}
	id, err := fileAt(tx, s)
	if err != nil {
		return vfs.Result{}, err
	}
	if s.file == "clear" {
		return vfs.Result{N: op.Size(), Version: tx.Seq(), File: fileID(id, s.file)}, clearQueue(tx, id)
	}
	return vfs.Result{}, vfs.Permission.Withf("%s is read-only", s.file)
}

// fileAt returns the id of the queue that the file s is in. That s is a queue,
// or is nothing, is an error.
func fileAt(tx vfs.Tx, s spot) (uint64, error) {
	id, ok := find(tx, s.queue)
	switch {
	case s.file == "" && ok:
		return 0, vfs.IsDirectory
	case s.file == "":
		return 0, vfs.Permission.With("only directories can be made here; a message is written to the file enqueue of a queue")
	case !ok:
		return 0, vfs.NotFound
	}
	return id, nil
}

func enqueue(tx vfs.Tx, queue vfs.Path, op vfs.Op) (vfs.Result, error) {
	size := op.Size()
	if size >= maxMessage {
		return vfs.Result{}, vfs.TooLarge.Withf("a message must be shorter than %d bytes", maxMessage)
	}
	id, err := makeQueues(tx, queue)
	if err != nil {
		return vfs.Result{}, err
	}
	at := now(tx)
	m := message{id: newUUID(tx.Now(), newID(tx), op.Mount), ns: at.ns, refs: op.Refs, data: op.Data}
	if len(m.refs) > 0 {
		m.data = nil
	}
	for _, ref := range m.refs {
		tx.Retain(ref)
	}
	t := getTally(tx, id)
	position := t.next
	tx.Put(messageKey(t.box, position), m.encode())
	t.next++
	t.enqueued, t.changed = at, at
	tx.Put(key(rowTally, id), t.encode())
	answer, err := json.Marshal(struct {
		ID  string `json:"id"`
		Seq uint64 `json:"seq"`
	}{m.uuid(), position})
	return vfs.Result{N: size, Data: answer, Version: at.version, File: fileID(id, "enqueue")}, err
}

func fileID(queue uint64, name string) uint64 {
	return queue<<idShift | uint64(controlIndex(name)+1)
}

// clearQueue leaves the messages to Reap. Positions go on where they were.
func clearQueue(tx vfs.Tx, id uint64) error {
	t := getTally(tx, id)
	if orphan(tx, t) {
		t.box = newID(tx)
	}
	t.head, t.cleared, t.changed = t.next, now(tx), now(tx)
	tx.Put(key(rowTally, id), t.encode())
	return nil
}

// settle answers Create, Touch and Truncate. The files of a queue are always
// there and keep no bytes, so there is nothing to do, but whoever creates or
// touches an enqueue file is about to write to it and gets its queue.
func settle(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	s := locate(op.Path)
	if s.file == "enqueue" && op.Verb != vfs.Truncate {
		if _, err := makeQueues(tx, s.queue); err != nil {
			return vfs.Result{}, err
		}
	}
	if s.file == "" {
		if id, ok := find(tx, s.queue); ok && op.Verb == vfs.Touch {
			touchDir(tx, id)
			return vfs.Result{Version: tx.Seq(), File: id << idShift}, nil
		} else if ok && op.Verb == vfs.Create {
			return vfs.Result{}, vfs.Exists.With("directory")
		}
	}
	id, err := fileAt(tx, s)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case s.file == readmeName && op.Verb == vfs.Create:
		return vfs.Result{}, vfs.Exists
	case s.file == readmeName:
		return vfs.Result{}, vfs.Permission.Withf("%s is read-only", s.file)
	}
	return vfs.Result{Version: fileStamp(getTally(tx, id), s.file).version, File: fileID(id, s.file)}, nil
}

// removable finds the queue that is to be removed.
func removable(tx vfs.Tx, p vfs.Path) (uint64, error) {
	s := locate(p)
	id, ok := find(tx, s.queue)
	switch {
	case !ok:
		return 0, vfs.NotFound
	case s.file != "":
		return 0, vfs.Permission.Withf("%s cannot be removed", s.file)
	case id == rootID:
		return 0, vfs.Permission.With("cannot remove root directory")
	}
	return id, nil
}

// remove takes away a queue with nothing in it.
func remove(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	id, err := removable(tx, p)
	if err != nil {
		return vfs.Result{}, err
	}
	if getTally(tx, id).count() > 0 || hasQueues(tx, id) {
		return vfs.Result{}, vfs.NotEmpty
	}
	detach(tx, id)
	tx.Delete(key(rowQueue, id))
	tx.Delete(key(rowTally, id))
	return vfs.Result{Version: tx.Seq()}, nil
}

func hasQueues(v vfs.View, id uint64) bool {
	for range v.Scan(key(rowEntry, id), nil) {
		return true
	}
	return false
}

func detach(tx vfs.Tx, id uint64) {
	q := getQueue(tx, id)
	tx.Delete(entryKey(q.parent, q.name))
	touchDir(tx, q.parent)
}

// removeAll takes a queue out of the tree with all in it, and leaves it to
// Reap.
func removeAll(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	id, err := removable(tx, p)
	if err != nil {
		return vfs.Result{}, err
	}
	detach(tx, id)
	tx.Put(key(rowGone, id), []byte{format})
	return vfs.Result{Version: tx.Seq()}, nil
}

// consume takes the oldest message: Data is its row, which Reply renders. It
// is empty when there is none.
func consume(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	s := locate(p)
	id, ok := find(tx, s.queue)
	switch {
	case !ok:
		return vfs.Result{}, vfs.NotFound
	case s.file != "dequeue":
		return vfs.Result{}, vfs.Unsupported.With("reading it takes nothing")
	}
	t := getTally(tx, id)
	r := vfs.Result{Version: t.changed.version, File: fileID(id, s.file)}
	if t.count() == 0 {
		return r, nil
	}
	m := oldest(tx, t)
	release(tx, m)
	tx.Delete(messageKey(t.box, t.head))
	t.head++
	t.changed = now(tx)
	tx.Put(key(rowTally, id), t.encode())
	r.Data, r.Refs, r.Version = m.encode(), m.refs, tx.Seq()
	return r, nil
}

func release(tx vfs.Tx, m message) {
	for _, ref := range m.refs {
		tx.Release(ref)
	}
}
