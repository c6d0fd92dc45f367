"""docs/openapi.yaml tells the truth: every documented call, with its success and the errors that a client can
provoke, is answered as described."""

import uuid

import pytest

from client import MUG, PASSWORD, Client, expect, expect_problem, item, order_body, stock_shelves
from openapi import Description
from stripe import signature

GATEWAY = "stripe"

# What no client can bring about on purpose.
UNPROVOKED_STATUSES = {500, 503}

# Bodies that are judged by their signature first.
SIGNED = {"receiveStripeEvent"}

description = Description()
# Pushes are judged where they are switched on: test_push.
operations = [operation for operation in description.operations if operation.tags != ["pubsub"]]


def identify(operation):
    return operation.id


@pytest.fixture(scope="module", autouse=True)
def judged(observers):
    """Every answer to the clients of this file is judged."""
    observers.append(description.check)


@pytest.fixture(scope="module")
def example(judged, admin, customer):
    """What the paths' parameters stand for: one paid order and its parts."""
    order = customer.paid_order()
    payment = customer.get(f"/payments?orderId={order['id']}").json()["data"][0]
    return {"/orders": order["id"], "/payments": payment["id"], "/products": "test-mug"}


def path_for(operation, example, parameter=None):
    """The operation's path with an example, or with something else, for its parameter."""
    for start, value in example.items():
        if operation.path.startswith(start):
            return operation.path.replace("{id}", parameter or value)
    return operation.path


# The way of an order, with every success

def test_users_and_tokens(visitor):
    email = f"{uuid.uuid4().hex}@example.com"
    registration = {"name": "Ada", "email": email, "password": PASSWORD}
    expect(visitor.post("/users", registration), 201)
    expect_problem(visitor.post("/users", registration), 409)
    expect_problem(visitor.post("/users/login", {"email": email, "password": "wrong password"}), 401)
    tokens = expect(visitor.post("/users/login", {"email": email, "password": PASSWORD}), 200).json()
    expect(visitor.get("/users/me", token=tokens["token"]), 200)
    renewed = expect(visitor.post("/users/refresh", {"refreshToken": tokens["refreshToken"]}), 200).json()
    expect(visitor.post("/users/logout", {"refreshToken": renewed["refreshToken"]}), 204)
    expect_problem(visitor.post("/users/refresh", {"refreshToken": renewed["refreshToken"]}), 401)
    expect(visitor.get("/.well-known/jwks.json"), 200)


def test_a_locked_account(visitor):
    email = f"{uuid.uuid4().hex}@example.com"
    answers = [visitor.post("/users/login", {"email": email, "password": "wrong password"}) for _ in range(6)]
    expect_problem(answers[-1], 429)
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_an_address_that_signs_up_too_often(make_server, observers):
    visitor = Client(make_server(environment={"LOGIN_RATE": "1", "TRUSTED_PROXY_HOPS": "1"}).start().url, observers)
    somebody = {"X-Forwarded-For": "203.0.113.9"}
    answers = [visitor.post("/users", {}, headers=somebody) for _ in range(6)]
    expect_problem(answers[-1], 429)
    assert answers[-1].headers["Retry-After"] == "1"


def test_the_catalogue(admin, customer, visitor):
    product_id = f"new-{uuid.uuid4().hex[:8]}"
    expect(admin.put(f"/products/{product_id}", MUG), 201)
    expect(admin.put(f"/products/{product_id}", {**MUG, "id": product_id}), 200)
    expect_problem(customer.put(f"/products/{product_id}", MUG), 403)
    tag = expect(visitor.get(f"/products/{product_id}"), 200).headers["ETag"]
    expect(visitor.get(f"/products/{product_id}", headers={"If-None-Match": tag}), 304)
    expect_problem(admin.put(f"/products/{product_id}", MUG, headers={"If-None-Match": "*"}), 412)
    assert len(visitor.all_pages("/products?limit=2")) >= 5
    expect_problem(visitor.get("/products?limit=0"), 400)


def test_orders_and_payments(admin, customer, stranger):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    order = expect(customer.post("/orders", order_body(), headers=key), 201).json()
    customer.wait_for_order(order["id"], status="PAID")
    expect(customer.post("/orders", order_body(), headers=key), 201)
    expect_problem(customer.post("/orders", order_body(item(quantity=2)), headers=key), 422)
    expect_problem(customer.post("/orders", order_body(item(unitPrice=1, currency="EUR"))), 403)
    customer.history(order["id"])
    customer.all_pages("/orders?limit=1&status=PAID")
    expect_problem(customer.get("/orders?cursor=nonsense"), 400)
    expect_problem(customer.get(f"/orders?userId={stranger.user['id']}"), 403)
    expect(admin.get(f"/orders?userId={customer.user['id']}"), 200)

    payments = expect(customer.get(f"/payments?orderId={order['id']}"), 200).json()["data"]
    for path in (f"/orders/{order['id']}", f"/payments/{payments[0]['id']}"):
        tag = expect(customer.get(path), 200).headers["ETag"]
        expect(customer.get(path, headers={"If-None-Match": tag}), 304)
    expect(stranger.get(f"/payments?orderId={order['id']}"), 200)
    expect_problem(customer.get("/payments"), 400)

    expect_problem(customer.set_status(order["id"], "SHIPPED"), 403)
    expect_problem(admin.set_status(order["id"], "DELIVERED"), 409)
    expect_problem(customer.set_status(order["id"], "CANCELED", **{"If-Match": '"1"'}), 412)
    expect(customer.set_status(order["id"], "CANCELED"), 200)
    customer.wait_for_order(order["id"], paymentStatus="REFUNDED")
    customer.get(f"/payments?orderId={order['id']}")
    expect_problem(customer.post(f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}), 409)


def test_refunds_and_the_ledger(admin, customer):
    order = customer.paid_order()
    path = f"/orders/{order['id']}/refunds"
    key = {"Idempotency-Key": str(uuid.uuid4())}
    expect(admin.post(path, {"amount": 100, "reason": "chipped"}, headers=key), 202)
    expect(admin.post(path, {"amount": 100, "reason": "chipped"}, headers=key), 202)
    expect_problem(admin.post(path, {"amount": 101}, headers=key), 422)
    expect_problem(admin.post(path, {"amount": 1}, headers={"If-Match": '"1"'}), 412)
    expect_problem(admin.post(path, {"amount": order["totalAmount"]}), 409)
    expect_problem(customer.post(path, {"amount": 1}), 403)
    customer.wait_for_order(order["id"], paymentStatus="PARTIALLY_REFUNDED")
    expect(admin.post(path), 202)
    customer.wait_for_order(order["id"], status="REFUNDED")
    customer.history(order["id"])
    payment = customer.get(f"/payments?orderId={order['id']}").json()["data"][0]
    assert len(expect(customer.get(f"/payments/{payment['id']}"), 200).json()["refunds"]) == 2

    assert len(admin.all_pages(f"/ledger/entries?orderId={order['id']}&limit=4")) == 6
    expect(admin.get("/ledger/balances"), 200)
    expect_problem(admin.get("/ledger/entries"), 400)
    expect_problem(customer.get(f"/ledger/entries?orderId={order['id']}"), 403)
    expect_problem(customer.get("/ledger/balances"), 403)


def test_captures_and_voids(make_server, observers):
    server = make_server(environment={"PAYMENT_CAPTURE": "manual"})
    server.start()
    admin = Client(server.url, observers).login(*server.admin_credentials())
    stock_shelves(admin)

    def authorized():
        order = admin.place_order()
        admin.wait_for_order(order["id"], paymentStatus="AUTHORIZED")
        return admin.get(f"/payments?orderId={order['id']}").json()["data"][0]
    taken, released = authorized(), authorized()
    stale = {"If-Match": '"999"'}
    expect_problem(admin.post(f"/payments/{taken['id']}/capture", headers=stale), 412)
    expect_problem(admin.post(f"/payments/{released['id']}/void", headers=stale), 412)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    expect(admin.post(f"/payments/{taken['id']}/capture", {"amount": 500}, headers=key), 202)
    expect(admin.post(f"/payments/{taken['id']}/capture", {"amount": 500}, headers=key), 202)
    expect_problem(admin.post(f"/payments/{released['id']}/void", headers=key), 422)
    expect_problem(admin.post(f"/payments/{released['id']}/void", {"amount": 500}), 400)
    admin.wait_for_order(taken["orderId"], status="PAID", capturedAmount=500)
    expect_problem(admin.post(f"/payments/{taken['id']}/capture"), 409)
    expect_problem(admin.post(f"/payments/{taken['id']}/void"), 409)
    expect(admin.post(f"/payments/{released['id']}/void"), 202)
    admin.wait_for_order(released["orderId"], status="PAYMENT_FAILED")
    customer = Client(server.url, observers).register()
    expect_problem(customer.post(f"/payments/{taken['id']}/capture"), 403)
    expect_problem(customer.post(f"/payments/{taken['id']}/void"), 403)


def test_a_declined_order(customer):
    order = customer.place_order(method="pm_card_chargeDeclined")
    customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    customer.get(f"/payments?orderId={order['id']}")
    customer.history(order["id"])
    path, body = f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}
    expect_problem(customer.post(path, body, headers={"If-Match": '"1"'}), 412)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    expect(customer.post(path, body, headers=key), 202)
    expect(customer.post(path, body, headers=key), 202)
    customer.wait_for_order(order["id"], status="PAID")


def test_an_event_of_stripe(visitor):
    body = '{"id": "evt_1", "object": "event", "type": "payout.paid", "data": {"object": {"object": "payout"}}}'
    signed = {"Stripe-Signature": signature(body)}
    expect(visitor.post("/webhooks/stripe", body=body, headers=signed), 200)
    expect_problem(visitor.post("/webhooks/stripe", body=body + " ", headers=signed), 400)


def test_operations(visitor):
    for path in ("/health/live", "/health/ready", "/metrics"):
        expect(visitor.get(path), 200)


def test_the_served_description_is_the_written_one(visitor):
    assert expect(visitor.get("/openapi.json"), 200).json() == description.document


# The errors that every call of a kind shares

def of_kind(predicate):
    return pytest.mark.parametrize("operation", list(filter(predicate, operations)), ids=identify)


@of_kind(lambda operation: operation.needs_token)
def test_without_a_token(visitor, example, operation):
    body = {} if operation.takes_body else None
    expect_problem(visitor.request(operation.method, path_for(operation, example), json=body), 401)


@of_kind(lambda operation: operation.takes_body and operation.id not in SIGNED)
def test_with_a_body_that_is_wrong(admin, example, operation):
    path = path_for(operation, example)
    expect_problem(admin.request(operation.method, path, body="{"), 400)
    plain = {"Content-Type": "text/plain"}
    expect_problem(admin.request(operation.method, path, body="{}", headers=plain), 415)
    expect_problem(admin.request(operation.method, path, body="{}".ljust(300_000)), 413)
    problem = expect_problem(admin.request(operation.method, path, json={"unexpected": 1}), 422)
    assert "/unexpected" in [fault["pointer"] for fault in problem["errors"]]


@of_kind(lambda operation: "{id}" in operation.path and 404 in operation.statuses())
def test_with_an_id_of_nothing(admin, example, operation):
    bodies = {"setOrderStatus": {"status": "CANCELED"}, "payAgain": {"paymentMethod": "pm_card_visa"}}
    path = path_for(operation, example, str(uuid.uuid4()))
    expect_problem(admin.request(operation.method, path, json=bodies.get(operation.id)), 404)


@pytest.mark.parametrize("path", sorted({operation.path for operation in operations}))
def test_with_a_method_that_the_path_does_not_have(admin, example, path):
    operation = next(operation for operation in operations if operation.path == path)
    answer = admin.request("DELETE", path_for(operation, example))
    expect_problem(answer, 405)
    documented = {other.method for other in operations if other.path == path}
    assert documented <= {name.strip() for name in answer.headers["Allow"].split(",")}


# After the lot

@pytest.mark.parametrize("operation", operations, ids=identify)
def test_everything_documented_was_seen(operation):
    wanted = {(operation.id, status) for status in operation.statuses() - UNPROVOKED_STATUSES}
    assert wanted - description.seen == set(), "documented, but never answered"
