"""A web server that gives every client the one file it was started with; it prints its port: `server.py FILE`."""
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Answer(BaseHTTPRequestHandler):
    """The file, or the rest of it that is asked for."""

    # head and body leave at once: how many reads, and so writes, a client needs is the same every time
    wbufsize = 1 << 20

    def do_GET(self):  # noqa: N802
        """One request."""
        body, asked = self.server.body, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        if start >= len(body):
            return self.send_error(416)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:])

    def log_message(self, *_):
        """Nothing is said."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.body = Path(sys.argv[1]).read_bytes()
    print(server.server_address[1], flush=True)
    # whoever started it holds the other end of its input: it ends with them
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()
