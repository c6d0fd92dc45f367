"""A line between two programs that can be cut, slowed down, or fall silent."""

import socket
import struct
import threading
import time

CHUNK_BYTES = 1 << 16
# On close: drop what was not sent, and send RST.
LINGER_RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """Listens on a free port of the loopback and passes everything on to `port`."""

    def __init__(self, port):
        self._target = port
        self._lock = threading.Lock()
        self._sockets = set()
        self._reachable = True
        self._delay_seconds = 0
        self._asking, self._answering = threading.Event(), threading.Event()
        self._asking.set()
        self._answering.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Ends all connections with RST, and every new one."""
        with self._lock:
            self._reachable = False
            for end in self._sockets:
                self._reset(end)

    def fall_silent(self):
        """Connections stay and are made, but nothing comes through."""
        self._asking.clear()
        self._answering.clear()

    def hold_answers(self):
        """What is asked comes through, what is answered does not: cut now, and nobody knows what was done."""
        self._answering.clear()

    def slow_down(self, seconds):
        """Each piece takes so much longer."""
        self._delay_seconds = seconds

    def restore(self):
        with self._lock:
            self._reachable = True
        self._delay_seconds = 0
        self._asking.set()
        self._answering.set()

    def close(self):
        self._listener.close()
        self.restore()
        self.cut()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                far = self._connect()
                if far is None:
                    self._reset(near)
                    continue
                self._sockets |= {near, far}
            for source, sink, flowing in ((near, far, self._asking), (far, near, self._answering)):
                threading.Thread(target=self._pass_on, args=(source, sink, flowing), daemon=True).start()

    def _connect(self):
        """None when nobody is to come through, or nobody listens there."""
        if not self._reachable:
            return None
        try:
            return socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            return None

    def _pass_on(self, source, sink, flowing):
        try:
            while data := source.recv(CHUNK_BYTES):
                flowing.wait()
                if self._delay_seconds:
                    time.sleep(self._delay_seconds)
                sink.sendall(data)
        except OSError:
            pass
        with self._lock:
            for end in (source, sink):
                self._reset(end)
            self._sockets -= {source, sink}

    @staticmethod
    def _reset(end):
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()
