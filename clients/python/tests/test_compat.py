"""Programs for pyagfs run unchanged but for the name of the package."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pfs_client as pfs

from .nodes import URLS, NodeTest

SCRIPTS = Path(__file__).parent.parent / "compat"

# The parameters of pyagfs, with their defaults.
CLIENT: Dict[str, Dict[str, Any]] = {
    "__init__": dict(api_base_url="http://localhost:8080", timeout=10, streaming_progress_timeout=60),
    "health": {}, "get_capabilities": {}, "ls": dict(path="/"),
    "read": dict(path=..., offset=0, size=-1, stream=False), "cat": dict(path=..., offset=0, size=-1, stream=False),
    "write": dict(path=..., data=..., max_retries=None), "create": dict(path=...), "mkdir": dict(path=..., mode="755"),
    "rm": dict(path=..., recursive=False), "stat": dict(path=...), "mv": dict(old_path=..., new_path=...),
    "chmod": dict(path=..., mode=...), "truncate": dict(path=..., size=...), "touch": dict(path=...),
    "symlink": dict(target=..., link_path=...), "readlink": dict(link_path=...), "mounts": {},
    "mount": dict(fstype=..., path=..., config=None), "unmount": dict(path=...), "load_plugin": dict(library_path=...),
    "unload_plugin": dict(library_path=...), "list_plugins": {}, "get_plugins_info": {},
    "grep": dict(path=..., pattern=..., recursive=False, case_insensitive=False, stream=False, limit=None),
    "digest": dict(path=..., algorithm="xxh3"), "open_handle": dict(path=..., flags=0, mode=0o644, lease=60),
    "list_handles": {}, "get_handle_info": dict(handle_id=...), "close_handle": dict(handle_id=...),
    "handle_read": dict(handle_id=..., size=-1, offset=None),
    "handle_write": dict(handle_id=..., data=..., offset=None),
    "handle_seek": dict(handle_id=..., offset=..., whence=0), "handle_sync": dict(handle_id=...),
    "handle_stat": dict(handle_id=...), "handle_truncate": dict(handle_id=..., size=...),
    "renew_handle": dict(handle_id=..., lease=60), "close": {},
}
HANDLE: Dict[str, Dict[str, Any]] = {
    "read": dict(size=-1), "read_at": dict(size=..., offset=...), "write": dict(data=...),
    "write_at": dict(data=..., offset=...),
    "seek": dict(offset=..., whence=0), "tell": {}, "sync": {}, "stat": {}, "info": {}, "renew": dict(lease=60),
    "truncate": dict(size=...), "close": {},
}
HELPERS: Dict[str, Dict[str, Any]] = {
    "cp": dict(src=..., dst=..., recursive=False, stream=False),
    "upload": dict(local_path=..., remote_path=..., recursive=False, stream=False),
    "download": dict(remote_path=..., local_path=..., recursive=False, stream=False),
}


def positional(call: Any) -> Dict[str, Any]:
    """Return the parameters that may be given by position, but for the first."""
    found = [p for p in inspect.signature(call).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
    return {p.name: ... if p.default is p.empty else p.default for p in found}


class Compat(NodeTest):
    def run_script(self, name: str, last: str) -> None:
        text = (SCRIPTS / name).read_text()
        self.assertIn("from pyagfs import", text)
        with tempfile.TemporaryDirectory() as tmp:
            script = Path(tmp) / name
            script.write_text(text.replace("from pyagfs", "from pfs_client"))
            env = {**os.environ, "AGFS_API_URL": URLS[0], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            done = subprocess.run([sys.executable, "-W", "error", str(script)], env=env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], last)

    def test_tour(self) -> None:
        self.run_script("tour.py", "the tour is over")

    def test_helpers(self) -> None:
        self.run_script("helpers.py", "all helped")

    def test_signatures(self) -> None:
        tables: List[Tuple[Any, Dict[str, Dict[str, Any]]]] = [
            (pfs.AGFSClient, CLIENT), (pfs.FileHandle, HANDLE), (pfs, HELPERS)]
        for owner, calls in tables:
            for name, parameters in calls.items():
                with self.subTest(name):
                    self.assertEqual(positional(getattr(owner, name)), parameters)

    def test_modules(self) -> None:
        from pfs_client.client import AGFSClient, FileHandle
        from pfs_client.exceptions import AGFSNotSupportedError
        from pfs_client.helpers import cp
        self.assertIs(AGFSClient, pfs.AGFSClient)
        self.assertIs(FileHandle, pfs.FileHandle)
        self.assertIs(AGFSNotSupportedError, pfs.AGFSNotSupportedError)
        self.assertIs(cp, pfs.cp)
        self.assertEqual((FileHandle.O_RDONLY, FileHandle.O_WRONLY, FileHandle.O_RDWR, FileHandle.O_APPEND,
                          FileHandle.O_CREATE, FileHandle.O_EXCL, FileHandle.O_TRUNC), (0, 1, 2, 8, 16, 32, 64))
        self.assertEqual(pfs.AGFSClient(URLS[0] + "/").api_base, URLS[0] + "/api/v1")


if __name__ == "__main__":
    unittest.main()
