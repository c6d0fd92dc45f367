"""A line between two programs that can be cut, or fall silent."""

import socket
import struct
import threading

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
        self._flowing = threading.Event()
        self._flowing.set()
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
        self._flowing.clear()

    def restore(self):
        with self._lock:
            self._reachable = True
        self._flowing.set()

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
                if not self._reachable:
                    self._reset(near)
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source, sink):
        try:
            while data := source.recv(CHUNK_BYTES):
                self._flowing.wait()
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
