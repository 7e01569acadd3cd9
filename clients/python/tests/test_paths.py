"""Paths as objects."""

from __future__ import annotations

import unittest
from typing import List

import pfs_client as pfs

from .nodes import NodeTest


class Paths(NodeTest):
    def setUp(self) -> None:
        super().setUp()
        self.top = self.client.path(self.dir)

    def test_names(self) -> None:
        p = self.top / "a" / "b.tar.gz"
        self.assertEqual(str(p), f"{self.dir}/a/b.tar.gz")
        self.assertEqual((p.name, p.stem, p.suffix), ("b.tar.gz", "b.tar", ".gz"))
        self.assertEqual(p.parent, self.top.joinpath("a"))
        self.assertEqual(str(p.with_name("c")), f"{self.dir}/a/c")
        self.assertEqual(len({p, self.top / "a/b.tar.gz"}), 1)
        self.assertLess(self.top / "a", self.top / "b")
        self.assertEqual(str(self.client.path("memfs")), "/memfs")

    def test_content(self) -> None:
        p = self.top / "f"
        self.assertEqual((p.exists(), p.is_file(), p.is_dir()), (False, False, False))
        self.assertEqual(p.write_text("zwei\nStück\n"), "Written 12 bytes")
        self.assertEqual((p.exists(), p.is_file(), p.is_dir()), (True, True, False))
        self.assertEqual(p.read_text(), "zwei\nStück\n")
        with p.open() as text:
            self.assertEqual(list(text), ["zwei\n", "Stück\n"])
        with p.open("rb") as raw:
            self.assertEqual(raw.read(4), b"zwei")
        with self.assertRaises(ValueError):
            p.open("w")
        p.write_bytes([b"pie", b"ces"])
        self.assertEqual(p.read_bytes(), b"pieces")
        q = p.rename(self.top / "g")
        self.assertEqual([str(e) for e in self.top.iterdir()], [str(q)])
        q.unlink()
        q.unlink(missing_ok=True)
        with self.assertRaises(pfs.NotFoundError):
            q.unlink()

    def test_directories(self) -> None:
        (self.top / "a/b/c").mkdir(parents=True)
        (self.top / "a/b/c").mkdir(exist_ok=True)
        with self.assertRaises(FileExistsError):
            (self.top / "a").mkdir()
        for name in ("a/x.py", "a/b/y.py", "a/b/c/z.py", "a/b/c/z.txt"):
            (self.top / name).touch()
        self.client.symlink(f"{self.dir}/a", f"{self.dir}/a/b/loop")

        def found(pattern: str) -> List[str]:
            return sorted(str(p)[len(self.dir) + 1:] for p in self.top.glob(pattern))

        self.assertEqual(found("a/*.py"), ["a/x.py"])
        self.assertEqual(found("**/*.py"), ["a/b/c/z.py", "a/b/y.py", "a/x.py"])
        self.assertEqual(found("a/**/z.*"), ["a/b/c/z.py", "a/b/c/z.txt"])
        self.assertEqual(found("*/b/?"), ["a/b/c"])
        with self.assertRaises(pfs.NotEmptyError):
            (self.top / "a").rmdir()
        (self.top / "d").mkdir()
        (self.top / "d").rmdir()
        self.assertFalse((self.top / "d").is_dir())


if __name__ == "__main__":
    unittest.main()
