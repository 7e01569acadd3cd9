package heartbeatfs

import (
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// reapItems bounds what one Reap ends.
const reapItems = 256

// maxCtl bounds what may be written to ctl, in bytes.
const maxCtl = 256

// Apply folds one Op in.
func (f FS) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if op.File != 0 {
		p, ok := f.PathOf(tx, op.File)
		if !ok {
			return vfs.Result{}, vfs.NotFound
		}
		op.Path = p
	}
	switch op.Verb {
	case vfs.Mount:
		if _, ok := tx.Get([]byte{rowRoot}); !ok {
			setRoot(tx)
		}
		return vfs.Result{Version: rootStamp(tx).version}, nil
	case vfs.Mkdir:
		return f.make(tx, op.Path)
	case vfs.Create:
		return create(tx, op.Path)
	case vfs.Write, vfs.Touch, vfs.Truncate:
		return change(tx, op)
	case vfs.Remove, vfs.RemoveAll:
		return remove(tx, op)
	case vfs.Reap:
		return reap(tx)
	}
	return vfs.Result{}, vfs.Unsupported
}

// make makes an item whose first beat is now.
func (f FS) make(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	e := p.Elems()
	switch {
	case len(e) == 0:
		return vfs.Result{}, vfs.Exists.With("directory")
	case len(e) > 1:
		return vfs.Result{}, vfs.Permission.With("can only create heartbeat items at root level")
	case e[0] == readmeName:
		return vfs.Result{}, vfs.Exists.Withf("invalid heartbeat item name: %s", e[0])
	}
	if _, ok := find(tx, e[0]); ok {
		return vfs.Result{}, vfs.Exists.Withf("heartbeat item already exists: %s", e[0])
	}
	at := now(tx)
	i := item{id: newID(tx), timeout: f.timeout, made: at, beat: at, set: at}
	put(tx, e[0], i)
	tx.Put(nameKey(i.id), []byte(e[0]))
	setRoot(tx)
	return vfs.Result{Version: at.version, File: i.id << idShift}, nil
}

func put(tx vfs.Tx, name string, i item) {
	tx.Put(itemKey(name), i.encode())
	tx.Put(expiryKey(i, name), nil)
}

// create has nothing to do for a file of an item, and makes no other.
func create(tx vfs.Tx, p vfs.Path) (vfs.Result, error) {
	s, i, err := look(tx, p)
	switch {
	case err == nil && s.file == "":
		return vfs.Result{}, vfs.Exists.With("directory")
	case err == nil && s.file == readmeName:
		return vfs.Result{}, vfs.Exists
	case err == nil:
		return vfs.Result{Version: describe(tx, s, i).Version, File: fileID(i, s.file)}, nil
	case vfs.KindOf(err) == vfs.NotFound && len(p.Elems()) == 1:
		return vfs.Result{}, vfs.Permission.With("use mkdir to create heartbeat items")
	}
	return vfs.Result{}, err
}

// change is a beat, or sets the timeout. The files keep no bytes, so a
// Truncate, with which a shell may begin, changes nothing.
func change(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	s, i, err := look(tx, op.Path)
	switch {
	case err != nil && vfs.KindOf(err) == vfs.NotFound && len(op.Path.Elems()) == 1:
		return vfs.Result{}, vfs.Permission.With("use mkdir to create heartbeat items")
	case err != nil:
		return vfs.Result{}, err
	case s.file == "":
		return vfs.Result{}, vfs.IsDirectory
	case s.file == readmeName:
		return vfs.Result{}, vfs.Permission.Withf("%s is read-only", s.file)
	case op.Flag&vfs.FlagExclusive != 0:
		return vfs.Result{}, vfs.Exists
	}
	r := vfs.Result{N: op.Size(), Version: describe(tx, s, i).Version, File: fileID(i, s.file)}
	next := i
	switch {
	case op.Verb == vfs.Truncate, s.file == "ctl" && op.Verb == vfs.Touch:
		return r, nil
	case s.file == "ctl":
		if next.timeout, err = parseCtl(op); err != nil {
			return vfs.Result{}, err
		}
		next.set = now(tx)
	default:
		next.beat = now(tx)
	}
	tx.Delete(expiryKey(i, s.item))
	put(tx, s.item, next)
	r.Version = tx.Seq()
	return r, nil
}

// parseCtl reads timeout=N, in seconds or as a duration.
func parseCtl(op vfs.Op) (time.Duration, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(string(op.Data)), "timeout=")
	if len(op.Refs) > 0 || len(op.Data) > maxCtl || !ok {
		return 0, vfs.Invalid.With("invalid ctl command, use 'timeout=N' (seconds)")
	}
	d, err := time.ParseDuration(text)
	if n, nerr := strconv.ParseInt(text, 10, 64); nerr == nil {
		d, err = time.Duration(min(max(n, 0), int64(maxTimeout/time.Second)+1))*time.Second, nil
	}
	switch {
	case err != nil:
		return 0, vfs.Invalid.With("invalid ctl command, use 'timeout=N' (seconds)")
	case d <= 0:
		return 0, vfs.Invalid.With("timeout must be positive")
	case d > maxTimeout:
		return 0, vfs.Invalid.Withf("timeout must be at most %v", maxTimeout)
	}
	return d, nil
}

// remove ends an item. Its files cannot be removed by themselves.
func remove(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	s, i, err := look(tx, op.Path)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case s == spot{}:
		return vfs.Result{}, vfs.Permission.With("cannot remove root directory")
	case s.file != "":
		return vfs.Result{}, vfs.Permission.Withf("%s cannot be removed; remove the heartbeat item", s.file)
	}
	end(tx, s.item, i)
	return vfs.Result{Version: tx.Seq()}, nil
}

func end(tx vfs.Tx, name string, i item) {
	tx.Delete(itemKey(name))
	tx.Delete(nameKey(i.id))
	tx.Delete(expiryKey(i, name))
	setRoot(tx)
}

// reap ends the items whose time is over when it is applied, at most reapItems.
func reap(tx vfs.Tx) (vfs.Result, error) {
	var over []string
	for k := range tx.Scan([]byte{rowExpiry}, nil) {
		at, name := expires(k)
		if at.After(tx.Now()) || len(over) == reapItems {
			break
		}
		over = append(over, name)
	}
	for _, name := range over {
		i, ok := find(tx, name)
		if !ok {
			panic(corrupt())
		}
		end(tx, name, i)
	}
	return vfs.Result{N: int64(len(over))}, nil
}
