"""A tour of all that pyagfs offers, as its users write it.

The tests run it as it stands here, but for the name of the package.
"""

import os

from pyagfs import AGFSClient, AGFSClientError, FileHandle
from pyagfs.exceptions import AGFSConnectionError, AGFSHTTPError, AGFSNotSupportedError, AGFSTimeoutError


def files(client, top):
    print(client.mkdir(top))
    client.mkdir(top + "/dir", mode="700")
    message = client.write(top + "/hello.txt", b"Hello, AGFS!")
    assert message == "Written 12 bytes", message
    assert client.cat(top + "/hello.txt") == b"Hello, AGFS!"
    assert client.read(top + "/hello.txt", offset=7, size=4) == b"AGFS"
    assert client.write(top + "/pieces", (b"%d" % n for n in range(3)), max_retries=0) == "Written 3 bytes"
    with open(__file__, "rb") as f:
        client.write(top + "/script", f)
    assert client.cat(top + "/script").startswith(b'"""A tour')
    assert client.create(top + "/empty")["message"] == "file created"
    names = [e["name"] for e in client.ls(top)]
    assert names == ["dir", "empty", "hello.txt", "pieces", "script"], names
    info = client.stat(top + "/hello.txt")
    assert info["size"] == 12 and not info["isDir"] and "T" in info["modTime"]
    assert info.get("meta", {}).get("Type") == "file"
    assert client.touch(top + "/empty")["message"] == "touched"
    assert client.chmod(top + "/empty", 0o600)["message"] == "permissions changed"
    assert client.truncate(top + "/hello.txt", 5)["message"] == "truncated"
    assert client.mv(top + "/hello.txt", top + "/dir/hi")["message"] == "renamed"
    assert client.symlink(top + "/dir/hi", top + "/link")["message"] == "symlink created"
    assert client.readlink(top + "/link") == top + "/dir/hi"
    assert client.cat(top + "/link") == b"Hello"
    assert client.rm(top + "/empty")["message"] == "deleted"


def search(client, top):
    client.mkdir(top + "/logs")
    client.write(top + "/logs/log", b"one error\nfine\nERROR two\n")
    result = client.grep(top + "/logs", "error", recursive=True, case_insensitive=True)
    assert result["count"] == len(result["matches"]) == 2, result
    for item in client.grep(top + "/logs/log", "error", stream=True, limit=10):
        if item.get("type") == "summary":
            assert item["count"] == 1
        else:
            assert (item["file"], item["line"], item["content"]) == (top + "/logs/log", 1, "one error")
    assert len(client.digest(top + "/logs/log")["digest"]) == 16
    assert len(client.digest(top + "/logs/log", algorithm="md5")["digest"]) == 32


def server(client):
    assert client.health()["status"] == "healthy"
    assert "handlefs" in client.get_capabilities()["features"]
    client.mount("memfs", "/tour-mount", {"init_dirs": ["/made"]})
    assert any(m["path"] == "/tour-mount" and m["pluginName"] == "memfs" for m in client.mounts())
    assert "made" in [e["name"] for e in client.ls("/tour-mount")]
    client.unmount("/tour-mount")
    assert any(p["name"] == "memfs" for p in client.get_plugins_info())
    assert client.list_plugins() == []
    for call in (client.load_plugin, client.unload_plugin):
        try:
            call("/no/such/plugin.so")
        except AGFSClientError as e:
            print("refused:", e)
        else:
            raise AssertionError("a plugin that is not there was taken")


def handles(client, top):
    path = top + "/handle"
    with client.open_handle(path, FileHandle.O_RDWR | FileHandle.O_CREATE, mode=0o640, lease=30) as fh:
        assert (fh.path, fh.flags, fh.closed) == (path, 18, False)
        assert fh.write(b"Hello World") == 11 and fh.tell() == 11
        assert fh.seek(0) == 0 and fh.read(5) == b"Hello"
        assert fh.read_at(5, 6) == b"World" and fh.write_at(b"w", 6) == 1
        assert fh.seek(-5, FileHandle.SEEK_END) == 6 and fh.read() == b"world"
        fh.sync()
        fh.truncate(5)
        assert fh.stat()["size"] == 5
        assert fh.info()["handle_id"] == fh.handle_id
        assert fh.renew(lease=90)["lease"] == 90
        assert fh.handle_id in [h["handle_id"] for h in client.list_handles()]
        print(fh)
    assert fh.closed and client.stat(path)["mode"] & 0o777 == 0o640
    try:
        fh.read()
    except AGFSClientError as e:
        assert "closed" in str(e)
    number = client.open_handle(path, 2).handle_id
    assert client.handle_write(number, b"by number", 0) == 9
    assert client.handle_seek(number, 3) == 3 and client.handle_read(number) == b"number"
    assert client.handle_read(number, 2, offset=0) == b"by"
    client.handle_truncate(number, 2)
    assert client.handle_stat(number)["size"] == 2
    client.handle_sync(number)
    client.renew_handle(number, 60)
    assert client.get_handle_info(number)["path"] == path
    assert client.close_handle(number)["message"] == "handle closed"


def queues_and_streams(client, top):
    queue, stream = "/queuefs/" + top[7:], "/streamfs/" + top[7:]
    client.mkdir(queue)
    client.write(queue + "/enqueue", b"job")
    assert client.cat(queue + "/size") == b"1"
    assert b'"data":"job"' in client.cat(queue + "/dequeue") and client.cat(queue + "/dequeue") == b"{}"
    client.write(stream, b"frame")
    response = client.cat(stream, stream=True)
    for chunk in response.iter_content(chunk_size=1024):
        assert chunk == b"frame"
        break
    response.close()


def errors(client, top):
    for kind in (AGFSConnectionError, AGFSTimeoutError, AGFSHTTPError, AGFSNotSupportedError):
        assert issubclass(kind, AGFSClientError)
    for call, text in ((lambda: client.cat(top + "/none"), "not found"), (lambda: client.mkdir(top), "already exists"),
                       (lambda: client.rm(top), "not empty"), (lambda: client.cat(top), "is a directory"),
                       (lambda: client.rm("/dev/null"), "")):
        try:
            call()
        except AGFSClientError as e:
            assert text in str(e), e
        else:
            raise AssertionError("no exception where one says " + text)


def main():
    url = os.environ["AGFS_API_URL"]
    top = "/memfs/tour-%d" % os.getpid()
    with AGFSClient(url + "/api/v1/", timeout=30, streaming_progress_timeout=60) as client:
        files(client, top)
        search(client, top)
        server(client)
        handles(client, top)
        queues_and_streams(client, top)
        errors(client, top)
        client.rm(top, recursive=True)
    assert client.is_closed
    try:
        client.ls("/")
    except AGFSClientError as e:
        assert "has been closed" in str(e)
    else:
        raise AssertionError("a closed client works")
    client.close()
    print("the tour is over")


if __name__ == "__main__":
    main()
