"""Posts messages as Pub/Sub does, with tokens that are signed by keys of the test's own."""

import base64
import http.server
import json
import threading
import time
import uuid

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

ACCOUNT = "pusher@shop.iam.gserviceaccount.com"
AUDIENCE = "https://payments.example.com/pubsub/push"


class Certificates:
    """Google's public keys, as a page on the loopback; `asked` counts who looked."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = "google-1"
        self.asked = 0
        certificates = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802, the name is the library's.
                certificates.asked += 1
                body = certificates.keys().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Nobody reads it."""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self._server.server_port}/certs"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def keys(self):
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        public = {name: public[name] for name in ("kty", "n", "e")}
        return json.dumps({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]})

    def replace(self):
        """A new key; the old one is withdrawn."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = f"google-{uuid.uuid4()}"

    def end(self):
        self._server.shutdown()
        self._server.server_close()

    def sign(self, key=None, algorithm="RS256", kid=None, **claims):
        """A token that Pub/Sub could have sent, but for the claims that are given; None leaves one out."""
        now = int(time.time())
        whole = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "1", "sub": "1",
                 "email": ACCOUNT, "email_verified": True, "iat": now, "exp": now + 3600, **claims}
        whole = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(whole, key or self.key, algorithm, headers={"kid": kid or self.kid})


def wrapped(event_type, data, subscription, key="", snake_case=False, **attributes):
    """The body of a push. `data` is sent as JSON unless it is bytes."""
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    message_id, now = str(uuid.uuid4()), "2026-11-22T20:03:45.123Z"
    message = {"data": base64.b64encode(content).decode(), "attributes": {
        "ce-id": str(uuid.uuid4()), "ce-source": "test", "ce-type": event_type, "ce-specversion": "1.0",
        "ce-time": now, "content-type": "application/json", **attributes}}
    if snake_case:
        message |= {"message_id": message_id, "publish_time": now, "ordering_key": key}
    else:
        message |= {"messageId": message_id, "publishTime": now, "orderingKey": key}
    return {"message": message, "subscription": subscription}


def post(server, body, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    session = requests.Session()
    session.trust_env = False
    return session.post(f"{server.url}/pubsub/push", json=body, headers=headers, timeout=60)
