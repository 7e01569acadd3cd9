"""Connections to nodes, kept open for the next request."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from .content import Source

_IDLE_MOST = 16  # connections to a node
_IDLE_LONG = 30.0  # seconds; less than a node keeps them


class Endpoint(NamedTuple):
    """Where a node is."""

    tls: bool
    host: str
    port: int
    prefix: str  # before /api/v1

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read a URL, with or without a scheme and /api/v1."""
        text = url.strip()
        parts = urlsplit(text if "://" in text else "http://" + text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError(f"{url!r} is not the URL of a node, such as http://127.0.0.1:8080")
        tls = parts.scheme == "https"
        prefix = parts.path.rstrip("/")
        if prefix.endswith("/api/v1"):
            prefix = prefix[:-len("/api/v1")]
        return cls(tls, parts.hostname, parts.port or (443 if tls else 80), prefix)

    @property
    def address(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address with its scheme, and what is before /api/v1."""
        return f"{'https' if self.tls else 'http'}://{self.address}{self.prefix}"


class Connection:
    """One connection; one request at a time."""

    def __init__(self, to: Endpoint, context: Optional[ssl.SSLContext], timeout: float) -> None:
        self.to = to
        self.used = False
        self.broken = False
        self.since = 0.0
        self.http: http.client.HTTPConnection
        if to.tls:
            self.http = http.client.HTTPSConnection(to.host, to.port, timeout=timeout, context=context)
        else:
            self.http = http.client.HTTPConnection(to.host, to.port, timeout=timeout)
        self._socket: Optional[socket.socket] = None

    def open(self) -> None:
        """Connect, if that is not done."""
        if self.http.sock is None:
            self.http.connect()
            sock: Any = self.http.sock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = sock

    def send(self, method: str, target: str, headers: Dict[str, str], body: Optional[Source],
             timeout: Optional[float]) -> http.client.HTTPResponse:
        """Send a request and return the head of its answer."""
        self.http.sock.settimeout(timeout)
        self.http.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            self.http.putheader(name, value)
        if body is None:
            self.http.putheader("Content-Length", "0")
        elif body.size is not None:
            self.http.putheader("Content-Length", str(body.size))
        else:
            self.http.putheader("Transfer-Encoding", "chunked")
        try:
            self.http.endheaders()
            if body is not None:
                self._content(body)
        except (BrokenPipeError, ConnectionResetError):
            if self.used or body is not None and body.failed is not None:
                raise  # it was closed while it was idle; or the content is at fault
            self.broken = True  # the node may have answered before it had read all
        return self.http.getresponse()

    def _content(self, body: Source) -> None:
        if body.size is not None:
            for piece in body.pieces():
                self.http.send(piece)
            return
        for piece in body.pieces():
            self.http.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.http.send(b"0\r\n\r\n")

    def close(self) -> None:
        """Close it, also under another thread that reads from it."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side has closed it
        self.http.close()


class Pool:
    """The idle connections of a client. Threads may share it; so may forks."""

    def __init__(self, context: Optional[ssl.SSLContext], connect_timeout: float) -> None:
        self._context = context
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._idle: Dict[Endpoint, List[Connection]] = {}
        self._pid = os.getpid()
        self._closed = False

    def take(self, to: Endpoint, fresh: bool) -> Connection:
        """Return a connection that nobody uses, a new one if ``fresh``; it may not be open."""
        now = time.monotonic()
        old: List[Connection] = []
        found: Optional[Connection] = None
        with self._lock:
            if self._pid != os.getpid():
                self._forked()
            idle = self._idle.get(to, [])
            while idle and not fresh and found is None:
                c = idle.pop()
                if now - c.since < _IDLE_LONG:
                    found = c
                else:
                    old.append(c)
        for c in old:
            c.close()
        return found or Connection(to, self._context, self._connect_timeout)

    def _forked(self) -> None:
        """Leave the connections to the parent: they are closed here only."""
        for c in (c for cs in self._idle.values() for c in cs):
            c.http.close()
        self._idle, self._pid = {}, os.getpid()

    def give(self, c: Connection) -> None:
        """Keep a connection whose answer was read to its end, if it can be used again."""
        if c.broken:
            c.close()
            return
        c.used, c.since = True, time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(c.to, [])
            if not self._closed and len(idle) < _IDLE_MOST:
                idle.append(c)
                return
        c.close()

    def close(self) -> None:
        """Close what is idle, and what is given back from now on."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for c in (c for cs in idle.values() for c in cs):
            c.close()


def tls_context(verify: bool, cafile: Optional[str], cert: Optional[Tuple[str, str]]) -> ssl.SSLContext:
    """Return what https connections check and show."""
    context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(*cert)
    return context

