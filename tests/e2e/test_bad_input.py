"""What strangers, broken clients and attackers send: each gets its own answer, and nothing is stored."""

import json
import re
import socket
import threading
import time

import pytest

from client import MUG, Client, expect, expect_problem, item, order_body
from forging import Forger
from server import REPOSITORY

MAX_AMOUNT = 9007199254740991


@pytest.fixture(scope="module")
def answers(observers):
    """The text of every answer that the clients of this file got."""
    texts = []
    observers.append(lambda answer: texts.append(f"{answer.headers}\n{answer.text}"))
    return texts


def products(admin):
    return admin.all_pages("/products?limit=100")


@pytest.fixture(scope="module", autouse=True)
def stored(answers, admin, customer):
    """The orders of the store before the bad requests."""
    expect(admin.put("/products/test-treasure", {**MUG, "unitPrice": MAX_AMOUNT}), 201)
    order = customer.paid_order()
    return {"order": order["id"], "all": admin.all_pages("/orders?limit=100"), "products": products(admin)}


@pytest.fixture(scope="module")
def forger(shop, customer):
    return Forger(customer.token, shop.signing_key_file())


# Tokens

def test_a_token_made_like_ours_is_accepted(customer, forger):
    # Proves that the tokens below are refused for the one thing that is wrong with them.
    expect(customer.get("/orders", token=forger.sign()), 200)


BAD_TOKENS = {
    "none": lambda forger: None,
    "empty": lambda forger: "",
    "malformed": lambda forger: "not-a-token",
    "two parts": lambda forger: forger.token.rsplit(".", 1)[0],
    "not base64": lambda forger: forger.token[:-4] + "*()!",
    "too long": lambda forger: forger.token + "A" * 5000,
    "expired": lambda forger: forger.expired(),
    "not valid yet": lambda forger: forger.sign(nbf=int(time.time()) + 3600),
    "another key": lambda forger: forger.sign_with_another_key(),
    "changed claims": lambda forger: forger.with_changed_claims(),
    "algorithm none": lambda forger: forger.without_signature("none"),
    "algorithm None": lambda forger: forger.without_signature("None"),
    "algorithm ES256 without signature": lambda forger: forger.without_signature("ES256"),
    "HS256 with the public key": lambda forger: forger.signed_with_the_public_key(),
    "another audience": lambda forger: forger.sign(aud="another-shop"),
    "another issuer": lambda forger: forger.sign(iss="another-shop"),
    "another type": lambda forger: forger.sign(header={"typ": "JWT"}),
    "unknown key id": lambda forger: forger.sign(header={"kid": "nobody"}),
    "no key id": lambda forger: forger.sign(header={"kid": None}),
    "a longer life than ours": lambda forger: forger.sign(exp=int(time.time()) + 3600),
    "no expiry": lambda forger: forger.sign(exp=None),
    "no subject": lambda forger: forger.sign(sub=None),
    "subject is no id": lambda forger: forger.sign(sub="1 OR 1=1"),
    "unknown role": lambda forger: forger.sign(role="ROOT"),
}


@pytest.mark.parametrize("make_token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_an_untrusted_token_is_refused(customer, forger, make_token):
    for method, path, body in [("POST", "/orders", order_body()), ("GET", "/orders", None)]:
        answer = customer.request(method, path, json=body, token=make_token(forger))
        expect_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("value", ["Basic YWRhOnBhc3N3b3Jk", "Bearer", "Bearer a b", "{token}",
                                   "Token {token}"])
def test_another_way_to_authenticate_is_refused(customer, value):
    headers = {"Authorization": value.format(token=customer.token)}
    answer = customer.get("/orders", headers=headers, token=None)
    expect_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


# Rights

def test_somebody_elses_order_is_not_found(stranger, stored):
    expect_problem(stranger.get(f"/orders/{stored['order']}"), 404)
    expect_problem(stranger.set_status(stored["order"], "CANCELED"), 404)


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "PAID", "PAYMENT_FAILED", "SHIPPED", "DELIVERED",
                                    "REFUNDED"])
def test_a_customer_sets_no_status_but_canceled(customer, stored, status):
    expect_problem(customer.set_status(stored["order"], status), 403)


def test_an_illegal_transition_names_both_states(admin, stored):
    problem = expect_problem(admin.set_status(stored["order"], "DELIVERED"), 409)
    assert "PAID" in problem["detail"] and "DELIVERED" in problem["detail"]


# Bodies that cannot be read

GOOD_BODY = json.dumps(order_body())
UNREADABLE_BODIES = {
    "empty": b"",
    "not JSON": b"hello",
    "single quotes": GOOD_BODY.replace('"', "'").encode(),
    "cut off": GOOD_BODY[:-1].encode(),
    "trailing garbage": GOOD_BODY.encode() + b" true",
    "two values": GOOD_BODY.encode() * 2,
    "trailing comma": GOOD_BODY.encode()[:-1] + b",}",
    "comment": b"/* an order */ " + GOOD_BODY.encode(),
    "NaN": GOOD_BODY.replace(': 1}', ': NaN}').encode(),
    "not UTF-8": GOOD_BODY.replace("pm_card_visa", "pm_\xff").encode("latin-1"),
    "overlong UTF-8": GOOD_BODY.encode().replace(b"pm_card", b"pm_\xc0\xaf"),
    "UTF-16": GOOD_BODY.encode("utf-16"),
    "lone surrogate": GOOD_BODY.replace("pm_card", "\\ud800").encode(),
    "raw control character": GOOD_BODY.replace("pm_card", "pm\n").encode(),
    "duplicate key": GOOD_BODY.encode()[:-1] + b', "paymentMethod": "pm_card_mastercard"}',
    "duplicate key further in": GOOD_BODY.replace('"quantity"', '"quantity": 2, "quantity"').encode(),
    "too deep": b'{"items": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
}


@pytest.mark.parametrize("body", UNREADABLE_BODIES.values(), ids=UNREADABLE_BODIES.keys())
def test_an_unreadable_body_is_malformed(customer, body):
    expect_problem(customer.request("POST", "/orders", body=body), 400)


# Bodies that can be read but are wrong: each fault by its JSON pointer

def with_item(**members):
    return order_body({**item(), **members})


WRONG_BODIES = {
    "not an object": ([], [""]),
    "a text": ("order", [""]),
    "nothing given": ({}, ["/items", "/paymentMethod"]),
    "items missing": ({"paymentMethod": "pm_card_visa"}, ["/items"]),
    "items null": ({"items": None, "paymentMethod": "pm_card_visa"}, ["/items"]),
    "items an object": ({"items": {}, "paymentMethod": "pm_card_visa"}, ["/items"]),
    "items empty": ({"items": [], "paymentMethod": "pm_card_visa"}, ["/items"]),
    "item not an object": ({"items": [1], "paymentMethod": "pm_card_visa"}, ["/items/0"]),
    "product missing": (order_body({"quantity": 1}), ["/items/0/productId"]),
    "product a number": (with_item(productId=7), ["/items/0/productId"]),
    "product empty": (with_item(productId=""), ["/items/0/productId"]),
    "product too long": (with_item(productId="x" * 101), ["/items/0/productId"]),
    "NUL in a text": (with_item(productId="test\0mug"), ["/items/0/productId"]),
    "quantity missing": (order_body({"productId": "test-mug"}), ["/items/0/quantity"]),
    "quantity a text": (with_item(quantity="1"), ["/items/0/quantity"]),
    "quantity true": (with_item(quantity=True), ["/items/0/quantity"]),
    "quantity 0": (with_item(quantity=0), ["/items/0/quantity"]),
    "quantity -1": (with_item(quantity=-1), ["/items/0/quantity"]),
    "quantity 1.5": (with_item(quantity=1.5), ["/items/0/quantity"]),
    "quantity 1000000000.0": (with_item(quantity=1e9), ["/items/0/quantity"]),
    "quantity 1000000000": (with_item(quantity=1_000_000_000), ["/items/0/quantity"]),
    "quantity beyond 64 bits": (with_item(quantity=2**70), ["/items/0/quantity"]),
    "payment method a number": ({**order_body(), "paymentMethod": 1}, ["/paymentMethod"]),
    "payment method empty": (order_body(method=""), ["/paymentMethod"]),
    "payment method too long": (order_body(method="x" * 101), ["/paymentMethod"]),
    "unknown member": ({**order_body(), "discount": 100}, ["/discount"]),
    "unknown member of an item": (with_item(discount=100), ["/items/0/discount"]),
    "member of another case": ({**order_body(), "Items": []}, ["/Items"]),
    "slash and tilde in a name": ({**order_body(), "a/b~c": 1}, ["/a~1b~0c"]),
    "unknown product": (order_body(item(), item("no-such-thing")), ["/items/1/productId"]),
    "inactive product": (order_body(item("test-retired")), ["/items/0/productId"]),
    "mixed currencies": (order_body(item(), item("test-tea"), item("test-fan")), ["/items/2/productId"]),
    "total overflows in a line": (order_body(item("test-treasure", 2)), ["/items/0/quantity"]),
    "total overflows in the sum": (order_body(item("test-treasure"), item()), ["/items/1/quantity"]),
    "101 items": (order_body(*[item()] * 101), ["/items"]),
    "several faults of shape": (
        order_body(item(quantity=0), {"productId": 5, "quantity": 1.5, "colour": "red"}, method=None),
        ["/items/0/quantity", "/items/1/colour", "/items/1/productId", "/items/1/quantity",
         "/paymentMethod"]),
    "several faults of substance": (
        order_body(item("no-such-thing"), item(), item("test-retired"), item("test-fan")),
        ["/items/0/productId", "/items/2/productId", "/items/3/productId"]),
}


@pytest.mark.parametrize("body, pointers", WRONG_BODIES.values(), ids=WRONG_BODIES.keys())
def test_a_wrong_body_is_refused_with_every_fault(customer, body, pointers):
    problem = expect_problem(customer.post("/orders", body), 422)
    assert sorted(fault["pointer"] for fault in problem["errors"]) == sorted(pointers), problem
    assert all(fault["detail"] for fault in problem["errors"])


def test_a_number_with_an_exponent_is_judged_by_its_value(customer):
    def answer(quantity):
        return customer.request("POST", "/orders", body=GOOD_BODY.replace('"quantity": 1', f'"quantity": {quantity}'))
    for quantity in ("1e9", "15e-1", "1e-400"):
        problem = expect_problem(answer(quantity), 422)
        assert [fault["pointer"] for fault in problem["errors"]] == ["/items/0/quantity"]


REGISTRATION = {"name": "A", "email": "a@example.com", "password": "three blue kettles"}
WRONG_REGISTRATIONS = {
    "nothing given": ({}, ["/email", "/name", "/password"]),
    "no e-mail address": ({**REGISTRATION, "email": "nobody"}, ["/email"]),
    "short password": ({**REGISTRATION, "password": "short"}, ["/password"]),
    "common password": ({**REGISTRATION, "password": "password123"}, ["/password"]),
    "a role of one's own": ({**REGISTRATION, "role": "ADMIN"}, ["/role"]),
    "empty name": ({**REGISTRATION, "name": ""}, ["/name"]),
    "NUL in the name": ({**REGISTRATION, "name": "A\0"}, ["/name"]),
    "NUL in the password": ({**REGISTRATION, "password": "three\0blue kettles"}, ["/password"]),
}


@pytest.mark.parametrize("body, pointers", WRONG_REGISTRATIONS.values(), ids=WRONG_REGISTRATIONS.keys())
def test_a_wrong_registration_is_refused_with_every_fault(visitor, body, pointers):
    problem = expect_problem(visitor.post("/users", body), 422)
    assert sorted(fault["pointer"] for fault in problem["errors"]) == pointers, problem


@pytest.mark.parametrize("content, pointers", [
    ({**MUG, "unitPrice": -1}, ["/unitPrice"]), ({**MUG, "unitPrice": 12.5}, ["/unitPrice"]),
    ({**MUG, "unitPrice": MAX_AMOUNT + 1}, ["/unitPrice"]), ({**MUG, "currency": "eur"}, ["/currency"]),
    ({**MUG, "currency": "ABC"}, ["/currency"]), ({**MUG, "active": "yes"}, ["/active"]),
    ({"name": ""}, ["/currency", "/name", "/unitPrice"]),
], ids=["negative", "fraction", "too large", "lower case", "no such currency", "not a boolean", "incomplete"])
def test_a_wrong_product_is_refused_with_every_fault(admin, content, pointers):
    problem = expect_problem(admin.put("/products/test-wrong", content), 422)
    assert sorted(fault["pointer"] for fault in problem["errors"]) == pointers, problem
    expect_problem(admin.get("/products/test-wrong"), 404)


@pytest.mark.parametrize("body, pointers", [
    ({"status": "LOST"}, ["/status"]), ({"status": 1}, ["/status"]), ({}, ["/status"]),
    ({"status": "CANCELED", "reason": "x"}, ["/reason"])], ids=["unknown", "number", "missing", "more"])
def test_a_wrong_status_change_is_refused(customer, stored, body, pointers):
    problem = expect_problem(customer.patch(f"/orders/{stored['order']}/status", body), 422)
    assert [fault["pointer"] for fault in problem["errors"]] == pointers


# Requests that HTTP itself forbids

@pytest.mark.parametrize("size", [262_145, 300_000, 10_000_000])
def test_a_body_that_is_too_large_is_refused(customer, size):
    body = GOOD_BODY.encode().ljust(size)
    expect_problem(customer.request("POST", "/orders", body=body), 413)


def test_a_body_of_exactly_256_kib_is_read(customer):
    body = b'{"items": [], "paymentMethod": "pm_card_visa"}'.ljust(262_144)
    expect_problem(customer.request("POST", "/orders", body=body), 422)


def test_a_body_full_of_faults_is_not_repeated_in_the_answer(visitor):
    body = json.dumps({format(number, "x"): 0 for number in range(25_000)}, separators=(",", ":"))
    assert 200_000 < len(body) < 262_144
    answer = visitor.request("POST", "/users", body=body)
    assert len(expect_problem(answer, 422)["errors"]) == 100
    assert len(answer.content) < 10_000


def test_a_chunked_body_that_is_too_large_is_refused(shop, customer):
    head = (f"POST /orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {customer.token}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert status_of(shop, head.encode() + chunk * 8 + b"0\r\n\r\n") == 413


@pytest.mark.parametrize("product_id", ["test-mug%20", "%20test-mug", "%20"])
def test_a_product_id_with_a_space_around_it_is_refused(admin, product_id):
    expect_problem(admin.put(f"/products/{product_id}", MUG), 400)


@pytest.mark.parametrize("path", ["/nowhere", "/orders/", "/orders/1/2/3", "//orders", "/users/me/more", "/"])
def test_an_unknown_path_is_not_found(customer, path):
    expect_problem(customer.get(path), 404)


@pytest.mark.parametrize("method, path, allowed", [
    ("DELETE", "/orders", {"GET", "POST"}), ("PUT", "/orders", {"GET", "POST"}),
    ("GET", "/users/login", {"POST"}), ("POST", "/products", {"GET"}),
    ("DELETE", "/products/test-mug", {"GET", "PUT"}),
    ("POST", "/health/live", {"GET"})])
def test_a_wrong_method_is_refused_with_the_right_ones(customer, method, path, allowed):
    answer = customer.request(method, path)
    expect_problem(answer, 405)
    assert allowed <= {name.strip() for name in answer.headers["Allow"].split(",")}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/jsonp", "json", "",
                                          "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(customer, content_type):
    answer = customer.request("POST", "/orders", body=GOOD_BODY, headers={"Content-Type": content_type})
    expect_problem(answer, 415)


@pytest.mark.parametrize("order_id", ["1", "not-an-id", "00000000-0000-0000-0000-00000000000", "%00",
                                      "'%20OR%20'1'='1", "%2e%2e%2fetc%2fpasswd", "x" * 2000, "%ff"])
def test_a_malformed_id_is_not_found(customer, order_id):
    requests = [("GET", path, None) for path in ("/orders/{}", "/orders/{}/events", "/payments/{}", "/products/{}")]
    requests += [("PATCH", "/orders/{}/status", {"status": "CANCELED"}),
                 ("POST", "/orders/{}/payment", {"paymentMethod": "pm_card_visa"})]
    for method, path, body in requests:
        answer = customer.request(method, path.format(order_id), json=body)
        # What is not even text is no path at all.
        expect_problem(answer, 400 if order_id in ("%ff", "%00") else 404)


@pytest.mark.parametrize("order_id", ["1", "x" * 2000, "%ff"])
def test_a_malformed_id_is_not_found_by_an_admin_either(admin, order_id):
    for path, body in [("/orders/{}/refunds", {"amount": 1}), ("/payments/{}/capture", {"amount": 1}),
                       ("/payments/{}/void", None)]:
        answer = admin.request("POST", path.format(order_id), json=body)
        expect_problem(answer, 400 if order_id == "%ff" else 404)


@pytest.mark.parametrize("query", [
    "cursor=nonsense", "cursor=", "cursor=%00", "cursor=%ff", "cursor=1%27%20OR%201", "limit=0", "limit=101",
    "limit=-1", "limit=1.5", "limit=ten", "limit=", "status=LOST", "status=paid"])
def test_a_malformed_query_is_refused(customer, query):
    expect_problem(customer.get(f"/orders?{query}"), 400)


def test_a_malformed_cursor_is_refused_by_every_list(customer, admin):
    for cursor in ("nonsense", "", "%00", "%ff", "1%27%20OR%201", "-1.-1.-1"):
        for who, path in ((customer, "/products"), (admin, "/ledger/entries")):
            expect_problem(who.get(f"{path}?cursor={cursor}"), 400)


@pytest.mark.parametrize("key", ["x" * 256, "tab\there", "\xe9", ""], ids=["too long", "tab", "not ASCII", "empty"])
def test_an_unusable_idempotency_key_is_refused(customer, key):
    answer = customer.post("/orders", order_body(), headers={"Idempotency-Key": key.encode("latin-1")})
    expect_problem(answer, 400)


# Raw connections

def connect(shop):
    connection = socket.create_connection(("127.0.0.1", shop.port), timeout=40)
    return connection


def status_of(shop, request):
    """The status of the answer to raw bytes; 0 when the connection was closed without one."""
    with connect(shop) as connection:
        try:
            connection.sendall(request)
        except OSError:
            pass  # Refused before it was all sent; the answer is there all the same.
        answer = b""
        try:
            while b"\r\n" not in answer:
                part = connection.recv(4096)
                if not part:
                    break
                answer += part
        except ConnectionResetError:
            pass
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match.group(1)) if match else 0


def test_a_header_section_that_is_too_large_is_refused(shop):
    one_large = b"GET /orders HTTP/1.1\r\nHost: shop\r\nX-Large: " + b"x" * 17_000 + b"\r\n\r\n"
    assert status_of(shop, one_large) == 431
    many = b"GET /orders HTTP/1.1\r\nHost: shop\r\n" + b"X-Many: 12345678\r\n" * 1500 + b"\r\n"
    assert status_of(shop, many) == 431


@pytest.mark.parametrize("request_bytes", [
    b"hello\r\n\r\n", b"GET /orders\r\n\r\n", b"GET  /orders HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /orders HTTP/9.9\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /orders HTTP/1.1\r\nno colon\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
], ids=["no request", "HTTP 0.9", "two spaces", "HTTP 9.9", "TLS", "no colon", "two lengths",
        "length and chunks", "negative length", "length beyond 64 bits"])
def test_what_is_not_http_is_refused(shop, request_bytes):
    assert status_of(shop, request_bytes) in (400, 413, 505, 0)


def seconds_until_closed(shop, first, drip=b""):
    """Sends `first`, then `drip` every half second, and reads until the server has had enough."""
    begin = time.monotonic()
    with connect(shop) as connection:
        connection.sendall(first)
        connection.settimeout(0.5)
        while time.monotonic() - begin < 40:
            try:
                if not connection.recv(4096):
                    break
            except TimeoutError:
                try:
                    connection.sendall(drip)
                except OSError:
                    break
            except OSError:
                break
    return time.monotonic() - begin


def test_slow_and_silent_clients_are_cut_off(shop, customer):
    head = b"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    token = f"Authorization: Bearer {customer.token}\r\n".encode()
    clients = {
        "silent": (b"", b""),
        "silent within the header": (head, b""),
        "dripping a header": (head, b"X"),
        "silent within the body": (head + token + b"Content-Length: 100\r\n\r\n{", b""),
        "dripping a body": (head + token + b"Content-Length: 10000\r\n\r\n{", b" "),
    }
    seconds = {}
    threads = [threading.Thread(target=lambda name=name, sent=sent: seconds.update(
        {name: seconds_until_closed(shop, *sent)})) for name, sent in clients.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seconds[name] for name in list(clients)[:3]) < 15, seconds
    assert max(seconds.values()) < 30, seconds


# After the lot

def test_nothing_was_stored(admin, stored):
    assert admin.all_pages("/orders?limit=100") == stored["all"]
    assert products(admin) == stored["products"]


def test_a_good_order_among_bad_ones_succeeds(shop, admin, customer, stored):
    bad_bodies = list(UNREADABLE_BODIES.values()) + [json.dumps(body) for body, _ in WRONG_BODIES.values()]
    bad_clients = [customer.twin() for _ in range(24)]
    good_client = Client(shop.url).register()
    gate = threading.Barrier(len(bad_clients) + 1)
    bad_statuses = []

    def send_bad(index):
        gate.wait()
        for body in bad_bodies[index::4]:
            bad_statuses.append(bad_clients[index].request("POST", "/orders", body=body).status_code)
    threads = [threading.Thread(target=send_bad, args=(index,)) for index in range(len(bad_clients))]
    for thread in threads:
        thread.start()
    gate.wait()
    good = [good_client.place_order()["id"] for _ in range(10)]
    for thread in threads:
        thread.join()
    assert set(bad_statuses) == {400, 422}
    for order_id in good:
        good_client.wait_for_order(order_id, status="PAID")
    before = {order["id"] for order in stored["all"]}
    after = {order["id"] for order in admin.all_pages("/orders?limit=100")}
    assert after - before == set(good)


def test_no_answer_tells_about_the_inside(answers):
    assert len(answers) > 200
    inside = re.compile(
        r"select .* from|insert into|sqlite|soci|boost|std::|\.[ch]pp\b|0x[0-9a-f]{6}|terminate|backtrace|"
        r"segmentation|exception|/home/|/usr/|" + re.escape(f"{REPOSITORY}/src/"), re.IGNORECASE)
    telling = [text for text in answers if inside.search(text)]
    assert telling == []


def test_no_bad_request_was_an_internal_error(visitor):
    metrics = visitor.get("/metrics").text
    failures = re.findall(r'^http_requests_total\{.*"5\d\d".*\} [^0].*$', metrics, re.MULTILINE)
    assert failures == []
