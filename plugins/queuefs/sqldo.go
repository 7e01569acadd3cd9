package queuefs

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// sqlPatience is how long one transaction may take.
const sqlPatience = 30 * time.Second

// Do carries out one Op.
func (f *sqlFS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	var do func(ctx context.Context, q sqldb.Queryer, op vfs.Op) (vfs.Result, error)
	switch op.Verb {
	case vfs.Consume:
		return f.consume(ctx, op)
	case vfs.Mkdir:
		do = f.mkdir
	case vfs.Write:
		if _, batch := vfs.ParseOptions(op.Target)["batch"]; !batch && len(op.Data) >= vfs.MaxInline {
			// The rest of it would be a second message.
			return vfs.Result{}, vfs.TooLarge.Withf("what is appended, or written at an offset, may have less than %d bytes here; write it as a whole", vfs.MaxInline)
		}
		do = f.write
	case vfs.Create, vfs.Touch, vfs.Truncate:
		do = f.touch
	case vfs.Remove:
		do = f.remove
	case vfs.RemoveAll:
		do = f.removeAll
	}
	if do == nil || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	return f.run(ctx, op, do)
}

// Put takes what is written to a file, which is one message or one command.
func (f *sqlFS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	b, err := io.ReadAll(io.LimitReader(r, sqlMessageMost))
	if err != nil {
		return vfs.Result{}, err
	}
	op.Data = b
	return f.run(ctx, op, f.write)
}

// run does what changes something, and tells those who wait.
func (f *sqlFS) run(ctx context.Context, op vfs.Op, do func(context.Context, sqldb.Queryer, vfs.Op) (vfs.Result, error)) (vfs.Result, error) {
	if k := op.If.Kind; k == vfs.IfVersion || k == vfs.IfAbsent {
		return vfs.Result{}, vfs.Invalid.Withf("backend %s takes no conditions", f.backend)
	}
	p := locate(op.Path).queue
	if op.Verb == vfs.Write {
		if err := f.settle(ctx, p); err != nil {
			return vfs.Result{}, err
		}
	}
	r, err := f.change(ctx, op, func(ctx context.Context, q sqldb.Queryer) (vfs.Result, error) { return do(ctx, q, op) })
	if err == nil {
		f.waits.nudge(p)
	}
	return r, err
}

// change runs do in a transaction, once under one idempotency key: the answer
// is kept with what it tells of.
func (f *sqlFS) change(ctx context.Context, op vfs.Op, do func(context.Context, sqldb.Queryer) (vfs.Result, error)) (r vfs.Result, err error) {
	name := vfs.KeyOf(ctx)
	// A client that leaves does not make the outcome a matter of chance.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sqlPatience)
	defer cancel()
	err = f.db.Update(ctx, func(q sqldb.Queryer) (err error) {
		if name == "" {
			r, err = do(ctx, q)
			return err
		}
		was, kept := "", []byte(nil)
		err = q.QueryRowContext(ctx, "SELECT sum, answer FROM queuefs_keys WHERE name = ?", name).Scan(&was, &kept)
		switch {
		case err == nil && was != sumOf(op):
			return vfs.KeyReused
		case err == nil:
			return json.Unmarshal(kept, &r)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		// Before anything else: another try under the key waits here.
		if _, err = q.ExecContext(ctx, "INSERT INTO queuefs_keys (name, sum, at) VALUES (?, ?, "+f.clock()+")", name, sumOf(op)); err != nil {
			return err
		}
		if r, err = do(ctx, q); err != nil {
			return err
		}
		if kept, err = json.Marshal(r); err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, "UPDATE queuefs_keys SET answer = ? WHERE name = ?", kept, name)
		return err
	})
	return r, sqldb.Kind(err)
}

// sumOf is what an idempotency key belongs to.
func sumOf(op vfs.Op) string {
	h := sha256.New()
	o := vfs.ParseOptions(op.Target)
	delete(o, "wait")
	for _, s := range []string{op.Verb.String(), string(op.Path), o.Encode()} {
		h.Write([]byte(s + "\x00"))
	}
	h.Write(op.Data)
	return hex.EncodeToString(h.Sum(nil))
}

func (f *sqlFS) mkdir(ctx context.Context, q sqldb.Queryer, op vfs.Op) (vfs.Result, error) {
	switch {
	case op.Path.IsRoot():
		return vfs.Result{}, vfs.Exists.With("directory")
	case locate(op.Path).file == readmeName:
		return vfs.Result{}, vfs.Exists
	}
	s, err := f.makeQueues(ctx, q, op.Path)
	if err != nil {
		return vfs.Result{}, err
	}
	return vfs.Result{Version: uint64(s.listed)}, nil
}

// write does what the file written to is there for.
func (f *sqlFS) write(ctx context.Context, q sqldb.Queryer, op vfs.Op) (vfs.Result, error) {
	at := locate(op.Path)
	if at.file == "enqueue" {
		return f.enqueue(ctx, q, at.queue, op)
	}
	if _, err := f.fileAt(ctx, q, at); err != nil {
		return vfs.Result{}, err
	}
	if len(op.Data) > vfs.MaxInline {
		return vfs.Result{}, vfs.TooLarge.Withf("a write to %s may have %d bytes", at.file, vfs.MaxInline)
	}
	switch at.file {
	case "ack", "nack", "extend":
		return f.orders(ctx, q, at, op)
	case "redrive":
		return f.redrive(ctx, q, at, op)
	case "ctl", "clear":
		s, err := f.look(ctx, q, at.queue, f.lock())
		if err != nil {
			return vfs.Result{}, err
		}
		s.tick()
		if at.file == "clear" {
			err = s.clear()
		} else {
			err = s.set(string(op.Data))
		}
		return vfs.Result{N: op.Size(), Version: uint64(s.now)}, err
	}
	return vfs.Result{}, vfs.Permission.Withf("%s is read-only", at.file)
}

// set changes the settings.
func (s *sqlQueue) set(text string) error {
	set, err := s.options()
	if err == nil {
		err = set.read(text)
	}
	if err != nil {
		return err
	}
	was := s.stamps[1]
	s.ctl, s.ctlAt = sql.NullString{String: set.show(), Valid: true}, s.now
	err = s.save()
	if err == nil { // settings are no change of the queue
		err = s.exec("UPDATE queuefs_queues SET changed = ? WHERE path = ?", was, string(s.path))
	}
	return err
}

// fileAt returns the queue that the file at is in. That it is a directory, or is
// nothing, is an error.
func (f *sqlFS) fileAt(ctx context.Context, q sqldb.Queryer, at spot) (*sqlQueue, error) {
	s, err := f.look(ctx, q, at.queue, "")
	if err != nil && vfs.KindOf(err) != vfs.NotFound {
		return nil, err
	}
	return s, fileThere(at, err == nil)
}

// touch answers Create, Touch and Truncate, as the files keep no bytes.
func (f *sqlFS) touch(ctx context.Context, q sqldb.Queryer, op vfs.Op) (vfs.Result, error) {
	at := locate(op.Path)
	if at.file == "enqueue" && op.Verb != vfs.Truncate {
		if _, err := f.makeQueues(ctx, q, at.queue); err != nil {
			return vfs.Result{}, err
		}
	}
	if at.file == "" && op.Verb == vfs.Touch {
		if s, err := f.look(ctx, q, at.queue, f.lock()); err == nil {
			s.tick()
			return vfs.Result{Version: uint64(s.now)}, s.touch()
		}
	}
	s, err := f.fileAt(ctx, q, at)
	switch {
	case op.Verb == vfs.Create && err == error(vfs.IsDirectory):
		return vfs.Result{}, vfs.Exists.With("directory")
	case err != nil:
		return vfs.Result{}, err
	case at.file == readmeName && op.Verb == vfs.Create:
		return vfs.Result{}, vfs.Exists
	case at.file == readmeName:
		return vfs.Result{}, vfs.Permission.Withf("%s is read-only", at.file)
	}
	return vfs.Result{Version: s.fileStamp(at.file).version}, nil
}
