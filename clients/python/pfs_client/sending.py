"""One request to a cluster: sent again, elsewhere, where that is right and may help."""

from __future__ import annotations

import http.client
import json
import random
import secrets
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote, urlencode

from .connections import Connection, Endpoint, Pool
from .content import Body, Source
from .exceptions import (AGFSClientError, AGFSConnectionError, AGFSTimeoutError, PluginCrashedError, from_answer)

_KEY = "Idempotency-Key"
_TEMPORARY = (429, 502, 503, 504)
_LONGEST_PAUSE = 2.0  # seconds


@dataclass
class Request:
    """What is asked, before it is sent."""

    method: str
    route: str  # below /api/v1
    query: Dict[str, str] = field(default_factory=dict)
    headers: Dict[str, str] = field(default_factory=dict)
    body: Optional[Source] = None
    timeout: Optional[float] = -1.0  # seconds for one answer; None: any; -1: the client's
    stream: bool = False  # the caller reads the answer's content
    again: bool = False  # it changes something, but doing it twice is as once
    once: bool = False  # it seems to change nothing, but does
    retries: Optional[int] = None  # None: as long as the client's patience lasts
    own_key: bool = False

    @property
    def safe(self) -> bool:
        """Whether it changes nothing."""
        return self.method in ("GET", "HEAD")

    def keyed(self, key: Optional[str] = None) -> "Request":
        """Make a change repeatable: under the caller's key, or one of its own."""
        self.own_key = key is None
        self.headers[_KEY] = key or secrets.token_hex(16)
        return self

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again though the first one may have arrived."""
        if self.body is not None and not self.body.repeatable:
            return False
        return not self.once and (self.safe or self.again or _KEY in self.headers)

    def drop_key(self, e: AGFSClientError) -> bool:
        """Take our key off a request that was refused for it: some mounts keep none."""
        if not self.own_key or e.status != 501 or self.body is not None and not self.body.repeatable:
            return False
        del self.headers[_KEY]
        self.own_key = False
        return True


@dataclass
class Answer:
    """A success: its content was read to ``data``, or comes in ``body``."""

    headers: Any
    data: bytes = b""
    body: Optional[Body] = None

    def json(self) -> Any:
        """Return what the content says."""
        try:
            return json.loads(self.data)
        except ValueError as e:
            raise AGFSClientError(f"the answer is not JSON: {self.data[:100]!r}") from e


class Refused(AGFSConnectionError):
    """No connection was made, so that nothing was sent."""


class Sender:
    """Sends requests to the nodes of a cluster; threads may share it."""

    def __init__(self, endpoints: Sequence[Endpoint], pool: Pool, headers: Mapping[str, str], timeout: float,
                 patience: float, wait: bool) -> None:
        self.endpoints = list(endpoints)
        self.pool = pool
        self.headers = dict(headers)
        self.timeout = timeout
        self.patience = patience
        self.wait = wait
        self.read_writes = len(self.endpoints) > 1
        self.index = 0  # of the last change
        self._lock = threading.Lock()
        self._node = 0
        self._answered = False

    def send(self, r: Request) -> Answer:
        """Send a request until it succeeds, fails for good, or the patience after a failure ends."""
        if self.read_writes and self.index and r.safe and "path" in r.query:
            r.query.setdefault("min_index", str(self.index))
        failed, unsure = 0.0, False
        pauses = _Pauses(len(self.endpoints))
        attempt = 0
        while True:
            node = self._node
            try:
                return self._try(r, self.endpoints[node])
            except AGFSClientError as e:
                if r.drop_key(e):
                    continue
                attempt += 1
                unsure = unsure or e.outcome == "unknown"
                if unsure and _temporary(e) and not r.safe:
                    e.outcome = "unknown"
                if not _temporary(e):
                    raise
                self._leave(node)
                pause, now = pauses.after(e, attempt, node), time.monotonic()
                failed = failed or now  # a request may have waited for long before
                if self._hopeless(r, e, attempt, now + pause - failed):
                    raise
            time.sleep(pause)

    def _hopeless(self, r: Request, e: AGFSClientError, attempt: int, elapsed: float) -> bool:
        sent_nothing = isinstance(e, Refused) or e.status in (429, 503) and e.outcome != "unknown"
        whole = r.body is None or r.body.repeatable
        if not (r.repeatable or sent_nothing and whole):
            return True
        if isinstance(e, Refused) and not self.wait and not self._answered and attempt >= len(self.endpoints):
            return True  # there never was anybody
        if r.retries is not None:
            return attempt > r.retries
        return elapsed > self.patience

    def _leave(self, node: int) -> None:
        """Have the next request, too, ask another node."""
        with self._lock:
            if self._node == node:
                self._node = (node + 1) % len(self.endpoints)

    def _try(self, r: Request, to: Endpoint) -> Answer:
        """Send a request once; on a connection that was closed while idle, once more."""
        c = self.pool.take(to, fresh=not r.repeatable)
        if c.used:
            try:
                return self._over(c, r)
            except AGFSTimeoutError:
                raise
            except AGFSConnectionError:
                if not r.repeatable:
                    raise
            c = self.pool.take(to, fresh=True)
        return self._over(c, r)

    def _over(self, c: Connection, r: Request) -> Answer:
        try:
            try:
                c.open()
            except (OSError, http.client.HTTPException) as e:
                raise Refused(_unreachable(c.to, e)) from e
            try:
                headers = {**self.headers, **r.headers}
                response = c.send(r.method, self._target(c.to, r), headers, r.body, self._limit(r))
            except (OSError, http.client.HTTPException) as e:
                if r.body is not None and r.body.failed is e:
                    raise
                raise self._lost(c.to, r, e) from e
        except BaseException:
            c.close()
            raise
        self._answered = True
        return self._answer(c, r, response)

    def _target(self, to: Endpoint, r: Request) -> str:
        target = quote(f"{to.prefix}/api/v1{r.route}")
        return target + "?" + urlencode(r.query, quote_via=quote) if r.query else target

    def _limit(self, r: Request) -> Optional[float]:
        return self.timeout if r.timeout == -1.0 else r.timeout

    def _answer(self, c: Connection, r: Request, response: http.client.HTTPResponse) -> Answer:
        def done(whole: bool) -> None:
            if not whole or response.will_close:
                c.close()
                return
            response.close()
            self.pool.give(c)

        body = Body(response, response.headers, lambda e: self._lost(c.to, r, e), done)
        if response.status // 100 != 2:
            raise self._problem(r, response, body)
        if not r.safe or _KEY in r.headers:
            self._wrote(response.headers.get("X-Pfs-Index"))
        if r.stream:
            return Answer(response.headers, body=body)
        return Answer(response.headers, data=body.readall())

    def _wrote(self, index: Optional[str]) -> None:
        if index is not None and index.isdigit():
            with self._lock:
                self.index = max(self.index, int(index))

    def _problem(self, r: Request, response: http.client.HTTPResponse, body: Body) -> AGFSClientError:
        try:
            said = json.loads(body.readall())
        except (ValueError, AGFSClientError):
            said = {}
        pause = response.headers.get("Retry-After", "")
        e = from_answer(response.status, said if isinstance(said, dict) else {}, response.headers.get("X-Request-Id"),
                        float(pause) if pause.isdigit() else None)
        if not said and not r.safe and response.status in (500, 502, 504):
            e.outcome = "unknown"  # a proxy does not know what became of it
        return e

    def _lost(self, to: Endpoint, r: Request, e: BaseException) -> AGFSClientError:
        """Return what to say of an answer that did not come, or not whole."""
        outcome = None if r.safe and not r.once else "unknown"
        if isinstance(e, (socket.timeout, TimeoutError)):
            text = f"Request timeout after {self._limit(r)}s: no answer from {to.url}"
            return AGFSTimeoutError(text, outcome=outcome)
        if isinstance(e, AGFSClientError):
            return e
        return AGFSConnectionError(f"The answer of {to.url} was cut off: {e or type(e).__name__}", outcome=outcome)


class _Pauses:
    """Paces the tries of one request."""

    def __init__(self, nodes: int) -> None:
        self._next = 0.1
        self._until: List[float] = [0.0] * nodes

    def after(self, e: AGFSClientError, attempt: int, node: int) -> float:
        """Return the seconds to wait; none before a node that was not asked yet."""
        n = len(self._until)
        if isinstance(e, Refused) and attempt % n:
            return 0.0
        now = time.monotonic()
        if e.retry_after:
            self._until[node] = now + min(e.retry_after, _LONGEST_PAUSE)
        pause = self._next * random.uniform(0.5, 1)
        self._next = min(2 * self._next, _LONGEST_PAUSE)
        return max(pause, self._until[(node + 1) % n] - now)


def _temporary(e: AGFSClientError) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(e, PluginCrashedError):
        return False  # it would crash again
    if isinstance(e, Refused) and isinstance(e.__cause__, ssl.SSLCertVerificationError):
        return False
    return isinstance(e, (AGFSConnectionError, AGFSTimeoutError)) or e.status in _TEMPORARY


def _unreachable(to: Endpoint, e: BaseException) -> str:
    if isinstance(e, ConnectionRefusedError):
        return f"Connection refused - server not running at {to.address}"
    return f"No connection to {to.url}: {e or type(e).__name__}"


def parse_urls(urls: Any) -> Tuple[Endpoint, ...]:
    """Read one URL, several separated by commas, or a list of them."""
    texts = urls.split(",") if isinstance(urls, str) else list(urls)
    found = tuple(Endpoint.parse(text) for text in texts if text.strip())
    if not found:
        raise ValueError("give the URL of a node, such as http://127.0.0.1:8080")
    return found
