"""Where the tests find the cluster: whoever runs them says so in the environment."""

from __future__ import annotations

import faulthandler
import os
import secrets
import unittest
from typing import Any, Dict, List

from pfs_client import Client

URLS: List[str] = os.environ.get("PFS_TEST_URLS", "").split(",")

_STUCK = 180  # seconds; a test that takes longer ends all, and shows where it was


class NodeTest(unittest.TestCase):
    """A test with a client of all nodes, and a directory of its own."""

    def setUp(self) -> None:
        if not URLS[0]:
            self.fail("set PFS_TEST_URLS to the URLs of the nodes of a cluster, separated by commas")
        faulthandler.dump_traceback_later(_STUCK, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        self.client = self.new_client()
        self.dir = f"/memfs/{type(self).__name__}-{secrets.token_hex(4)}"
        self.client.mkdir(self.dir)

    def new_client(self, **settings: Any) -> Client:
        """Return a client that is closed after the test."""
        with_patience: Dict[str, Any] = {"timeout": 30, "patience": 60, **settings}
        c = Client(URLS, **with_patience)
        self.addCleanup(c.close)
        return c
