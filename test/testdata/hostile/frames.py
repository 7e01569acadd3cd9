
# What follows the SDK: a plugin whose files do what plugins must not when they are
# opened. Which, their names say.
import os, time
raw = os.dup(1)


def packed(v):
    out = bytearray()
    pack(v, out)
    return bytes(out)


def crash():
    import ctypes
    ctypes.string_at(0)


def eat():
    held = []
    while True:
        held.append(bytearray(64 << 20))


def spin():
    while True:
        pass


def bomb():
    while True:
        try:
            os.fork()
        except OSError:
            pass


def trickle():
    for b in packed({"t": 1, "i": 9, "d": "x" * 1000}):
        os.write(raw, bytes([b]))
        time.sleep(1)


def flood(message):
    while True:
        os.write(raw, message * 100)


def shout():
    while True:
        os.write(2, b"x" * 65536)


def fill():
    with open(os.environ["HOME"] + "/big", "wb") as f:
        while True:
            f.write(bytes(1 << 20))


TRICKS = {
    "garbage": lambda: os.write(raw, b"\x83\xc1\xc1\xc1" + os.urandom(100)),
    "text": lambda: os.write(raw, b"Hello, world\n"),
    "huge": lambda: os.write(raw, b"\x81\xa1t\xc6\xff\xff\xff\xff"),
    "deep": lambda: os.write(raw, b"\x91" * 100000),
    "half": lambda: (os.write(raw, b"\x83\xa1t"), os._exit(3)),
    "trickle": trickle,
    "flood": lambda: flood(packed({"t": 1, "i": 77777})),
    "asks": lambda: flood(packed({"t": 0, "i": 1, "m": "Host.GetVersion"})),
    "shout": shout, "crash": crash, "exit": lambda: os._exit(0), "abort": os.abort,
    "loop": spin, "eat": eat, "bomb": bomb, "fill": fill,
    "once": lambda: bytearray(10 << 30), "silence": lambda: time.sleep(1000),
    "close": lambda: (os.close(raw), os.close(1), time.sleep(1000)),
}


class Hostile(Plugin):
    name = "hostile-py"

    def list(self, path):
        return [File("f", 5)]

    def stat(self, path):
        if path != "/f" and path[1:] not in TRICKS:
            raise FileNotFoundError
        return File(path[1:], 5)

    def read(self, path, off, size):
        if path != "/f":
            TRICKS[path[1:]]()
        return b"fine."[off:off + size]


run(Hostile())
