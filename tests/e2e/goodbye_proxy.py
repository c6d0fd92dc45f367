"""A line to the emulator that says good-bye for programs that cannot any more.

When a connection breaks, Google's service gives what was on lease over it to others. The emulator does not
notice; it goes on to deliver over streams that are dead, and after a few kills hardly anything comes through.
This line ends such streams for it, by the flag END_STREAM that a program would have sent (RFC 9113)."""

import socket
import threading

CHUNK_BYTES = 1 << 16
PREFACE_BYTES = 24
FRAME_HEADER_BYTES = 9
DATA, HEADERS, RESET = 0x0, 0x1, 0x3
END_STREAM = 0x1
# For the answers to good-byes, before the connection ends.
FAREWELL_SECONDS = 5


class _Frames:
    """Cuts what a client sends into whole frames, and knows which of its streams are open."""

    def __init__(self):
        self._left = b""
        self._preface = PREFACE_BYTES
        self.open_streams = set()

    def whole(self, data):
        """What may be passed on: everything up to the end of the last frame."""
        self._left += data
        end = min(self._preface, len(self._left))
        self._preface -= end
        while len(self._left) >= end + FRAME_HEADER_BYTES:
            size = int.from_bytes(self._left[end:end + 3], "big")
            if len(self._left) < end + FRAME_HEADER_BYTES + size:
                break
            self._note(self._left[end + 3], self._left[end + 4],
                       int.from_bytes(self._left[end + 5:end + FRAME_HEADER_BYTES], "big") & 0x7fffffff)
            end += FRAME_HEADER_BYTES + size
        passed, self._left = self._left[:end], self._left[end:]
        return passed

    def _note(self, kind, flags, stream):
        if kind == RESET or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self.open_streams.discard(stream)
        elif kind == HEADERS:
            self.open_streams.add(stream)

    def goodbye(self):
        """An empty DATA frame with END_STREAM for each stream that is open."""
        return b"".join(bytes([0, 0, 0, DATA, END_STREAM]) + stream.to_bytes(4, "big")
                        for stream in sorted(self.open_streams))


class GoodbyeProxy:
    """Listens on a free port of the loopback and passes everything on to `port`."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._bring, args=(near, far), daemon=True).start()
            threading.Thread(target=self._bring_back, args=(far, near), daemon=True).start()

    def _bring(self, near, far):
        frames = _Frames()
        try:
            while data := self._receive(near):
                far.sendall(frames.whole(data))
            far.settimeout(FAREWELL_SECONDS)
            far.sendall(frames.goodbye())
        except OSError:
            pass

    def _bring_back(self, far, near):
        try:
            while data := far.recv(CHUNK_BYTES):
                self._send(near, data)
        except OSError:
            pass
        far.close()
        near.close()

    @staticmethod
    def _receive(near):
        try:
            return near.recv(CHUNK_BYTES)
        except OSError:
            return b""

    @staticmethod
    def _send(near, data):
        """To whom is gone, too: what the emulator says has to be read to the end."""
        try:
            near.sendall(data)
        except OSError:
            pass
