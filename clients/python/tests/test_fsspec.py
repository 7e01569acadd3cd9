"""The filesystem for fsspec."""

from __future__ import annotations

import os
import unittest

import fsspec  # type: ignore[import]

import pfs_client as pfs

from .nodes import URLS, NodeTest


class Fsspec(NodeTest):
    def setUp(self) -> None:
        super().setUp()
        self.fs = fsspec.filesystem("pfs", url=",".join(URLS), skip_instance_cache=True)
        self.addCleanup(self.fs.client.close)

    def test_is_registered(self) -> None:
        self.assertEqual(type(self.fs).__name__, "PFSFileSystem")

    def test_open_by_url(self) -> None:
        os.environ["PFS_URL"] = ",".join(URLS)
        self.addCleanup(os.environ.pop, "PFS_URL")
        self.client.write(f"{self.dir}/data.csv", "a,b\n1,2\n")
        with fsspec.open(f"pfs:/{self.dir}/data.csv", "rt", skip_instance_cache=True) as f:
            self.assertEqual(f.read(), "a,b\n1,2\n")

    def test_tree(self) -> None:
        self.fs.makedirs(f"{self.dir}/x/y")
        self.fs.pipe(f"{self.dir}/x/y/f", b"0123456789")
        self.fs.touch(f"{self.dir}/x/empty")
        self.assertEqual(self.fs.find(self.dir), [f"{self.dir}/x/empty", f"{self.dir}/x/y/f"])
        self.assertEqual(self.fs.glob(f"{self.dir}/x/*/f"), [f"{self.dir}/x/y/f"])
        self.assertTrue(self.fs.isdir(f"{self.dir}/x") and self.fs.isfile(f"{self.dir}/x/y/f"))
        self.assertEqual(self.fs.cat_file(f"{self.dir}/x/y/f", start=-3), b"789")
        self.assertEqual(self.fs.cat_file(f"{self.dir}/x/y/f", start=2, end=-2), b"234567")
        self.fs.copy(f"{self.dir}/x", f"{self.dir}/z", recursive=True)
        self.fs.mv(f"{self.dir}/z/y/f", f"{self.dir}/z/g")
        self.assertEqual(self.fs.cat(f"{self.dir}/z/g"), b"0123456789")
        self.assertEqual(self.fs.du(f"{self.dir}/x"), 10)
        with self.assertRaises(IsADirectoryError):
            self.fs.rm(f"{self.dir}/x")
        self.fs.rm(f"{self.dir}/x", recursive=True)
        self.assertFalse(self.fs.exists(f"{self.dir}/x"))
        with self.assertRaises(FileNotFoundError):
            self.fs.info(f"{self.dir}/x")
        with self.assertRaises(FileExistsError):
            self.fs.makedirs(f"{self.dir}/z")

    def test_files(self) -> None:
        path, data = f"{self.dir}/f", os.urandom(3 << 20)
        with self.fs.open(path, "wb", block_size=1 << 20) as f:
            for at in range(0, len(data), 1 << 19):
                f.write(data[at:at + (1 << 19)])
            self.assertFalse(self.fs.exists(path))
        self.assertEqual(self.client.read(path), data)
        with self.fs.open(path, "ab") as f:
            f.write(b"tail")
        with self.fs.open(path, "rb") as f:
            f.seek(-6, 2)
            self.assertEqual(f.read(), data[-2:] + b"tail")
        with self.assertRaises(ZeroDivisionError), self.fs.open(path, "wb", block_size=1 << 16) as f:
            f.write(bytes(1 << 18))
            1 / 0
        self.assertEqual(self.client.stat(path)["size"], len(data) + 4)
        self.assertEqual([e["name"] for e in self.client.ls(self.dir)], ["f"])

    def test_file_of_one_version(self) -> None:
        path = f"{self.dir}/f"
        self.client.write(path, b"a" * (1 << 20))
        with self.fs.open(path, "rb", block_size=1 << 16, cache_type="none") as f:
            self.assertEqual(f.read(10), b"a" * 10)
            self.client.write(path, b"b" * (1 << 20))
            with self.assertRaises(pfs.StaleError):
                f.read(10)

    def test_links(self) -> None:
        self.client.write(f"{self.dir}/f", b"linked")
        self.client.symlink("f", f"{self.dir}/l")
        self.assertEqual(self.fs.info(f"{self.dir}/l")["size"], 6)
        with self.fs.open(f"{self.dir}/l") as f:
            self.assertEqual(f.read(), b"linked")
        self.client.symlink("loop", f"{self.dir}/loop")
        with self.assertRaises(OSError):
            self.fs.info(f"{self.dir}/loop")


if __name__ == "__main__":
    unittest.main()
