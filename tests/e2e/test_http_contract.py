"""What RFC 9110, 9112 and 6750 ask of every call, and what docs/openapi.yaml says of versions and keys."""

import gzip
import json
import socket
import unicodedata
import uuid

import pytest

from client import MUG, PASSWORD, TEA, Client, expect, expect_problem, order_body, stock_shelves
from server import Server, run_quittance

ENGINES = ["sqlite", "postgresql", "mysql"]


def raw(shop, *lines, body=b""):
    """Sends a request byte by byte as it is written; status, headers in lower case, and body of the answer."""
    head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    with socket.create_connection(("127.0.0.1", shop.port), timeout=40) as connection:
        connection.sendall(head + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    top, _, content = answer.partition(b"\r\n\r\n")
    status, *fields = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return int(status.split()[1]), headers, content


def bearer(client):
    return f"Authorization: Bearer {client.token}"


def raw_post(shop, path, client, fields, content):
    body = json.dumps(content).encode()
    return raw(shop, f"POST {path} HTTP/1.1", "Host: shop", bearer(client), "Content-Type: application/json",
               f"Content-Length: {len(body)}", *fields, body=body)


@pytest.fixture(scope="module")
def order(customer):
    return customer.paid_order()


@pytest.fixture(scope="module")
def manual_shop(tmp_path_factory):
    """One whose payments are captured by hand, on the embedded default."""
    server = Server(tmp_path_factory.mktemp("manual"), {"PAYMENT_CAPTURE": "manual"}).start()
    admin = Client(server.url).login(*server.admin_credentials())
    stock_shelves(admin)
    yield admin
    server.stop()


@pytest.fixture
def authorized(manual_shop):
    """A new payment that waits for its capture."""
    order = manual_shop.place_order()
    manual_shop.wait_for_order(order["id"], paymentStatus="AUTHORIZED")
    return manual_shop.get(f"/payments?orderId={order['id']}").json()["data"][0]


# Versions

@pytest.mark.parametrize("kind", ["orders", "payments", "products"])
def test_a_version_that_the_caller_has_is_not_sent_again(customer, order, kind):
    payment = customer.get(f"/payments?orderId={order['id']}").json()["data"][0]
    path = {"orders": f"/orders/{order['id']}", "payments": f"/payments/{payment['id']}",
            "products": "/products/test-mug"}[kind]
    tag = expect(customer.get(path), 200).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = expect(customer.get(path, headers={"If-None-Match": known}), 304)
        assert answer.headers["ETag"] == tag
        assert answer.content == b"" and "Content-Type" not in answer.headers
    for unknown in ('"other"', 'W/"other"', tag.strip('"')):
        expect(customer.get(path, headers={"If-None-Match": unknown}), 200)


def test_several_lines_of_a_list_header_are_one_list(shop, customer, order):
    def status(*fields):
        return raw(shop, f"GET /orders/{order['id']} HTTP/1.1", "Host: shop", bearer(customer), *fields)[0]
    tag = customer.get(f"/orders/{order['id']}").headers["ETag"]
    assert status('If-None-Match: "other"', f"If-None-Match: {tag}") == 304
    assert status('If-None-Match: "other"', 'If-None-Match: "another"') == 200
    fresh = customer.place_order()
    customer.wait_for_order(fresh["id"], status="PAID")
    tag = customer.get(f"/orders/{fresh['id']}").headers["ETag"]
    body = b'{"status":"CANCELED"}'
    assert raw(shop, f"PATCH /orders/{fresh['id']}/status HTTP/1.1", "Host: shop", bearer(customer),
               "Content-Type: application/json", f"Content-Length: {len(body)}",
               'If-Match: "99"', f"If-Match: {tag}", body=body)[0] == 200


def test_if_match_guards_refunds_and_further_payments(admin, customer, order):
    before = customer.order(order["id"])
    stale = {"If-Match": '"1"'}
    expect_problem(admin.post(f"/orders/{order['id']}/refunds", {"amount": 1}, headers=stale), 412)
    assert customer.order(order["id"]) == before, "nothing happened"
    tag = customer.get(f"/orders/{order['id']}").headers["ETag"]
    expect(admin.post(f"/orders/{order['id']}/refunds", {"amount": 1}, headers={"If-Match": tag}), 202)

    declined = customer.place_order(method="pm_card_chargeDeclined")
    customer.wait_for_order(declined["id"], status="PAYMENT_FAILED")
    path = f"/orders/{declined['id']}/payment"
    expect_problem(customer.post(path, {"paymentMethod": "pm_card_visa"}, headers=stale), 412)
    assert customer.order(declined["id"])["status"] == "PAYMENT_FAILED"
    tag = customer.get(f"/orders/{declined['id']}").headers["ETag"]
    expect(customer.post(path, {"paymentMethod": "pm_card_visa"}, headers={"If-Match": tag}), 202)


def test_conditions_guard_products(admin):
    path = f"/products/guarded-{uuid.uuid4().hex[:8]}"
    expect_problem(admin.put(path, MUG, headers={"If-Match": "*"}), 412)
    expect_problem(admin.get(path), 404)
    first = expect(admin.put(path, MUG, headers={"If-None-Match": "*"}), 201).headers["ETag"]
    expect_problem(admin.put(path, TEA, headers={"If-None-Match": "*"}), 412)
    assert admin.get(path).json()["name"] == "Mug", "nothing was overwritten"
    second = expect(admin.put(path, TEA, headers={"If-Match": f'"other", {first}'}), 200).headers["ETag"]
    assert second != first
    expect_problem(admin.put(path, MUG, headers={"If-Match": first}), 412)
    expect_problem(admin.put(path, MUG, headers={"If-Match": f"W/{second}"}), 412)
    expect_problem(admin.put(path, MUG, headers={"If-None-Match": f"W/{second}"}), 412)
    assert admin.get(path).json()["name"] == "Tea"
    assert expect(admin.put(path, MUG, headers={"If-Match": "*"}), 200).headers["ETag"] == first


def test_if_match_guards_captures_and_voids(manual_shop, authorized):
    path = f"/payments/{authorized['id']}"
    tag = manual_shop.get(path).headers["ETag"]
    for command in ("capture", "void"):
        expect_problem(manual_shop.post(f"{path}/{command}", headers={"If-Match": '"999"'}), 412)
        assert manual_shop.get(path).headers["ETag"] == tag
    answer = expect(manual_shop.post(f"{path}/capture", {"amount": 5}, headers={"If-Match": tag}), 202)
    assert answer.headers["ETag"] != tag
    expect_problem(manual_shop.post(f"{path}/void", headers={"If-Match": tag}), 412)


def test_a_payments_version_tells_of_its_refunds(admin, customer):
    paid = customer.paid_order()
    payment = customer.get(f"/payments?orderId={paid['id']}").json()["data"][0]
    before = customer.get(f"/payments/{payment['id']}").headers["ETag"]
    expect(admin.post(f"/orders/{paid['id']}/refunds", {"amount": 1}), 202)
    customer.wait_for_order(paid["id"], refundedAmount=1)
    answer = expect(customer.get(f"/payments/{payment['id']}", headers={"If-None-Match": before}), 200)
    assert [refund["amount"] for refund in answer.json()["refunds"]] == [1]
    expect(customer.get(f"/payments/{payment['id']}", headers={"If-None-Match": answer.headers["ETag"]}), 304)


# Keys

def test_a_repeated_payment_asks_the_bank_once(customer):
    order = customer.place_order(method="pm_card_chargeDeclined")
    customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    path, key = f"/orders/{order['id']}/payment", {"Idempotency-Key": str(uuid.uuid4())}
    declined = {"paymentMethod": "pm_card_chargeDeclinedInsufficientFunds"}
    first = expect(customer.post(path, declined, headers=key), 202)
    assert "Idempotency-Replayed" not in first.headers
    customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    for _ in range(3):
        again = expect(customer.post(path, declined, headers=key), 202)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json()["id"] == order["id"]
    assert len(customer.get(f"/payments?orderId={order['id']}").json()["data"]) == 2, "two attempts, no more"
    expect_problem(customer.post(path, {"paymentMethod": "pm_card_visa"}, headers=key), 422)


def test_a_repeated_capture_or_void_is_answered_again(manual_shop, authorized):
    for command, body, other in (("capture", {"amount": 700}, {"amount": 701}), ("void", None, None)):
        if command == "void":
            order = manual_shop.place_order()
            manual_shop.wait_for_order(order["id"], paymentStatus="AUTHORIZED")
            authorized = manual_shop.get(f"/payments?orderId={order['id']}").json()["data"][0]
        path, key = f"/payments/{authorized['id']}/{command}", {"Idempotency-Key": f"{command}-{uuid.uuid4()}"}
        assert "Idempotency-Replayed" not in expect(manual_shop.post(path, body, headers=key), 202).headers
        again = expect(manual_shop.post(path, body, headers=key), 202)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json()["id"] == authorized["id"]
        expect_problem(manual_shop.post(path, body, headers={"Idempotency-Key": "another"}), 409)
        if other is not None:
            expect_problem(manual_shop.post(path, other, headers=key), 422)
        expect_problem(manual_shop.post(f"/payments/{authorized['id']}/capture", {"amount": 1},
                                        headers={"Idempotency-Key": key["Idempotency-Key"]}), 422)


def test_every_call_that_moves_money_judges_its_key(shop, admin, customer, order):
    payment = customer.get(f"/payments?orderId={order['id']}").json()["data"][0]
    calls = [(customer, "/orders", order_body()),
             (customer, f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}),
             (admin, f"/orders/{order['id']}/refunds", {"amount": 1}),
             (admin, f"/payments/{payment['id']}/capture", {"amount": 1})]
    before = customer.order(order["id"])
    for who, path, body in calls:
        for fields in (["Idempotency-Key:"], ["Idempotency-Key: one", "Idempotency-Key: another"],
                       ["Idempotency-Key: one", "Idempotency-Key:"]):
            status, _, content = raw_post(shop, path, who, fields, body)
            assert status == 400 and b"Idempotency-Key" in content, (path, fields, status, content)
    status, *_ = raw(shop, f"POST /payments/{payment['id']}/void HTTP/1.1", "Host: shop", bearer(admin),
                     "Idempotency-Key:", "Content-Length: 0")
    assert status == 400
    assert customer.order(order["id"]) == before


# Bodies

def test_a_compressed_body_is_refused_with_what_is_taken(customer):
    body = gzip.compress(json.dumps(order_body()).encode())
    answer = customer.request("POST", "/orders", body=body, headers={"Content-Encoding": "gzip"})
    expect_problem(answer, 415)
    assert answer.headers["Accept-Encoding"] == "identity"
    expect(customer.request("POST", "/orders", body=json.dumps(order_body()),
                            headers={"Content-Encoding": "identity"}), 201)


def test_a_call_without_a_body_takes_none(manual_shop, authorized):
    path = f"/payments/{authorized['id']}"
    problem = expect_problem(manual_shop.post(f"{path}/void", {"amount": 500}), 400)
    assert "no body" in problem["detail"]
    assert manual_shop.get(path).json()["status"] == "AUTHORIZED", "nothing was released"
    expect_problem(manual_shop.request("GET", path, body="{}"), 400)
    expect(manual_shop.post(f"{path}/void"), 202)


@pytest.mark.parametrize("quantity", ["2.0", "2.00", "2e0", "20e-1", "0.2E1"])
def test_every_spelling_of_an_integer_is_one(customer, quantity):
    body = json.dumps(order_body()).replace('"quantity": 1', f'"quantity": {quantity}')
    order = expect(customer.request("POST", "/orders", body=body), 201).json()
    assert order["items"][0]["quantity"] == 2


def test_lengths_count_characters(admin, visitor):
    thai = "\u0e01"
    expect(admin.put(f"/products/{thai * 100}", {**MUG, "name": thai * 200}), 201)
    assert expect(visitor.get(f"/products/{thai * 100}"), 200).json()["name"] == thai * 200
    expect_problem(admin.put(f"/products/{thai * 101}", MUG), 400)
    expect_problem(admin.put("/products/test-thai", {**MUG, "name": thai * 201}), 422)

    def registration(**members):
        return {"name": "Ada", "email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, **members}
    assert expect(visitor.post("/users", registration(name=thai * 200)), 201).json()["name"] == thai * 200
    expect_problem(visitor.post("/users", registration(name=thai * 201)), 422)
    for password in ("éééé", "éèêëēĕė"):
        problem = expect_problem(visitor.post("/users", registration(password=password)), 422)
        assert "8 characters" in problem["errors"][0]["detail"]
    expect(visitor.post("/users", registration(password="éèêëēĕėę")), 201)
    pages = admin.all_pages("/products?limit=1")
    assert thai * 100 in [product["id"] for product in pages], "its cursor leads on"


def test_a_payment_method_and_a_reason_are_counted_in_characters_by_both_services(admin, customer):
    euro = "\u20ac"
    order = customer.place_order(method=euro * 100)
    assert customer.wait_for_order(order["id"], status="PAYMENT_FAILED")["paymentMethod"] == euro * 100
    paid = customer.paid_order()
    expect(admin.post(f"/orders/{paid['id']}/refunds", {"amount": 1, "reason": euro * 500}), 202)
    customer.wait_for_order(paid["id"], refundedAmount=1)
    payment = customer.get(f"/payments?orderId={paid['id']}").json()["data"][0]
    assert customer.get(f"/payments/{payment['id']}").json()["refunds"][0]["reason"] == euro * 500
    expect_problem(admin.post(f"/orders/{paid['id']}/refunds", {"reason": euro * 501}), 422)


def test_a_password_is_the_same_on_every_keyboard(visitor):
    composed = unicodedata.normalize("NFC", "un café crème")
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    email = f"{uuid.uuid4().hex}@example.com"
    expect(visitor.post("/users", {"name": "Ada", "email": email, "password": decomposed}), 201)
    for password in (composed, decomposed):
        expect(visitor.post("/users/login", {"email": email, "password": password}), 200)


# Requests

def test_a_challenge_names_an_error_only_where_a_token_was_sent(customer, visitor):
    plain = 'Bearer realm="quittance"'
    assert expect(visitor.get("/orders"), 401).headers["WWW-Authenticate"] == plain
    basic = {"Authorization": "Basic YWRhOmFkYQ=="}
    assert expect(visitor.get("/orders", headers=basic), 401).headers["WWW-Authenticate"] == plain
    wrong = expect(visitor.get("/orders", token="a.b.c"), 401).headers["WWW-Authenticate"]
    assert wrong == plain + ', error="invalid_token"'
    login = {"email": "nobody@example.com", "password": PASSWORD}
    for who in (visitor, customer):
        assert expect(who.post("/users/login", login), 401).headers["WWW-Authenticate"] == plain


@pytest.mark.parametrize("host", ["", "shop.example.com", "shop.example.com:8080", "127.0.0.1:8080", "[::1]:8080",
                                  "localhost:"])
def test_a_host_is_a_name_or_an_address_with_or_without_a_port(shop, host):
    assert raw(shop, "GET /health/live HTTP/1.1", f"Host: {host}")[0] == 200


@pytest.mark.parametrize("host", ["a b", "a/b", "user@shop", "shop:port", "shop:80:80", "[::1", "a, b", "<x>",
                                  "\xe4.example"])
def test_another_host_is_refused(shop, host):
    status, headers, content = raw(shop, "GET /health/live HTTP/1.1", f"Host: {host}")
    assert status == 400 and headers["content-type"] == "application/problem+json"
    assert b"Host" in content


def test_methods_and_targets_have_statuses_of_their_own(shop):
    assert raw(shop, "BREW /orders HTTP/1.1", "Host: shop")[0] == 501
    assert raw(shop, "PROPFIND /nowhere HTTP/1.1", "Host: shop")[0] == 501
    status, headers, _ = raw(shop, "TRACE /orders HTTP/1.1", "Host: shop")
    assert status == 405 and headers["allow"] == "GET, HEAD, POST, OPTIONS"
    longest = "/products/" + "x" * (8192 - len("/products/"))
    assert raw(shop, f"GET {longest} HTTP/1.1", "Host: shop")[0] == 404
    assert raw(shop, f"GET {longest}x HTTP/1.1", "Host: shop")[0] == 414
    assert raw(shop, f"GET /{'x' * 20_000} HTTP/1.1", "Host: shop")[0] == 414


def test_an_own_id_in_capitals_is_ones_own(customer, stranger, order):
    own = customer.user["id"].upper()
    orders = expect(customer.get(f"/orders?userId={own}"), 200).json()["data"]
    assert order["id"] in [other["id"] for other in orders]
    expect_problem(customer.get(f"/orders?userId={stranger.user['id'].upper()}"), 403)
    expect_problem(customer.get("/orders?userId=nobody"), 400)


# Log-ins

def test_failures_of_others_do_not_keep_an_owner_out(make_server):
    server = make_server(environment={"LOGIN_RATE": "0", "TRUSTED_PROXY_HOPS": "1"}).start()
    owner = Client(server.url).register()

    def login(password, address):
        return owner.post("/users/login", {"email": owner.email, "password": password}, token=None,
                          headers={"X-Forwarded-For": address})
    statuses = [login("wrong password", "203.0.113.9").status_code for _ in range(15)]
    assert statuses.count(401) < 15 and statuses[-1] == 429
    expect_problem(login(PASSWORD, "203.0.113.9"), 429)
    expect(login(PASSWORD, "198.51.100.7"), 200)
    # A whole network of guessers slows each of them down, and not the owner.
    for last in range(1, 61):
        login("wrong password", f"192.0.2.{last}")
    assert int(login("wrong password", "192.0.2.60").headers["Retry-After"]) > 50
    expect(login(PASSWORD, "198.51.100.8"), 200)
    # An operator ends the wait of everybody.
    unlocked = run_quittance("user", "unlock", "--data", server.data, "--email", owner.email.upper())
    assert unlocked.returncode == 0 and "61 addresses" in unlocked.stdout, unlocked
    expect(login(PASSWORD, "203.0.113.9"), 200)


def test_an_owner_on_the_same_machine_comes_from_another_address(shop, customer):
    """Addresses of the loopback network are addresses, too."""
    body = json.dumps({"email": customer.email, "password": "wrong password"}).encode()
    right = json.dumps({"email": customer.email, "password": customer.password}).encode()

    def login(content, address):
        with socket.create_connection(("127.0.0.1", shop.port), timeout=40, source_address=(address, 0)) as connection:
            connection.sendall(b"POST /users/login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
                               b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return int(answer.split()[1])
    assert [login(body, "127.0.0.1") for _ in range(15)][-1] == 429
    assert login(right, "127.0.0.1") == 429
    assert login(right, "127.0.0.2") == 200
