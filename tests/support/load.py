"""Many requests at once, counted by status: raw sockets with pipelining, because a client that waits for each answer
would need minutes for what a limit is tried with."""
import collections
import re
import socket
import threading
import urllib.parse

from . import stack

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


class _Connection:
    def __init__(self, base):
        at = urllib.parse.urlsplit(base)
        self.host, self.socket, self.left = at.netloc, socket.create_connection((at.hostname, at.port), 30), b""
        self.socket.settimeout(60)

    def send(self, path, headers, n):
        fields = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{fields}\r\n".encode() * n)

    def answer(self):
        while (end := self.left.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self.left[:end + 2]
        length = LENGTH.search(head)
        whole = end + 4 + (int(length.group(1)) if length else 0)
        while len(self.left) < whole:
            self._more()
        self.left = self.left[whole:]
        return int(STATUS.match(head).group(1)), b"connection: close" in head.lower()

    def _more(self):
        got = self.socket.recv(262144)
        if not got:
            raise ConnectionError("closed")
        self.left += got


def hammer(n, path, key, bases=(stack.URL,), connections=12, batch=20, headers=None):
    """n GETs over `connections`, spread over `bases`; what was lost with a connection is counted under 0."""
    counts, lock = collections.Counter(), threading.Lock()
    fields = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}

    def run(number):
        left, mine, connection = n // connections + (number < n % connections), collections.Counter(), None
        while left:
            k, got = min(batch, left), 0
            try:
                connection = connection or _Connection(bases[number % len(bases)])
                connection.send(path, fields, k)
                while got < k:
                    status, closes = connection.answer()
                    mine[status] += 1
                    got += 1
                    if closes:
                        connection = None
                        break
            except OSError:
                connection = None
                if not got: # nobody answers: one is given up, so that this ends
                    mine[0], got = mine[0] + 1, 1
            left -= got
        with lock:
            counts.update(mine)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(connections)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(300)
    return counts
