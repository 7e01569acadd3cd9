"""Streams, and waiting for changes."""

from __future__ import annotations

import threading
import time
import unittest
from typing import Any, Callable, Iterator, List, Tuple
from unittest import mock

import pfs_client as pfs

from .nodes import URLS, NodeTest
from .proxy import Proxy


class Streams(NodeTest):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.dir.replace("/memfs/", "/streamfs/")

    def test_follow(self) -> None:
        self.client.append(self.path, b"one\n")
        with self.client.follow(self.path) as f:
            self.assertEqual((f.offset, next(f), f.offset), (0, b"one\n", 4))
            self.client.append(self.path, b"two\n")
            self.assertEqual(next(f), b"two\n")
        with self.client.follow(self.path, 4) as f:
            self.assertEqual(next(f), b"two\n")
        with self.client.follow(self.path, "now") as f:
            self.client.append(self.path, b"three\nfour\n")
            self.client.rm(self.path)
            self.assertEqual(list(f.lines()), [b"three", b"four"])
        with self.assertRaises(pfs.InvalidError):
            self.client.follow(self.path, "yesterday")

    def test_as_pyagfs_has_it(self) -> None:
        self.client.write(self.path, b"a\nb\n")
        with self.client.cat(self.path, stream=True) as response:
            self.assertEqual(response.status_code, 200)
            self.assertEqual(next(response.iter_content(chunk_size=2)), b"a\n")
        with self.assertRaises(pfs.AGFSClientError):
            self.client.cat(self.path)
        self.client.write(f"{self.dir}/f", b"x")
        with self.assertRaises(pfs.AGFSClientError):
            self.client.cat(f"{self.dir}/f", stream=True)

    def test_slow_source_is_heard_at_once(self) -> None:
        heard = threading.Event()

        def source() -> Iterator[bytes]:
            yield b"first"
            if not heard.wait(60):
                raise AssertionError("what was sent is not heard before the rest comes")
            yield b"second"

        with self.client.follow(self.path) as f:
            writer = threading.Thread(target=lambda: self.client.append(self.path, source()))
            writer.start()
            self.assertEqual(next(f), b"first")
            heard.set()
            self.assertEqual(next(f), b"second")
            writer.join()

    def test_goes_on_where_it_was(self) -> None:
        """Connections that stand still are made again, and no byte is missing or comes twice."""
        c = self.new_client(streaming_progress_timeout=0.2)
        got = b""

        def write() -> None:
            for n in range(3):
                time.sleep(0.5)
                self.client.append(self.path, f"{n},")

        with mock.patch.object(c, "_tune", wraps=c._tune) as connect, c.follow(self.path) as f:
            writer = threading.Thread(target=write)
            writer.start()
            while got.count(b",") < 3:
                got += next(f)
            writer.join()
        self.assertEqual(got, b"0,1,2,")
        self.assertGreater(connect.call_count, 3)
        with c.cat(self.path, stream=True) as body:
            with self.assertRaises(pfs.AGFSTimeoutError):
                body.readall()

    def test_nothing_is_missed_while_it_is_cut_off(self) -> None:
        p = Proxy(URLS[0])
        self.addCleanup(p.close)
        c = pfs.Client(p.url, timeout=30)
        self.addCleanup(c.close)
        self.client.append(self.path, "0,")
        got = b""
        with c.follow(self.path) as f:
            got += next(f)
            p.drop()
            said = self.client.append(self.path, "1,")
            c.stat(self.path, min_index=said.log_index)
            timer = threading.Timer(0.5, lambda: self.client.append(self.path, "2,"))
            timer.start()
            while b"2," not in got:
                got += next(f)
            timer.join()
        self.assertEqual(got, b"0,1,2,")

    def test_next_node_may_be_behind(self) -> None:
        c = self.new_client()
        with c.follow(self.path) as f:
            for n in range(1, 61):
                self.client.append(self.path, b"x")
                while f.offset != n:
                    self.assertEqual(next(f).strip(b"x"), b"")
                assert f._body is not None
                f._body.close()
                c._sender._leave(c._sender._node)
                f._again()

    def test_gap(self) -> None:
        """A reader that is too slow is cut off by the server, and told what it has missed."""
        mount = self.dir.replace("/memfs/", "/ring-")
        self.client.mount("streamfs", mount, {"buffer_size": "1MB"})
        self.addCleanup(self.client.unmount, mount)
        self.client.append(f"{mount}/s", b"start")
        with self.client.follow(f"{mount}/s") as exact, self.client.follow(f"{mount}/s", skip=True) as loose:
            self.assertEqual((next(exact), next(loose)), (b"start", b"start"))
            for _ in range(32):
                self.client.append(f"{mount}/s", bytes(1 << 20))
            got = 5
            with self.assertRaises(pfs.StreamGap) as caught:
                for piece in exact:
                    got += len(piece)
            self.assertEqual(exact.offset, got)
            self.assertGreater(caught.exception.oldest or 0, got)
            end, got = 5 + (32 << 20), 5
            while loose.offset != end:
                got += len(next(loose))
            self.assertGreater(loose.skipped, 0)
            self.assertEqual(got + loose.skipped, end)

    def test_close_ends_a_reader(self) -> None:
        f = self.client.follow(self.path)
        reader = threading.Thread(target=lambda: list(f))
        reader.start()
        time.sleep(0.2)
        f.close()
        reader.join(30)
        self.assertFalse(reader.is_alive())

    def test_watch(self) -> None:
        path = f"{self.dir}/f"
        changes = self.client.watch(self.dir, 0.05, duration=60)
        steps: List[Tuple[str, Callable[[], object]]] = [
            ("created", lambda: self.client.touch(path)), ("modified", lambda: self.client.write(path, b"x")),
            ("removed", lambda: self.client.rm(path))]
        for kind, step in steps:
            step()
            change = next(changes)
            self.assertEqual((change.kind, change.path), (kind, path))
        self.assertEqual(list(self.client.watch(self.dir, 0.05, duration=0.1)), [])

    def test_watch_a_file(self) -> None:
        path = f"{self.dir}/f"
        self.client.write(path, b"same length")
        changes = self.client.watch(path, 0.05, duration=60)
        self.client.write(path, b"other bytes")
        self.assertEqual(next(changes).kind, "modified")

    def test_watch_waits_on_the_server(self) -> None:
        """Nothing is asked while nothing changes: an interval of an hour is not slept."""
        path = f"{self.dir}/f"
        changes = self.client.watch(path, 3600, duration=60)
        steps: List[Tuple[str, Callable[[], object]]] = [
            ("created", lambda: self.client.write(path, b"one")), ("modified", lambda: self.client.append(path, b"two")),
            ("removed", lambda: self.client.rm(path))]
        for kind, step in steps:
            timer = threading.Timer(0.3, step)
            timer.start()
            change = next(changes)
            timer.join()
            self.assertEqual((change.kind, change.path), (kind, path))
        self.assertEqual(list(self.client.watch(path, 3600, duration=0.2)), [])

    def test_watch_polls_where_it_must(self) -> None:
        """A server that cannot wait, of all files or of this one, is asked again and again."""
        path = f"{self.dir}/f"
        self.client.write(path, b"one")
        real = self.client._send

        def unlike(said: object) -> Callable[[Any], object]:
            def send(r: Any) -> object:
                if r.route == "/capabilities" and said is None:
                    return mock.Mock(json=lambda: {"version": "1.4.0", "features": ["handlefs", "grep"]})
                if "wait" in r.query:
                    assert isinstance(said, Exception)
                    raise said
                return real(r)
            return send

        for said in (None, pfs.AGFSNotSupportedError("no version", status=501), pfs.ThrottledError("throttled", status=429)):
            with self.subTest(said=said), mock.patch.object(self.client, "_send", side_effect=unlike(said)):
                changes = self.client.watch(path, 0.05, duration=60)
                self.client.append(path, b"more")
                self.assertEqual(next(changes).kind, "modified")


if __name__ == "__main__":
    unittest.main()
