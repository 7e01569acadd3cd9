"""What can go wrong, as exceptions.

Every exception is an :class:`AGFSClientError`. Those with a counterpart in the
standard library are also that: ``except FileNotFoundError`` works.
"""

from __future__ import annotations

import errno as _errno
from typing import Any, Dict, Mapping, Optional, Tuple, Type

_ERRNO = {
    "not_found": _errno.ENOENT,
    "exists": _errno.EEXIST,
    "permission": _errno.EACCES,
    "unauthenticated": _errno.EACCES,
    "is_directory": _errno.EISDIR,
    "not_directory": _errno.ENOTDIR,
    "not_empty": _errno.ENOTEMPTY,
    "no_space": _errno.ENOSPC,
    "too_large": _errno.EFBIG,
    "locked": _errno.EBUSY,
    "timeout": _errno.ETIMEDOUT,
}


class AGFSClientError(Exception):
    """Anything that a client raises.

    What does not apply is None: ``status`` is the HTTP status, ``code`` the
    node's word for the kind of error (as ``not_found``), ``request_id`` what to
    look for in the node's log, ``outcome`` is ``"unknown"`` where a change may
    have been applied or not, ``etag`` the present version of a file that had
    changed, ``oldest`` the first offset that a stream still has, and
    ``retry_after`` the seconds that the node asks to wait.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: Optional[int] = None,
        code: Optional[str] = None,
        request_id: Optional[str] = None,
        outcome: Optional[str] = None,
        etag: Optional[str] = None,
        oldest: Optional[int] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.outcome = outcome
        self.etag = etag
        self.oldest = oldest
        self.retry_after = retry_after
        if isinstance(self, OSError):
            setattr(self, "errno", _ERRNO.get(code or ""))  # of the other base class

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, _facts(self)))


def _facts(e: AGFSClientError) -> Dict[str, Any]:
    names = ("status", "code", "request_id", "outcome", "etag", "oldest", "retry_after")
    return {name: getattr(e, name) for name in names}


def _rebuild(cls: Type[AGFSClientError], message: str, facts: Dict[str, Any]) -> AGFSClientError:
    return cls(message, **facts)


class AGFSConnectionError(AGFSClientError, ConnectionError):
    """No node answered, or an answer was cut off."""


class AGFSTimeoutError(AGFSClientError, TimeoutError):
    """The time for an answer was over."""


class AGFSHTTPError(AGFSClientError):
    """A node answered that it did not work."""


class AGFSNotSupportedError(AGFSClientError, NotImplementedError):
    """The mount does not do this (501)."""


class InvalidError(AGFSHTTPError, ValueError):
    """The request makes no sense (400); the message says why."""


class UnauthenticatedError(AGFSHTTPError, PermissionError):
    """The token is missing or is not valid (401)."""


class PermissionDeniedError(AGFSHTTPError, PermissionError):
    """It is not allowed (403)."""


class NotFoundError(AGFSHTTPError, FileNotFoundError):
    """There is no such file or directory (404)."""


class ExistsError(AGFSHTTPError, FileExistsError):
    """There is such a file or directory already (409)."""


class IsDirectoryError(AGFSHTTPError, IsADirectoryError):
    """A directory where a file is meant."""


class NotDirectoryError(AGFSHTTPError, NotADirectoryError):
    """A file where a directory is meant."""


class NotEmptyError(AGFSHTTPError, OSError):
    """A directory that has something in it (409)."""


class ConflictError(AGFSHTTPError):
    """It must not be done as things stand (409)."""


class LeaseLostError(AGFSHTTPError):
    """The lease of a message has run out: somebody else may have it (409)."""


class StaleError(AGFSHTTPError):
    """A condition does not hold: the file has changed (412), see ``etag``."""


class TooLargeError(AGFSHTTPError, OSError):
    """The content is longer than the node or the mount takes (413)."""


class OutOfRangeError(AGFSHTTPError):
    """What is asked for lies outside (416); of a stream, see ``oldest``."""


class KeyReusedError(AGFSHTTPError):
    """The idempotency key belongs to another request (422)."""


class LockedError(AGFSHTTPError, OSError):
    """Somebody else is at it (423)."""


class ThrottledError(AGFSHTTPError):
    """Too much is asked for at a time (429)."""


class InternalError(AGFSHTTPError):
    """A fault of the server (500)."""


class PluginCrashedError(AGFSHTTPError):
    """The plugin of the mount came to its end over this request (502)."""


class UnavailableError(AGFSHTTPError):
    """Not now (503): no leader, or a mount that is not up."""


class ServerTimeoutError(AGFSHTTPError, TimeoutError):
    """The node gave up waiting (408, 504)."""


class NoSpaceError(AGFSHTTPError, OSError):
    """A disk, a quota or a queue is full (507)."""


_CODES: Dict[str, Type[AGFSClientError]] = {
    "invalid": InvalidError,
    "unauthenticated": UnauthenticatedError,
    "permission": PermissionDeniedError,
    "not_found": NotFoundError,
    "exists": ExistsError,
    "is_directory": IsDirectoryError,
    "not_directory": NotDirectoryError,
    "not_empty": NotEmptyError,
    "conflict": ConflictError,
    "lease_lost": LeaseLostError,
    "stale": StaleError,
    "too_large": TooLargeError,
    "range": OutOfRangeError,
    "key_reused": KeyReusedError,
    "locked": LockedError,
    "throttled": ThrottledError,
    "internal": InternalError,
    "plugin_crashed": PluginCrashedError,
    "unsupported": AGFSNotSupportedError,
    "unavailable": UnavailableError,
    "timeout": ServerTimeoutError,
    "no_space": NoSpaceError,
}

# Answers without a code: of proxies and older servers.
_STATUSES = {
    400: "invalid", 401: "unauthenticated", 403: "permission", 404: "not_found", 408: "timeout",
    409: "exists", 412: "stale", 413: "too_large", 416: "range", 422: "key_reused", 423: "locked",
    429: "throttled", 500: "internal", 501: "unsupported", 502: "unavailable", 503: "unavailable",
    504: "timeout", 507: "no_space",
}

_TEXTS = {
    403: "Permission denied", 404: "No such file or directory", 409: "Resource already exists",
    500: "Internal server error", 501: "Operation not supported",
    502: "Bad Gateway - backend service unavailable",
}


def from_answer(status: int, body: Mapping[str, Any], request_id: Optional[str],
                retry_after: Optional[float]) -> AGFSClientError:
    """Return the exception for an answer of a node; ``body`` is its JSON, or empty."""
    code = body.get("code") or _STATUSES.get(status)
    oldest = body.get("oldest")
    cls = _CODES.get(str(code), AGFSHTTPError)
    return cls(
        str(body.get("error") or _TEXTS.get(status, f"HTTP error {status}")),
        status=status,
        code=None if code is None else str(code),
        request_id=request_id or body.get("request_id"),
        outcome=body.get("outcome"),
        etag=body.get("etag"),
        oldest=oldest if isinstance(oldest, int) else None,
        retry_after=retry_after,
    )
