"""Streams: one writes, any number follow."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Callable, Iterator, Optional, Type, Union

from .content import Body, lines
from .exceptions import AGFSClientError, AGFSConnectionError, AGFSTimeoutError, OutOfRangeError
from .files import Files


class StreamGap(AGFSClientError):
    """Bytes of a stream are gone before they were read: ``oldest`` is the first that is kept."""


class Follower:
    """The bytes of a stream as they come; iterate over it, and close it or use ``with``.

    ``offset`` is the place of the next byte. A connection that is lost, or stands
    still, is made again at that place, on another node if need be, so that no byte
    is missing or comes twice. Bytes that the stream keeps no longer raise
    :class:`StreamGap`, unless ``skip`` is true: then it goes on at the oldest.
    """

    def __init__(self, tune: Callable[..., Body], path: str, start: Union[str, int],
                 skip: bool) -> None:
        self.path = path
        self.offset: Optional[int] = None
        self.skipped = 0  # bytes
        self._tune = tune
        self._start: Optional[str] = str(start)
        self._skip = skip
        self._lock = threading.Lock()
        self._closed = False
        self._body: Optional[Body] = self._connect()

    def _connect(self) -> Body:
        try:
            body = self._tune(self.path, self._start)
        except OutOfRangeError as e:
            if self.offset is None or e.oldest is None:
                raise
            body = self._skip_to(e) if e.oldest > self.offset else self._catch_up()
        if body.offset is not None:
            self.offset = body.offset
        return body

    def _catch_up(self) -> Body:
        """Connect to a node that has not heard yet what was read from another."""
        return self._tune(self.path, self._start, "linearizable")

    def _skip_to(self, e: OutOfRangeError) -> Body:
        """Go on at the oldest byte, or tell that there is a gap."""
        oldest, missed = e.oldest or 0, (e.oldest or 0) - (self.offset or 0)
        if not self._skip:
            raise StreamGap(f"{self.path}: {missed} bytes from {self.offset} on are gone: the reader was too slow",
                            status=e.status, code=e.code, request_id=e.request_id, oldest=oldest) from e
        body = self._tune(self.path, str(oldest))
        self.skipped += missed
        return body

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._closed:
            try:
                if self._body is None:
                    self._again()
                    continue
                piece = next(self._body.iter_content(), b"")
            except (AGFSConnectionError, AGFSTimeoutError):
                if self._closed:
                    break
                if self._body is None or self.offset is None:
                    raise  # an older server does not say where it is
                self._body.close()
                self._body = None
                continue
            except (AGFSClientError, ValueError):
                if self._closed:
                    break
                raise
            if not piece:  # the stream is gone
                self.close()
                break
            if self.offset is not None:
                self.offset += len(piece)
            return piece
        raise StopIteration

    def _again(self) -> None:
        """Go on where the last connection ended."""
        self._start = str(self.offset)
        body = self._connect()
        with self._lock:
            if not self._closed:
                self._body = body
                return
        body.close()

    def lines(self) -> Iterator[bytes]:
        """Yield the lines, without their ends, as each is complete."""
        for line in lines(self):
            yield line[:-1] if line.endswith(b"\n") else line

    def close(self) -> None:
        """Stop; from another thread, too, while one waits for bytes."""
        with self._lock:
            self._closed = True
            body = self._body
        if body is not None:
            body.close()

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()


class Streams(Files):
    """The calls on streams."""

    def follow(self, path: str, start: Union[str, int] = "oldest", *, skip: bool = False) -> Follower:
        """Follow a stream from ``"oldest"``, ``"now"`` or an offset on, until it is gone.

        A stream that is not there yet is waited for.
        """
        return Follower(self._tune, path, start, skip)
