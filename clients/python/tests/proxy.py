"""A relay in front of a node that does to connections what networks do."""

from __future__ import annotations

import socket
import threading
import time
from typing import List, Optional
from urllib.parse import urlsplit


class Proxy:
    """Relays to a node. What is set counts for what comes from then on."""

    def __init__(self, url: str, port: int = 0) -> None:
        parts = urlsplit(url)
        self.to = (parts.hostname or "", parts.port or 80)
        self.swallow = 0  # answers to take from the node and not pass on
        self.cut_after: Optional[int] = None  # bytes of an answer, once
        self.hold = 0.0  # seconds before each answer
        self.requests = 0  # pieces that came from clients
        self._all: List[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self.to)
            except OSError:
                return
            self._all += [near, far]
            for work in (self._up, self._down):
                threading.Thread(target=work, args=(near, far), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while data := near.recv(1 << 16):
                self.requests += 1
                far.sendall(data)
        except OSError:
            pass
        _end(near, far)

    def _down(self, near: socket.socket, far: socket.socket) -> None:
        sent = 0
        try:
            while data := far.recv(1 << 16):
                time.sleep(self.hold)
                if self.swallow:
                    self.swallow -= 1
                    break
                if self.cut_after is not None and sent + len(data) > self.cut_after:
                    near.sendall(data[:self.cut_after - sent])
                    self.cut_after = None
                    break
                near.sendall(data)
                sent += len(data)
        except OSError:
            pass
        _end(near, far)

    def drop(self) -> None:
        """Close all connections."""
        sockets, self._all = self._all, []
        _end(*sockets)

    def close(self) -> None:
        """Take no connections any more, and close those that are there."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.drop()


def _end(*sockets: socket.socket) -> None:
    for s in sockets:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()


def unused_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
    return port
