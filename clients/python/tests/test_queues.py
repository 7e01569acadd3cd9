"""Queues and their workers."""

from __future__ import annotations

import threading
import time
import unittest
from collections import Counter
from datetime import datetime
from typing import List
from unittest import mock

import pfs_client as pfs

from .nodes import NodeTest


class Queues(NodeTest):
    def setUp(self) -> None:
        super().setUp()
        self.queue = self.client.queue(self.dir.replace("/memfs/", "/queuefs/"))

    def test_put_take_ack(self) -> None:
        put = self.queue.put(b"\xff\x00 any bytes")
        self.assertEqual((put.seq, put.duplicate), (1, False))
        self.assertEqual(self.queue.size(), 1)
        ahead = self.queue.peek()
        assert ahead is not None
        self.assertEqual(ahead.id, put.id)
        m = self.queue.take_one(lease=30)
        assert m is not None and m.deadline is not None
        self.assertEqual((m.id, m.data, m.attempt), (put.id, b"\xff\x00 any bytes", 1))
        self.assertGreater(m.deadline, m.timestamp)
        self.assertGreater(self.queue.extend(m, 120), m.deadline)
        self.assertEqual(self.queue.ack(m), 1)
        with self.assertRaises(pfs.LeaseLostError):
            self.queue.ack(m)
        self.assertIsNone(self.queue.take_one())
        self.assertEqual(self.queue.stats()["acked_total"], 1)

    def test_many(self) -> None:
        put = self.queue.put_many(f"job {n}" for n in range(250))
        self.assertEqual([e.seq for e in put], list(range(1, 251)))
        got: List[pfs.Message] = []
        while len(got) < 250:
            got += self.queue.take(100)
        self.assertEqual([m.text for m in got], [f"job {n}" for n in range(250)])
        self.assertEqual(self.queue.ack(got), 250)
        with self.assertRaisesRegex(ValueError, "message 1"):
            self.queue.put_many([b"fine", b"two\nlines"])
        self.assertEqual(self.queue.put_many([]), [])

    def test_options(self) -> None:
        self.queue.put("low", priority=0)
        self.queue.put("high", priority=9)
        self.queue.put("later", delay=3600)
        first = self.queue.put("one", dedup_id="d")
        second = self.queue.put("one again", dedup_id="d")
        self.assertEqual((second.id, second.duplicate), (first.id, True))
        got = [self.queue.dequeue(), self.queue.dequeue(), self.queue.dequeue(), self.queue.dequeue()]
        self.assertEqual([m and m.text for m in got], ["high", "one", "low", None])
        self.assertEqual(self.queue.stats()["delayed"], 1)
        self.queue.clear()
        self.assertEqual(self.queue.stats()["delayed"], 0)

    def test_wait(self) -> None:
        self.queue.put("first")
        self.queue.dequeue()
        threading.Timer(0.3, lambda: self.queue.put("here")).start()
        m = self.queue.take_one(wait=30)
        assert m is not None
        self.assertEqual(m.text, "here")
        self.assertIsNone(self.queue.take_one(wait=0.05))

    def test_dead(self) -> None:
        self.assertEqual(self.queue.put("poison").seq, 1)
        self.assertEqual(self.queue.settings(max_attempts=2)["max_attempts"], "2")
        for dead in (False, True):
            m = self.queue.take_one(wait=10)
            assert m is not None
            self.assertEqual(self.queue.nack(m, reason="exit 1"), dead)
        self.assertEqual(self.queue.stats()["dead"], 1)
        self.assertEqual(self.queue.redrive(), 1)
        self.assertEqual(self.queue.size(), 1)

    def test_reason_is_kept(self) -> None:
        """Whatever an exception says, the message is given back at once, and with it."""
        self.queue.create().create().settings(max_attempts=2)
        for text in ("two\nlines\tand \x00\x7f ünïcode", "x" * 5000):
            self.queue.put("m")
            for _ in range(2):
                job = next(self.queue.work(lease=60, idle=30))
                with self.assertRaises(RuntimeError), job:
                    raise RuntimeError(text)
            self.assertIsNone(self.queue.take_one())
        self.assertEqual(self.queue.stats()["dead"], 2)
        dead = [self.client.read(f"{self.queue.path}/dead/{e['name']}").decode() for e in
                self.client.ls(f"{self.queue.path}/dead")]
        self.assertTrue(all("RuntimeError: " in d for d in dead), dead)

    def test_work(self) -> None:
        """Three workers, one of which fails at every fifth message, do each message once."""
        self.queue.put_many(str(n) for n in range(60))
        done: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        lock = threading.Lock()

        def worker() -> None:
            for job in self.queue.work(lease=30, idle=0.5):
                try:
                    with job:
                        with lock:
                            n = job.message.text
                            if int(n) % 5 == 0 and job.message.attempt == 1:
                                failed[n] += 1
                                raise RuntimeError("not this time")
                            done[n] += 1
                except RuntimeError:
                    pass

        threads = [threading.Thread(target=worker) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(done, Counter(str(n) for n in range(60)))
        self.assertEqual(len(failed), 12)
        stats = self.queue.stats()
        self.assertEqual((stats["ready"], stats["inflight"], stats["acked_total"]), (0, 0, 60))

    def test_lease_is_kept(self) -> None:
        self.queue.put("long work")
        extended: List[datetime] = []
        with mock.patch.object(self.queue, "extend", side_effect=lambda m, by: extended.append(
                pfs.Queue.extend(self.queue, m, by))):
            job = next(self.queue.work(lease=6, idle=30))
            with job:
                end = time.monotonic() + 60
                while not extended and time.monotonic() < end:
                    time.sleep(0.05)
                self.assertFalse(job.lost.is_set())
        assert job.message.deadline is not None
        self.assertGreater(extended[0], job.message.deadline)
        self.assertEqual(self.queue.stats()["acked_total"], 1)

    def test_lost_lease_is_told(self) -> None:
        self.queue.put("x")
        job = next(self.queue.work(lease=1, idle=30))
        with self.assertRaises(pfs.LeaseLostError), job:
            self.queue.clear()
            self.assertTrue(job.lost.wait(30))

    def test_stop(self) -> None:
        stop = threading.Event()
        threading.Timer(0.2, stop.set).start()
        self.assertEqual(list(self.queue.work(poll=0.1, stop=stop.is_set)), [])


if __name__ == "__main__":
    unittest.main()
