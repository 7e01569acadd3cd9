"""Open files: a lease on a node, with a position."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Dict, List, Optional, Type

from .base import Base
from .content import Source
from .exceptions import AGFSClientError
from .sending import Request


_PART = 1 << 20  # bytes that a node gives to a read without a size


class Handles(Base):
    """The calls on open files, by the number of the handle."""

    def open_handle(self, path: str, flags: int = 0, mode: int = 0o644, lease: int = 60) -> "FileHandle":
        """Open a file; ``flags`` are those of :class:`FileHandle`, ``lease`` is 1 to 300 seconds.

        Each use starts the lease again. The handle follows the file through renames.
        """
        said = self._json(Request("POST", "/handles/open", {
            "path": path, "flags": str(flags), "mode": f"{mode:04o}", "lease": str(lease)},
            again=not flags & (FileHandle.O_EXCL | FileHandle.O_TRUNC)))
        return FileHandle(self, int(said["handle_id"]), path, flags)

    def list_handles(self) -> List[Dict[str, Any]]:
        """Return the open handles of the node."""
        return list(self._json(Request("GET", "/handles/")).get("handles") or [])

    def get_handle_info(self, handle_id: int) -> Dict[str, Any]:
        """Describe a handle."""
        return self._json(Request("GET", f"/handles/{handle_id}"))

    def close_handle(self, handle_id: int) -> Dict[str, Any]:
        """Close a handle."""
        return self._json(Request("DELETE", f"/handles/{handle_id}"))

    def handle_read(self, handle_id: int, size: int = -1, offset: Optional[int] = None) -> bytes:
        """Read from the position, which moves, or from ``offset``; all that is left without ``size``."""
        piece = self._handle_part(handle_id, size, offset)
        if size >= 0 or len(piece) < _PART:
            return piece
        if ((self.handle_stat(handle_id).get("meta") or {}).get("Content") or {}).get("endless") == "true":
            return piece
        pieces = [piece]
        while len(piece) == _PART:  # a node gives a part of what is long
            offset = None if offset is None else offset + _PART
            piece = self._handle_part(handle_id, -1, offset)
            pieces.append(piece)
        return b"".join(pieces)

    def _handle_part(self, handle_id: int, size: int, offset: Optional[int]) -> bytes:
        r = Request("GET", f"/handles/{handle_id}/read", {"size": str(size)})
        if offset is not None:
            r.query["offset"] = str(offset)
        else:
            r.once = True  # the position may have moved
        return self._send(r).data

    def handle_write(self, handle_id: int, data: bytes, offset: Optional[int] = None) -> int:
        """Write at the position, which moves, or at ``offset``; returns how many bytes."""
        r = Request("PUT", f"/handles/{handle_id}/write", body=Source(data)).keyed()
        if offset is not None:
            r.query["offset"] = str(offset)
        return int(self._json(r).get("bytes_written", 0))

    def handle_seek(self, handle_id: int, offset: int, whence: int = 0) -> int:
        """Move the position, and return it."""
        r = Request("POST", f"/handles/{handle_id}/seek", {"offset": str(offset), "whence": str(whence)})
        r.again = whence != FileHandle.SEEK_CUR or offset == 0
        return int(self._json(r).get("position", 0))

    def handle_sync(self, handle_id: int) -> Dict[str, Any]:
        """Return once what was written is durable: it is when a write returns."""
        return self._json(Request("POST", f"/handles/{handle_id}/sync", again=True))

    def handle_stat(self, handle_id: int) -> Dict[str, Any]:
        """Describe the file."""
        return self._json(Request("GET", f"/handles/{handle_id}/stat"))

    def handle_truncate(self, handle_id: int, size: int) -> Dict[str, Any]:
        """Cut the file, or let it grow with zeros."""
        return self._json(Request("POST", f"/handles/{handle_id}/truncate", {"size": str(size)}).keyed())

    def renew_handle(self, handle_id: int, lease: int = 60) -> Dict[str, Any]:
        """Start the lease again, for ``lease`` seconds."""
        return self._json(Request("POST", f"/handles/{handle_id}/renew", {"lease": str(lease)}, again=True))


class FileHandle:
    """An open file; close it, or use ``with``."""

    O_RDONLY = 0
    O_WRONLY = 1
    O_RDWR = 2
    O_APPEND = 8
    O_CREATE = 16
    O_EXCL = 32
    O_TRUNC = 64

    SEEK_SET = 0
    SEEK_CUR = 1
    SEEK_END = 2

    def __init__(self, client: Handles, handle_id: int, path: str, flags: int) -> None:
        self._client = client
        self._id = handle_id
        self._path = path
        self._flags = flags
        self._closed = False

    @property
    def handle_id(self) -> int:
        """The number of the handle."""
        return self._id

    @property
    def path(self) -> str:
        """The path under which the file was opened."""
        return self._path

    @property
    def flags(self) -> int:
        """The flags it was opened with."""
        return self._flags

    @property
    def closed(self) -> bool:
        """Whether the handle was closed."""
        return self._closed

    def _open(self) -> int:
        if self._closed:
            raise AGFSClientError("Handle is closed")
        return self._id

    def read(self, size: int = -1) -> bytes:
        """Read from the position."""
        return self._client.handle_read(self._open(), size)

    def read_at(self, size: int, offset: int) -> bytes:
        """Read from an offset; the position stays."""
        return self._client.handle_read(self._open(), size, offset)

    def write(self, data: bytes) -> int:
        """Write at the position."""
        return self._client.handle_write(self._open(), data)

    def write_at(self, data: bytes, offset: int) -> int:
        """Write at an offset; the position stays."""
        return self._client.handle_write(self._open(), data, offset)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position, and return it."""
        return self._client.handle_seek(self._open(), offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self.seek(0, self.SEEK_CUR)

    def sync(self) -> None:
        """Return once what was written is durable."""
        self._client.handle_sync(self._open())

    def stat(self) -> Dict[str, Any]:
        """Describe the file."""
        return self._client.handle_stat(self._open())

    def info(self) -> Dict[str, Any]:
        """Describe the handle."""
        return self._client.get_handle_info(self._open())

    def renew(self, lease: int = 60) -> Dict[str, Any]:
        """Start the lease again."""
        return self._client.renew_handle(self._open(), lease)

    def truncate(self, size: int) -> None:
        """Cut the file, or let it grow with zeros."""
        self._client.handle_truncate(self._open(), size)

    def close(self) -> None:
        """Close the handle; a second close does nothing."""
        if not self._closed:
            self._client.close_handle(self._id)
            self._closed = True

    def __enter__(self) -> "FileHandle":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"FileHandle(id={self._id}, path={self._path}, flags={self._flags}, {state})"
