package vfs

// Apply folds op into tx, the whole state: it routes op.Path, follows links,
// guards mount points, checks op.If against the file as it is now, and hands
// the Op to its Folder. On an error the caller drops all that tx took.
//
// An Op for a mount that is not Replicated, or for another mount than op.Mount
// names, gives Moved. An Op with a File is routed by Mount and File alone, and
// so is Reap, by Mount alone; its path is relative to the mount.
func (t *Table) Apply(tx Tx, op Op) (Result, error) {
	res, err := t.fold(tx, op)
	if err != nil {
		return Result{}, t.explain(tx, &op, err)
	}
	return res, nil
}

func (t *Table) fold(tx Tx, op Op) (res Result, err error) {
	if err := op.check(); err != nil {
		return Result{}, err
	}
	if op.Flag&FlagAppend != 0 {
		op.Off = AtEnd
	}
	switch {
	case op.byID():
		return t.foldByID(tx, op)
	case op.Verb == Rename:
		return t.foldRename(tx, op)
	}
	err = t.walk(tx, op.Path, op.follows(), func(at place) (err error) {
		res, err = t.foldAt(tx, op, at)
		return err
	})
	return res, err
}

// foldAt folds an Op whose path leads to the place, as far as is known: the
// filesystem may still answer with a link, before it has changed anything.
func (t *Table) foldAt(tx Tx, op Op, at place) (Result, error) {
	if err := t.refuse(&op, at); err != nil {
		return Result{}, err
	}
	if op.Mount != 0 && op.Mount != at.e.ID {
		return Result{}, Moved
	}
	link, isLink := at.link(tx)
	if at.e.Place != Replicated {
		return foldOutside(tx, op, at, link, isLink)
	}
	unlinks := isLink && (op.Verb == Remove || op.Verb == RemoveAll)
	keeps := at.e.keeps && op.Verb == Symlink
	if !unlinks && !keeps && !at.e.Verbs.Has(op.Verb) {
		return Result{}, Unsupported
	}
	if err := t.agree(tx, &op, at); err != nil {
		return Result{}, err
	}
	switch {
	case unlinks:
		at.dropLink(tx)
		return Result{}, nil
	case keeps:
		if err := t.mayLink(foldContext(), tx, at); err != nil {
			return Result{}, err
		}
		return at.keepLink(tx, op.Target), nil
	case isLink:
		return Result{}, Exists
	case op.Verb == Remove && at.hasLinksBelow(tx):
		return Result{}, NotEmpty
	}
	res, err := t.applyWithEcho(tx, op, at)
	if err == nil && op.Verb == RemoveAll {
		at.dropLinksBelow(tx)
	}
	return res, op.said(err)
}

// apply hands op to the Folder.
func (at place) apply(tx Tx, op Op) (Result, error) {
	if at.e.folder == nil {
		return Result{}, at.e.down()
	}
	op.Path, op.Mount = at.rel, at.e.ID
	return at.e.folder.Apply(SubTx(tx, at.e.prefix), op)
}

// foldOutside folds what there is of a Device in the log: its kept links.
func foldOutside(tx Tx, op Op, at place, link kept, isLink bool) (Result, error) {
	if isLink && !op.If.holds(true, link.seq) {
		return Result{}, &Error{Kind: Stale, Version: link.seq}
	}
	switch {
	case !at.e.keeps:
	case op.Verb == Symlink && isLink:
		return Result{}, Exists
	case op.Verb == Symlink: // its directory was looked at before the log
		return at.keepLink(tx, op.Target), nil
	case isLink && (op.Verb == Remove || op.Verb == RemoveAll):
		at.dropLink(tx)
		return Result{}, nil
	case op.Verb == RemoveAll && at.hasLinksBelow(tx):
		at.dropLinksBelow(tx)
		return Result{}, nil
	}
	return Result{}, Moved
}

// agree checks op.If, and that Consume names a file that gives something away.
func (t *Table) agree(tx Tx, op *Op, at place) error {
	if op.If.Kind == Always && op.Verb != Consume {
		return nil
	}
	info, err := t.statAt(foldContext(), tx, at)
	if err == nil && info.Mode.IsLink() && op.follows() {
		return &LinkError{At: at.rel, Target: info.Target, Rest: Root}
	}
	if err := op.If.compare(info, err); err != nil {
		return err
	}
	switch {
	case op.Verb != Consume:
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return IsDirectory
	case !info.Consumes():
		return Unsupported
	}
	return nil
}

// compare returns a Stale error unless the condition holds for a file that
// Stat answered for with info and err.
func (c Cond) compare(info Info, err error) error {
	if c.Kind == Always {
		return nil
	}
	there := err == nil
	if k := KindOf(err); !there && (k == Internal || k == Unavailable) {
		return err
	}
	if !there {
		info.Version = 0
	}
	if !c.holds(there, info.Version) {
		return &Error{Kind: Stale, Version: info.Version}
	}
	return nil
}

// holds reports whether the condition holds for a file of that version.
func (c Cond) holds(there bool, version uint64) bool {
	switch c.Kind {
	case IfVersion:
		return there && version == c.Version
	case IfAbsent:
		return !there
	case IfExists:
		return there
	}
	return true
}

func (t *Table) foldByID(tx Tx, op Op) (Result, error) {
	e := t.byID[op.Mount]
	if err := e.takesByID(&op); err != nil {
		return Result{}, err
	}
	if e.Place != Replicated {
		return Result{}, Moved
	}
	if op.Verb == Reap {
		return place{e, op.Path, ""}.apply(tx, op)
	}
	at := place{e, e.relative(op.Path), op.Path}
	if op.If.Kind != Always {
		p, ok := t.PathOf(tx, e.ID, op.File)
		var info Info
		err := error(NotFound)
		if ok {
			info, err = place{e, p.Rel(e.Path), p}.stat(foldContext(), tx)
		}
		if err := op.If.compare(info, err); err != nil {
			return Result{}, err
		}
	}
	return t.applyWithEcho(tx, op, at)
}

func (t *Table) foldRename(tx Tx, op Op) (Result, error) {
	ctx := foldContext()
	from, err := t.locate(ctx, tx, op.Path, false, false)
	if err != nil {
		return Result{}, err
	}
	if err := t.refuse(&op, from); err != nil {
		return Result{}, err
	}
	to, err := t.locate(ctx, tx, op.To, false, false)
	if err != nil {
		return Result{}, err
	}
	if err := t.refuseRename(from, to); err != nil {
		return Result{}, err
	}
	link, isLink := from.link(tx)
	switch {
	case op.Mount != 0 && op.Mount != from.e.ID:
		return Result{}, Moved
	case from.e.Place != Replicated:
		return renameOutside(tx, op, from, to, link, isLink)
	case !isLink && !from.e.Verbs.Has(Rename):
		return Result{}, Unsupported
	}
	if err := t.agree(tx, &op, from); err != nil {
		return Result{}, err
	}
	if from.path == to.path {
		info, err := t.statAt(ctx, tx, from)
		return Result{Version: info.Version, File: info.ID}, err
	}
	if isLink {
		return t.renameLink(tx, from, to, link)
	}
	if to.hasLinksBelow(tx) {
		return Result{}, NotEmpty
	}
	if _, ok := to.link(tx); ok {
		info, err := from.stat(ctx, tx)
		switch {
		case err != nil:
			return Result{}, err
		case info.IsDir():
			return Result{}, Exists.With("symlink")
		}
		to.dropLink(tx)
	}
	op.To = to.rel
	res, err := from.apply(tx, op)
	if err == nil {
		from.moveLinksBelow(tx, to)
	}
	return res, err
}

// renameLink moves a kept link, over a link or a file at its new name.
func (t *Table) renameLink(tx Tx, from, to place, link kept) (Result, error) {
	if _, ok := to.link(tx); ok {
		to.dropLink(tx)
	}
	err := t.mayLink(foldContext(), tx, to)
	if KindOf(err) == Exists {
		info, _ := to.stat(foldContext(), tx)
		switch {
		case info.IsDir():
			return Result{}, Exists.With("directory")
		case !to.e.Verbs.Has(Remove):
			return Result{}, Exists
		}
		_, err = to.apply(tx, Op{Verb: Remove})
	}
	if err != nil {
		return Result{}, err
	}
	from.dropLink(tx)
	return to.keepLink(tx, link.target), nil
}

// renameOutside is foldOutside for Rename.
func renameOutside(tx Tx, op Op, from, to place, link kept, isLink bool) (Result, error) {
	switch {
	case isLink && !op.If.holds(true, link.seq):
		return Result{}, &Error{Kind: Stale, Version: link.seq}
	case isLink && from.path == to.path:
		return Result{Version: link.seq}, nil
	case isLink:
		if _, ok := to.link(tx); ok {
			to.dropLink(tx)
		}
		from.dropLink(tx)
		return to.keepLink(tx, link.target), nil
	case from.hasLinksBelow(tx):
		from.moveLinksBelow(tx, to)
		return Result{}, nil
	}
	return Result{}, Moved
}
