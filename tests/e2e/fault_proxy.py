"""An intermediary between the programs and a provider that answers instead of it, by rules: a proxy, a balancer or a
firewall on a bad day."""

import http.client
import http.server
import re
import threading
from urllib.parse import urlsplit

HTML = "<html><head><title>Sorry</title></head><body>The request could not be completed.</body></html>"
PATIENCE_SECONDS = 100
# Of one hop, and not of the message: RFC 9110 section 7.6.1.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Rule:
    """Meets the requests with this method and path (a regular expression), all or the first `times` of them."""

    def __init__(self, method, path, times, passes_on, status, body, headers):
        self.method, self.path = method, re.compile(path)
        self.left = times
        self.passes_on = passes_on
        self.status, self.body, self.headers = status, body, headers
        self.met = 0

    def matches(self, method, path):
        return self.left != 0 and method == self.method and self.path.fullmatch(path) is not None

    def meet(self):
        self.met += 1
        if self.left is not None:
            self.left -= 1


class FaultProxy:
    """Listens on a free port of the loopback; passes everything on to `target`, but for its rules."""

    def __init__(self, target):
        self._target = urlsplit(target).netloc
        self._lock = threading.Lock()
        self._rules = []
        self.requests = []  # (method, path, idempotency key) of each, in order
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                proxy._handle(self)
            do_POST = do_GET

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method, path, status, body=HTML, times=1, passes_on=False, content_type="text/html"):
        """Answers the next `times` (None: all) of these requests itself: before the provider sees them, or after it
        has carried them out (`passes_on`). Rules are asked in the order in which they were made."""
        return self._add(Rule(method, path, times, passes_on, status, body, {"Content-Type": content_type}))

    def lose_answer(self, method, path, times=1):
        """The provider carries them out, and its answer is lost."""
        return self._add(Rule(method, path, times, True, None, "", {}))

    def lose_request(self, method, path, times=1):
        """The connection ends before the provider has seen them."""
        return self._add(Rule(method, path, times, False, None, "", {}))

    def clear(self):
        with self._lock:
            self._rules.clear()
            self.requests.clear()

    def count(self, method, path):
        with self._lock:
            return sum(asked == method and re.fullmatch(path, where) is not None
                       for asked, where, _ in self.requests)

    def _add(self, rule):
        with self._lock:
            self._rules.append(rule)
        return rule

    def _rule_for(self, request):
        path = urlsplit(request.path).path
        with self._lock:
            self.requests.append((request.command, path, request.headers.get("Idempotency-Key")))
            for rule in self._rules:
                if rule.matches(request.command, path):
                    rule.meet()
                    return rule
        return None

    def _handle(self, request):
        rule = self._rule_for(request)
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        answer = self._passed_on(request, body) if rule is None or rule.passes_on else None
        if rule is not None:
            answer = None if rule.status is None else (rule.status, rule.headers, rule.body.encode())
        if answer is None:
            request.close_connection = True
            return
        status, headers, text = answer
        request.send_response_only(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _passed_on(self, request, body):
        """The provider's answer; None when it gave none."""
        connection = http.client.HTTPConnection(self._target, timeout=PATIENCE_SECONDS)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(request.command, request.path, body or None, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            return answer.status, kept, answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
