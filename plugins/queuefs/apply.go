package queuefs

import (
	"github.com/pfs-project/pfs/plugins/queuefs/early"
	"github.com/pfs-project/pfs/vfs"
)

// Apply folds one Op in. An Op with a File addresses it wherever it is, and is
// NotFound once it is gone; only an Op by name makes a queue that is missing.
func (f FS) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if isEarly(tx) {
		return early.Apply(tx, op)
	}
	if op.File != 0 {
		p, ok := f.PathOf(tx, op.File)
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
		return touch(tx, op)
	case vfs.Remove:
		return remove(tx, op.Path)
	case vfs.RemoveAll:
		return removeAll(tx, op.Path)
	case vfs.Consume:
		return consume(tx, op)
	case vfs.Reap:
		return reap(tx)
	}
	return vfs.Result{}, vfs.Unsupported
}

func mount(tx vfs.Tx) (vfs.Result, error) {
	if _, ok := tx.Get(key(rowQueue, rootID)); !ok {
		tx.Put(key(rowQueue, rootID), queue{made: now(tx), changed: now(tx)}.encode())
	}
	return vfs.Result{Version: getQueue(tx, rootID).changed.version, File: dirID(rootID)}, nil
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
	return vfs.Result{Version: getQueue(tx, id).changed.version, File: dirID(id)}, nil
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
	t := tally{box: newID(tx), grave: newID(tx), next: 1, fence: tx.Seq() << fenceBits,
		enqueued: at, changed: at, cleared: at}
	tx.Put(key(rowTally, id), t.encode())
	touchDir(tx, parent)
	return id
}

// fenceBits are the bits of a fence below the number of the Event that made its
// queue. An Event gives less than 1<<fenceBits fences, so those of a queue that
// is made again by a later one go on rising.
const fenceBits = 7

func touchDir(tx vfs.Tx, id uint64) {
	q := getQueue(tx, id)
	q.changed = now(tx)
	tx.Put(key(rowQueue, id), q.encode())
}

// write does what the file written to is there for. Where and how the bytes
// were meant to be written does not matter.
func write(tx vfs.Tx, op vfs.Op) (r vfs.Result, err error) {
	s := locate(op.Path)
	if s.file == "enqueue" {
		return enqueue(tx, s.queue, op)
	}
	id, err := fileAt(tx, s)
	if err != nil {
		return vfs.Result{}, err
	}
	switch s.file {
	case "ack", "nack", "extend":
		r, err = settle(tx, id, s.file, op)
	case "redrive":
		r, err = redrive(tx, id, op)
	case "ctl":
		r, err = setSettings(tx, id, op)
	case "clear":
		r, err = vfs.Result{N: op.Size(), Version: tx.Seq()}, clearQueue(tx, id)
	default:
		return vfs.Result{}, vfs.Permission.Withf("%s is read-only", s.file)
	}
	r.File = fileID(id, s.file)
	return r, err
}

// fileAt returns the id of the queue that the file s is in. That s is a
// directory, or is nothing, is an error.
func fileAt(tx vfs.Tx, s spot) (uint64, error) {
	id, ok := find(tx, s.queue)
	return id, fileThere(s, ok)
}

// fileThere is fileAt for a queue that is there or not.
func fileThere(s spot, ok bool) error {
	switch {
	case !ok && s.file == "":
		return vfs.Permission.With("only directories can be made here; a message is written to the file enqueue of a queue")
	case !ok:
		return vfs.NotFound
	case s.isDir():
		return vfs.IsDirectory
	case s.entry == "":
		return nil
	}
	return vfs.Permission.Withf("what is in %s is read-only", s.file)
}

// clearQueue drops all but the dead messages, and leaves them to Reap. Numbers
// go on where they were; leases are lost.
func clearQueue(tx vfs.Tx, id uint64) error {
	t := getTally(tx, id)
	t.dropAll(tx)
	t.cleared = now(tx)
	t.save(tx, id)
	return nil
}

// touch answers Create, Touch and Truncate. The files of a queue are always
// there and keep no bytes, so there is nothing to do, but whoever creates or
// touches an enqueue file is about to write to it and gets its queue.
func touch(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	s := locate(op.Path)
	if s.file == "enqueue" && op.Verb != vfs.Truncate {
		if _, err := makeQueues(tx, s.queue); err != nil {
			return vfs.Result{}, err
		}
	}
	if s.file == "" {
		if id, ok := find(tx, s.queue); ok && op.Verb == vfs.Touch {
			touchDir(tx, id)
			return vfs.Result{Version: tx.Seq(), File: dirID(id)}, nil
		}
	}
	id, err := fileAt(tx, s)
	switch {
	case op.Verb == vfs.Create && err == error(vfs.IsDirectory):
		return vfs.Result{}, vfs.Exists.With("directory")
	case err != nil:
		return vfs.Result{}, err
	case s.file == readmeName && op.Verb == vfs.Create:
		return vfs.Result{}, vfs.Exists
	case s.file == readmeName:
		return vfs.Result{}, vfs.Permission.Withf("%s is read-only", s.file)
	}
	t := getTally(tx, id)
	return vfs.Result{Version: fileStamp(tx, id, &t, s.file).version, File: fileID(id, s.file)}, nil
}
