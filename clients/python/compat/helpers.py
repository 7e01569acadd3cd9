"""The helper functions of pyagfs, as its users call them; see tour.py."""

import os
import tempfile

from pyagfs import AGFSClient, AGFSClientError, cp, download, upload
from pyagfs.helpers import cp as same

assert same is cp


def main():
    client = AGFSClient(os.environ["AGFS_API_URL"])
    top = "/memfs/helpers-%d" % os.getpid()
    with tempfile.TemporaryDirectory() as tmp:
        os.makedirs(tmp + "/tree/sub/empty")
        for name, text in (("a.txt", "a"), ("sub/b.bin", "b" * 300000)):
            with open(f"{tmp}/tree/{name}", "w") as f:
                f.write(text)
        upload(client, tmp + "/tree/a.txt", top + "/one/file.txt")
        assert client.cat(top + "/one/file.txt") == b"a"
        upload(client, tmp + "/tree", top + "/tree", recursive=True)
        upload(client, tmp + "/tree", top + "/tree", recursive=True, stream=True)
        assert [e["name"] for e in client.ls(top + "/tree")] == ["a.txt", "sub"]
        cp(client, top + "/tree/a.txt", top + "/copies/a.txt")
        cp(client, top + "/tree", top + "/copies/tree", recursive=True, stream=True)
        assert [e["name"] for e in client.ls(top + "/copies/tree/sub")] == ["b.bin", "empty"]
        download(client, top + "/copies/a.txt", tmp + "/down/a.txt", stream=True)
        download(client, top + "/copies/tree", tmp + "/down/tree", recursive=True)
        with open(tmp + "/down/tree/sub/b.bin") as f:
            assert f.read() == "b" * 300000
        assert os.path.isdir(tmp + "/down/tree/sub/empty")
        for call in (lambda: cp(client, top + "/tree", top + "/x"), lambda: upload(client, tmp + "/tree", top + "/x"),
                     lambda: download(client, top + "/tree", tmp + "/x")):
            try:
                call()
            except ValueError:
                pass
            else:
                raise AssertionError("a directory was copied without recursive=True")
        try:
            upload(client, tmp + "/none", top + "/none")
        except FileNotFoundError:
            pass
        try:
            download(client, top + "/none", tmp + "/none")
        except AGFSClientError as e:
            assert "not found" in str(e)
    client.rm(top, recursive=True)
    client.close()
    print("all helped")


if __name__ == "__main__":
    main()
