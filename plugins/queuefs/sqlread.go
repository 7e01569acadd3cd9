package queuefs

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// view looks at the queue of a spot, once what has come due is done.
func (f *sqlFS) view(ctx context.Context, at spot) (*sqlQueue, error) {
	if err := f.settle(ctx, at.queue); err != nil {
		return nil, err
	}
	s, err := f.look(ctx, f.db.Reader(), at.queue, "")
	return s, sqldb.Kind(err)
}

// Stat describes a queue or what is in it.
func (f *sqlFS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	at := locate(p)
	s, err := f.view(ctx, at)
	switch {
	case err != nil:
		return vfs.Info{}, err
	case at.file == "":
		return s.dirInfo(p.Base()), nil
	case at.entry != "":
		m, err := s.entry(at)
		if err != nil {
			return vfs.Info{}, sqldb.Kind(err)
		}
		_, info, err := s.entryInfo(at.file, m)
		return info, sqldb.Kind(err)
	}
	info, err := s.fileInfo(at.file)
	return info, sqldb.Kind(err)
}

func (s *sqlQueue) dirInfo(name string) vfs.Info {
	at := stampOf(s.listed)
	info := vfs.Info{Name: name, Mode: dirMode, ModTime: at.time(), Version: at.version,
		Meta: vfs.Meta{Name: pluginType, Type: "queue"}}
	if s.isRoot() {
		info.Meta.Type, info.Meta.Content = "", map[string]string{"backend": s.f.backend}
	}
	return info
}

// fileStamp tells when the content behind a file changed last.
func (s *sqlQueue) fileStamp(name string) stamp {
	return s.stampOf(name, func() stamp { return stampOf(max(s.ctlAt, s.made)) })
}

func (s *sqlQueue) fileInfo(name string) (vfs.Info, error) {
	if name == readmeName {
		return vfs.Info{Name: name, Mode: 0o444, Size: int64(len(readme)), ModTime: stampOf(s.made).time(), Version: uint64(s.made),
			Meta: vfs.Meta{Name: pluginType, Type: "doc"}}, nil
	}
	info := controlInfo(name, s.fileStamp(name))
	if name == "peek" {
		info.ModTime = s.enqueued.time()
	}
	if info.Mode&0o444 == 0 || info.Consumes() || info.IsDir() {
		return info, nil
	}
	var w window
	err := s.text(name, &w)
	info.Size = w.size
	return info, err
}

// text writes the content of a file that can be read.
func (s *sqlQueue) text(name string, w io.Writer) error {
	text := ""
	switch name {
	case "ctl":
		set, err := s.options()
		if err != nil {
			return err
		}
		text = set.show()
	case "size":
		text = s.size()
	case "stats.json":
		m, err := s.oldest()
		if err != nil {
			return err
		}
		text = s.statsWith(m)
	case "peek":
		m, err := s.one("box = ? AND state = ? ORDER BY place LIMIT 1", s.box, sqlReady)
		if err == nil {
			err = s.load(&m)
		}
		switch {
		case vfs.KindOf(err) == vfs.NotFound:
			text = nothing
		case err != nil:
			return err
		default:
			return FS{}.render(s.ctx, m.message, "", w)
		}
	}
	_, err := io.WriteString(w, text)
	return err
}

// oldest returns the message that is ready since the lowest seq, nil if there
// is none; it looks at one of each priority.
func (s *sqlQueue) oldest() (*message, error) {
	var found *sqlMessage
	for from := int64(0); ; {
		m, err := s.one("box = ? AND state = ? AND place >= ? ORDER BY place LIMIT 1", s.box, sqlReady, from)
		if vfs.KindOf(err) == vfs.NotFound {
			break
		}
		if err != nil {
			return nil, err
		}
		if found == nil || m.seq < found.seq {
			found = &m
		}
		from = (m.place>>seqBits + 1) << seqBits
	}
	if found == nil {
		return nil, nil
	}
	return &found.message, nil
}

// entryName is the name of a message in a directory.
func entryName(dir string, m sqlMessage) string {
	if dir == "inflight" {
		return leaseText(m.box, uint64(m.place))
	}
	return uuidText(m.id)
}

// describe returns the name of a message in a directory, and it with why it is
// there.
func (s *sqlQueue) describe(dir string, m sqlMessage) (name string, r resident, err error) {
	name = entryName(dir, m)
	r = resident{message: m.message, seq: m.seq, at: stampOf(m.at), extras: counts(m.seq, m.attempt)}
	switch dir {
	case "dead":
		r.extras += deadExtras(m.reason.String, r.at.ns)
	case "delayed":
		r.extras += delayedExtras(m.due * 1000)
	default:
		i := item{seq: m.seq, attempt: m.attempt, box: m.box, fence: uint64(m.place), deadline: m.due * 1000}
		r.extras = i.extras() + takenExtras(r.at.ns)
		r.at.version = uint64(m.due) // extend moves it
	}
	err = s.load(&m)
	r.data = m.data
	return name, r, err
}

func (s *sqlQueue) entryInfo(dir string, m sqlMessage) (string, vfs.Info, error) {
	name, r, err := s.describe(dir, m)
	if err != nil {
		return "", vfs.Info{}, err
	}
	var w window
	err = writeResident(s.ctx, r, &w)
	return name, vfs.Info{Name: name, Mode: 0o444, Size: w.size, ModTime: r.at.time(), Version: r.at.version,
		Meta: vfs.Meta{Name: pluginType, Type: "message"}}, err
}

// writeResident renders a message in a directory: a long one in base64, as the
// memory backend does.
func writeResident(ctx context.Context, r resident, w io.Writer) error {
	if len(r.data) > vfs.MaxInline {
		return FS{}.renderAs(ctx, r.message, true, r.extras, w)
	}
	return FS{}.render(ctx, r.message, r.extras, w)
}

// List names the controls of a queue and the queues in it, or the messages in
// one of its directories.
func (f *sqlFS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	at := locate(p)
	s, err := f.view(ctx, at)
	if err != nil {
		return nil, err
	}
	if at.entry != "" {
		if _, err := s.entry(at); err != nil {
			return nil, sqldb.Kind(err)
		}
	}
	switch {
	case !at.isDir():
		return nil, vfs.NotDirectory
	case at.file != "":
		infos, err := s.listMessages(at.file, after, limit)
		return infos, sqldb.Kind(err)
	}
	infos, err := s.listQueues(after, limit)
	if err != nil {
		return nil, sqldb.Kind(err)
	}
	names := []string{readmeName}
	if !s.isRoot() {
		names = controlNames()
	}
	for _, name := range names {
		if name <= after {
			continue
		}
		info, err := s.fileInfo(name)
		if err != nil {
			return nil, sqldb.Kind(err)
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b vfs.Info) int { return strings.Compare(a.Name, b.Name) })
	if limit > 0 && len(infos) > limit {
		infos = infos[:limit]
	}
	return infos, nil
}

// listQueues returns the queues right below.
func (s *sqlQueue) listQueues(after string, limit int) ([]vfs.Info, error) {
	query, args := "SELECT path, listed FROM queuefs_queues WHERE parent = ? AND path > ? ORDER BY path", []any{s.id, string(s.path.Child(after))}
	if after == "" {
		args[1] = string(s.path)
	}
	if limit > 0 {
		query, args = query+" LIMIT ?", append(args, limit)
	}
	rows, err := s.q.QueryContext(s.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	infos := []vfs.Info{}
	for rows.Next() {
		below := sqlQueue{f: s.f}
		var path string
		if err := rows.Scan(&path, &below.listed); err != nil {
			return nil, err
		}
		infos = append(infos, below.dirInfo(vfs.Path(path).Base()))
	}
	return infos, rows.Err()
}

// listMessages returns the messages in a directory. Ids and leases sort as the
// places do.
func (s *sqlQueue) listMessages(dir, after string, limit int) ([]vfs.Info, error) {
	const page = 1000
	box, state := s.holds(dir)
	infos := []vfs.Info{}
	for from := int64(-1); ; {
		list, err := s.messages("box = ? AND state = ? AND place > ? ORDER BY place LIMIT ?", box, state, from, page)
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			from = m.place
			if name := entryName(dir, m); name <= after {
				continue
			}
			_, info, err := s.entryInfo(dir, m)
			switch {
			case vfs.KindOf(err) == vfs.NotFound: // gone meanwhile
				continue
			case err != nil:
				return nil, err
			}
			if infos = append(infos, info); len(infos) == limit {
				return infos, nil
			}
		}
		if len(list) < page {
			return infos, nil
		}
	}
}

// ReadAt renders what can be read.
func (f *sqlFS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	at := locate(p)
	s, err := f.view(ctx, at)
	switch {
	case err != nil:
		return 0, err
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	case at.isDir():
		return 0, vfs.IsDirectory
	case at.entry != "":
		m, err := s.entry(at)
		if err != nil {
			return 0, sqldb.Kind(err)
		}
		_, r, err := s.describe(at.file, m)
		if err != nil {
			return 0, sqldb.Kind(err)
		}
		return readRendered(b, off, func(w io.Writer) error { return writeResident(ctx, r, w) })
	case at.file == readmeName:
		return strings.NewReader(readme).ReadAt(b, off)
	}
	if err := unreadable(at.file); err != nil {
		return 0, err
	}
	n, err := readRendered(b, off, func(w io.Writer) error { return s.text(at.file, w) })
	return n, sqldb.Kind(err)
}
