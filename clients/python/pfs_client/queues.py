"""Queues of messages, with workers that lose nothing."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Type, Union

from .exceptions import AGFSClientError, LeaseLostError, NotFoundError
from .files import Files
from .results import Enqueued, Message, Written, leases, moment, seconds
from .sending import Request

Leased = Union[str, Message]
_LONGEST_WAIT = 30.0  # seconds that one request waits for a message


class Queue:
    """A queue of a queuefs, at a path such as ``/queuefs/jobs``; see ``Client.queue``."""

    def __init__(self, client: Files, path: str) -> None:
        self._client = client
        self.path = path.rstrip("/")

    def create(self) -> "Queue":
        """Make the queue if it is missing, as the first message does, too."""
        self._client.makedirs(self.path)
        return self

    def put(self, data: Union[bytes, str], *, priority: Optional[int] = None, delay: Optional[float] = None,
            dedup_id: Optional[str] = None, key: Optional[str] = None) -> Enqueued:
        """Add a message; a missing queue is made.

        ``priority`` is 0 to 9 (4), higher ones are given first; ``delay`` is in
        seconds; a second message with a ``dedup_id`` within the queue's window is
        not added.
        """
        said = self._put(data, priority, delay, dedup_id, key, None).answer
        return Enqueued(str(said.get("id", "")), int(said.get("seq", 0)), bool(said.get("duplicate", False)))

    def put_many(self, messages: Iterable[Union[bytes, str]], *, priority: Optional[int] = None,
                 delay: Optional[float] = None, key: Optional[str] = None) -> List[Enqueued]:
        """Add messages, all or none: at most 1,000 of 256 KiB together, 32 KiB each.

        None of them may be empty or have a line end.
        """
        lines = [m.encode() if isinstance(m, str) else bytes(m) for m in messages]
        for n, line in enumerate(lines):
            if not line or b"\n" in line or b"\r" in line:
                raise ValueError(f"message {n} is empty or has a line end: send it with put()")
        if not lines:
            return []
        said = self._put(b"\n".join(lines) + b"\n", priority, delay, None, key, "application/x-ndjson").answer
        return [Enqueued(str(i), int(s)) for i, s in zip(said.get("id", []), said.get("seq", []))]

    def _put(self, data: Union[bytes, str], priority: Optional[int], delay: Optional[float],
             dedup_id: Optional[str], key: Optional[str], kind: Optional[str]) -> Written:
        headers: Dict[str, str] = {}
        if priority is not None:
            headers["X-Pfs-Priority"] = str(priority)
        if delay is not None:
            headers["X-Pfs-Delay"] = seconds(delay)
        if dedup_id is not None:
            headers["X-Pfs-Dedup-Id"] = dedup_id
        if kind is not None:
            headers["Content-Type"] = kind
        return self._client.write(self.path + "/enqueue", data, key=key, headers=headers)

    def take(self, max: int = 1, *, wait: float = 0, lease: Optional[float] = None) -> List[Message]:
        """Borrow messages, at most 100; none is an empty list.

        With ``wait`` the first one is waited for, 60 seconds at most. Each comes
        again, to anybody, unless it is acked before its lease runs out.
        """
        query = {"max": str(max)}
        if lease is not None:
            query["lease"] = seconds(lease)
        return [Message.of(m) for m in self._ask("take", query, wait)]

    def take_one(self, *, wait: float = 0, lease: Optional[float] = None) -> Optional[Message]:
        """Borrow a message, or None."""
        got = self.take(1, wait=wait, lease=lease)
        return got[0] if got else None

    def dequeue(self, *, wait: float = 0) -> Optional[Message]:
        """Take a message for good, or None: at most once, whatever becomes of the taker."""
        said = self._ask("dequeue", {}, wait)
        return Message.of(said) if said else None

    def peek(self) -> Optional[Message]:
        """Return the next message, which stays, or None."""
        said = json.loads(self._client.read(self.path + "/peek") or b"{}")
        return Message.of(said) if said else None

    def _ask(self, name: str, query: Dict[str, str], wait: float) -> Any:
        r = Request("GET", "/files", {"path": f"{self.path}/{name}", **query}).keyed()
        if wait > 0:
            r.query["wait"] = seconds(wait)
            r.timeout = self._client.timeout + wait
        return self._client._send(r).json()

    def ack(self, messages: Union[Leased, Sequence[Leased]]) -> int:
        """Settle messages for good, all or none; returns how many.

        :class:`LeaseLostError` if a lease has run out.
        """
        said = self._client.write(self.path + "/ack", "\n".join(leases(messages))).answer
        return int(said.get("acked", 0))

    def nack(self, message: Leased, *, delay: float = 0, reason: str = "") -> bool:
        """Give a message back, to be ready after ``delay`` seconds.

        After its last attempt it is dead; then this returns True.
        """
        order = {"lease": leases(message)[0], "delay": seconds(delay), "reason": reason}
        return int(self._order("nack", order).get("dead", 0)) > 0

    def extend(self, message: Leased, by: float) -> datetime:
        """Let a lease run out no sooner than in ``by`` seconds, and return when."""
        return moment(self._order("extend", {"lease": leases(message)[0], "for": seconds(by)})["deadline"])

    def _order(self, name: str, order: Dict[str, str]) -> Dict[str, Any]:
        return self._client.write(f"{self.path}/{name}", json.dumps(order)).answer

    def redrive(self, ids: Optional[Sequence[str]] = None) -> int:
        """Bring dead messages back, all of them without ``ids``; returns how many."""
        said = self._client.write(self.path + "/redrive", "\n".join(ids) if ids else "*").answer
        return int(said.get("redriven", 0))

    def clear(self) -> None:
        """Drop all messages but the dead ones."""
        self._client.write(self.path + "/clear", b"")

    def size(self) -> int:
        """Return how many messages are ready."""
        return int(self._client.read(self.path + "/size"))

    def stats(self) -> Dict[str, Any]:
        """Return the figures of the queue: ready, delayed, inflight, dead, and totals."""
        found: Dict[str, Any] = json.loads(self._client.read(self.path + "/stats.json"))
        return found

    def settings(self, **change: object) -> Dict[str, str]:
        """Change settings, as ``max_attempts=3`` or ``lease="90s"``, and return all of them."""
        if change:
            self._client.write(self.path + "/ctl", " ".join(f"{name}={value}" for name, value in change.items()))
        lines = self._client.read(self.path + "/ctl").decode().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def work(self, *, lease: float = 60, idle: Optional[float] = None, poll: float = _LONGEST_WAIT,
             stop: Optional[Callable[[], bool]] = None) -> Iterator["Job"]:
        """Yield messages as they come, each as a :class:`Job` to be used with ``with``.

        It ends once nothing came for ``idle`` seconds, or when ``stop()`` is true,
        which is asked between messages and at least every ``poll`` seconds.
        """
        waited = 0.0
        while stop is None or not stop():
            wait = min(poll, _LONGEST_WAIT if idle is None else max(idle - waited, 0))
            try:
                m = self.take_one(wait=wait, lease=lease)
            except NotFoundError:  # nobody has enqueued yet
                m = None
                threading.Event().wait(min(wait, 1.0))
            if m is not None:
                waited = 0.0
                yield Job(self, m, lease)
                continue
            waited += max(wait, 0.001)
            if idle is not None and waited >= idle:
                return


class Job:
    """A message that is being worked on.

    In its ``with`` block the lease is extended by itself. A block that ends well
    acks the message; one that raises gives it back with the exception as the
    reason, and the exception goes on. ``lost`` is set once the lease is lost.
    """

    def __init__(self, queue: Queue, message: Message, lease: float) -> None:
        self.queue = queue
        self.message = message
        self.lost = threading.Event()
        self.settled = False
        self._lease = lease
        self._over = threading.Event()
        self._keeper: Optional[threading.Thread] = None

    @property
    def data(self) -> bytes:
        """The content of the message."""
        return self.message.data

    def ack(self) -> None:
        """Settle the message now."""
        self._end()
        self.queue.ack(self.message)
        self.settled = True

    def nack(self, *, delay: float = 0, reason: str = "") -> bool:
        """Give the message back now; True if it is dead."""
        self._end()
        dead = self.queue.nack(self.message, delay=delay, reason=reason)
        self.settled = True
        return dead

    def __enter__(self) -> "Job":
        self._keeper = threading.Thread(target=self._keep, name="pfs-lease", daemon=True)
        self._keeper.start()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if self.settled:
            self._end()
        elif error is None:
            self.ack()
        else:
            try:
                self.nack(reason=f"{type(error).__name__}: {error}"[:200])
            except AGFSClientError:
                pass  # it comes back when the lease runs out; the first error matters

    def _end(self) -> None:
        self._over.set()
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join()

    def _keep(self) -> None:
        """Extend the lease until the work is over."""
        while not self._over.wait(self._lease / 3):
            try:
                self.queue.extend(self.message, self._lease)
            except LeaseLostError:
                self.lost.set()
                return
            except AGFSClientError:
                pass  # it was tried for a while, and is tried again
