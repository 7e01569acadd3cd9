"""Client of PFS and AGFS servers, on the standard library alone.

::

    from pfs_client import AGFSClient   # was: from pyagfs import AGFSClient

The same methods, parameters and results as pyagfs, and more: see README.md.
"""

from .base import VERSION as __version__
from .client import AGFSClient, Client
from .content import Body
from .exceptions import (AGFSClientError, AGFSConnectionError, AGFSHTTPError, AGFSNotSupportedError,
                         AGFSTimeoutError, ConflictError, ExistsError, InternalError, InvalidError,
                         IsDirectoryError, KeyReusedError, LeaseLostError, LockedError, NoSpaceError,
                         NotDirectoryError, NotEmptyError, NotFoundError, OutOfRangeError,
                         PermissionDeniedError, PluginCrashedError, ServerTimeoutError, StaleError,
                         ThrottledError, TooLargeError, UnauthenticatedError, UnavailableError)
from .handles import FileHandle
from .helpers import cp, download, upload
from .paths import PFSPath
from .queues import Job, Queue
from .results import Enqueued, Message, Written
from .search import Change
from .streams import Follower, StreamGap

__all__ = [
    "AGFSClient", "AGFSClientError", "AGFSConnectionError", "AGFSHTTPError", "AGFSNotSupportedError",
    "AGFSTimeoutError", "Body", "Change", "Client", "ConflictError", "Enqueued", "ExistsError", "FileHandle",
    "Follower", "InternalError", "InvalidError", "IsDirectoryError", "Job", "KeyReusedError", "LeaseLostError",
    "LockedError", "Message", "NoSpaceError", "NotDirectoryError", "NotEmptyError", "NotFoundError",
    "OutOfRangeError", "PFSPath", "PermissionDeniedError", "PluginCrashedError", "Queue", "ServerTimeoutError",
    "StaleError", "StreamGap", "ThrottledError", "TooLargeError", "UnauthenticatedError", "UnavailableError",
    "Written", "__version__", "cp", "download", "upload",
]
