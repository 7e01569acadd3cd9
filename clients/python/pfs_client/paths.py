"""Paths as objects, in the manner of pathlib."""

from __future__ import annotations

import io
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Dict, Iterator, List, Union, cast

from .content import Data
from .exceptions import NotFoundError
from .results import Written

if TYPE_CHECKING:
    from .client import Client


class PFSPath:
    """A path of a cluster; see ``Client.path``. Methods are named as those of ``pathlib.Path``."""

    def __init__(self, client: "Client", path: Union[str, PurePosixPath]) -> None:
        self.client = client
        self.pure = PurePosixPath("/") / path

    def __truediv__(self, name: Union[str, PurePosixPath]) -> "PFSPath":
        return PFSPath(self.client, self.pure / name)

    def joinpath(self, *names: str) -> "PFSPath":
        """Return the path below this one."""
        return PFSPath(self.client, self.pure.joinpath(*names))

    @property
    def name(self) -> str:
        """The last part."""
        return self.pure.name

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return self.pure.stem

    @property
    def suffix(self) -> str:
        """The last suffix, with its dot."""
        return self.pure.suffix

    @property
    def parent(self) -> "PFSPath":
        """The directory that it is in."""
        return PFSPath(self.client, self.pure.parent)

    def with_name(self, name: str) -> "PFSPath":
        """Return the path beside this one."""
        return PFSPath(self.client, self.pure.with_name(name))

    def stat(self) -> Dict[str, Any]:
        """Describe what is there; a link is not followed."""
        return self.client.stat(str(self))

    def exists(self) -> bool:
        """Tell whether there is something."""
        return self.client.exists(str(self))

    def is_dir(self) -> bool:
        """Tell whether it is a directory, or a link to one."""
        return self._is(True)

    def is_file(self) -> bool:
        """Tell whether there is something that is no directory."""
        return self._is(False)

    def _is(self, directory: bool) -> bool:
        try:
            return self.stat()["isDir"] is directory
        except NotFoundError:
            return False

    def iterdir(self) -> Iterator["PFSPath"]:
        """Yield the entries of the directory, by name."""
        for entry in self.client.iter_dir(str(self)):
            yield self / entry["name"]

    def glob(self, pattern: str) -> Iterator["PFSPath"]:
        """Yield what matches below; ``**`` is any directories, none among them. Links are not followed."""
        return self._match(pattern.strip("/").split("/"))

    def _match(self, parts: List[str]) -> Iterator["PFSPath"]:
        first, rest = parts[0], parts[1:]
        if first == "**" and rest:
            yield from self._match(rest)
        for entry in self.client.iter_dir(str(self)):
            below = self / entry["name"]
            if entry["isDir"] and (entry.get("meta") or {}).get("Type") != "symlink":
                if first == "**":
                    yield from below._match(parts)
                elif rest and fnmatchcase(below.name, first):
                    yield from below._match(rest)
            if not rest and fnmatchcase(below.name, first):
                yield below

    def read_bytes(self) -> bytes:
        """Return the content."""
        return self.client.read(str(self))

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: Data) -> Written:
        """Replace the content."""
        return self.client.write(str(self), data)

    def write_text(self, text: str, encoding: str = "utf-8") -> Written:
        """Replace the content by text."""
        return self.client.write(str(self), text.encode(encoding))

    def open(self, mode: str = "r", encoding: str = "utf-8") -> IO[Any]:
        """Open the file to be read, as text (``r``) or bytes (``rb``), a piece at a time."""
        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"mode {mode!r}: files are opened for reading; use write_bytes() with a file or pieces")
        raw = io.BufferedReader(self.client.open(str(self)))
        return cast(IO[Any], raw if mode == "rb" else io.TextIOWrapper(raw, encoding))

    def mkdir(self, mode: int = 0o755, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the directory."""
        if parents:
            self.client.makedirs(str(self.pure.parent))
        try:
            self.client.mkdir(str(self), mode)
        except FileExistsError:
            if not exist_ok or not self.is_dir():
                raise

    def touch(self) -> None:
        """Set the time to now, or make an empty file."""
        self.client.touch(str(self))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        try:
            self.client.rm(str(self))
        except NotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        """Remove the empty directory."""
        self.client.rm(str(self))

    def rename(self, target: Union[str, "PFSPath"]) -> "PFSPath":
        """Rename it, and return the new path."""
        self.client.mv(str(self), str(target))
        return PFSPath(self.client, str(target))

    def __str__(self) -> str:
        return str(self.pure)

    def __repr__(self) -> str:
        return f"PFSPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PFSPath) and (self.client, self.pure) == (other.client, other.pure)

    def __hash__(self) -> int:
        return hash((id(self.client), self.pure))

    def __lt__(self, other: "PFSPath") -> bool:
        return self.pure < other.pure
