"""A real (local) web server."""
from __future__ import annotations

import contextlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest


class Answer(BaseHTTPRequestHandler):
    """Serves the server's `body` under any path, with its faults."""

    def do_GET(self):
        web, start = self.server, 0
        web.seen.append(self.headers.get("Range"))
        time.sleep(web.delay)
        if web.status != 200:
            return self.send_error(web.status)
        if web.location:
            self.send_response(302)
            self.send_header("Location", web.location)
            return self.end_headers()
        if web.unasked or web.ranges and self.headers.get("Range") and self.headers.get("If-Range") in (web.tag, None):
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "bytes=0-")[1])
            if start >= len(web.body):
                return self.send_error(416)
            self.send_response(206)
            total = web.total or len(web.body)
            self.send_header("Content-Range", f"bytes {start + web.off_by}-{len(web.body) - 1}/{total}")
            tag = web.tag if web.rest_tag is None else web.rest_tag
        else:
            self.send_response(200)
            tag = web.tag
        if tag:
            self.send_header("ETag", tag)
        if web.coding == "length":
            self.send_header("Content-Length", str(web.length or len(web.body) - start))
        elif web.coding == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.send_body(web.body[start:][: web.cuts.pop(0) if web.cuts else None])

    def send_body(self, body):
        web = self.server
        if web.coding == "chunked":
            end = b"0\r\n\r\n" if len(body) == len(web.body) else b""
            self.wfile.write(b"%x\r\n%b\r\n%b" % (len(body), body, end))
            return
        if web.drip is None:
            self.wfile.write(body)
            return
        with contextlib.suppress(OSError):  # whoever listened has gone
            for at in range(len(body)):
                self.wfile.write(body[at:at + 1])
                self.wfile.flush()
                if web.drip.wait(0.01):
                    return

    def log_message(self, *_):
        pass


@pytest.fixture
def web(monkeypatch):
    """A web server; `url` is where its file is, `body` what is in it, `seen` the Range headers asked for."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.body = np.random.default_rng(0).bytes(200_000)
    server.tag, server.status, server.length, server.ranges = '"v1"', 200, None, True
    server.cuts, server.seen, server.delay, server.off_by = [], [], 0, 0
    server.location, server.total, server.rest_tag, server.coding, server.drip = None, None, None, "length", None
    server.unasked = False
    server.url = f"http://127.0.0.1:{server.server_address[1]}/some/file.bin"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
