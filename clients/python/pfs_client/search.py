"""Searching, digests, and waiting for changes."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Literal, NamedTuple, Optional, Tuple, Union, overload

from .base import reading
from .content import Body, Source
from .exceptions import AGFSClientError, NotFoundError
from .files import Files, Info
from .sending import Request


_LONG = 10.0  # seconds of one wait; it holds up whoever ends a watch from another thread
_Seen = Dict[str, Tuple[Any, Info]]  # by path: what differs once it has changed


class _Look(NamedTuple):
    """What is at a path: ``version`` can be waited for to change, if there is any; "0" is that of nothing."""

    seen: _Seen
    version: str


@dataclass(frozen=True)
class Change:
    """What ``watch`` saw: ``kind`` is created, modified or removed."""

    kind: str
    path: str
    info: Optional[Info]  # None once it is removed


class Search(Files):
    """The calls that look at content without sending it."""

    @overload
    def grep(self, path: str, pattern: str, recursive: bool = ..., case_insensitive: bool = ...,
             stream: Literal[False] = ..., limit: Optional[int] = ...) -> Dict[str, Any]: ...

    @overload
    def grep(self, path: str, pattern: str, recursive: bool = ..., case_insensitive: bool = ..., *,
             stream: Literal[True], limit: Optional[int] = ...) -> Iterator[Dict[str, Any]]: ...

    @overload
    def grep(self, path: str, pattern: str, recursive: bool = ..., case_insensitive: bool = ...,
             stream: bool = ..., limit: Optional[int] = ...) -> Union[Dict[str, Any], Iterator[Dict[str, Any]]]: ...

    def grep(self, path: str, pattern: str, recursive: bool = False, case_insensitive: bool = False,
             stream: bool = False, limit: Optional[int] = None) -> Union[Dict[str, Any], Iterator[Dict[str, Any]]]:
        """Find lines that match a regular expression (RE2), at most ``limit`` of them.

        Returns ``{"matches": [...], "count": n}``; with ``stream`` the matches as
        they are found, and at last a dictionary with ``"type": "summary"``.
        """
        ask: Dict[str, Any] = {"path": path, "pattern": pattern, "recursive": recursive,
                               "case_insensitive": case_insensitive, "stream": stream}
        if limit:
            ask["limit"] = limit
        r = _asking("/grep", ask)
        if stream:
            r.stream, r.timeout = True, self.streaming_progress_timeout
            body = self._send(r).body
            assert body is not None
            return _objects(body)
        return self._json(r)

    def digest(self, path: str, algorithm: str = "xxh3") -> Dict[str, Any]:
        """Return ``{"algorithm", "path", "digest"}`` of a file: xxh3 or md5."""
        r = _asking("/digest", {"algorithm": algorithm, "path": path})
        r.timeout = max(self.timeout, 300)  # of a long file it takes a while
        return self._json(r)

    def watch(self, path: str, interval: float = 0.5, duration: Optional[float] = None) -> Iterator[Change]:
        """Yield what changes at a path from this call on: a file, or the entries of a directory.

        Of a file, or of a name that nothing has, the server tells as soon as there is
        news, if it can. Of a directory, in mounts outside the log and of servers of
        AGFS it is asked every ``interval`` seconds. Changes between two looks are seen
        as one. It ends after ``duration`` seconds, or never.
        """
        end = None if duration is None else time.monotonic() + duration
        return self._changes(path, self._look(path), interval, end)

    def _changes(self, path: str, before: _Look, interval: float, end: Optional[float]) -> Iterator[Change]:
        waits: Optional[bool] = None  # whether the server can; None: not known yet
        while end is None or time.monotonic() < end:
            left = math.inf if end is None else end - time.monotonic()
            if before.version and waits is None:
                waits = self._can_wait()
            status = self._wait(path, before.version, min(left, _LONG)) if before.version and waits else 0
            if status == 501:
                waits = False  # for this path
            if status not in (200, 304, 404):
                self._sleep(interval, end)
            now, news = self._look(path), False
            for change in _differences(before.seen, now.seen):
                news = True
                yield change
            if status in (200, 404) and not news:
                self._sleep(interval, end)  # it was told of what it cannot see
            before = now

    def _sleep(self, interval: float, end: Optional[float]) -> None:
        time.sleep(interval if end is None else max(min(interval, end - time.monotonic()), 0))

    def _can_wait(self) -> bool:
        try:
            return "wait" in self._json(Request("GET", "/capabilities")).get("features", ())
        except AGFSClientError:
            return False  # the next look tells what is wrong, if anything is

    def _wait(self, path: str, version: str, seconds: float) -> int:
        """Wait until a file has another version, or the time is over; return the status of the answer."""
        r = reading("/stat", path)
        r.query["wait"] = f"{max(seconds, 0.001):.3f}s"
        r.headers["If-None-Match"] = f'"{version}"'
        r.timeout, r.retries = self.timeout + seconds, 0
        try:
            self._send(r)
        except AGFSClientError as e:
            return e.status or 0
        return 200

    def _look(self, path: str) -> _Look:
        try:
            info = self.stat(path)
            if info["isDir"]:
                return _Look({path.rstrip("/") + "/" + e["name"]: (_state(e), e) for e in self.iter_dir(path)}, "")
        except NotFoundError:
            return _Look({}, "0")
        version = info.get("etag") or ""
        return _Look({path: ((version, info["size"]) if version else _state(info), info)}, version.strip('"'))


def _differences(old: _Seen, new: _Seen) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Change("removed", name, None)
        elif name not in old:
            yield Change("created", name, new[name][1])
        elif old[name][0] != new[name][0]:
            yield Change("modified", name, new[name][1])


def _state(info: Info) -> Tuple[Any, ...]:
    """Return what differs once an entry has changed; directories change with their entries."""
    return (info["isDir"],) if info["isDir"] else (info["size"], info["modTime"], info["mode"])


def _asking(route: str, ask: Dict[str, Any]) -> Request:
    """Return a POST that changes nothing."""
    return Request("POST", route, headers={"Content-Type": "application/json"},
                   body=Source(json.dumps(ask).encode()), again=True)


def _objects(body: Body) -> Iterator[Dict[str, Any]]:
    with body:
        for line in body.iter_lines():
            if line:
                yield json.loads(line)
