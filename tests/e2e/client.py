"""A customer, an admin or a stranger at the HTTP interface."""

import json as json_module
import time
import uuid

import requests

from waiting import wait_until

PASSWORD = "three blue kettles and a lid"

# What the tests sell; see stock_shelves.
MUG = {"name": "Mug", "unitPrice": 1250, "currency": "EUR", "active": True}
TEA = {"name": "Tea", "unitPrice": 499, "currency": "EUR", "active": True}
FAN = {"name": "Fan", "unitPrice": 300, "currency": "JPY", "active": True}
RETIRED = {"name": "Old mug", "unitPrice": 900, "currency": "EUR", "active": False}


def item(product="test-mug", quantity=1, **more):
    return {"productId": product, "quantity": quantity, **more}


def order_body(*items, method="pm_card_visa"):
    return {"items": list(items) or [item()], "paymentMethod": method}


class Client:
    """Speaks for one user; one thread at a time. `observers` see every answer."""

    def __init__(self, url, observers=()):
        self.url = url
        self.email = None
        self.password = None
        self.user = None
        self.token = None
        self.refresh_token = None
        self.observers = list(observers)
        self._session = requests.Session()
        self._session.trust_env = False

    def twin(self):
        """The same user for another thread."""
        other = Client(self.url, self.observers)
        other.email, other.password = self.email, self.password
        other.user, other.token = self.user, self.token
        return other

    def request(self, method, path, json=None, body=None, headers=None, token=...):
        """`json` is sent as JSON, `body` as it is; `token` stands in for the user's own (None: none)."""
        sent = {}
        token = self.token if token is ... else token
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if json is not None:
            body = json_module.dumps(json)
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        answer = self._session.request(method, self.url + path, data=body, headers=sent, timeout=30,
                                       allow_redirects=False)
        for observe in self.observers:
            observe(answer)
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, json=None, **more):
        return self.request("POST", path, json=json, **more)

    def put(self, path, json=None, **more):
        return self.request("PUT", path, json=json, **more)

    def patch(self, path, json=None, **more):
        return self.request("PATCH", path, json=json, **more)

    def register(self, name="Ada Byron", email=None, password=PASSWORD):
        """Signs up and logs in."""
        email = email or f"{uuid.uuid4().hex}@example.com"
        answer = patiently(lambda: self.post("/users", {"name": name, "email": email, "password": password},
                                             token=None))
        self.user = expect(answer, 201).json()
        return self.login(email, password)

    def login(self, email, password=PASSWORD):
        credentials = {"email": email, "password": password}
        answer = patiently(lambda: self.post("/users/login", credentials, token=None))
        tokens = expect(answer, 200).json()
        self.email, self.password = email, password
        self.token, self.refresh_token = tokens["token"], tokens["refreshToken"]
        self.user = expect(self.get("/users/me"), 200).json()
        return self

    def place_order(self, *items, method="pm_card_visa", key=None):
        headers = {"Idempotency-Key": key} if key is not None else {}
        return expect(self.post("/orders", order_body(*items, method=method), headers=headers), 201).json()

    def order(self, order_id):
        return expect(self.get(f"/orders/{order_id}"), 200).json()

    def wait_for_order(self, order_id, seconds=30, **members):
        """The order as soon as it has these members, such as status="PAID"."""
        seen = {}

        def as_wanted():
            seen.update(self.order(order_id))
            return all(seen[name] == value for name, value in members.items()) and dict(seen)
        try:
            return wait_until(as_wanted, seconds, f"order {order_id} to have {members}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}") from None

    def paid_order(self, *items):
        return self.wait_for_order(self.place_order(*items)["id"], status="PAID")

    def set_status(self, order_id, status, **headers):
        return self.patch(f"/orders/{order_id}/status", {"status": status}, headers=headers)

    def history(self, order_id):
        return expect(self.get(f"/orders/{order_id}/events"), 200).json()["data"]

    def all_pages(self, path):
        """Every entry of a list, page by page, newest or first first."""
        entries, cursor = [], None
        while True:
            joint = "&" if "?" in path else "?"
            page = expect(self.get(path + (f"{joint}cursor={cursor}" if cursor else "")), 200).json()
            entries += page["data"]
            cursor = page["nextCursor"]
            if cursor is None:
                return entries


def expect(answer, status):
    """The answer, when it has this status; fails with the whole answer otherwise."""
    request = answer.request
    assert answer.status_code == status, (
        f"{request.method} {request.path_url} was answered with {answer.status_code} instead of {status}: "
        f"{answer.text[:2000]}")
    return answer


def expect_problem(answer, status):
    """The problem detail (RFC 9457) of an answer with this status."""
    expect(answer, status)
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"] and problem["type"] and isinstance(problem["detail"], str), problem
    assert answer.headers["X-Request-Id"]
    return problem


def patiently(send):
    """Repeats what is answered with 503 (busy) for as long as the server asks, a few times."""
    for _ in range(10):
        answer = send()
        if answer.status_code != 503:
            return answer
        time.sleep(int(answer.headers.get("Retry-After", 1)))
    return answer


def stock_shelves(admin):
    """Puts the products that the tests order into the catalogue."""
    shelf = {"test-mug": MUG, "test-tea": TEA, "test-fan": FAN, "test-retired": RETIRED}
    for product_id, product in shelf.items():
        answer = admin.put(f"/products/{product_id}", product)
        assert answer.status_code in (200, 201), answer.text
