"""The client."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Dict, Optional, Tuple, Type, TypeVar

from .admin import Admin
from .handles import FileHandle, Handles
from .paths import PFSPath
from .queues import Queue
from .search import Search
from .streams import Streams

__all__ = ["AGFSClient", "Client", "FileHandle"]

_C = TypeVar("_C", bound="Client")


class Client(Search, Streams, Handles, Admin):
    """A client of a PFS or AGFS cluster; threads may share it.

    ``api_base_url`` is the URL of a node, several separated by commas, or a list
    of them, with or without ``/api/v1``. A request goes to the first; a node that
    does not answer, or says that it cannot now, is left for the next. Requests
    that may be sent again are, for ``patience`` seconds after the first failure:
    all reads, and all changes, which carry an idempotency key. Until a node has
    answered once they fail as soon as none takes a connection, unless ``wait``.

    ``timeout`` is how many seconds an answer may take, ``connect_timeout`` a
    connection, and ``streaming_progress_timeout`` how long content that is
    streamed may stand still (None: for ever). ``token`` is sent as a bearer token.
    For https, ``cafile`` has the authorities to trust, ``cert`` the files of an own
    certificate and its key; ``ssl_context`` takes the place of both.

    With several nodes reads see what this client has written: they carry the
    ``index`` of its last change.
    """

    @classmethod
    def from_env(cls: Type[_C], **settings: Any) -> _C:
        """Return a client for ``PFS_URL``, with ``PFS_TOKEN``, ``PFS_CACERT``, ``PFS_CERT`` and ``PFS_KEY``.

        Where they are not set, ``AGFS_API_URL`` and ``AGFS_SERVER_URL`` are looked at.
        """
        env = os.environ
        url = env.get("PFS_URL") or env.get("AGFS_API_URL") or env.get("AGFS_SERVER_URL") or "http://localhost:8080"
        found: Dict[str, Any] = {"token": env.get("PFS_TOKEN"), "cafile": env.get("PFS_CACERT")}
        cert: Tuple[Optional[str], Optional[str]] = (env.get("PFS_CERT"), env.get("PFS_KEY"))
        if all(cert):
            found["cert"] = cert
        return cls(url, **{**found, **settings})

    def path(self, path: str) -> PFSPath:
        """Return a path as an object, in the manner of pathlib."""
        return PFSPath(self, path)

    def queue(self, path: str) -> Queue:
        """Return the queue at a path, which need not be there yet."""
        return Queue(self, path)

    def __enter__(self: _C) -> _C:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()


#: The name under which users of pyagfs know it.
AGFSClient = Client
