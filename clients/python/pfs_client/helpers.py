"""Copying trees: within a cluster, to it, and from it."""

from __future__ import annotations

import os
import posixpath
from typing import Any, Dict, Iterator, Tuple

from .client import Client
from .exceptions import ExistsError


def cp(client: Client, src: str, dst: str, recursive: bool = False, stream: bool = False) -> None:
    """Copy a file, or with ``recursive`` a directory, within a cluster.

    ``dst`` is the name of the copy; a directory that is there already gets what it
    lacks, and files anew. Missing directories above it are made. Content passes
    through this client a piece at a time, whatever ``stream`` says. Links are
    copied as links; what gives something away or never ends is refused.
    """
    info = client.stat(src)
    target = dst.rstrip("/") or "/"
    if not info["isDir"]:
        client.makedirs(posixpath.dirname(target))
        _copy(client, src, info, target)
        return
    if not recursive:
        raise ValueError(f"{src} is a directory: use recursive=True")
    if (target + "/").startswith(src.rstrip("/") + "/"):
        raise ValueError(f"{src} cannot be copied into itself, {target}")
    client.makedirs(target)
    for name, entry in _walk(client, src):
        if entry["isDir"] and not _link(entry):
            client.makedirs(f"{target}/{name}")
        else:
            _copy(client, f"{src.rstrip('/')}/{name}", entry, f"{target}/{name}")


def upload(client: Client, local_path: str, remote_path: str, recursive: bool = False, stream: bool = False) -> None:
    """Copy a local file, or with ``recursive`` a directory, to a cluster.

    Files are read a piece at a time, whatever ``stream`` says. Otherwise as ``cp``.
    """
    if not os.path.lexists(local_path):
        raise FileNotFoundError(f"no such file or directory: {local_path}")
    target = remote_path.rstrip("/") or "/"
    if not os.path.isdir(local_path):
        client.makedirs(posixpath.dirname(target))
        _send(client, local_path, target)
        return
    if not recursive:
        raise ValueError(f"{local_path} is a directory: use recursive=True")
    client.makedirs(target)
    for top, dirs, files in os.walk(local_path):
        at = os.path.relpath(top, local_path)
        there = target if at == "." else f"{target}/{at.replace(os.sep, '/')}"
        for name in sorted(dirs):
            if not os.path.islink(os.path.join(top, name)):
                client.makedirs(f"{there}/{name}")
        links = [name for name in dirs if os.path.islink(os.path.join(top, name))]
        for name in sorted(files + links):
            _send(client, os.path.join(top, name), f"{there}/{name}")


def download(client: Client, remote_path: str, local_path: str, recursive: bool = False, stream: bool = False) -> None:
    """Copy a file, or with ``recursive`` a directory, from a cluster.

    Content is written a piece at a time, whatever ``stream`` says, and stands under
    its name once it is complete. Otherwise as ``cp``.
    """
    info = client.stat(remote_path)
    os.makedirs(os.path.dirname(os.path.abspath(local_path)), exist_ok=True)
    if not info["isDir"]:
        _fetch(client, remote_path, info, local_path)
        return
    if not recursive:
        raise ValueError(f"{remote_path} is a directory: use recursive=True")
    os.makedirs(local_path, exist_ok=True)
    for name, entry in _walk(client, remote_path):
        place = os.path.join(local_path, *name.split("/"))
        if entry["isDir"] and not _link(entry):
            os.makedirs(place, exist_ok=True)
        else:
            _fetch(client, f"{remote_path.rstrip('/')}/{name}", entry, place)


def _link(info: Dict[str, Any]) -> bool:
    return (info.get("meta") or {}).get("Type") == "symlink"


def _walk(client: Client, path: str, below: str = "") -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Yield what is below a directory by its name from there, directories before their entries."""
    for entry in client.iter_dir(f"{path.rstrip('/')}/{below}" if below else path):
        name = f"{below}/{entry['name']}" if below else str(entry["name"])
        yield name, entry
        if entry["isDir"] and not _link(entry):
            yield from _walk(client, path, name)


def _copy(client: Client, src: str, info: Dict[str, Any], dst: str) -> None:
    if _link(info):
        _relink(client, client.readlink(src), dst)
        return
    with client.open(src) as body:
        client.write(dst, body)


def _relink(client: Client, target: str, path: str) -> None:
    """Make a link, in the place of a file if there is one."""
    try:
        client.symlink(target, path)
    except ExistsError:
        client.rm(path)
        client.symlink(target, path)


def _send(client: Client, path: str, dst: str) -> None:
    if os.path.islink(path):
        _relink(client, os.readlink(path), dst)
        return
    with open(path, "rb") as f:
        client.write(dst, f)


def _fetch(client: Client, src: str, info: Dict[str, Any], place: str) -> None:
    if _link(info):
        if os.path.islink(place):
            os.remove(place)
        os.symlink(client.readlink(src), place)
        return
    part = f"{place}.part"
    try:
        with client.open(src) as body, open(part, "wb") as f:
            for piece in body.iter_content():
                f.write(piece)
        os.replace(part, place)
    except BaseException:
        if os.path.lexists(part):
            os.remove(part)
        raise
