"""What README.md shows is run as it stands there, but for the addresses."""

from __future__ import annotations

import doctest
import io
import os
import re
import unittest
from pathlib import Path
from typing import Any, Dict
from unittest import mock

from .nodes import URLS, NodeTest

README = Path(__file__).parent.parent / "README.md"
PLACES = ["hello.txt", "notes", "log", "plan", "squares", "tree", "copy", "data.csv"]


class Readme(NodeTest):
    def setUp(self) -> None:
        super().setUp()
        self.clean()
        self.addCleanup(self.clean)

    def clean(self) -> None:
        for path in [f"/memfs/{p}" for p in PLACES] + ["/queuefs/jobs", "/streamfs/tv"]:
            if self.client.exists(path):
                self.client.rm(path, recursive=True)

    def test_blocks(self) -> None:
        text = README.read_text().replace('["http://n1:8080", "http://n2:8080", "http://n3:8080"]', repr(URLS))
        text = text.replace("http://127.0.0.1:8080", URLS[0])
        names: Dict[str, Any] = {}
        blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S))
        self.assertGreater(len(blocks), 8)
        with mock.patch.dict(os.environ, {"PFS_URL": ",".join(URLS)}):
            for block in blocks:
                line = text[:block.start()].count("\n") + 1
                if block[1].startswith(">>>"):
                    self.check(block[1], names, line)
                else:
                    exec(compile("\n" * line + block[1], "README.md", "exec"), names)
                if "client" in names:
                    self.addCleanup(names["client"].close)

    def check(self, code: str, names: Dict[str, Any], line: int) -> None:
        said = io.StringIO()
        test = doctest.DocTestParser().get_doctest(code, names, "README.md", "README.md", line)
        failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=said.write, clear_globs=False)
        names.update(test.globs)
        self.assertEqual(failed, 0, said.getvalue())


if __name__ == "__main__":
    unittest.main()
