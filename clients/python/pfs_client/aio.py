"""The client for asyncio: each call runs in a thread of its own pool.

::

    async with AsyncClient("http://n1:8080,http://n2:8080") as client:
        await client.write("/memfs/a", b"hello")
        async for piece in client.follow("/streamfs/tv"):
            ...

Every method of :class:`pfs_client.Client` is here, to be awaited; those that
yield are async iterators. A call that is cancelled is not waited for, but it may
still be done.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Callable, Iterator, Optional, Type, TypeVar, Union

from .client import Client
from .content import Body
from .queues import Job, Queue
from .search import Change
from .streams import Follower

_T = TypeVar("_T")
_END = object()


class _Threads:
    """Runs calls of an object in threads."""

    def __init__(self, of: Any, pool: ThreadPoolExecutor) -> None:
        self._of = of
        self._pool = pool

    async def _run(self, call: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, functools.partial(call, *args, **kwargs))

    async def _each(self, items: Iterator[_T], end: Callable[[], None]) -> AsyncIterator[_T]:
        """Yield what an iterator yields; ``end`` has it stop when nobody asks any more."""
        try:
            while True:
                item = await self._run(next, items, _END)
                if item is _END:
                    return
                yield item
        finally:
            end()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        found = getattr(self._of, name)
        if name.startswith("_") or not inspect.ismethod(found):
            raise AttributeError(f"{type(self).__name__} has no method {name!r}")

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._run(found, *args, **kwargs)

        functools.update_wrapper(call, found)
        return call


class AsyncClient(_Threads):
    """A :class:`pfs_client.Client` for asyncio; ``threads`` is how many calls may run at a time."""

    def __init__(self, *args: Any, threads: int = 32, **settings: Any) -> None:
        super().__init__(Client(*args, **settings), ThreadPoolExecutor(threads, thread_name_prefix="pfs-client"))

    @property
    def sync(self) -> Client:
        """The client that does the work."""
        client: Client = self._of
        return client

    async def iter_content(self, path: str, offset: int = 0, size: int = -1) -> AsyncIterator[bytes]:
        """Yield the content of a file of any length, piece by piece."""
        body: Body = await self._run(self.sync.open, path, offset, size)
        async for piece in self._each(body.iter_content(), body.close):
            yield piece

    async def follow(self, path: str, start: Union[str, int] = "oldest", *, skip: bool = False) -> AsyncIterator[bytes]:
        """Yield the bytes of a stream as they come."""
        follower: Follower = await self._run(self.sync.follow, path, start, skip=skip)
        async for piece in self._each(follower, follower.close):
            yield piece

    async def watch(self, path: str, interval: float = 0.5, duration: Optional[float] = None) -> AsyncIterator[Change]:
        """Yield what changes at a path."""
        changes = await self._run(self.sync.watch, path, interval, duration)
        async for change in self._each(changes, lambda: None):
            yield change

    async def iter_dir(self, path: str = "/", *, prefix: str = "") -> AsyncIterator[Any]:
        """Yield the entries of a directory by name."""
        async for entry in self._each(self.sync.iter_dir(path, prefix=prefix), lambda: None):
            yield entry

    def queue(self, path: str) -> "AsyncQueue":
        """Return the queue at a path."""
        return AsyncQueue(self.sync.queue(path), self._pool)

    async def close(self) -> None:
        """Give the connections and the threads back."""
        self.sync.close()
        self._pool.shutdown(wait=False)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self.close()


class AsyncQueue(_Threads):
    """A :class:`pfs_client.Queue` for asyncio."""

    async def work(self, *, lease: float = 60, idle: Optional[float] = None,
                   poll: float = 5) -> AsyncIterator["AsyncJob"]:
        """Yield messages as they come, each to be used with ``async with``."""
        queue: Queue = self._of
        jobs = queue.work(lease=lease, idle=idle, poll=poll)
        async for job in self._each(jobs, lambda: None):
            yield AsyncJob(job, self._pool)


class AsyncJob(_Threads):
    """A message that is being worked on; see :class:`pfs_client.Job`."""

    @property
    def job(self) -> Job:
        """The job that holds the lease."""
        job: Job = self._of
        return job

    @property
    def data(self) -> bytes:
        """The content of the message."""
        return self.job.data

    async def __aenter__(self) -> "AsyncJob":
        self.job.__enter__()
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self._run(self.job.__exit__, kind, error, trace)
