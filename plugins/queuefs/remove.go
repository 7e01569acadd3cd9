package queuefs

import "github.com/pfs-project/pfs/vfs"

// remove takes away a queue with nothing in it, or one dead or delayed message.
func remove(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	s := locate(p)
	id, err := removable(tx, s)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case s.entry != "":
		return removeEntry(tx, id, s)
	case s.file != "":
		return vfs.Result{}, vfs.Permission.Withf("%s cannot be removed", s.file)
	}
	if t := getTally(tx, id); t.live()+t.dead > 0 || hasQueues(tx, id) {
		return vfs.Result{}, vfs.NotEmpty
	}
	removeQueue(tx, id)
	reapQueue(tx, id, 1) // at once: it is a few rows
	return vfs.Result{Version: tx.Seq()}, nil
}

// removeAll takes away a queue with all in it, one message, or all dead ones.
func removeAll(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	s := locate(p)
	id, err := removable(tx, s)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case s.entry != "":
		return removeEntry(tx, id, s)
	case s.file == "dead":
		t := getTally(tx, id)
		t.buryAll(tx)
		t.save(tx, id)
	case s.file != "":
		return vfs.Result{}, vfs.Permission.Withf("%s cannot be removed", s.file)
	default:
		removeQueue(tx, id)
	}
	return vfs.Result{Version: tx.Seq()}, nil
}

// removable finds the queue that is to be removed, or that something is to be
// removed from.
func removable(tx vfs.Tx, s spot) (uint64, error) {
	id, ok := find(tx, s.queue)
	switch {
	case !ok:
		return 0, vfs.NotFound
	case id == rootID && s.file == "":
		return 0, vfs.Permission.With("cannot remove root directory")
	}
	return id, nil
}

func hasQueues(v vfs.View, id uint64) bool {
	for range v.Scan(key(rowEntry, id), nil) {
		return true
	}
	return false
}

// removeQueue takes a queue out of the tree, and leaves what is in it to Reap.
func removeQueue(tx vfs.Tx, id uint64) {
	q := getQueue(tx, id)
	tx.Delete(entryKey(q.parent, q.name))
	touchDir(tx, q.parent)
	tx.Put(key(rowGone, id), []byte{format})
	t := getTally(tx, id)
	t.save(tx, id) // those who wait for it hear of it
}

// removeEntry removes a dead message, or calls off a delayed one.
func removeEntry(tx vfs.Tx, id uint64, s spot) (vfs.Result, error) {
	uuid, isMessage := parseUUID(s.entry)
	t := getTally(tx, id)
	e, ok := findEntry(tx, id, s)
	switch {
	case !ok:
		return vfs.Result{}, vfs.NotFound
	case s.file == "dead":
		d, _ := t.findDead(tx, uuid)
		t.bury(tx, d)
	case s.file == "delayed" && isMessage:
		b, _ := tx.Get(uuidKey(rowDelayed, t.box, uuid))
		t.ripen(tx, id, uuid, decodeDelayed(b))
		tx.Delete(numberKey(rowTried, t.box, e.seq))
		t.forget(tx, e.seq, e.message)
		t.totals.dropped++
	default:
		return vfs.Result{}, vfs.Permission.Withf("what is in %s cannot be removed", s.file)
	}
	t.save(tx, id)
	return vfs.Result{Version: tx.Seq()}, nil
}

// ripen ends the delay of a message.
func (t *tally) ripen(tx vfs.Tx, id uint64, uuid [16]byte, d delayed) {
	tx.Delete(uuidKey(rowDelayed, t.box, uuid))
	d.task(id, t.box).drop(tx)
	t.delayed--
}

// bury removes one dead message for good.
func (t *tally) bury(tx vfs.Tx, d dead) {
	release(tx, d.message)
	tx.Delete(uuidKey(rowDead, t.grave, d.message.id))
	t.dead--
}

// dropAll leaves all messages but the dead ones to Reap.
func (t *tally) dropAll(tx vfs.Tx) {
	if t.live() > 0 {
		tx.Put(key(rowBox, t.box), orphan{row: rowLease}.encode())
		t.box = newID(tx)
	}
	t.totals.dropped += t.live()
	t.ready, t.delayed, t.lent, t.bytes, t.front = 0, 0, 0, 0, nil
	t.from, t.to = 0, 0
}

// buryAll leaves all dead messages to Reap.
func (t *tally) buryAll(tx vfs.Tx) {
	if t.dead > 0 {
		tx.Put(key(rowBox, t.grave), orphan{row: rowDead}.encode())
		t.grave, t.dead = newID(tx), 0
	}
}
