#!/usr/bin/env python3
# A plugin over HTTP whose files do what plugins must not when they are read. Which,
# their names say.
import http.server, json, os, socketserver, sys, time
from urllib.parse import parse_qs, urlparse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def address_string(self):
        return "-"

    def say(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def route(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        u = urlparse(self.path)
        q = {k: v[0] for k, v in parse_qs(u.query).items()}
        at = q.get("path") or (json.loads(body) if body[:1] == b"{" else {}).get("path")
        if u.path == "/healthz":
            return self.say(200, b"")
        if u.path == "/shutdown":
            os._exit(1)
        if u.path.endswith("/stat"):
            return self.say(200, b'{"isDir":true}' if at == "/" else b'{"size":5}')
        if u.path.endswith("/list"):
            return self.say(200, b'{"name":"f","size":5}\n')
        if u.path.endswith("/read"):
            if at != "/f":
                getattr(self, "do_" + at[1:])()
                if at in ("/eat", "/bomb", "/loop"):
                    return
            if not self.close_connection:
                off, n = int(q["off"]), int(q["len"])
                self.say(200, b"fine."[off:off + n], "application/octet-stream")
            return
        self.say(404, b"404 page not found", "text/plain")

    do_GET = do_POST = do_PUT = route

    def raw(self, b):
        self.wfile.write(b)
        self.close_connection = True

    def do_garbage(self):
        self.raw(b"\x00\x01\x02 garbage" + os.urandom(1000) + b"\r\n\r\n")

    def do_half(self):
        self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfi")

    def do_header(self):
        self.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000000)

    def do_headers(self):
        self.raw(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.wfile.write(b"X: y\r\n" * 1000)

    def do_flood(self):
        self.raw(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            self.wfile.write(b"x" * 65536)

    def do_trickle(self):
        self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for b in b"fine.":
            self.wfile.write(bytes([b]))
            time.sleep(1)

    def do_chunks(self):
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")

    def do_away(self):
        self.raw(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")

    def do_error(self):
        self.close_connection = True
        self.say(500, b"e" * 10000000, "text/plain")

    def do_many(self):
        for n in range(50):
            self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")

    def do_exit(self):
        os._exit(7)

    def do_abort(self):
        os.abort()

    def do_silence(self):
        self.close_connection = True
        time.sleep(1000)

    def do_loop(self):
        while True:
            pass

    def do_eat(self):
        held = []
        while True:
            held.append(bytearray(64 << 20))

    def do_bomb(self):
        while True:
            try:
                os.fork()
            except OSError:
                pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, *a):
        pass


if sys.argv[1] == "capabilities":
    print(json.dumps({"types": {"fileSystem": [{"type": "hostile-http"}]}}))
    sys.exit(0)
path = "/tmp/%s-plugin.socket" % json.loads(sys.argv[2])["id"]
server = Server(path, Handler)
open(path + ".lock", "w").write(str(os.getpid()))
print("http+unix://" + path, flush=True)
server.serve_forever()
