package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// checkpoint returns the directory of one, with a file of n bytes added.
func checkpoint(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "db"), nil)
	put(t, s, "\x01a", "1", "\x02b", strings.Repeat("long", 1000))
	check(t, s.db.Flush())
	put(t, s, "\x02c", "3")
	check(t, s.Checkpoint(filepath.Join(dir, "cp")))
	check(t, s.Close())
	check(t, os.WriteFile(filepath.Join(dir, "cp", "extra"), make([]byte, n), 0o644))
	return filepath.Join(dir, "cp")
}

func archive(t testing.TB, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	check(t, Archive(&b, Disk(), dir))
	size, err := ArchiveSize(Disk(), dir)
	check(t, err)
	if size != int64(b.Len()) {
		t.Fatalf("archive of %d bytes was announced as %d", b.Len(), size)
	}
	return b.Bytes()
}

func TestArchive(t *testing.T) {
	from := checkpoint(t, 300<<10)
	stream := archive(t, from)
	to := filepath.Join(t.TempDir(), "new")
	rest := strings.NewReader("what follows")
	check(t, Extract(io.MultiReader(iotest.OneByteReader(bytes.NewReader(stream)), rest), Disk(), to))
	if rest.Len() != len("what follows") {
		t.Fatal("Extract read past the end")
	}
	if !bytes.Equal(archive(t, to), stream) {
		t.Fatal("the copy is another")
	}
	s := open(t, to, nil)
	want(t, dump(s.View(), "", ""), "\x01a=1 \x02b="+strings.Repeat("long", 1000)+" \x02c=3")
	check(t, s.Close())
	if err := Extract(bytes.NewReader(stream), Disk(), to); !errors.Is(err, os.ErrExist) {
		t.Fatalf("extracted over a store: %v", err)
	}
	empty := t.TempDir()
	check(t, Extract(bytes.NewReader(archive(t, empty)), Disk(), filepath.Join(empty, "new")))
}

// nothingIn fails the test unless dir is empty.
func nothingIn(t *testing.T, dir, why string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	check(t, err)
	if len(left) != 0 {
		t.Fatalf("%s: %v was left behind", why, left)
	}
}

// TestExtractDamaged changes and cuts the stream in many places.
func TestExtractDamaged(t *testing.T) {
	stream := archive(t, checkpoint(t, 100))
	dir := t.TempDir()
	for i := range stream {
		bad := bytes.Clone(stream)
		bad[i] ^= 0x20
		if len(bad) > 2000 && i > 500 && i < len(bad)-500 && i%53 != 0 {
			continue
		}
		if err := Extract(bytes.NewReader(bad), Disk(), filepath.Join(dir, "new")); !errors.Is(err, ErrArchive) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		nothingIn(t, dir, "changed")
		if err := Extract(bytes.NewReader(stream[:i]), Disk(), filepath.Join(dir, "new")); !errors.Is(err, ErrArchive) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		nothingIn(t, dir, "cut")
	}
	err := Extract(io.MultiReader(bytes.NewReader(stream[:50]), iotest.ErrReader(errDisk)), Disk(), filepath.Join(dir, "new"))
	if !errors.Is(err, errDisk) || errors.Is(err, ErrArchive) {
		t.Fatalf("failing reader: %v", err)
	}
	nothingIn(t, dir, "failing reader")
}

func TestExtractRefusesNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../x", "/etc/x", "a\\b", "c:x", "a\x00", strings.Repeat("x", 256)} {
		head := append([]byte{tagFile, byte(len(name) >> 8), byte(len(name)), 0, 0, 0, 0, 0, 0, 0, 0}, name...)
		stream := append([]byte(archiveMagic), sealed(head)...)
		dir := t.TempDir()
		err := Extract(bytes.NewReader(append(stream, 0, 0, 0, 0)), Disk(), filepath.Join(dir, "new"))
		if !errors.Is(err, ErrArchive) {
			t.Fatalf("%q: %v", name, err)
		}
		nothingIn(t, dir, name)
	}
}

func TestArchiveRefusesMoreThanFiles(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	if err := Archive(io.Discard, Disk(), dir); err == nil {
		t.Fatal("a directory was left out silently")
	}
	if _, err := ArchiveSize(Disk(), dir); err == nil {
		t.Fatal("a directory was left out silently")
	}
	if err := Archive(io.Discard, Disk(), filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	from := checkpoint(t, 10)
	if err := Archive(failing{}, Disk(), from); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errDisk }

// FuzzExtract: no stream makes it panic or leave something behind.
func FuzzExtract(f *testing.F) {
	f.Add(archive(f, checkpoint(f, 10)))
	f.Add([]byte(archiveMagic))
	f.Fuzz(func(t *testing.T, stream []byte) {
		dir := t.TempDir()
		if err := Extract(bytes.NewReader(stream), Disk(), filepath.Join(dir, "new")); err != nil {
			nothingIn(t, dir, err.Error())
		}
	})
}

// TestReadOnly opens a store to look at it: its files stay as they were.
func TestReadOnly(t *testing.T) {
	dir := checkpoint(t, 0)
	check(t, os.WriteFile(filepath.Join(dir, "LOCK"), nil, 0o644)) // the one file that opening makes
	before := archive(t, dir)
	s, err := Open(dir, Options{ReadOnly: true})
	check(t, err)
	want(t, dump(s.View(), "", ""), "\x01a=1 \x02b="+strings.Repeat("long", 1000)+" \x02c=3")
	check(t, s.Close())
	if !bytes.Equal(archive(t, dir), before) {
		t.Fatal("a look changed the files")
	}
}
