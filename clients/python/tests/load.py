"""Writes to a cluster while its nodes are killed, and then reads all of it back.

It prints how much was acknowledged, a line each time it is more, until a line
comes on its standard input; then what it found, as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from typing import Callable, Dict, List

import pfs_client as pfs

TOP = "/memfs/load"
QUEUE = "/queuefs/load"
STREAM = "/streamfs/load"


class Load:
    """Threads that write, and what they know to be there."""

    def __init__(self, client: pfs.Client) -> None:
        self.client = client
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.files: Dict[str, bytes] = {}
        self.lines: List[str] = []
        self.sent: List[str] = []
        self.done: Counter[str] = Counter()
        self.said: List[str] = []
        self.heard: List[str] = []
        self.follower = client.follow(STREAM)
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()
        self.unknown: List[str] = []
        self.errors: List[str] = []

    def acked(self) -> int:
        """Return how many changes were acknowledged."""
        with self.lock:
            return len(self.files) + len(self.lines) + len(self.said) + len(self.sent) + sum(self.done.values())

    def run(self, step: Callable[[int, int], None], n: int) -> threading.Thread:
        """Repeat a step in a thread."""
        def work() -> None:
            i = 0
            while not self.stop.is_set():
                try:
                    step(n, i)
                except pfs.AGFSClientError as e:
                    with self.lock:
                        to = self.unknown if e.outcome == "unknown" else self.errors
                        to.append(f"{step.__name__} {n}-{i}: {e!r}")
                i += 1

        t = threading.Thread(target=work)
        t.start()
        return t

    def write(self, n: int, i: int) -> None:
        """Make a file that was not there, some of them longer than fits into the log."""
        path, data = f"{TOP}/{n}-{i}", f"{n}-{i} ".encode() * (20_000 if i % 10 == 0 else 10)
        self.client.write(path, data, if_absent=True)
        with self.lock:
            self.files[path] = data

    def append(self, n: int, i: int) -> None:
        """Add a line to the one file of all."""
        self.client.append(f"{TOP}/all", f"{n}-{i}\n")
        with self.lock:
            self.lines.append(f"{n}-{i}")

    def say(self, n: int, i: int) -> None:
        """Add a line to the stream."""
        self.client.append(STREAM, f"{n}-{i}\n")
        with self.lock:
            self.said.append(f"{n}-{i}")

    def listen(self) -> None:
        """Hear the stream, whichever node it comes from."""
        for line in self.follower.lines():
            self.heard.append(line.decode())

    def put(self, n: int, i: int) -> None:
        """Enqueue a message."""
        self.client.queue(QUEUE).put(f"{n}-{i}")
        with self.lock:
            self.sent.append(f"{n}-{i}")

    def take(self, n: int, i: int) -> None:
        """Work off a message."""
        for job in self.client.queue(QUEUE).work(lease=30, idle=0.2):
            with job:
                name = job.message.text
            with self.lock:
                self.done[name] += 1
            return

    def judge(self) -> Dict[str, object]:
        """Read everything back."""
        end = time.monotonic() + 60
        while len(self.heard) < len(self.said) and time.monotonic() < end:
            time.sleep(0.05)
        self.follower.close()
        self.listener.join()
        for job in self.client.queue(QUEUE).work(lease=30, idle=2):
            with job:
                self.done[job.message.text] += 1
        lost = [p for p, data in self.files.items() if self.client.read(p, consistency="linearizable") != data]
        there = Counter(self.client.read(f"{TOP}/all", consistency="linearizable").decode().split())
        lost += [f"line {line}" for line in self.lines if there[line] == 0]
        lost += [f"message {m}" for m in self.sent if self.done[m] == 0]
        heard = Counter(self.heard)
        lost += [f"said {line}" for line in self.said if heard[line] == 0]
        doubled = [f"said {line}" for line, n in heard.items() if n > 1]
        doubled += [f"line {line}" for line, n in there.items() if n > 1]
        doubled += [f"message {m}" for m, n in self.done.items() if n > 1]
        return {"files": len(self.files), "lines": len(self.lines), "messages": len(self.sent),
                "heard": len(self.heard), "worked": len(self.done),
                "lost": lost, "doubled": doubled, "unknown": self.unknown, "errors": self.errors}


def main() -> None:
    """Load until told to stop."""
    with pfs.Client(os.environ["PFS_TEST_URLS"], timeout=5, patience=120) as client:
        client.mkdir(TOP)
        load = Load(client)
        steps = (load.write, load.append, load.say, load.put, load.take)
        threads = [load.run(step, n) for n in range(2) for step in steps]

        def listen() -> None:
            sys.stdin.readline()
            load.stop.set()

        threading.Thread(target=listen, daemon=True).start()
        while not load.stop.wait(0.05):
            print(load.acked(), flush=True)
        for t in threads:
            t.join()
        print(json.dumps(load.judge()), flush=True)


if __name__ == "__main__":
    main()
