"""The part of a client that all its groups of methods stand on."""

from __future__ import annotations

import json
import ssl
import threading
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from .connections import Pool, tls_context
from .content import Source
from .exceptions import AGFSClientError
from .sending import Answer, Request, Sender, parse_urls

#: The version of this package.
VERSION = "0.1.0"


class Base:
    """Holds the connections to a cluster; see :class:`pfs_client.Client`."""

    def __init__(
        self,
        api_base_url: Union[str, Sequence[str]] = "http://localhost:8080",
        timeout: float = 10,
        streaming_progress_timeout: Optional[float] = 60,
        *,
        token: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        cafile: Optional[str] = None,
        cert: Optional[Tuple[str, str]] = None,
        verify: bool = True,
        ssl_context: Optional[ssl.SSLContext] = None,
        connect_timeout: float = 5,
        patience: float = 30,
        wait: bool = False,
    ) -> None:
        self._endpoints = parse_urls(api_base_url)
        self.streaming_progress_timeout = streaming_progress_timeout
        if ssl_context is None and any(e.tls for e in self._endpoints):
            ssl_context = tls_context(verify, cafile, cert)
        sent = {"User-Agent": f"pfs-client-python/{VERSION}", "Accept-Encoding": "identity", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        self._pool = Pool(ssl_context, min(connect_timeout, timeout))
        self._sender = Sender(self._endpoints, self._pool, sent, timeout, patience, wait)
        self._closed = threading.Event()

    @property
    def api_base(self) -> str:
        """The URL of the first node, as pyagfs has it."""
        return self._endpoints[0].url + "/api/v1"

    @property
    def timeout(self) -> float:
        """The seconds that an answer may take."""
        return self._sender.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._sender.timeout = seconds

    @property
    def index(self) -> int:
        """The raft index of the last change that this client made; 0 if it made none."""
        return self._sender.index

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """Give the connections back. Calls after it raise; a second close does nothing."""
        self._closed.set()
        self._pool.close()

    def _send(self, r: Request) -> Answer:
        if self._closed.is_set():
            raise AGFSClientError("AGFSClient has been closed")
        return self._sender.send(r)

    def _json(self, r: Request) -> Dict[str, Any]:
        said = self._send(r).json()
        if not isinstance(said, dict):
            raise AGFSClientError(f"the answer is not an object: {said!r}")
        return said

    def _change(self, method: str, route: str, path: Optional[str], query: Optional[Dict[str, str]] = None,
                body: Any = None, *, key: Optional[str] = None, if_match: Optional[str] = None,
                if_absent: bool = False) -> Dict[str, Any]:
        """Send a change without content, under a key."""
        return self._json(change(method, route, path, query, body, key=key, if_match=if_match, if_absent=if_absent))

    def __repr__(self) -> str:
        nodes = ",".join(e.url for e in self._endpoints)
        return f"<{type(self).__name__} {nodes}{' closed' if self.is_closed else ''}>"


def change(method: str, route: str, path: Optional[str], query: Optional[Dict[str, str]] = None, body: Any = None, *,
           key: Optional[str] = None, if_match: Optional[str] = None, if_absent: bool = False) -> Request:
    """Return a request that changes something; ``body`` is sent as JSON."""
    r = Request(method, route, dict(query or {})).keyed(key)
    if path is not None:
        r.query["path"] = path
    if body is not None:
        r.body = Source(json.dumps(body).encode())
        r.headers["Content-Type"] = "application/json"
    conditions(r, if_match, if_absent)
    return r


def conditions(r: Request, if_match: Optional[str], if_absent: bool) -> None:
    """Make a request depend on what is there."""
    if if_match is not None:
        r.headers["If-Match"] = if_match if if_match.startswith(('"', "W/")) or if_match == "*" else f'"{if_match}"'
    if if_absent:
        r.headers["If-None-Match"] = "*"


def reading(route: str, path: str, consistency: Optional[str] = None, min_index: Optional[int] = None) -> Request:
    """Return a read that is as fresh as asked for."""
    r = Request("GET", route, {"path": path})
    if consistency is not None:
        r.query["consistency"] = consistency
    if min_index is not None:
        r.query["min_index"] = str(min_index)
    return r
