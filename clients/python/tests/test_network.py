"""What networks do, and what a client makes of it."""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
import threading
import time
import unittest
from typing import Any, Callable, Iterator, List, Tuple, Type
from unittest import mock

import pfs_client as pfs
from pfs_client.connections import Connection

from .nodes import URLS, NodeTest
from .proxy import Proxy, unused_port

Call = Callable[[], object]


class Network(NodeTest):
    def proxied(self, **settings: Any) -> Tuple[pfs.Client, Proxy]:
        """Return a client that reaches one node through a proxy."""
        p = Proxy(URLS[0])
        self.addCleanup(p.close)
        settings.setdefault("timeout", 30)
        c = pfs.Client(p.url, **settings)
        self.addCleanup(c.close)
        return c, p

    @contextlib.contextmanager
    def counting(self) -> Iterator[List[Connection]]:
        """Note the connections that are made."""
        opened: List[Connection] = []
        connect = Connection.open

        def counted(self: Connection) -> None:
            if self.http.sock is None:
                opened.append(self)
            connect(self)

        with mock.patch.object(Connection, "open", counted):
            yield opened

    def test_nobody_there(self) -> None:
        port = unused_port()
        with pfs.Client(f"127.0.0.1:{port}") as c:
            calls: List[Call] = [c.health, lambda: c.ls("/"), lambda: c.write("/memfs/x", b"")]
            for call in calls:
                with self.assertRaises(pfs.AGFSConnectionError) as caught:
                    call()
                self.assertEqual(str(caught.exception), f"Connection refused - server not running at 127.0.0.1:{port}")
                self.assertIsInstance(caught.exception, ConnectionError)
                self.assertIsNone(caught.exception.outcome)

    def test_waits_for_a_node(self) -> None:
        port = unused_port()
        c = pfs.Client(f"127.0.0.1:{port}", wait=True, patience=60)
        self.addCleanup(c.close)
        started: List[Proxy] = []
        timer = threading.Timer(0.3, lambda: started.append(Proxy(URLS[0], port)))
        timer.start()
        self.assertEqual(c.health()["status"], "healthy")
        timer.join()
        started[0].close()

    def test_next_node(self) -> None:
        dead = f"http://127.0.0.1:{unused_port()}"
        c = pfs.Client([dead] + URLS, timeout=30)
        self.addCleanup(c.close)
        pieces = (p for p in [b"gener", b"ated"])
        self.assertEqual(c.write(f"{self.dir}/f", pieces), "Written 9 bytes")
        self.assertEqual(c.read(f"{self.dir}/f"), b"generated")

    def test_answer_lost_is_asked_again_and_done_once(self) -> None:
        c, p = self.proxied()
        c.write(f"{self.dir}/f", b"")
        for lost in (1, 2, 3):
            p.swallow = lost
            c.append(f"{self.dir}/f", b"%d" % lost)
            p.swallow = lost
            self.assertEqual(c.queue(self.dir.replace("/memfs", "/queuefs")).put("m").seq, lost)
        self.assertEqual(c.read(f"{self.dir}/f"), b"123")
        q = c.queue(self.dir.replace("/memfs", "/queuefs"))
        p.swallow = 1
        self.assertEqual([m.seq for m in q.take(2)], [1, 2])
        self.assertEqual(q.stats()["inflight"], 2)

    def test_long_wait_that_is_cut_off(self) -> None:
        """Patience counts from the failure on, not from when the wait began."""
        c, p = self.proxied(patience=5)
        path = self.dir.replace("/memfs", "/queuefs")
        self.client.queue(path).put("first")
        self.client.queue(path).dequeue()
        timers = [threading.Timer(6, p.drop), threading.Timer(6.3, lambda: self.client.queue(path).put("second"))]
        for t in timers:
            t.start()
        m = c.queue(path).take_one(wait=40)
        assert m is not None
        self.assertEqual(m.text, "second")

    def test_what_cannot_be_read_twice_is_sent_once(self) -> None:
        c, p = self.proxied()
        c.health()
        p.swallow = 1
        with self.assertRaises(pfs.AGFSConnectionError) as caught:
            c.append(f"{self.dir}/f", (b for b in [b"once"]))
        self.assertEqual(caught.exception.outcome, "unknown")
        self.assertEqual(self.client.read(f"{self.dir}/f"), b"once")

    def test_answer_cut_off(self) -> None:
        c, p = self.proxied()
        data = os.urandom(3 << 20)
        c.write(f"{self.dir}/f", data)
        p.drop()
        p.cut_after = 1 << 20
        self.assertEqual(c.read(f"{self.dir}/f"), data)
        p.drop()
        p.cut_after = 1 << 20
        with c.open(f"{self.dir}/f") as body, self.assertRaises(pfs.AGFSConnectionError):
            body.readall()
        self.assertLess(body.received, 1 << 20)

    def test_timeout(self) -> None:
        c, p = self.proxied(timeout=0.3, patience=0.5)
        p.hold = 1.0
        with self.assertRaises(pfs.AGFSTimeoutError) as caught:
            c.mkdir(f"{self.dir}/late", key=f"{self.dir}-late")
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertEqual(caught.exception.outcome, "unknown")
        self.client.mkdir(f"{self.dir}/late", key=f"{self.dir}-late")  # the first outcome: no ExistsError
        with self.assertRaises(pfs.AGFSTimeoutError) as caught:
            c.ls("/")
        self.assertIsNone(caught.exception.outcome)

    def test_idle_connections_that_were_closed(self) -> None:
        c, p = self.proxied(patience=0)
        for n in range(5):
            self.assertEqual(c.write(f"{self.dir}/f", b"x" * n), f"Written {n} bytes")
            c.open_handle(f"{self.dir}/f").close()
            p.drop()
            time.sleep(0.05)

    def test_connections_are_kept(self) -> None:
        c, _ = self.proxied()
        with self.counting() as opened:
            for _ in range(20):
                c.write(f"{self.dir}/f", b"x")
                c.read(f"{self.dir}/f")
                with self.assertRaises(pfs.NotFoundError):
                    c.stat(f"{self.dir}/none")
                with c.open(f"{self.dir}/f") as body:
                    body.read()
        self.assertEqual(len(opened), 1)

    def test_threads_share_a_client(self) -> None:
        errors: List[BaseException] = []

        def work(n: int) -> None:
            try:
                for i in range(40):
                    self.client.write(f"{self.dir}/{n}", f"{n}-{i}")
                    self.client.append(f"{self.dir}/all", f"{n}-{i}\n")
                    assert self.client.read(f"{self.dir}/{n}") == f"{n}-{i}".encode()
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(errors, [])
        lines = self.client.read(f"{self.dir}/all").decode().split()
        self.assertEqual(sorted(lines), sorted(f"{n}-{i}" for n in range(8) for i in range(40)))

    def test_fork(self) -> None:
        self.client.write(f"{self.dir}/f", b"parent")
        pid = os.fork()
        if pid == 0:
            try:
                self.client.append(f"{self.dir}/f", b"+child")
                os._exit(0)
            finally:
                os._exit(1)
        with self.counting() as opened:
            for _ in range(20):
                self.assertTrue(self.client.read(f"{self.dir}/f").startswith(b"parent"))
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
            self.assertEqual(self.client.read(f"{self.dir}/f"), b"parent+child")
        self.assertEqual(opened, [])  # the child has left those of the parent alone

    def test_reads_see_writes_on_all_nodes(self) -> None:
        c = self.client
        for n in range(60):
            c.write(f"{self.dir}/f", str(n))
            c._sender._leave(c._sender._node)
            self.assertEqual(c.read(f"{self.dir}/f"), str(n).encode())
            self.assertEqual(c.stat(f"{self.dir}/f")["size"], len(str(n)))
        self.assertGreater(c.index, 0)
        self.assertEqual(c.read(f"{self.dir}/f", consistency="linearizable"), b"59")
        self.assertEqual(c.read(f"{self.dir}/f", min_index=c.index), b"59")

    def test_errors_tell(self) -> None:
        with self.assertRaises(FileNotFoundError) as caught:
            self.client.read(f"{self.dir}/none")
        e = caught.exception
        assert isinstance(e, pfs.NotFoundError)
        self.assertEqual((e.status, e.code, str(e)), (404, "not_found", f"read: {self.dir}/none: not found"))
        self.assertTrue(e.request_id)
        self.assertEqual(e.errno, 2)
        again = pickle.loads(pickle.dumps(e))
        self.assertEqual((type(again), str(again), again.request_id), (type(e), str(e), e.request_id))
        self.client.write(f"{self.dir}/f", b"")
        calls: List[Tuple[Type[Exception], Call]] = [
            (IsADirectoryError, lambda: self.client.read(self.dir)),
            (NotADirectoryError, lambda: self.client.ls(f"{self.dir}/f")),
            (FileExistsError, lambda: self.client.create(f"{self.dir}/f")),
            (PermissionError, lambda: self.client.mkdir("/outside")),
            (ValueError, lambda: self.client.grep(f"{self.dir}/f", "(")),
            (NotImplementedError, lambda: self.client.mv(f"{self.dir}/f", "/kvfs/keys/f")),
        ]
        for kind, call in calls:
            with self.subTest(kind.__name__), self.assertRaises(kind) as any_caught:
                call()
            self.assertIsInstance(any_caught.exception, pfs.AGFSClientError)

    def test_outside_the_log(self) -> None:
        """A mount that keeps no keys is written without one, and a file of it is streamed."""
        mount = self.dir.replace("/memfs/", "/local-")
        with tempfile.TemporaryDirectory() as tmp:
            os.chmod(tmp, 0o777)
            self.client.mount("localfs", mount, {"local_dir": tmp})
            try:
                data = os.urandom(1 << 20)
                self.client.write(f"{mount}/f", data)
                self.client.append(f"{mount}/f", b"tail")
                self.client.write(f"{mount}/g", (p for p in [b"gener", b"ated"]))
                self.client.mkdir(f"{mount}/d")
                with open(f"{tmp}/f", "rb") as f:
                    self.assertEqual(f.read(), data + b"tail")
                self.assertEqual(self.client.read(f"{mount}/g"), b"generated")
                with self.client.cat(f"{mount}/f", stream=True) as body:
                    self.assertEqual(body.content, data + b"tail")
            finally:
                self.client.unmount(mount)

    def test_urls(self) -> None:
        c = pfs.Client("n1, https://n2/api/v1/ ,http://[::1]:9/behind/api/v1")
        self.assertEqual(repr(c), "<Client http://n1:80,https://n2:443,http://[::1]:9/behind>")
        for bad in ("", "ftp://x", "http://", "http://user@host"):
            with self.subTest(bad), self.assertRaises(ValueError):
                pfs.Client(bad)
        with mock.patch.dict(os.environ, {"PFS_URL": ",".join(URLS), "PFS_TOKEN": "t"}), pfs.Client.from_env() as c:
            self.assertEqual(c.health()["status"], "healthy")


class TLS(unittest.TestCase):
    """A terminator of TLS in front of a node, which asks for a token."""

    def setUp(self) -> None:
        self.url, self.ca = os.environ["PFS_TEST_TLS_URL"], os.environ["PFS_TEST_TLS_CA"]
        self.token = os.environ["PFS_TEST_TOKEN"]

    def test_trusted(self) -> None:
        with pfs.Client(self.url, token=self.token, cafile=self.ca) as c:
            path = "/memfs/tls"
            c.write(path, b"private" * 100_000)
            with c.open(path) as body:
                self.assertEqual(body.readall(), b"private" * 100_000)
            c.rm(path)

    def test_not_trusted(self) -> None:
        with pfs.Client(self.url, token=self.token, patience=60) as c:
            started = time.monotonic()
            with self.assertRaisesRegex(pfs.AGFSConnectionError, "CERTIFICATE_VERIFY_FAILED"):
                c.health()
            self.assertLess(time.monotonic() - started, 30)
        with pfs.Client(self.url, token=self.token, verify=False) as c:
            self.assertEqual(c.health()["status"], "healthy")

    def test_token(self) -> None:
        for token in (None, "wrong"):
            with pfs.Client(self.url, token=token, cafile=self.ca) as c, self.assertRaises(pfs.UnauthenticatedError):
                c.ls("/")


if __name__ == "__main__":
    unittest.main()
