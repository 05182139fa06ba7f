"""A real (local) web server."""
from __future__ import annotations

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
        if web.ranges and self.headers.get("Range") and self.headers.get("If-Range") in (web.tag, None):
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            if start >= len(web.body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start + web.off_by}-{len(web.body) - 1}/{len(web.body)}")
        else:
            self.send_response(200)
        if web.tag:
            self.send_header("ETag", web.tag)
        self.send_header("Content-Length", str(web.length or len(web.body) - start))
        self.end_headers()
        self.wfile.write(web.body[start:][: web.cuts.pop(0) if web.cuts else None])

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
    server.url = f"http://127.0.0.1:{server.server_address[1]}/some/file.bin"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
