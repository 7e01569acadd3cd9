"""A PFS plugin in Python, with nothing but the standard library.

The server starts the program and asks it over standard input and output, in
MessagePack: a map for each question, a map for each answer. Subclass Plugin, and
end the program with run(YourPlugin()).

Exceptions become the answers that clients see: FileNotFoundError is 404,
FileExistsError 409, PermissionError 403, NotImplementedError 501; any other is 500
with its text, and the plugin goes on.
"""

import json
import struct
import sys
import time


class Plugin:
    """What a plugin answers. Paths begin with a slash and are clean."""

    name = "python-plugin"  # the type that mounts of it have
    doc = "A plugin in Python."

    def start(self, config):
        """config is what the mount was given. ValueError refuses it."""

    def stat(self, path):
        """Returns a File. The root is not asked for."""
        raise FileNotFoundError(path)

    def list(self, path):
        """Returns the Files in a directory, in any order."""
        return []

    def read(self, path, offset, size):
        """Returns at most size bytes; fewer are the end of the file."""
        raise FileNotFoundError(path)


class WritablePlugin(Plugin):
    """What a plugin answers that can also be written to."""

    def create(self, path):
        """Makes an empty file, or empties the one that is there."""
        raise NotImplementedError

    def append(self, path, data):
        """Writes behind the end of a file that create has emptied."""
        raise NotImplementedError

    def mkdir(self, path):
        raise NotImplementedError

    def remove(self, path):
        """Removes a file or an empty directory."""
        raise NotImplementedError

    def rename(self, old, new):
        """Renames a file, over one that is there, or a directory with all in it."""
        raise NotImplementedError


class File:
    def __init__(self, name, size=0, is_dir=False, mtime=None, executable=False):
        self.name, self.size, self.is_dir, self.mtime, self.executable = name, size, is_dir, mtime, executable

    def item(self):
        item = {"Name": self.name, "Size": self.size, "IsDir": self.is_dir, "IsExecutable": self.executable}
        if self.mtime is not None:
            item["MTime"] = Time(self.mtime)
        return item


class Time:
    """Seconds since 1970, as MessagePack has it."""

    def __init__(self, seconds):
        self.seconds = seconds


def head(kind, n, out):
    """Appends the head of a text, of bytes, a list or a map of n."""
    short, least, wide = kind
    if n <= least:
        out.append(short | n)
    elif n < 256 and wide < 0xDC:
        out += bytes((wide, n))
    elif n < 65536:
        out += struct.pack(">BH", wide + (wide < 0xDC), n)
    else:
        out += struct.pack(">BI", wide + 1 + (wide < 0xDC), n)


# The head of few, how few that are, and the first of those of more: texts and bytes
# have one for a length of one byte, lists and maps have none.
TEXT, BYTES, LIST, MAP = (0xA0, 31, 0xD9), (0, -1, 0xC4), (0x90, 15, 0xDC), (0x80, 15, 0xDE)


def pack(value, out):
    """Appends a value to the bytearray out."""
    if isinstance(value, str):
        data = value.encode()
        head(TEXT, len(data), out)
        out += data
    elif value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        if 0 <= value < 128:
            out.append(value)
        elif value >= 0:
            out += struct.pack(">BQ", 0xCF, value)
        else:
            out += struct.pack(">Bq", 0xD3, value)
    elif isinstance(value, dict):
        head(MAP, len(value), out)
        for k, v in value.items():
            pack(k, out)
            pack(v, out)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        head(BYTES, len(value), out)
        out += value
    elif isinstance(value, Time):
        whole = int(value.seconds // 1)
        out += struct.pack(">BBbIq", 0xC7, 12, -1, int((value.seconds - whole) * 1e9), whole)
    elif isinstance(value, (list, tuple)):
        head(LIST, len(value), out)
        for v in value:
            pack(v, out)
    else:
        raise TypeError("cannot send a %s" % type(value).__name__)


NUMBERS = {c: struct.Struct(">" + f) for c, f in zip(range(0xCA, 0xD4), "fdBHIQbhiq")}
LENGTHS = {
    0xC4: ("bin", NUMBERS[0xCC]), 0xC5: ("bin", NUMBERS[0xCD]), 0xC6: ("bin", NUMBERS[0xCE]),
    0xC7: ("ext", NUMBERS[0xCC]), 0xC8: ("ext", NUMBERS[0xCD]), 0xC9: ("ext", NUMBERS[0xCE]),
    0xD9: ("str", NUMBERS[0xCC]), 0xDA: ("str", NUMBERS[0xCD]), 0xDB: ("str", NUMBERS[0xCE]),
    0xDC: ("list", NUMBERS[0xCD]), 0xDD: ("list", NUMBERS[0xCE]),
    0xDE: ("map", NUMBERS[0xCD]), 0xDF: ("map", NUMBERS[0xCE]),
}


def unpack(read):
    """Reads one value; read(n) returns n bytes."""
    head = read(1)[0]
    if head < 0x80:
        return head
    if 0xA0 <= head < 0xC0:
        return read(head & 31).decode()
    if head < 0x90:
        return {unpack(read): unpack(read) for _ in range(head & 15)}
    if head < 0xA0:
        return [unpack(read) for _ in range(head & 15)]
    if head >= 0xE0:
        return head - 256
    if head in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[head]
    if head in NUMBERS:
        number = NUMBERS[head]
        return number.unpack(read(number.size))[0]
    if 0xD4 <= head <= 0xD8:  # a value with a type that the server does not send
        read(1 + (1 << (head - 0xD4)))
        return None
    kind, width = LENGTHS[head]
    n = width.unpack(read(width.size))[0]
    if kind == "bin":
        return read(n)
    if kind == "str":
        return read(n).decode()
    if kind == "list":
        return [unpack(read) for _ in range(n)]
    if kind == "map":
        return {unpack(read): unpack(read) for _ in range(n)}
    read(1 + n)
    return None


class Server:
    """Answers the server until it closes standard input."""

    # What of the methods that PFS has beside those of the protocol is there: one
    # question then reads or writes a file.
    methods = ("VFS.ReadFile", "VFS.PutFile")

    def __init__(self, plugin):
        self.plugin = plugin
        self.files, self.last_file, self.last_call = {}, 0, 0
        self.stdin, self.stdout = sys.stdin.buffer, sys.stdout.buffer
        sys.stdout = sys.stderr  # one printed line would end the conversation

    def read(self, n):
        data = self.stdin.read(n)
        if len(data) < n:
            raise EOFError
        return data

    def send(self, message):
        out = bytearray()
        pack(message, out)
        self.stdout.write(out)
        self.stdout.flush()

    def loop(self):
        try:
            while True:
                self.take(unpack(self.read))
        except EOFError:
            pass

    def take(self, message):
        if message["t"] == 1:
            return message
        answer = {"t": 1, "i": message["i"]}
        try:
            result = self.answer(message["m"], message.get("d"))
            if result is not None:
                answer["d"] = result
        except Exception as e:
            answer["e"] = text_of(e)
        self.send(answer)
        return None

    def host(self, method, *args):
        """Asks the server, and answers it meanwhile."""
        self.last_call += 1
        message = {"t": 0, "i": self.last_call, "m": method}
        if args:
            message["d"] = args[0]
        self.send(message)
        while True:
            reply = self.take(unpack(self.read))
            if reply is not None and reply["i"] == message["i"]:
                if "e" in reply:
                    raise RuntimeError(reply["e"])
                return reply.get("d")

    def answer(self, method, d):
        p = self.plugin
        if method == "Plugin.Init":
            config = json.loads(d["Config"]) if d and "Config" in d else {}
            p.start(config)
            return {"Drives": [p.name], "Name": p.name, "Doc": p.doc, "Methods": self.methods}
        if method == "VFS.Stat":
            return p.stat(d["Path"]).item()
        if method == "VFS.ReadDir":
            return [f.item() for f in p.list(d["Path"])]
        if method == "VFS.ReadFile":
            self.to_read(d["Path"])
            return self.part(d["Path"], d)
        if method == "VFS.Open":
            f = self.to_read(d["Path"])
            return {"ID": self.opened(d["Path"]), "Size": f.size}
        if method == "VFS.ReadAt":
            return self.part(self.handle(d), d)
        if method == "VFS.CloseFile":
            self.files.pop(d["ID"], None)
            return None
        if isinstance(p, WritablePlugin):
            if method == "VFS.PutFile":
                self.to_write(d)
                p.create(d["Path"])
                return p.append(d["Path"], d["Data"]) if d["Data"] else None
            if method == "VFS.Create":
                p.create(d["Path"])
                return {"ID": self.opened(d["Path"]), "Size": 0}
            if method == "VFS.Write":
                return p.append(self.handle(d), d["Data"])
            if method == "VFS.MkDir":
                return p.mkdir(d["Path"])
            if method == "VFS.Remove":
                return p.remove(d["Path"])
            if method == "VFS.Rename":
                return p.rename(d["Old"], d["New"])
        raise LookupError('method "%s" not found' % method)

    def to_read(self, path):
        """Returns the file at path, if it is one."""
        f = self.plugin.stat(path)
        if f.is_dir:
            raise IsADirectoryError
        return f

    def part(self, path, d):
        data = self.plugin.read(path, d["Off"], d["Len"])
        if not data:
            raise EOFError
        return data

    def to_write(self, d):
        """Returns if the file may be written as the question says."""
        try:
            self.to_read(d["Path"])
        except FileNotFoundError:
            parent = d["Path"].rpartition("/")[0]
            if not d["Create"]:
                raise
            if parent and not self.plugin.stat(parent).is_dir:
                raise NotADirectoryError
        else:
            if d["Exclusive"]:
                raise FileExistsError

    def opened(self, path):
        self.last_file += 1
        self.files[self.last_file] = path
        return self.last_file

    def handle(self, d):
        if d["ID"] not in self.files:
            raise LookupError("bad handle")
        return self.files[d["ID"]]


def text_of(e):
    """The words by which the server knows an error."""
    for kind, words in (
        (FileNotFoundError, "file does not exist"), (FileExistsError, "file already exists"),
        (PermissionError, "permission denied"), (IsADirectoryError, "is a directory"),
        (NotADirectoryError, "not a directory"), (NotImplementedError, "not implemented"), (EOFError, "EOF"),
    ):
        if isinstance(e, kind):
            return words
    if isinstance(e, LookupError) and e.args:
        return str(e.args[0])
    return "%s: %s" % (type(e).__name__, e)


def now():
    return time.time()


def run(plugin):
    server = Server(plugin)
    plugin.server = server  # for self.server.host("Host.Log", "text")
    server.loop()
