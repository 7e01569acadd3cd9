"""Files and directories."""

from __future__ import annotations

import io
import os
import tempfile
import tracemalloc
import unittest
from typing import Iterator, List

import pfs_client as pfs
from pfs_client.content import PIECE, Data

from .nodes import NodeTest


class Files(NodeTest):
    def test_round_trip(self) -> None:
        path = f"{self.dir}/ä b?&%#+.txt"
        said = self.client.write(path, b"hello")
        self.assertEqual(said, "Written 5 bytes")
        self.assertEqual(self.client.read(path), b"hello")
        self.assertEqual(self.client.cat(path, 1, 3), b"ell")
        self.assertEqual(self.client.read(path, offset=9), b"")
        info = self.client.stat(path)
        self.assertEqual((info["name"], info["size"], info["isDir"]), ("ä b?&%#+.txt", 5, False))
        self.assertEqual(info["etag"], said.etag)
        self.assertGreater(said.log_index or 0, 0)
        self.assertEqual([e["name"] for e in self.client.ls(self.dir)], ["ä b?&%#+.txt"])

    def test_kinds_of_data(self) -> None:
        pieces = [b"ab", b"", b"cd"]
        kinds: List[Data] = [
            b"abcd", bytearray(b"abcd"), memoryview(b"abcd"), "abcd", io.BytesIO(b"abcd"), io.StringIO("abcd"),
            pieces, iter(pieces), (p for p in pieces)]
        for data in kinds:
            with self.subTest(type(data).__name__):
                self.client.rm(f"{self.dir}/f") if self.client.exists(f"{self.dir}/f") else None
                self.client.write(f"{self.dir}/f", data)
                self.assertEqual(self.client.read(f"{self.dir}/f"), b"abcd")
        self.client.write(f"{self.dir}/f", "äöü")
        self.assertEqual(self.client.read(f"{self.dir}/f").decode(), "äöü")
        self.client.write(f"{self.dir}/f", b"")
        self.assertEqual(self.client.read(f"{self.dir}/f"), b"")

    def test_file_is_sent_from_where_it_stands(self) -> None:
        f = io.BytesIO(b"head-body")
        f.seek(5)
        self.client.write(f"{self.dir}/f", f)
        self.assertEqual(self.client.read(f"{self.dir}/f"), b"body")

    def test_source_that_fails_changes_nothing(self) -> None:
        def source() -> Iterator[bytes]:
            yield b"new" * 100_000
            raise OSError("the source broke")

        self.client.write(f"{self.dir}/f", b"old")
        with self.assertRaisesRegex(OSError, "the source broke"):
            self.client.write(f"{self.dir}/f", source())
        self.assertEqual(self.client.read(f"{self.dir}/f"), b"old")
        self.assertEqual(self.client.write(f"{self.dir}/f", b"next"), "Written 4 bytes")

    def test_offset_and_append(self) -> None:
        self.client.write(f"{self.dir}/f", b"0123456789")
        self.client.write(f"{self.dir}/f", b"ab", offset=3)
        self.client.append(f"{self.dir}/f", b"!")
        self.assertEqual(self.client.read(f"{self.dir}/f"), b"012ab56789!")

    def test_long_content_in_bounded_memory(self) -> None:
        piece = os.urandom(1 << 20)
        count = 48

        def source() -> Iterator[bytes]:
            for n in range(count):
                yield n.to_bytes(4, "big") + piece[4:]

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        with tempfile.TemporaryDirectory() as tmp:
            self.client.write(f"{self.dir}/long", source())
            pfs.download(self.client, f"{self.dir}/long", f"{tmp}/long")
            self.assertEqual(os.path.getsize(f"{tmp}/long"), count << 20)
            pfs.upload(self.client, f"{tmp}/long", f"{self.dir}/again")
        peak = tracemalloc.get_traced_memory()[1]
        self.assertLess(peak, 8 << 20, f"{peak >> 20} MiB were held for {count} MiB of content")
        first, second = (self.client.digest(f"{self.dir}/{name}")["digest"] for name in ("long", "again"))
        self.assertEqual(first, second)
        with self.client.open(f"{self.dir}/again") as body:
            self.assertEqual(body.size, count << 20)
            for n in range(count):
                block = b""
                while len(block) < 1 << 20:
                    block += body.read((1 << 20) - len(block)) or b""
                self.assertEqual(block, n.to_bytes(4, "big") + piece[4:])
            self.assertEqual(body.read(1), b"")

    def test_ranges_of_a_body(self) -> None:
        self.client.write(f"{self.dir}/f", b"line one\nline two\r\nrest" + b"x" * PIECE)
        with self.client.open(f"{self.dir}/f", 5, 13) as body:
            self.assertEqual(body.read(), b"one\nline two\r")
        with self.client.open(f"{self.dir}/f") as body:
            lines = list(body.iter_lines())
        self.assertEqual(lines[:2], [b"line one", b"line two"])
        self.assertEqual(len(lines[2]), 4 + PIECE)
        with self.client.open(f"{self.dir}/f") as body:
            self.assertEqual(list(body)[:2], [b"line one\n", b"line two\r\n"])
        with io.TextIOWrapper(io.BufferedReader(self.client.open(f"{self.dir}/f")), newline="\n") as text:
            self.assertEqual(text.readline(), "line one\n")
        half = self.client.open(f"{self.dir}/f")
        self.assertEqual(len(half.read(10) or b""), 10)
        half.close()
        with self.assertRaises(ValueError):
            half.read(1)
        self.assertTrue(self.client.exists(f"{self.dir}/f"))

    def test_conditions(self) -> None:
        first = self.client.write(f"{self.dir}/f", b"1", if_absent=True)
        with self.assertRaises(pfs.StaleError) as caught:
            self.client.write(f"{self.dir}/f", b"2", if_absent=True)
        self.assertEqual((caught.exception.status, caught.exception.code), (412, "stale"))
        second = self.client.write(f"{self.dir}/f", b"2", if_match=first.etag)
        with self.assertRaises(pfs.StaleError) as caught:
            self.client.write(f"{self.dir}/f", b"3" * (4 << 20), if_match=first.etag)
        self.assertEqual(f'"{caught.exception.etag}"', second.etag)
        with self.assertRaises(pfs.StaleError):
            self.client.rm(f"{self.dir}/f", if_match=first.etag)
        with self.assertRaises(pfs.StaleError):
            self.client.open(f"{self.dir}/f", if_match=first.etag)
        self.assertEqual(self.client.read(f"{self.dir}/f"), b"2")
        self.client.rm(f"{self.dir}/f", if_match=(second.etag or "").strip('"'))

    def test_keys(self) -> None:
        first = self.client.append(f"{self.dir}/f", b"once", key=f"{self.dir}-1")
        again = self.new_client().append(f"{self.dir}/f", b"once", key=f"{self.dir}-1")
        self.assertEqual((first.replayed, again.replayed), (False, True))
        self.assertEqual(first.seq, again.seq)
        self.assertEqual(self.client.read(f"{self.dir}/f"), b"once")
        with self.assertRaises(pfs.KeyReusedError):
            self.client.append(f"{self.dir}/f", b"other", key=f"{self.dir}-1")

    def test_directories(self) -> None:
        self.client.makedirs(f"{self.dir}/a/b/c")
        self.client.makedirs(f"{self.dir}/a/b/c")
        self.client.mkdir(f"{self.dir}/m", "700")
        self.client.mkdir(f"{self.dir}/n", 0o750)
        self.assertEqual(self.client.stat(f"{self.dir}/m")["mode"] & 0o777, 0o700)
        self.assertEqual(self.client.stat(f"{self.dir}/n")["mode"] & 0o777, 0o750)
        for n in range(25):
            self.client.touch(f"{self.dir}/a/{n:02}")
        names = [e["name"] for e in self.client.iter_dir(f"{self.dir}/a", page=7)]
        self.assertEqual(names, [f"{n:02}" for n in range(25)] + ["b"])
        self.assertEqual(len(list(self.client.iter_dir(f"{self.dir}/a", prefix="1", page=3))), 10)
        self.client.mv(f"{self.dir}/a", f"{self.dir}/moved")
        with self.assertRaises(pfs.NotEmptyError):
            self.client.rm(f"{self.dir}/moved")
        self.client.rm(f"{self.dir}/moved", recursive=True)
        self.assertFalse(self.client.exists(f"{self.dir}/moved"))
        self.client.write(f"{self.dir}/file", b"")
        with self.assertRaises(OSError):
            self.client.makedirs(f"{self.dir}/file/below")

    def test_attributes(self) -> None:
        path = f"{self.dir}/f"
        self.client.create(path)
        self.client.chmod(path, 0o600)
        self.client.truncate(path, 5)
        info = self.client.stat(path)
        self.assertEqual((info["mode"] & 0o777, info["size"]), (0o600, 5))
        self.assertEqual(self.client.read(path), b"\0" * 5)
        self.client.symlink("f", f"{self.dir}/l")
        self.assertEqual(self.client.readlink(f"{self.dir}/l"), "f")
        self.assertEqual(self.client.stat(f"{self.dir}/l")["meta"]["Type"], "symlink")

    def test_grep_and_digest(self) -> None:
        self.client.write(f"{self.dir}/a", "one\ntwo\nTWO\n")
        self.client.write(f"{self.dir}/b", "two\n")
        found = self.client.grep(self.dir, "^two", recursive=True, case_insensitive=True)
        self.assertEqual([(m["file"], m["line"]) for m in found["matches"]],
                         [(f"{self.dir}/a", 2), (f"{self.dir}/a", 3), (f"{self.dir}/b", 1)])
        self.assertEqual(self.client.grep(self.dir, "two", recursive=True, limit=1)["count"], 1)
        *matches, summary = self.client.grep(self.dir, "two", recursive=True, stream=True)
        self.assertEqual((len(matches), summary["type"], summary["count"]), (2, "summary", 2))
        self.client.write(f"{self.dir}/h", "hello world")
        self.assertEqual(self.client.digest(f"{self.dir}/h")["digest"], "a99b8775cc15b6c7")
        self.assertEqual(self.client.digest(f"{self.dir}/h", "md5")["digest"], "5eb63bbbe01eeed093cb22bb8f5acdc3")

    def test_time_to_live(self) -> None:
        self.client.write("/kvfs/keys/brief", b"x", ttl=3600.5)
        self.assertEqual(self.client.read("/kvfs/keys/brief"), b"x")
        self.client.rm("/kvfs/keys/brief")


if __name__ == "__main__":
    unittest.main()
