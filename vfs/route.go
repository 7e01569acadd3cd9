package vfs

import (
	"context"
	"errors"
)

// Words of refusals that clients know.
var (
	errAcross = &Error{Kind: Unsupported, Reason: "cannot rename across different mounts"}
	errRootfs = Permission.With("not allowed to create in rootfs, use mount instead")
	errMount  = Permission.With("mount point")
)

// Target says where op is to run, before the log: the mount, and op with its
// paths relative to it and free of links. It refuses what [Table.Check] does.
//
// The Placement of the answer is the one of this Op: a link that the Table
// keeps for a Device is Replicated. A Replicated Op is proposed as it came,
// with global paths, so that links are followed once more when it is applied;
// if that answers Moved, the way led through a Device, and m.Global(rel) is
// proposed instead. What a Device answers goes through [Table.Explain].
//
// A refusal is only as fresh as v; where that may be behind what a client
// knows, ask again with a fresh one before answering.
func (t *Table) Target(ctx context.Context, v View, op Op) (m Mounted, rel Op, err error) {
	m, rel, err = t.target(ctx, v, op)
	if err != nil {
		return Mounted{}, Op{}, t.explain(v, &op, err)
	}
	return m, rel, nil
}

// Check says what can be said of op before the log: whether a mount takes it,
// whether its mount knows the verb, whether its sizes are sane. nil promises
// nothing; conditions and existence are left to the fold.
func (t *Table) Check(ctx context.Context, v View, op Op) error {
	_, _, err := t.Target(ctx, v, op)
	return err
}

func (t *Table) target(ctx context.Context, v View, op Op) (Mounted, Op, error) {
	if err := op.check(); err != nil {
		return Mounted{}, Op{}, err
	}
	if op.byID() {
		return t.targetByID(op)
	}
	at, err := t.locate(ctx, v, op.Path, op.follows(), true)
	if err != nil {
		return Mounted{}, Op{}, err
	}
	if err := t.refuse(&op, at); err != nil {
		return Mounted{}, Op{}, err
	}
	if op.Verb == Rename {
		to, err := t.locate(ctx, v, op.To, false, true)
		if err == nil {
			err = t.refuseRename(at, to)
		}
		if err != nil {
			return Mounted{}, Op{}, err
		}
		if err := t.mayReplace(ctx, v, at, to); err != nil {
			return Mounted{}, Op{}, err
		}
		op.To = to.rel
	}
	m := at.e.Mounted
	_, isLink := at.link(v)
	switch {
	case at.e.keeps && op.Verb == Symlink:
		if err := t.mayLink(ctx, v, at); err != nil {
			return Mounted{}, Op{}, err
		}
		m.Place = Replicated
	case isLink && (op.Verb == Remove || op.Verb == RemoveAll || op.Verb == Rename):
		m.Place = Replicated
	case isLink:
		return Mounted{}, Op{}, Exists
	case !m.Verbs.Has(op.Verb):
		return Mounted{}, Op{}, Unsupported
	case op.Verb == Remove && at.hasLinksBelow(v):
		return Mounted{}, Op{}, NotEmpty
	case m.FS == nil:
		return Mounted{}, Op{}, at.e.down()
	}
	op.Path, op.Mount = at.rel, m.ID
	return m, op, nil
}

func (t *Table) targetByID(op Op) (Mounted, Op, error) {
	e := t.byID[op.Mount]
	if err := e.takesByID(&op); err != nil {
		return Mounted{}, Op{}, err
	}
	op.Path = e.relative(op.Path)
	return e.Mounted, op, nil
}

// Carries reports whether links that the Table keeps for a Device go with op,
// as Target returned it: after the Device has done a Rename or RemoveAll, the
// Op is to be proposed as well, and then moves or removes only the links.
func (t *Table) Carries(v View, op Op) bool {
	e := t.byID[op.Mount]
	if e == nil || e.Place == Replicated || op.Verb != Rename && op.Verb != RemoveAll {
		return false
	}
	return place{e, op.Path, e.Path.Join(op.Path)}.hasLinksBelow(v)
}

// byID reports whether op goes to Op.Mount whatever its path says.
func (op *Op) byID() bool { return op.File != 0 || op.Verb == Reap }

// relative returns p relative to the mount, Root if it is not in it.
func (e *entry) relative(p Path) Path {
	if p == "" || !p.Under(e.Path) {
		return Root
	}
	return p.Rel(e.Path)
}

// takesByID refuses an Op that names a file by its id or reaps; e may be nil.
func (e *entry) takesByID(op *Op) error {
	switch {
	case e == nil:
		return NotFound
	case e.FS == nil:
		return e.down()
	case op.Verb == Reap:
		if _, ok := e.FS.(Timer); !ok {
			return Unsupported
		}
		return nil
	}
	switch op.Verb {
	case Write, Truncate, Chmod, Touch:
	default:
		return Invalid.With("needs a path")
	}
	if _, ok := e.FS.(Finder); !ok || !e.Verbs.Has(op.Verb) {
		return Unsupported
	}
	return nil
}

// check refuses an Op that makes no sense anywhere.
func (op *Op) check() error {
	switch {
	case op.Verb < Create || op.Verb > Consume && op.Verb != Reap:
		return Unsupported
	case op.Verb == Symlink:
		if _, err := ParsePath(op.Target); err != nil {
			return Invalid.With("target is not a path")
		}
	case op.Verb == Rename && op.To == "":
		return Invalid.With("no new name")
	case op.Verb == Truncate && op.Off < 0:
		return Invalid.With("negative size")
	case op.Verb == Truncate && op.Off > MaxSize:
		return TooLarge
	case op.Verb == Write && op.Off < 0 && op.Off != AtEnd:
		return Invalid.With("negative offset")
	case op.Verb == Write && (op.Size() > MaxSize || op.Off > MaxSize-op.Size()):
		return TooLarge
	}
	return nil
}

// follows reports whether a link at the end of op.Path is followed.
func (op *Op) follows() bool {
	switch op.Verb {
	case Mkdir, Remove, RemoveAll, Rename, Symlink:
		return false
	}
	return op.Flag&FlagExclusive == 0
}

// refuse guards what belongs to no filesystem: mount points, the directories
// that lead to them, and names outside all mounts.
func (t *Table) refuse(op *Op, at place) error {
	_, virtual := t.virtual(at.path)
	top := virtual || t.byPath[at.path] != nil || t.dirs[at.path] != nil
	switch op.Verb {
	case Remove, RemoveAll, Rename, Symlink:
		if top {
			return errMount
		}
	case Create, Mkdir:
		if top {
			return Exists
		}
	case Chmod, Touch:
		if virtual && at.e == nil {
			return errMount
		}
	default:
		if virtual {
			return IsDirectory
		}
	}
	if at.e != nil {
		return nil
	}
	switch op.Verb {
	case Create, Mkdir, Symlink:
		return errRootfs
	}
	return NotFound
}

// refuseRename guards the destination of a Rename.
func (t *Table) refuseRename(from, to place) error {
	switch {
	case t.byPath[to.path] != nil || t.dirs[to.path] != nil:
		return errMount
	case to.e == nil:
		return errRootfs
	case to.e != from.e:
		return errAcross
	case to.path != from.path && to.path.Under(from.path):
		return Invalid.With("into itself")
	}
	return nil
}

// mayReplace refuses a Rename in a Device between a file of its own and a link
// that the Table keeps, either way: one would hide the other.
func (t *Table) mayReplace(ctx context.Context, v View, from, to place) error {
	if from.e.Place == Replicated || !from.e.keeps || from.path == to.path {
		return nil
	}
	_, isLink := from.link(v)
	_, onLink := to.link(v)
	switch {
	case isLink && !onLink:
		return t.mayLink(ctx, v, to)
	case !isLink && onLink:
		return Exists
	}
	return nil
}

// mayLink reports whether the Table may keep a link at the place: nothing is
// there, and its directory is.
func (t *Table) mayLink(ctx context.Context, v View, at place) error {
	if at.e.FS == nil {
		return at.e.down()
	}
	if _, ok := at.link(v); ok {
		return Exists.With("symlink")
	}
	if _, err := at.stat(ctx, v); err == nil {
		return Exists.With("file")
	} else if !absent(err) {
		return err
	}
	dir, err := t.statAt(ctx, v, t.place(at.path.Dir()))
	switch {
	case KindOf(err) == NotFound:
		return NotFound.With("parent directory")
	case err == nil && !dir.IsDir():
		return NotDirectory
	}
	return err
}

// Global returns an Op whose paths are relative to the mount with global ones.
func (m Mounted) Global(rel Op) Op {
	rel.Path = m.Path.Join(rel.Path)
	if rel.Verb == Rename {
		rel.To = m.Path.Join(rel.To)
	}
	return rel
}

// Explain returns what clients are to read of an error that a Device answered
// to op; op has the paths that the client gave. nil stays nil.
func (t *Table) Explain(v View, op Op, err error) error {
	if err == nil {
		return nil
	}
	return t.explain(v, &op, op.said(err))
}

// said fills in what a filesystem leaves unsaid in its answer to op.
func (op *Op) said(err error) error {
	if err == nil { // what As is given lives on the heap
		return nil
	}
	var link *LinkError
	switch {
	case errors.As(err, &link) && link.Rest.IsRoot() && !op.follows():
		return Exists
	case bare(err, NotFound) && (op.Verb == Symlink || op.Verb == Write && op.Flag&FlagCreate != 0 && op.File == 0):
		return NotFound.With("parent directory")
	}
	return err
}

// explain adds the verb and the global path to an error.
func (t *Table) explain(v View, op *Op, err error) error {
	if errors.Is(err, errAcross) {
		return err
	}
	var unknown *Unknown
	if errors.As(err, &unknown) {
		return &Unknown{Cause: At(unknown.Cause, op.Verb.String(), op.Path)}
	}
	p := op.Path
	if op.byID() {
		p = t.named(v, op)
	}
	switch k := KindOf(err); {
	case op.Verb == Rename && (k == Exists || k == NotEmpty):
		p = op.To
	case op.Verb == Mkdir && bare(err, Exists):
		err = Exists.With("directory")
	case op.Verb == Symlink && bare(err, Exists):
		err = Exists.With("symlink")
	}
	return At(err, op.Verb.String(), p)
}

// named returns what to call the file of an Op that came without a name.
func (t *Table) named(v View, op *Op) Path {
	if p, ok := t.PathOf(v, op.Mount, op.File); ok && op.File != 0 {
		return p
	}
	if e := t.byID[op.Mount]; e != nil && op.Path == "" {
		return e.Path
	}
	return Root.Join(op.Path)
}

// bare reports whether err is of kind k and gives no reason.
func bare(err error, k Kind) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind == k && e.Reason == ""
	}
	return err == error(k)
}
