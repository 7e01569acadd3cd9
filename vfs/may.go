package vfs

// What a Device that keeps no rules of its own holds an Op to, by what is at its
// path: what Stat has answered, be it an error.

// Appends reports whether a Write goes to the end of the file.
func (o Op) Appends() bool { return o.Off == AtEnd || o.Flag&FlagAppend != 0 }

// MayWrite returns nil if a Write may be made, and whether it makes the file. Whether
// there is a directory for it is not looked at.
func (o Op) MayWrite(at Info, err error) (missing bool, _ error) {
	missing = KindOf(err) == NotFound
	switch {
	case err != nil && (!missing || o.Flag&FlagCreate == 0):
		return missing, err
	case !missing && at.IsDir():
		return false, IsDirectory
	case !missing && o.Flag&FlagExclusive != 0:
		return false, Exists
	case o.Appends():
	case o.Off < 0:
		return missing, Invalid.With("negative offset")
	case o.Off > MaxSize:
		return missing, TooLarge
	}
	return missing, nil
}

// MayMake returns nil if there is nothing yet where a file or a directory is to be
// made.
func MayMake(at Info, err error) error {
	switch {
	case err == nil && at.IsDir():
		return Exists.With("directory")
	case err == nil:
		return Exists
	case KindOf(err) != NotFound:
		return err
	}
	return nil
}

// Unversioned holds the condition against a file of a filesystem that has no
// versions, by the error of its Stat.
func (c Cond) Unversioned(err error) error {
	missing := KindOf(err) == NotFound
	switch {
	case c.Kind == Always:
		return nil
	case err != nil && !missing:
		return err
	case c.Kind == IfVersion:
		return Unsupported.With("files of this plugin have no versions")
	case missing == (c.Kind == IfExists):
		return &Error{Kind: Stale}
	}
	return nil
}
