"""The server that stands in for Stripe (tests/stripe_server), as a child process."""

import hashlib
import hmac
import subprocess
import time

import requests

from server import REPOSITORY

API_KEY = "sk_test_of_the_tests"
WEBHOOK_SECRET = "whsec_of_the_tests"
RATE = "400"


class StripeServer:
    def __init__(self):
        self._process = subprocess.Popen(
            ["node", REPOSITORY / "tests/stripe_server/main.js", "--key", API_KEY,
             "--webhook-secret", WEBHOOK_SECRET],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.environment = {"PAYMENT_GATEWAY": "stripe", "STRIPE_API_BASE": self.url, "STRIPE_API_KEY": API_KEY,
                            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET, "STRIPE_RATE": RATE}

    def stop(self):
        self._process.kill()
        self._process.wait()

    def try_control(self, name, settings):
        return requests.post(f"{self.url}/_control/{name}", json=settings, timeout=10)

    def control(self, name, settings):
        answer = self.try_control(name, settings)
        assert answer.status_code == 200, answer.text

    def faults(self, **settings):
        """The chances of each fault; none given: none happens."""
        self.control("faults", settings)

    def send_webhooks_to(self, shop, **settings):
        self.control("webhooks", {"url": shop.url + "/webhooks/stripe", **settings})

    def books(self):
        return requests.get(f"{self.url}/_control/books", timeout=30).json()

    def post(self, path, **form):
        """Asks as somebody else would who has the key."""
        answer = requests.post(self.url + path, data=form, timeout=10, auth=(API_KEY, ""),
                               headers={"Stripe-Version": "2024-06-20"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def order(self, order_id):
        """What was moved for one order."""
        nothing = {"intents": 0, "captures": 0, "captured": 0, "refunds": 0, "refunded": 0, "held": 0}
        return self.books()["orders"].get(order_id, nothing)


def signature(body, secret=WEBHOOK_SECRET, at=None):
    """As Stripe signs the bytes of a webhook."""
    seconds = int(time.time() if at is None else at)
    text = f"{seconds}.".encode() + (body.encode() if isinstance(body, str) else body)
    return f"t={seconds},v1={hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}"
