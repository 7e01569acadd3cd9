package api

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/vfs"
)

var errNoBackups = vfs.Unsupported.With("this server makes no backups")

// backup answers GET /backup: the whole state at one index, and all content
// that it refers to. The answer begins once the state was read and hashed.
func (c *call) backup() error {
	if c.s.cfg.Backups == nil {
		return errNoBackups
	}
	img, err := c.image() // as fresh as the request asks
	if err != nil {
		return err
	}
	img.Release()
	src, err := c.s.cfg.Backups.Backup(c.context())
	if err != nil {
		return err
	}
	h := src.Header()
	c.set("X-Pfs-Index", formatIndex(h.Index))
	c.set("X-Pfs-Digest", h.Digest)
	c.set("Content-Disposition", `attachment; filename="`+h.Name()+`"`)
	c.fc.Response.Header.SetContentType("application/octet-stream")
	c.fc.SetStatusCode(200)
	c.fc.Response.SetBodyStream(&backupBody{c.life(), src}, -1)
	return nil
}

// backupBody writes a backup while it is sent.
type backupBody struct {
	s   life
	src backup.Source
}

// Read is never used: the body is written.
func (b *backupBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo makes fasthttp use WriteTo.
func (b *backupBody) SupportsBodyWriteTo() bool { return true }

// WriteTo sends the backup. One that cannot be read to its end, or that the
// client no longer wants, aborts the body.
func (b *backupBody) WriteTo(w io.Writer) (n int64, err error) {
	defer b.s.faults(&err)
	n, err = b.src.Write(b.s.context(), &steady{w: w})
	if err != nil {
		b.s.log.Warn("backup broke off", "request_id", b.s.trace.ID(), "bytes", n, "error", err)
	}
	return n, err
}

// steadyBytes have to be taken in each minute that a backup waits for its
// client: as long as it is under way it holds space on the disk.
const steadyBytes = 1 << 20

var errTrickle = errors.New("the client takes the backup too slowly")

// steady gives up on a client that takes next to nothing.
type steady struct {
	w       io.Writer
	waited  time.Duration
	written int
}

// Write writes through, in pieces: one may take its time.
func (s *steady) Write(b []byte) (done int, err error) {
	for done < len(b) && err == nil {
		start := time.Now()
		var n int
		n, err = s.w.Write(b[done:min(len(b), done+narrow)])
		s.waited += time.Since(start)
		done += n
		if s.written += n; s.waited > time.Minute {
			if err == nil && s.written < steadyBytes {
				err = errTrickle
			}
			s.waited, s.written = 0, 0
		}
	}
	return done, err
}

// Close lets go of the state.
func (b *backupBody) Close() error { return b.src.Close() }

// restore answers POST /restore: the body is a backup.
func (c *call) restore() error {
	if c.s.cfg.Backups == nil {
		return errNoBackups
	}
	in := c.body()
	done, err := c.s.cfg.Backups.Restore(c.context(), in)
	if in.err != nil {
		err = in.err
	}
	if err != nil {
		return err
	}
	c.set("X-Pfs-Index", formatIndex(done.Index))
	c.set("X-Pfs-Seq", strconv.FormatUint(done.Seq, 10))
	c.set("X-Pfs-Digest", done.Digest)
	return c.json(200, struct {
		Message string `json:"message"`
		backup.Restored
	}{"restored", done})
}
