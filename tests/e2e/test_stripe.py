"""Payments at a server that stands in for Stripe."""

import json
import os
import shutil
import subprocess
import time
import uuid
from types import SimpleNamespace

import pytest

from client import Client, expect, expect_problem, stock_shelves
from server import REPOSITORY, run_quittance
from stripe import WEBHOOK_SECRET, StripeServer, signature
from waiting import wait_until

GATEWAY = "stripe"


@pytest.fixture(autouse=True)
def sound(stripe, shop):
    """No faults, and no webhooks, until a test wants them."""
    stripe.faults()
    stripe.control("webhooks", {})


def payment_of(customer, order):
    return expect(customer.get(f"/payments?orderId={order['id']}"), 200).json()["data"][-1]


def event(payment_id, event_id=None, kind="payment_intent", event_type="payment_intent.succeeded"):
    return json.dumps({"id": event_id or f"evt_{uuid.uuid4().hex}", "object": "event", "type": event_type,
                       "data": {"object": {"id": "pi_1", "object": kind, "status": "succeeded",
                                           "metadata": {"payment_id": payment_id}}}})


def deliver(visitor, body, header=None):
    headers = {"Stripe-Signature": signature(body) if header is None else header}
    return visitor.post("/webhooks/stripe", body=body, headers=headers)


def signed_by_stripes_client(payload, secret=WEBHOOK_SECRET, at=None):
    environment = {**os.environ, "NODE_PATH": str(REPOSITORY / "build/npm/node_modules")}
    signed = subprocess.run(
        ["node", REPOSITORY / "tests/e2e/node/sign_webhook.js", payload, secret, str(int(at or time.time()))],
        env=environment, text=True, capture_output=True, check=True, timeout=30)
    return signed.stdout.strip()


def metric(shop, visitor, line_start):
    text = expect(visitor.get("/metrics"), 200).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(line_start))


def test_an_order_is_paid_once(stripe, customer):
    order = customer.wait_for_order(customer.place_order()["id"], status="PAID")
    assert order["paymentStatus"] == "CAPTURED"
    payment = payment_of(customer, order)
    assert payment["provider"] == "stripe" and payment["providerReference"].startswith("pi_")
    books = stripe.order(order["id"])
    assert books["captures"] == 1 and books["captured"] == order["totalAmount"]


@pytest.mark.parametrize("method, code", [
    ("pm_card_chargeDeclined", "card_declined"),
    ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ("pm_card_chargeDeclinedLostCard", "lost_card"),
    ("pm_card_chargeDeclinedStolenCard", "stolen_card"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error"),
    ("pm_of_nobody", "resource_missing"),
])
def test_a_declined_order_says_why(customer, method, code):
    order = customer.wait_for_order(customer.place_order(method=method)["id"], status="PAYMENT_FAILED")
    assert order["failure"]["code"] == code
    assert order["failure"]["detail"]


def test_a_declined_order_is_paid_again_with_another_card(stripe, customer):
    order = customer.place_order(method="pm_card_chargeDeclined")
    customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    expect(customer.post(f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_mastercard"}), 202)
    customer.wait_for_order(order["id"], status="PAID")
    books = stripe.order(order["id"])
    assert books["intents"] == 2 and books["captures"] == 1


def test_a_card_that_asks_for_its_owner_says_so(stripe, customer):
    order = customer.place_order(method="pm_card_authenticationRequired")
    waiting = customer.wait_for_order(order["id"], paymentStatus="REQUIRES_ACTION")
    assert waiting["failure"]["code"] == "authentication_required"
    expect(customer.set_status(order["id"], "CANCELED"), 200)
    customer.wait_for_order(order["id"], status="CANCELED", paymentStatus="CANCELED")
    assert stripe.order(order["id"])["captured"] == 0


def test_a_canceled_order_gets_its_money_back(stripe, customer):
    order = customer.wait_for_order(customer.place_order()["id"], status="PAID")
    expect(customer.set_status(order["id"], "CANCELED"), 200)
    customer.wait_for_order(order["id"], status="CANCELED", paymentStatus="REFUNDED")
    books = stripe.order(order["id"])
    assert books["refunds"] == 1 and books["refunded"] == books["captured"] == order["totalAmount"]


def test_a_refund_made_in_the_dashboard_is_reconciled(stripe, shop, customer):
    order = customer.wait_for_order(customer.place_order()["id"], status="PAID")
    payment = payment_of(customer, order)
    stripe.post("/v1/refunds", payment_intent=payment["providerReference"], amount=100)
    result = run_quittance("reconcile", "--json", "--data", shop.data, environment=stripe.environment)
    assert result.returncode == 3, result.stdout + result.stderr
    assert json.loads(result.stdout)["differences"] == [
        {"kind": "refunded_differs", "paymentId": payment["id"], "orderId": order["id"],
         "detail": "here 0, at the provider 100"}]


def reconcile(server, stripe):
    """As `quittance reconcile` would find it a few minutes later, when no news can be on its way."""
    for database, table in (("orders.db", "orders"), ("payments.db", "payments")):
        server.change(database, f"UPDATE {table} SET updated_at = updated_at - 600000")
    result = run_quittance("reconcile", "--json", "--data", server.data, environment=stripe.environment)
    report = json.loads(result.stdout)
    assert result.returncode == (3 if report["differences"] else 0), result
    return [(one["kind"], one.get("orderId")) for one in report["differences"]]


@pytest.fixture
def restorable(make_server, tmp_path):
    """A shop with a backup and an account at Stripe of its own, and an order that was paid after the backup."""
    stripe = StripeServer()
    server = make_server(environment=stripe.environment)
    server.start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    customer = Client(server.url).register()
    customer.wait_for_order(customer.place_order()["id"], status="PAID")
    server.stop()
    backup = shutil.copytree(server.data, tmp_path / "backup")
    server.start()
    customer = Client(server.url).login(customer.email, customer.password)
    order = customer.wait_for_order(customer.place_order()["id"], status="PAID")
    payment = payment_of(customer, order)
    server.stop()

    def put_back(database):
        for file in server.data.glob(f"{database}*"):
            file.unlink()
        shutil.copy(backup / database, server.data / database)
        server.start()
    yield SimpleNamespace(server=server, stripe=stripe, put_back=put_back, order=order, payment=payment)
    stripe.stop()


def test_a_payment_that_is_in_no_backup_is_restored_from_the_provider(restorable):
    server, stripe, order = restorable.server, restorable.stripe, restorable.order
    restorable.put_back("payments.db")
    found = reconcile(server, stripe)
    assert ("order_without_payment", order["id"]) in found and ("unknown_here", None) in found, found
    command = ("payments", "restore", restorable.payment["id"], "--order", order["id"], "--data", server.data)
    restored = run_quittance(*command, environment=stripe.environment)
    assert restored.returncode == 0, restored
    wait_until(lambda: reconcile(server, stripe) == [], 30, "the payment to be looked up")
    again = run_quittance(*command, environment=stripe.environment)
    assert again.returncode == 2 and "stored already" in again.stderr, again
    admin = Client(server.url).login(*server.admin_credentials())
    expect(admin.post(f"/orders/{order['id']}/refunds"), 202)
    admin.wait_for_order(order["id"], status="REFUNDED")
    books = stripe.order(order["id"])
    assert books["captures"] == books["refunds"] == 1 and books["captured"] == books["refunded"]
    assert reconcile(server, stripe) == []


def test_a_payment_whose_order_is_in_no_backup_is_given_back(restorable):
    server, stripe, order = restorable.server, restorable.stripe, restorable.order
    restorable.put_back("orders.db")
    assert reconcile(server, stripe) == [("payment_without_order", order["id"])]
    command = ("payments", "release", order["id"], "--data", server.data)
    released = run_quittance(*command)
    assert released.returncode == 0 and "1 payment of this order" in released.stdout, released
    wait_until(lambda: stripe.order(order["id"])["refunded"] == order["totalAmount"], 30, "the refund")
    wait_until(lambda: reconcile(server, stripe) == [], 30, "the refund to be stored")
    of_none = run_quittance("payments", "release", str(uuid.uuid4()), "--data", server.data)
    assert of_none.returncode == 2 and "no payments of this order" in of_none.stderr, of_none


def test_a_currency_without_minor_units_is_charged_as_it_is(stripe, customer):
    order = customer.place_order({"productId": "test-fan", "quantity": 2})
    customer.wait_for_order(order["id"], status="PAID")
    assert stripe.order(order["id"])["captured"] == 600


def test_a_payment_whose_answers_are_lost_is_found_and_its_webhooks_do_no_harm(stripe, shop, customer):
    stripe.send_webhooks_to(shop, duplicates=1, delayMs=[0, 4000])
    stripe.faults(lost_response=1, sparesReads=True)
    order = customer.place_order()
    customer.wait_for_order(order["id"], status="PAID", seconds=60)
    stripe.faults()
    assert "UNKNOWN" in [step["paymentStatus"] for step in customer.history(order["id"])]
    wait_until(lambda: stripe.books()["webhooks"]["waiting"] == 0, 60, "the last webhook")
    assert stripe.books()["webhooks"]["refused"] == 0
    assert customer.order(order["id"])["paymentStatus"] == "CAPTURED"
    assert stripe.order(order["id"])["captures"] == 1


def test_what_happened_is_looked_up_and_not_believed(customer, visitor):
    order = customer.place_order(method="pm_card_chargeDeclined")
    failed = customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    expect(deliver(visitor, event(payment_of(customer, order)["id"])), 200)
    time.sleep(0.5)
    assert customer.order(order["id"]) == failed


def test_a_webhook_that_comes_twice_is_taken_once(shop, customer, visitor):
    order = customer.wait_for_order(customer.place_order()["id"], status="PAID")
    body = event(payment_of(customer, order)["id"])
    before = metric(shop, visitor, 'payment_notices_total{outcome="repeated"}')
    for _ in range(3):
        expect(deliver(visitor, body), 200)
    assert metric(shop, visitor, 'payment_notices_total{outcome="repeated"}') == before + 2


def test_events_of_no_payment_and_of_no_known_kind_are_accepted(visitor):
    expect(deliver(visitor, event(str(uuid.uuid4()), kind="payout", event_type="payout.paid")), 200)
    expect(deliver(visitor, event("nonsense")), 200)
    expect(deliver(visitor, event(str(uuid.uuid4()))), 200)
    expect(deliver(visitor, event(str(uuid.uuid4()), event_type="x" * 5000)), 200)
    thin = {"id": f"evt_test_{uuid.uuid4().hex}", "object": "v2.core.event", "created": "2026-09-17T06:20:52.246Z",
            "type": "v1.billing.meter.error_report_triggered", "livemode": False,
            "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"}}
    expect(deliver(visitor, json.dumps(thin)), 200)
    expect(deliver(visitor, '{"object":"charge"}'), 200)


def test_what_stripes_own_client_signs_is_accepted_unless_it_is_wrong(customer, visitor):
    order = customer.wait_for_order(customer.place_order()["id"], status="PAID")
    body = event(payment_of(customer, order)["id"])
    expect(deliver(visitor, body, signed_by_stripes_client(body)), 200)
    expect_problem(deliver(visitor, body.replace("succeeded", "canceled"), signed_by_stripes_client(body)), 400)
    expect_problem(deliver(visitor, body, signed_by_stripes_client(body, secret="whsec_wrong")), 400)
    for seconds in (-310, 310):
        header = signed_by_stripes_client(body, at=time.time() + seconds)
        expect_problem(deliver(visitor, body, header), 400)


@pytest.mark.parametrize("name, header, body", [
    ("tampered", lambda body: signature(body.replace("succeeded", "canceled")), None),
    ("old", lambda body: signature(body, at=time.time() - 310), None),
    ("of the far future", lambda body: signature(body, at=time.time() + 310), None),
    ("with a wrong key", lambda body: signature(body, secret="whsec_wrong"), None),
    ("without a signature", lambda body: "", None),
    ("with nonsense for a signature", lambda body: "t=now,v1=yes", None),
    ("not JSON", signature, "no JSON"),
    ("empty", signature, ""),
])
def test_a_webhook_is_refused(visitor, name, header, body):
    body = event(str(uuid.uuid4())) if body is None else body
    expect_problem(deliver(visitor, body, header(body)), 400)


def test_a_huge_webhook_is_refused(visitor):
    body = event(str(uuid.uuid4())).ljust(300_000)
    expect_problem(deliver(visitor, body), 413)


def test_the_key_stands_in_no_log(stripe, shop, customer):
    stripe.control("plan", ["error_after", "rate_limited", "lost_request"])
    for _ in range(3):
        customer.wait_for_order(customer.place_order()["id"], seconds=90, status="PAID")
    assert stripe.environment["STRIPE_API_KEY"] not in shop.log()
    assert stripe.environment["STRIPE_WEBHOOK_SECRET"] not in shop.log()


@pytest.mark.parametrize("variable", ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"])
def test_without_a_secret_it_does_not_start_and_says_which(stripe, tmp_path, variable):
    environment = {**stripe.environment, variable: ""}
    ended = run_quittance("serve", "--data", tmp_path, "--port", 0, environment=environment)
    assert ended.returncode == 2
    assert f"{variable} is missing" in ended.stderr


def test_the_key_is_not_sent_over_an_open_wire(stripe, tmp_path):
    environment = {**stripe.environment, "STRIPE_API_BASE": "http://stripe.example.com"}
    ended = run_quittance("serve", "--data", tmp_path, "--port", 0, environment=environment)
    assert ended.returncode == 2
    assert "STRIPE_API_BASE" in ended.stderr


def test_while_stripe_is_down_orders_wait_and_are_paid_afterwards(stripe, shop, customer, visitor):
    stripe.faults(lost_request=1)
    order = customer.place_order()
    customer.wait_for_order(order["id"], paymentStatus="UNKNOWN", seconds=20)
    stripe.faults()
    customer.wait_for_order(order["id"], status="PAID", seconds=60)
    assert stripe.order(order["id"])["captures"] == 1
    wait_until(lambda: metric(shop, visitor, "stripe_circuit_breaker_open") == 0, 30, "the breaker to close")
