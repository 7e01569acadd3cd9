"""The client for asyncio."""

from __future__ import annotations

import asyncio
import unittest

import pfs_client as pfs
from pfs_client.aio import AsyncClient

from .nodes import URLS, NodeTest


class Asyncio(NodeTest):
    def test_calls(self) -> None:
        async def work() -> None:
            async with AsyncClient(URLS, timeout=30) as client:
                await asyncio.gather(*(client.write(f"{self.dir}/{n}", str(n)) for n in range(20)))
                self.assertEqual(len(await client.ls(self.dir)), 20)
                self.assertEqual([e["name"] async for e in client.iter_dir(self.dir, prefix="1")],
                                 sorted(str(n) for n in range(20) if str(n).startswith("1")))
                self.assertEqual([p async for p in client.iter_content(f"{self.dir}/7")], [b"7"])
                with self.assertRaises(FileNotFoundError):
                    await client.read(f"{self.dir}/none")
                with self.assertRaises(AttributeError):
                    client.no_such_method
            with self.assertRaises(pfs.AGFSClientError):
                client.sync.health()

        asyncio.run(work())

    def test_streams_and_queues(self) -> None:
        stream, queue = (self.dir.replace("/memfs/", f"/{fs}/") for fs in ("streamfs", "queuefs"))

        async def work() -> None:
            async with AsyncClient(URLS, timeout=30) as client:
                await client.append(stream, b"one")
                async for piece in client.follow(stream):
                    self.assertEqual(piece, b"one")
                    break
                jobs = client.queue(queue)
                await jobs.put_many(["a", "b"])
                done = []
                async for job in jobs.work(idle=0.2):
                    async with job:
                        done.append(job.data)
                self.assertEqual(done, [b"a", b"b"])
                self.assertEqual((await jobs.stats())["acked_total"], 2)

        asyncio.run(work())

    def test_follow_can_be_cancelled(self) -> None:
        async def listen(client: AsyncClient) -> None:
            async for _ in client.follow(self.dir.replace("/memfs/", "/streamfs/")):
                pass

        async def work() -> None:
            async with AsyncClient(URLS, timeout=30) as client:
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(listen(client), 0.5)

        asyncio.run(work())


if __name__ == "__main__":
    unittest.main()
