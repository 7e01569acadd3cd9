package vfstest

import (
	"context"
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// Subject is what is judged: a plugin with the settings of one mount.
type Subject struct {
	Plugin  vfs.Plugin
	Config  vfs.Config
	Scripts string // the directory of its *.txt; "": it has none
}

// Run holds the subject to all laws and plays its scripts.
func Run(t *testing.T, s Subject) {
	for _, law := range Laws() {
		t.Run("law/"+law.Name, func(t *testing.T) {
			if err := law.Check(s); err != nil {
				t.Error(err)
			}
		})
	}
	if s.Scripts == "" {
		return
	}
	t.Run("script", func(t *testing.T) {
		Scripts(t, s.Scripts, func(t *testing.T) Driver {
			f, err := Open(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
			return f
		})
	})
}

// Law is something that every filesystem keeps.
type Law struct {
	Name  string
	Of    vfs.Placement       // Replicated if it is one of Folders alone; 0 for any
	Check func(Subject) error // names the first way in which the subject breaks it
}

// Laws returns all laws. One that does not apply to a subject finds nothing.
func Laws() []Law {
	laws := []struct {
		name string
		of   vfs.Placement
		hold func(*court) error
	}{
		{"a plugin says what it is", 0, describes},
		{"list agrees with stat", 0, listAgrees},
		{"pages join to one listing", 0, pagesJoin},
		{"reads follow io.ReaderAt", 0, readsEnd},
		{"what is missing is not found", 0, missing},
		{"declared verbs work and others change nothing", 0, verbsWork},
		{"what fails changes nothing", vfs.Replicated, failuresLeaveNothing},
		{"results tell the truth", 0, resultsHold},
		{"versions tell every change", vfs.Replicated, versionsTell},
		{"ids name one file", 0, idsName},
		{"the same Ops give the same state", vfs.Replicated, replays},
		{"the state is all there is", vfs.Replicated, restores},
		{"readers do not disturb the writer", 0, readersBeside},
		{"links are not followed", vfs.Replicated, linksStay},
		{"files behave as a map of files", vfs.Replicated, matchesModel},
		{"what is written is read", 0, writtenIsRead},
		{"who follows a stream misses nothing", 0, streamsHeard},
		{"chunks are counted", vfs.Replicated, chunksCounted},
		{"work that time brings comes to an end", vfs.Replicated, workEnds},
	}
	out := make([]Law, len(laws))
	for i, l := range laws {
		out[i] = Law{l.name, l.of, func(s Subject) error { return hold(s, l.hold) }}
	}
	return out
}

// court is one law being checked: it makes mounts of the subject, and at the
// end asks their Checkers.
type court struct {
	Subject
	ctx   context.Context
	folds []*Fold
}

// hold runs one law. A panic is a broken law too.
func hold(s Subject, law func(*court) error) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &court{Subject: s, ctx: ctx}
	defer func() {
		for _, f := range c.folds {
			if e := f.Close(); err == nil && e != nil {
				err = fmt.Errorf("Close: %w", e)
			}
		}
	}()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case Misuse:
			err = p
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := law(c); err != nil {
		return err
	}
	for _, f := range c.folds {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

// mount makes a new mount.
func (c *court) mount() (*Fold, error) {
	f, err := Open(c.ctx, c.Subject)
	if err == nil {
		c.folds = append(c.folds, f)
	}
	return f, err
}

// again makes a new filesystem over the state and chunks of f, as a restart
// does.
func (c *court) again(f *Fold, state *State) (*Fold, error) {
	g, err := open(c.Subject, f.Chunks, state)
	if err == nil {
		c.folds = append(c.folds, g)
	}
	return g, err
}

// check asks the filesystem whether its state is whole.
func (f *Fold) check() error {
	if k, ok := f.FS.(vfs.Checker); ok && f.folder != nil {
		if err := k.Check(f.State.View()); err != nil {
			return fmt.Errorf("Check: %w", err)
		}
	}
	return nil
}

// tree reports whether the plugin keeps files and directories as they are
// given to it, so that they can be compared with a map.
func (c *court) tree() bool {
	for _, v := range []vfs.Verb{vfs.Create, vfs.Write, vfs.Mkdir, vfs.Rename, vfs.RemoveAll} {
		if !c.Plugin.Verbs.Has(v) {
			return false
		}
	}
	place, err := c.Plugin.Place(c.Config)
	return err == nil && place == vfs.Replicated
}
