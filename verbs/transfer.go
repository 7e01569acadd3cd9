package verbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pfs-project/pfs/vfs"
)

// tries is how often a file is copied that was cut off or has changed meanwhile.
const tries = 3

// Why a copy is made again.
var (
	errTorn  = errors.New("it changed while it was copied")
	errOther = errors.New("the copy is not what was sent")
)

// transfer copies a file, again where that helps. kept: there is one by now that is
// to stay, and was left alone.
func (k *leg) transfer(ctx context.Context, from, to string, e entry) (mark string, kept bool, err error) {
	e.only, e.durable = k.keep && !k.mirror, k.moved != nil
	unsure := false // a try before may have written it
	var why error   // what one before has written with -n is to be replaced
	for try := 1; ; try++ {
		var version string
		mark, err = k.watched(ctx, from, to, func() (err error) {
			version, err = k.send(ctx, from, to, e)
			return err
		})
		torn := k.keep && !k.mirror && written(err)
		switch {
		case err == nil:
			return mark, false, nil
		case e.only && errors.Is(err, vfs.Unsupported): // that there was none is known
			e.only = false
			continue
		case e.only && (errors.Is(err, vfs.Stale) || errors.Is(err, fs.ErrExist)):
			if !unsure {
				return "", true, nil
			}
			return k.settled(ctx, from, to, e, err)
		case torn && version != "" && try < tries: // what another has made stays
			e.only, e.over, why = false, version, err
		case !torn && try < tries && passing(err) && ctx.Err() == nil:
		case torn || why != nil:
			return "", false, fmt.Errorf("%w; what is at %s by now may be no whole copy, and -n leaves it", cmp.Or(why, err), k.dst.name(to))
		default:
			return "", false, err
		}
		unsure = true
	}
}

// settled reports that a file was left alone, unless it is not told whose it is: it is
// there after a try whose outcome nobody knows, and has another content.
func (k *leg) settled(ctx context.Context, from, to string, e entry, stale error) (mark string, kept bool, err error) {
	there, err := k.dst.look(ctx, to)
	if err != nil {
		return "", false, err
	}
	kept, err = k.equal(ctx, from, to, e, &there)
	if err == nil && !kept {
		err = stale
	}
	return "", kept, err
}

// written reports whether a copy has failed so once it was there.
func written(err error) bool {
	return errors.Is(err, errTorn) || errors.Is(err, errOther) || errors.Is(err, errMoved)
}

// passing reports whether a copy may succeed now that has failed so.
func passing(err error) bool {
	kind := vfs.KindOf(err)
	return errors.Is(err, io.ErrUnexpectedEOF) || written(err) || kind == vfs.Unavailable || kind == vfs.Timeout
}
