"""A filesystem for fsspec, under the name ``pfs``: what reads ``s3://`` reads ``pfs://`` too.

``pfs://memfs/a`` is ``/memfs/a`` of the cluster that ``PFS_URL`` names;
``fsspec.filesystem("pfs", url="http://...")`` names it itself.
"""

from __future__ import annotations

import errno
import os
import posixpath
import secrets
from datetime import datetime
from typing import Any, Dict, List, Optional, Union

from fsspec import AbstractFileSystem  # type: ignore[import]
from fsspec.spec import AbstractBufferedFile  # type: ignore[import]

from .client import Client
from .exceptions import IsDirectoryError
from .results import moment


_LINKS = 10  # one after the other


def _link(info: Dict[str, Any]) -> bool:
    return (info.get("meta") or {}).get("Type") == "symlink"


def _entry(path: str, info: Dict[str, Any]) -> Dict[str, Any]:
    """Return what fsspec wants to know of a file."""
    return {"name": path, "size": info["size"], "type": "directory" if info["isDir"] else "file",
            "mtime": info["modTime"], "mode": info["mode"], "islink": _link(info), "etag": info.get("etag")}


class PFSFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The tree of a cluster. ``url`` and ``settings`` are those of :class:`pfs_client.Client`."""

    protocol = "pfs"
    root_marker = "/"
    cachable = True

    def __init__(self, url: Optional[str] = None, client: Optional[Client] = None, **settings: Any) -> None:
        super().__init__(url=url, client=client, **settings)
        mine = {k: v for k, v in settings.items() if k not in ("use_listings_cache", "skip_instance_cache")}
        if client is None:
            client = Client.from_env(**mine) if url is None else Client(url, **mine)
        self.client = client

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        text = os.fspath(path)
        if text.startswith("pfs://"):
            text = text[len("pfs://"):]
        return "/" + text.strip("/")

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> List[Any]:
        """List a directory; a file is its own list."""
        path = self._strip_protocol(path)
        info = self.info(path)
        entries = [info]
        if info["type"] == "directory":
            entries = [_entry(f"{path.rstrip('/')}/{e['name']}", e) for e in self.client.iter_dir(path)]
        return entries if detail else sorted(e["name"] for e in entries)

    def info(self, path: str, **kwargs: Any) -> Dict[str, Any]:
        """Describe a file; a link is what it leads to."""
        path = self._strip_protocol(path)
        at, info = path, self.client.stat(path)
        for _ in range(_LINKS):
            if not _link(info):
                return _entry(path, info)
            at = posixpath.normpath(posixpath.join(posixpath.dirname(at), self.client.readlink(at)))
            info = self.client.stat(at)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a directory."""
        path = self._strip_protocol(path)
        if create_parents:
            self.client.makedirs(self._parent(path))
        self.client.mkdir(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory and those above it."""
        path = self._strip_protocol(path)
        if not exist_ok and self.client.exists(path):
            raise FileExistsError(path)
        self.client.makedirs(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self.client.rm(self._strip_protocol(path))

    def _rm(self, path: str) -> None:
        self.client.rm(self._strip_protocol(path))

    def rm(self, path: Union[str, List[str]], recursive: bool = False, maxdepth: Optional[int] = None) -> None:
        """Remove files, and with ``recursive`` directories."""
        if maxdepth is not None or not isinstance(path, str) or "*" in path:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        name = str(self._strip_protocol(path))
        if not recursive and self.isdir(name):
            raise IsDirectoryError(f"{name} is a directory: use recursive=True", code="is_directory")
        self.client.rm(name, recursive)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy a file through this client, or make a directory as the other is."""
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.isdir(path1):
            self.client.makedirs(path2)
            return
        with self.client.open(path1) as body:
            self.client.write(path2, body)

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Rename a file or directory."""
        self.client.mv(self._strip_protocol(path1), self._strip_protocol(path2))

    def cat_file(self, path: str, start: Optional[int] = None, end: Optional[int] = None, **kwargs: Any) -> bytes:
        """Return the bytes of a file from ``start`` to ``end``; negative ones count from its end."""
        path = self._strip_protocol(path)
        size = self.info(path)["size"] if (start or 0) < 0 or (end or 0) < 0 else 0
        first = max(size + start, 0) if start is not None and start < 0 else start or 0
        last = size + end if end is not None and end < 0 else end
        return self.client.read(path, first, -1 if last is None else max(last - first, 0))

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        """Replace a file."""
        self.client.write(self._strip_protocol(path), value)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Make a file, or empty it, or without ``truncate`` set its time."""
        path = self._strip_protocol(path)
        if truncate:
            self.client.write(path, b"")
        else:
            self.client.touch(path)

    def modified(self, path: str) -> datetime:
        """Return when a file was last changed."""
        return moment(self.info(path)["mtime"])

    def checksum(self, path: str) -> int:
        """Return a number that differs once a file has changed."""
        info = self.client.stat(self._strip_protocol(path))
        return hash((info.get("etag"), info["size"], info["modTime"]))

    def _open(self, path: str, mode: str = "rb", block_size: Optional[int] = None, autocommit: bool = True,
              cache_options: Optional[Dict[str, Any]] = None, **kwargs: Any) -> "PFSFile":
        return PFSFile(self, path, mode, block_size or 1 << 20, autocommit=autocommit,
                       cache_options=cache_options, **kwargs)


class PFSFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is read in parts, all of one version, or written piece by piece.

    What is written goes to a name beside the file's, unless it is one piece, and
    takes its place when it is closed; a block that raises leaves the file as it was.
    """

    def __init__(self, fs: PFSFileSystem, path: str, mode: str, block_size: int, **kwargs: Any) -> None:
        self._part: Optional[str] = None
        super().__init__(fs, path, mode, block_size, **kwargs)
        self._etag = self.details.get("etag") if mode == "rb" else None

    def _fetch_range(self, start: int, end: int) -> bytes:
        with self.fs.client.open(self.path, start, end - start, if_match=self._etag) as body:
            data: bytes = body.readall()
        return data

    def _upload_chunk(self, final: bool = False) -> bool:
        data = self.buffer.getvalue()
        if self.mode == "ab":
            self.fs.client.append(self.path, data)
        elif final and self.autocommit and self._part is None:
            self.fs.client.write(self.path, data)
        else:
            if self._part is None:
                head, name = posixpath.split(self.path)
                self._part = posixpath.join(head, f".{name}.{secrets.token_hex(8)}")
                self.offset = 0
            self.fs.client.write(self._part, data, offset=self.offset)
            if final and self.autocommit:
                self.commit()
        return True

    def commit(self) -> None:
        """Put what was written in the file's place."""
        if self._part is not None:
            self.fs.client.mv(self._part, self.path)
            self._part = None

    def discard(self) -> None:
        """Forget what was written."""
        if self._part is not None:
            self.fs.client.rm(self._part)
            self._part = None

    def __exit__(self, *error: Any) -> None:
        if error and error[0] is not None and self.mode == "wb":
            self.closed = True
            self.discard()
            return
        self.close()
