"""Files and directories."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Literal, Optional, Union, overload

from .base import Base, conditions, reading
from .content import Body, Data, Source
from .exceptions import NotFoundError
from .results import Written, seconds
from .sending import Request

Info = Dict[str, Any]


class Files(Base):
    """The calls on files and directories. Paths are absolute, as ``/memfs/a``.

    Reads take ``consistency="linearizable"`` and ``min_index``. Changes take
    ``if_match`` (an ETag), ``if_absent`` and ``key``, an idempotency key: a
    repeat under it, by any process, has the first one's outcome. Without a key
    each change gets one of its own, so that it can be sent again safely.
    """

    def ls(self, path: str = "/", *, consistency: Optional[str] = None, min_index: Optional[int] = None) -> List[Info]:
        """Return the entries of a directory, sorted by name."""
        files: Optional[List[Info]] = self._json(reading("/directories", path, consistency, min_index)).get("files")
        return files or []

    def iter_dir(self, path: str = "/", *, prefix: str = "", page: int = 1000) -> Iterator[Info]:
        """Yield the entries of a directory by name, a page at a time."""
        cursor: Optional[str] = ""
        while cursor is not None:
            r = reading("/directories", path)
            r.query.update(limit=str(page), cursor=cursor)
            if prefix:
                r.query["prefix"] = prefix
            said = self._json(r)
            yield from said.get("files") or []
            cursor = said.get("next_cursor")

    @overload
    def read(self, path: str, offset: int = ..., size: int = ..., stream: Literal[False] = ..., *,
             consistency: Optional[str] = ..., min_index: Optional[int] = ...) -> bytes: ...

    @overload
    def read(self, path: str, offset: int = ..., size: int = ..., *, stream: Literal[True],
             consistency: Optional[str] = ..., min_index: Optional[int] = ...) -> Body: ...

    @overload
    def read(self, path: str, offset: int = ..., size: int = ..., stream: bool = ..., *,
             consistency: Optional[str] = ..., min_index: Optional[int] = ...) -> Union[bytes, Body]: ...

    def read(self, path: str, offset: int = 0, size: int = -1, stream: bool = False, *,
             consistency: Optional[str] = None, min_index: Optional[int] = None) -> Union[bytes, Body]:
        """Return the content of a file, or ``size`` bytes from ``offset`` on.

        With ``stream=True`` a stream is followed: what comes is in the
        :class:`Body` that is returned, until the stream is gone. Other files
        refuse that; ``open`` reads them piece by piece.
        """
        if stream:
            return self._tune(path, None)
        r = self._part(path, offset, size, consistency, min_index)
        if "offset" not in r.query and "size" not in r.query:
            r.keyed()  # if reading takes something away, a repeat gets the same
        return self._send(r).data

    cat = read

    def open(self, path: str, offset: int = 0, size: int = -1, *, consistency: Optional[str] = None,
             min_index: Optional[int] = None, if_match: Optional[str] = None) -> Body:
        """Return the content of a file of any length, to be read piece by piece.

        All of it is of one version. ``if_match`` refuses another one.
        """
        r = self._part(path, offset, size, consistency, min_index)
        r.query.setdefault("offset", "0")  # so that no walk takes anything from a queue
        r.stream, r.timeout = True, self.streaming_progress_timeout
        conditions(r, if_match, False)
        body = self._send(r).body
        assert body is not None
        return body

    def _part(self, path: str, offset: int, size: int, consistency: Optional[str], min_index: Optional[int]) -> Request:
        r = reading("/files", path, consistency, min_index)
        if offset > 0:
            r.query["offset"] = str(offset)
        if size >= 0:
            r.query["size"] = str(size)
        return r

    def _tune(self, path: str, start: Optional[str], consistency: Optional[str] = None) -> Body:
        r = reading("/files", path, consistency)
        r.query["stream"] = "true"
        r.stream, r.timeout = True, self.streaming_progress_timeout
        if start is not None:
            r.query["from"] = start
        body = self._send(r).body
        assert body is not None
        return body

    def write(self, path: str, data: Data, max_retries: Optional[int] = None, *, offset: Optional[int] = None,
              append: bool = False, if_match: Optional[str] = None, if_absent: bool = False,
              key: Optional[str] = None, ttl: Optional[float] = None,
              headers: Optional[Dict[str, str]] = None) -> Written:
        """Replace a file with ``data``, streamed; readers see the old content or the new.

        ``data`` is bytes, text, a binary file or an iterable of bytes. With
        ``offset`` it is written there, with ``append`` behind the end. What cannot
        be read twice is sent once, unless nothing of it was taken yet. ``ttl`` is in
        seconds, for keys of kvfs. The result is the message of the node as a
        string, with ``etag``, ``log_index`` and ``seq``.
        """
        r = Request("PUT", "/files", {"path": path}, dict(headers or {}), Source(data), retries=max_retries)
        assert r.body is not None
        r.timeout = max(self.timeout, 300 if r.body.size is None else min(300, 10 + r.body.size / (1 << 20)))
        if r.body.again or key is not None:
            r.keyed(key)
        if offset is not None:
            r.query["offset"] = str(offset)
        if append:
            r.query["flags"] = "append,create"
        if ttl is not None:
            r.headers["X-Pfs-Ttl"] = seconds(ttl)
        conditions(r, if_match, if_absent)
        answer = self._send(r)
        return Written.of(answer.json(), answer.headers)

    def append(self, path: str, data: Data, *, key: Optional[str] = None) -> Written:
        """Write behind the end of a file or a stream, which is made if it is missing.

        An iterable is appended to a stream piece by piece as it comes, anything
        else as a whole.
        """
        return self.write(path, data, append=True, key=key)

    def create(self, path: str, *, key: Optional[str] = None) -> Dict[str, Any]:
        """Make an empty file; :class:`ExistsError` if there is one."""
        return self._change("POST", "/files", path, key=key)

    def mkdir(self, path: str, mode: Union[str, int] = "755", *, key: Optional[str] = None) -> Dict[str, Any]:
        """Make a directory; ``mode`` is octal text, or a number such as 0o755."""
        text = mode if isinstance(mode, str) else f"{mode:04o}"
        return self._change("POST", "/directories", path, {"mode": text}, key=key)

    def makedirs(self, path: str, mode: Union[str, int] = "755") -> None:
        """Make a directory and those above it, as far as they are missing."""
        parts = [p for p in path.split("/") if p]
        missing: List[str] = []
        while parts:
            try:
                if self.stat("/" + "/".join(parts))["isDir"]:
                    break
            except NotFoundError:
                pass
            missing.append("/" + "/".join(parts))
            parts.pop()
        for name in reversed(missing):
            try:
                self.mkdir(name, mode)
            except FileExistsError:
                if not self.stat(name)["isDir"]:
                    raise

    def rm(self, path: str, recursive: bool = False, *, if_match: Optional[str] = None,
           key: Optional[str] = None) -> Dict[str, Any]:
        """Remove a file, a link or an empty directory; with ``recursive`` all below it."""
        query = {"recursive": "true"} if recursive else {}
        return self._change("DELETE", "/files", path, query, key=key, if_match=if_match)

    def stat(self, path: str, *, consistency: Optional[str] = None, min_index: Optional[int] = None) -> Info:
        """Describe a file; a link is not followed. ``etag`` is there where it has a version."""
        answer = self._send(reading("/stat", path, consistency, min_index))
        info: Info = answer.json()
        if answer.headers.get("ETag"):
            info["etag"] = answer.headers["ETag"]
        return info

    def exists(self, path: str) -> bool:
        """Tell whether there is something at a path."""
        try:
            self.stat(path)
        except NotFoundError:
            return False
        return True

    def mv(self, old_path: str, new_path: str, *, key: Optional[str] = None) -> Dict[str, Any]:
        """Rename a file or directory; a file at the new name is replaced."""
        return self._change("POST", "/rename", old_path, body={"newPath": new_path}, key=key)

    def chmod(self, path: str, mode: int, *, key: Optional[str] = None) -> Dict[str, Any]:
        """Set the permission bits."""
        return self._change("POST", "/chmod", path, body={"mode": mode}, key=key)

    def truncate(self, path: str, size: int, *, key: Optional[str] = None) -> Dict[str, Any]:
        """Cut a file, or let it grow with zeros, to ``size`` bytes."""
        return self._change("POST", "/truncate", path, {"size": str(size)}, key=key)

    def touch(self, path: str, *, key: Optional[str] = None) -> Dict[str, Any]:
        """Set the time of a file to now, or make an empty one."""
        return self._change("POST", "/touch", path, key=key)

    def symlink(self, target: str, link_path: str, *, key: Optional[str] = None) -> Dict[str, Any]:
        """Make a symbolic link to ``target``, which is kept as it is given."""
        return self._change("POST", "/symlink", link_path, body={"target": target}, key=key)

    def readlink(self, link_path: str) -> str:
        """Return what a link leads to."""
        return str(self._json(reading("/readlink", link_path)).get("target", ""))
