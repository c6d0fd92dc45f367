"""POST /pubsub/push: who may bring messages, and what becomes of them."""

import base64
import json
import time
import uuid

import pytest

import pusher
from client import Client, expect, expect_problem
from openapi import Description
from pusher import Certificates, wrapped
from server import ORDER_SERVICE, PAYMENT_SERVICE
from services import PUSH, keys_of
from waiting import wait_until

description = Description()


@pytest.fixture(scope="module")
def certificates():
    served = Certificates()
    yield served
    served.end()


@pytest.fixture(scope="module")
def bus(emulator):
    return emulator.new_project("pushed")


@pytest.fixture
def orders(make_server, bus):
    """Leaves the check to Cloud Run; only `post` brings messages, because nothing is switched to push."""
    return make_server("orders", {**bus, **PUSH}, command=[ORDER_SERVICE]).start()


@pytest.fixture
def payments(make_server, bus, orders, certificates):
    """Checks tokens itself."""
    environment = {**bus, **keys_of(orders), "PUBSUB_DELIVERY": "push", "PUBSUB_PUSH_AUTH": "oidc",
                   "PUBSUB_PUSH_AUDIENCE": pusher.AUDIENCE, "PUBSUB_PUSH_SERVICE_ACCOUNT": pusher.ACCOUNT,
                   "PUBSUB_CERTS_URL": certificates.url}
    return make_server("payments", environment, command=[PAYMENT_SERVICE], demo=False).start()


def post(server, body, token=None):
    """Judged by the description of the API, as well."""
    answer = pusher.post(server, body, token)
    description.check(answer)
    return answer


def subscription(bus, name):
    return f"projects/{bus['GOOGLE_CLOUD_PROJECT']}/subscriptions/{name}"


def order_created(bus, order_id=None, **more):
    order_id = order_id or str(uuid.uuid4())
    return wrapped("quittance.order.created.v1", {
        "orderId": order_id, "userId": str(uuid.uuid4()), "amount": 1250, "currency": "EUR",
        "paymentMethod": "pm_card_visa", "attempt": 1},
        subscription(bus, "payment-service-sub"), key=order_id, **more)


def admin_of(orders):
    return Client(orders.url).login(*orders.admin_credentials())


def payments_for(payments, admin, order_id):
    def answered():
        answer = Client(payments.url).get(f"/payments?orderId={order_id}", token=admin.token)
        return answer if answer.status_code != 503 else None
    return expect(wait_until(answered, 10, "the keys of tokens"), 200).json()["data"]


@pytest.mark.parametrize("snake_case", [False, True], ids=["camelCase", "snake_case"])
def test_a_message_with_a_good_token_is_handled(orders, payments, bus, certificates, snake_case):
    order_id = str(uuid.uuid4())
    body = order_created(bus, order_id, snake_case=snake_case)
    expect(post(payments, body, certificates.sign()), 204)
    admin = admin_of(orders)
    [payment] = wait_until(lambda: payments_for(payments, admin, order_id), 10, "the payment")
    assert payment["amount"] == 1250
    expect(post(payments, body, certificates.sign(iss="accounts.google.com")), 204)
    assert len(payments_for(payments, admin, order_id)) == 1, "a repetition changes nothing"


def stripped(token):
    return token.rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"


def unsigned(token):
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT", "kid": "google-1"}).encode())
    return header.rstrip(b"=").decode() + "." + token.split(".")[1] + "."


BAD_TOKENS = {
    "none at all": lambda certificates: None,
    "the signature that Cloud Run removed": lambda certificates: stripped(certificates.sign()),
    "another audience": lambda certificates: certificates.sign(aud="https://orders.example.com/pubsub/push"),
    "a longer audience": lambda certificates: certificates.sign(aud=pusher.AUDIENCE + "/"),
    "no audience": lambda certificates: certificates.sign(aud=None),
    "another issuer": lambda certificates: certificates.sign(iss="https://accounts.example.com"),
    "another account": lambda certificates: certificates.sign(email="somebody@gmail.com"),
    "an unverified account": lambda certificates: certificates.sign(email_verified=False),
    "a verified account in words": lambda certificates: certificates.sign(email_verified="true"),
    "no word on verification": lambda certificates: certificates.sign(email_verified=None),
    "expired": lambda certificates: certificates.sign(exp=int(time.time()) - 61),
    "without an end": lambda certificates: certificates.sign(exp=None),
    "from the future": lambda certificates: certificates.sign(iat=int(time.time()) + 120),
    "HS256": lambda certificates: certificates.sign(key="a secret that everybody could choose", algorithm="HS256"),
    "PS256": lambda certificates: certificates.sign(algorithm="PS256"),
    "no algorithm": lambda certificates: unsigned(certificates.sign()),
    "a key of somebody else's": lambda certificates: Certificates().sign(),
}


def test_bad_tokens_are_refused(orders, payments, bus, certificates):
    order_id = str(uuid.uuid4())
    for name, token in BAD_TOKENS.items():
        answer = post(payments, order_created(bus, order_id), token(certificates))
        assert answer.status_code == 401, f"{name}: {answer.status_code} {answer.text}"
    assert payments_for(payments, admin_of(orders), order_id) == []
    expect(post(payments, order_created(bus), certificates.sign(exp=int(time.time()) - 30)), 204)
    expect(post(payments, order_created(bus), certificates.sign(iat=int(time.time()) + 30)), 204)


def test_an_unknown_key_is_looked_for_once(payments, bus, certificates):
    expect(post(payments, order_created(bus), certificates.sign()), 204)
    asked = certificates.asked
    answers = [post(payments, order_created(bus), certificates.sign(kid=f"made up {i}")) for i in range(5)]
    assert {answer.status_code for answer in answers} <= {401, 503}
    wait_until(lambda: post(payments, order_created(bus), certificates.sign(kid="x")).status_code == 401, 5,
               "the look for the key to end")
    assert certificates.asked == asked + 1


def test_a_new_key_of_googles_is_found(payments, bus, certificates):
    expect(post(payments, order_created(bus), certificates.sign()), 204)
    certificates.replace()
    token = certificates.sign()
    wait_until(lambda: post(payments, order_created(bus), token).status_code == 204, 30, "the new key")


def test_what_cannot_be_handled_is_a_dead_letter_and_not_sent_again(payments, bus, emulator, certificates):
    body = wrapped("quittance.order.created.v1", b"this is no JSON", subscription(bus, "payment-service-sub"))
    expect(post(payments, body, certificates.sign()), 204)

    def letters():
        listed = emulator.quittance("dead-letters", "list", "--data", payments.data, environment=bus)
        assert listed.returncode == 0, listed.stderr
        return [json.loads(line) for line in listed.stdout.splitlines()]
    event_id = body["message"]["attributes"]["ce-id"]
    [letter] = wait_until(lambda: [letter for letter in letters() if letter["id"] == event_id], 30, "the dead letter")
    assert letter["reason"].startswith("The data of quittance.order.created.v1 is no JSON."), letter


def test_what_may_be_handled_later_is_sent_again(orders, bus):
    update = wrapped("quittance.payment.updated.v1", {
        "orderId": str(uuid.uuid4()), "paymentId": str(uuid.uuid4()), "paymentStatus": "CAPTURED",
        "capturedAmount": 1, "refundedAmount": 0, "currency": "EUR", "sequence": 1},
        subscription(bus, "order-service-sub"))
    answer = post(orders, update)
    expect_problem(answer, 503)
    assert answer.headers["Retry-After"]


def test_what_is_no_push_is_refused(orders, bus):
    expect_problem(post(orders, order_created(bus)), 404)
    for body in ({}, {"message": {}}, {"message": {"messageId": "1"}},
                 {**order_created(bus), "message": {"messageId": "1", "data": "!"}}):
        expect_problem(post(orders, body), 400)


def test_there_is_no_push_where_messages_are_pulled(make_server, bus):
    server = make_server("pulling", bus, command=[ORDER_SERVICE]).start()
    expect_problem(pusher.post(server, order_created(bus)), 404)


def test_everything_documented_was_seen(orders, bus):
    expect_problem(post(orders, {"padding": "x" * 300_000}), 413)
    operation = description.operation("pushMessage")
    # Too many at once, and faults of ours, are not provoked here.
    wanted = {(operation.id, status) for status in operation.statuses() - {429, 500}}
    assert wanted - description.seen == set(), "documented, but never answered"
