"""Files in memory: a plugin that can be read and written.

What is in it is gone when the process ends.
"""

from pfsplugin import File, WritablePlugin, now, run


class Node:
    def __init__(self, is_dir):
        self.is_dir, self.data, self.mtime = is_dir, bytearray(), now()


class Memory(WritablePlugin):
    name = "memory-py"
    doc = "Files in the memory of a Python program."

    def start(self, config):
        self.nodes = {"/": Node(True)}
        for path, text in config.pop("files", {}).items():
            self.create(path)
            self.append(path, text.encode())
        if config:
            raise ValueError("unknown setting " + ", ".join(config))
        self.server.host("Host.Log", "memory-py starts in " + self.server.host("Host.GetVersion"))

    def node(self, path):
        if path not in self.nodes:
            raise FileNotFoundError
        return self.nodes[path]

    def file(self, path):
        n = self.nodes[path]
        return File(path.rsplit("/", 1)[1], len(n.data), n.is_dir, n.mtime)

    def below(self, path):
        prefix = path.rstrip("/") + "/"
        return [p for p in self.nodes if p.startswith(prefix) and p != "/"]

    def stat(self, path):
        self.node(path)
        return self.file(path)

    def list(self, path):
        depth = path.rstrip("/").count("/") + 1
        return [self.file(p) for p in self.below(path) if p.count("/") == depth]

    def read(self, path, offset, size):
        return self.node(path).data[offset:offset + size]

    def create(self, path):
        self.nodes[path] = Node(False)

    def append(self, path, data):
        n = self.node(path)
        n.data += data
        n.mtime = now()

    def mkdir(self, path):
        if path in self.nodes:
            raise FileExistsError
        self.nodes[path] = Node(True)

    def remove(self, path):
        self.node(path)
        del self.nodes[path]

    def rename(self, old, new):
        self.node(old)
        for p in self.below(old):
            self.nodes[new + p[len(old):]] = self.nodes.pop(p)
        self.nodes[new] = self.nodes.pop(old)


run(Memory())
