"""Content on its way: what is sent, and what comes, piece by piece."""

from __future__ import annotations

import io
import os
from typing import IO, Any, Callable, Iterable, Iterator, List, Optional, Union

from .exceptions import AGFSClientError

#: What a write takes: bytes, text (sent as UTF-8), a file, or pieces.
Data = Union[bytes, bytearray, memoryview, str, IO[bytes], IO[str], Iterable[bytes]]

#: How many bytes are held at a time.
PIECE = 256 * 1024


class Source:
    """The content of a request, read again for each try where that can be done."""

    def __init__(self, data: Data) -> None:
        self.size: Optional[int] = None  # in bytes; None: not known
        self.touched = False
        self.failed: Optional[Exception] = None
        self._start: Optional[int] = None
        self._bytes: Optional[memoryview] = None
        self._file: Any = None
        self._pieces: Any = None
        self._once = True
        if isinstance(data, str):
            data = data.encode()
        if isinstance(data, (bytes, bytearray, memoryview)):
            self._bytes = memoryview(data).cast("B")
            self.size = len(self._bytes)
        elif hasattr(data, "read"):
            self._file = data
            self._measure()
        else:
            self._pieces = data
            self._once = iter(data) is data

    def _measure(self) -> None:
        """Find out where the file stands, and how much is left of it."""
        try:
            self._start = self._file.tell()
            if isinstance(self._file, io.TextIOBase):
                return  # its length in bytes is not known
            end = self._file.seek(0, os.SEEK_END)
            self._file.seek(self._start)
            self.size = max(end - self._start, 0)
        except (OSError, ValueError, AttributeError):
            self._start = self.size = None

    @property
    def again(self) -> bool:
        """Whether the content can be read more than once."""
        return self._bytes is not None or self._start is not None or not self._once

    @property
    def repeatable(self) -> bool:
        """Whether the content can be sent from its beginning now."""
        return self.again or not self.touched

    def pieces(self) -> Iterator[Union[bytes, memoryview]]:
        """Yield the content from its beginning; what goes wrong is kept in ``failed``."""
        try:
            yield from self._pieces_of()
        except Exception as e:
            self.failed = e
            raise

    def _pieces_of(self) -> Iterator[Union[bytes, memoryview]]:
        if self._bytes is not None:
            for at in range(0, len(self._bytes), PIECE):
                yield self._bytes[at:at + PIECE]
            return
        if self._start is not None:
            self._file.seek(self._start)
        self.touched = True
        left = self.size
        for piece in self._raw():
            if left is not None:
                piece = piece[:left]  # it has grown meanwhile
                left -= len(piece)
            if piece:
                yield piece
            if left == 0:
                return
        if left:
            raise AGFSClientError(f"the file became {left} bytes shorter while it was sent")

    def _raw(self) -> Iterator[bytes]:
        if self._pieces is not None:
            for piece in self._pieces:
                yield piece.encode() if isinstance(piece, str) else bytes(piece)
            return
        while True:
            piece = self._file.read(PIECE)
            if not piece:
                return
            yield piece.encode() if isinstance(piece, str) else piece


class Body(io.RawIOBase):
    """Content that comes from a node while it is read; close it, or use ``with``.

    It is a raw binary file, and has the ``iter_content`` and ``iter_lines`` of
    the responses that pyagfs returns. What is cut off ends in
    :class:`AGFSConnectionError`, never in a short content. ``headers`` are those
    of the answer, ``etag`` the version that is read, ``offset`` where in a stream
    it begins.
    """

    def __init__(self, response: Any, headers: Any, fail: Callable[[BaseException], AGFSClientError],
                 done: Callable[[bool], None]) -> None:
        super().__init__()
        self.headers = headers
        self.status_code = int(response.status)
        self.etag: Optional[str] = headers.get("ETag")
        length = headers.get("Content-Length")
        self.size: Optional[int] = int(length) if length is not None else None
        offset = headers.get("X-Pfs-Offset")
        self.offset: Optional[int] = int(offset) if offset is not None else None
        self.received = 0
        self._response = response
        self._fail = fail
        self._done = done
        self._ended = False
        if self.size == 0:
            self._end(True)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, at most as much as the buffer holds; 0 at the end."""
        view = memoryview(buffer).cast("B")
        piece = self._some(len(view))
        view[:len(piece)] = piece
        return len(piece)

    def _some(self, most: int) -> bytes:
        """Return the next bytes as soon as there are any; none at the end."""
        if self.closed:
            raise ValueError("read of a closed body")
        if self._ended or most == 0:
            return b""
        if self.size is not None:
            most = min(most, self.size - self.received)
        try:
            piece: bytes = self._response.read1(most)
        except BaseException as e:
            if self._ended:
                return b""  # closed by another thread
            self._end(False)
            if isinstance(e, Exception):
                raise self._fail(e) from e
            raise
        self.received += len(piece)
        if self.size is not None:
            if not piece:
                self._end(False)
                raise self._fail(EOFError(f"{self.received} of {self.size} bytes came"))
            if self.received == self.size:
                self._end(True)
        elif not piece:
            self._end(True)
        return piece

    def iter_content(self, chunk_size: Optional[int] = PIECE, decode_unicode: bool = False) -> Iterator[bytes]:
        """Yield the content in pieces as they come, none longer than ``chunk_size``."""
        while True:
            piece = self._some(chunk_size or PIECE)
            if not piece:
                return
            yield piece

    def iter_lines(self, chunk_size: int = PIECE, decode_unicode: bool = False) -> Iterator[bytes]:
        """Yield the lines, without their ends."""
        for line in lines(self.iter_content(chunk_size)):
            yield line[:-2] if line.endswith(b"\r\n") else line[:-1] if line.endswith(b"\n") else line

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines, with their ends."""
        return lines(self.iter_content())

    @property
    def content(self) -> bytes:
        """All that has not been read yet."""
        return self.readall()

    def readall(self) -> bytes:
        """Read to the end."""
        return b"".join(self.iter_content())

    def _end(self, whole: bool) -> None:
        if not self._ended:
            self._ended = True
            self._done(whole)

    def close(self) -> None:
        """End the transfer; from another thread, too, while one reads."""
        self._end(False)
        super().close()

    def __enter__(self) -> "Body":
        return self


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of what comes in pieces, with their ends, each as it is complete."""
    begun: List[bytes] = []
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join((*begun, line, b"\n"))
            begun.clear()
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)
