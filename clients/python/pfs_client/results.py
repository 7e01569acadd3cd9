"""What calls return beside the dictionaries of pyagfs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union


class Written(str):
    """The message of a write, as pyagfs returns it, and what else the node said.

    ``etag`` is the new version of the file, ``log_index`` what ``min_index`` takes,
    ``seq`` the number of the change, ``replayed`` whether an earlier request
    under the same key had done it; ``answer`` is all of it.
    """

    etag: Optional[str]
    log_index: Optional[int]
    seq: Optional[int]
    replayed: bool
    answer: Dict[str, Any]

    @classmethod
    def of(cls, answer: Dict[str, Any], headers: Mapping[str, str]) -> "Written":
        """Read an answer."""
        self = cls(answer.get("message", "OK"))
        self.etag = headers.get("ETag")
        self.log_index = number(headers.get("X-Pfs-Index"))
        self.seq = number(headers.get("X-Pfs-Seq"))
        self.replayed = headers.get("Idempotency-Replayed") == "true"
        self.answer = answer
        return self


def number(text: Optional[str]) -> Optional[int]:
    """Return a decimal number, None if it is none."""
    return int(text) if text is not None and text.isdigit() else None


@dataclass(frozen=True)
class Enqueued:
    """What became of a message: its id and its place in the queue."""

    id: str
    seq: int
    duplicate: bool = False  # a message with this dedup id was there already


@dataclass(frozen=True)
class Message:
    """A message that was taken from a queue."""

    id: str  # the same whenever the message comes
    data: bytes
    timestamp: datetime  # of the enqueue
    seq: int
    attempt: int = 0  # how often it was taken, this time included
    lease: str = ""  # for ack, nack and extend
    fence: int = 0  # rises with every take of the queue
    deadline: Optional[datetime] = None  # when the lease runs out

    @classmethod
    def of(cls, m: Mapping[str, Any]) -> "Message":
        """Read what take answers."""
        data = base64.b64decode(m["data_base64"]) if "data_base64" in m else str(m.get("data", "")).encode()
        return cls(str(m["id"]), data, moment(m["timestamp"]), int(m.get("seq", 0)), int(m.get("attempt", 0)),
                   str(m.get("lease", "")), int(m.get("fence", 0)),
                   moment(m["deadline"]) if m.get("deadline") else None)

    @property
    def text(self) -> str:
        """The content as text."""
        return self.data.decode()


def moment(text: str) -> datetime:
    """Read a time of RFC 3339, to the microsecond."""
    head, _, tail = text.strip().replace("Z", "+00:00").partition(".")
    if not tail:
        return datetime.fromisoformat(head)
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return datetime.fromisoformat(f"{head}.{tail[:digits][:6]:0<6}{tail[digits:]}").astimezone(timezone.utc)


def seconds(value: float) -> str:
    """Return a duration as the API takes it."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def leases(of: Union[str, Message, Sequence[Union[str, Message]]]) -> List[str]:
    """Return the leases of messages, of one or several."""
    several = [of] if isinstance(of, (str, Message)) else of
    return [m.lease if isinstance(m, Message) else m for m in several]
