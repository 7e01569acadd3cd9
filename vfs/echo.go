package vfs

// echoed is the state while what an [Echoer] brings is folded into it.
type echoed struct{ Tx }

// applyWithEcho hands op to the Folder of a place, and folds what that brings.
func (t *Table) applyWithEcho(tx Tx, op Op, at place) (Result, error) {
	res, err := at.apply(tx, op)
	f, ok := at.e.folder.(Echoer)
	if err != nil || !ok || op.Verb != Write {
		return res, err
	}
	if _, nested := tx.(echoed); nested {
		return Result{}, Invalid.Withf("%s is itself written to other files", at.e.Path)
	}
	op.Path, op.Mount = at.rel, at.e.ID
	ops, err := f.Echo(SubTx(tx, at.e.prefix), op, res)
	if err != nil {
		return Result{}, err
	}
	for _, o := range ops {
		if s, ok := f.(Shipper); ok && t.shipsTo(o.Path) {
			err = s.Spool(SubTx(tx, at.e.prefix), o, res)
		} else {
			err = t.bring(echoed{tx}, o)
		}
		if err != nil {
			return Result{}, KindOf(err).Withf("what is written goes to %s as well: %v", o.Path, t.explain(tx, &o, err))
		}
	}
	return res, nil
}

// shipsTo reports whether p is in a mount outside the log that takes files.
func (t *Table) shipsTo(p Path) bool {
	to := t.place(p)
	return to.e != nil && to.e.Place != Replicated && to.e.Verbs.Has(Write)
}

// bring folds a Write to another mount, and makes the directories above it.
func (t *Table) bring(tx Tx, op Op) error {
	to := t.place(op.Path)
	switch {
	case to.e == nil:
		return NotFound.With("there is no mount")
	case to.e.Place != Replicated:
		return Unsupported.Withf("mount %s is not in the log", to.e.Path)
	}
	var missing []Path
	makes := to.e.Verbs.Has(Mkdir) // otherwise it has no directories, or makes them by itself
	for p := op.Path.Dir(); makes && p != to.e.Path && !p.IsRoot(); p = p.Dir() {
		if _, err := t.Stat(foldContext(), tx, p); err == nil {
			break
		} else if KindOf(err) != NotFound {
			return err
		}
		missing = append(missing, p)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if _, err := t.fold(tx, Op{Verb: Mkdir, Path: missing[i]}); err != nil {
			return err
		}
	}
	_, err := t.fold(tx, op)
	if KindOf(err) == Moved {
		err = Unsupported.With("a link leads out of the log")
	}
	return err
}
