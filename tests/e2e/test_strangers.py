"""Who may say no: proxies that answer instead of Stripe, rights that our key does not have, and people at Stripe's
dashboard. What Stripe's books say in the end is what the order says."""

import json

import pytest

from client import expect
from databases import engines
from fault_proxy import FaultProxy
from stripe import StripeServer
from waiting import wait_until

GATEWAY = "stripe"
ENGINES = engines("sqlite", "postgresql", "mysql")

CHARGES = r"/v1/payment_intents"
REFUNDS = r"/v1/refunds"
CANCELLATIONS = r"/v1/payment_intents/[^/]+/cancel"
# Nothing of this comes from Stripe, whose errors are JSON with a type.
STRANGE_STATUSES = [404, 407, 408, 413, 424, 200, 403]


@pytest.fixture(scope="module")
def stripe():
    """Stripe behind a proxy that a test can make answer instead."""
    server = StripeServer()
    server.proxy = FaultProxy(server.url)
    server.environment["STRIPE_API_BASE"] = server.proxy.url
    yield server
    server.proxy.close()
    server.stop()


@pytest.fixture(autouse=True)
def sound(stripe, shop):
    """No faults, and no webhooks, until a test wants them."""
    def mend():
        stripe.faults()
        stripe.proxy.clear()
        stripe.control("webhooks", {})
        stripe.control("forbid", {})
        stripe.control("search", {"lagMs": 60_000})
    mend()
    yield
    mend()


def payment_of(customer, order):
    return expect(customer.get(f"/payments?orderId={order['id']}"), 200).json()["data"][-1]


def statuses(customer, order):
    return [step["status"] for step in customer.history(order["id"])]


def ended(order):
    return order["status"] in ("PAID", "PAYMENT_FAILED", "CANCELED") and order


def assert_paid_once(stripe, customer, order):
    paid = wait_until(lambda: ended(customer.order(order["id"])), 60, "the payment to end")
    assert paid["status"] == "PAID" and paid["paymentStatus"] == "CAPTURED", paid
    assert paid["capturedAmount"] == order["totalAmount"]
    assert "PAYMENT_FAILED" not in statuses(customer, order), "nobody was told to pay again"
    books = stripe.order(order["id"])
    assert books["intents"] == 1 and books["captured"] == order["totalAmount"], books


@pytest.mark.parametrize("status, tries", [(404, 1), *((status, 2) for status in STRANGE_STATUSES)])
def test_charge_whose_answer_is_lost_and_whose_repetition_a_stranger_answers_is_made_once(
        stripe, customer, status, tries):
    stripe.proxy.lose_answer("POST", CHARGES)
    stranger = stripe.proxy.answer("POST", CHARGES, status, times=tries)
    order = customer.place_order()
    assert_paid_once(stripe, customer, order)
    assert stranger.met == tries


@pytest.mark.parametrize("status", [404, 200])
def test_charge_that_a_stranger_answers_after_or_before_stripe_is_made_once(stripe, customer, status):
    for passes_on in (True, False):
        stripe.proxy.answer("POST", CHARGES, status, times=3, passes_on=passes_on)
        assert_paid_once(stripe, customer, customer.place_order())


def test_refusal_by_stripe_after_a_lost_answer_does_not_fail_the_payment(stripe, customer):
    stripe.proxy.lose_answer("POST", CHARGES)
    refusal = {"error": {"type": "invalid_request_error", "code": "account_invalid", "message": "Not now."}}
    stripe.proxy.answer("POST", CHARGES, 400, json.dumps(refusal), content_type="application/json")
    assert_paid_once(stripe, customer, customer.place_order())


def test_refusal_by_stripe_at_the_first_try_fails_the_payment_at_once(stripe, customer):
    order = customer.place_order(method="pm_of_nobody")
    failed = customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    assert failed["failure"]["code"] == "resource_missing"
    assert stripe.order(order["id"])["intents"] == 0


@pytest.mark.parametrize("status", STRANGE_STATUSES)
def test_refund_whose_answer_is_lost_and_whose_repetitions_a_stranger_answers_is_made_once(
        stripe, admin, customer, status):
    order = customer.paid_order()
    stripe.proxy.lose_answer("POST", REFUNDS)
    stranger = stripe.proxy.answer("POST", REFUNDS, status, times=2)
    expect(admin.post(f"/orders/{order['id']}/refunds", {"amount": 500}), 202)
    customer.wait_for_order(order["id"], refundedAmount=500, seconds=60)
    payment = payment_of(customer, order)["id"]
    refunds = expect(customer.get(f"/payments/{payment}"), 200).json()["refunds"]
    assert [(refund["status"], refund["amount"]) for refund in refunds] == [("SUCCEEDED", 500)]
    books = stripe.order(order["id"])
    assert stranger.met == 2 and books["refunds"] == 1 and books["refunded"] == 500


def test_cancellation_that_a_stranger_answers_is_asked_for_again(stripe, customer):
    order = customer.place_order(method="pm_card_authenticationRequired")
    customer.wait_for_order(order["id"], paymentStatus="REQUIRES_ACTION")
    stripe.proxy.answer("POST", CANCELLATIONS, 404, times=3)
    expect(customer.set_status(order["id"], "CANCELED"), 200)
    customer.wait_for_order(order["id"], status="CANCELED", paymentStatus="CANCELED", seconds=60)
    late = stripe.try_control("confirm", {"order": order["id"]})
    assert late.status_code == 400 and "canceled" in late.text


def test_lost_charge_is_found_by_a_search_where_the_key_may_not_list(stripe, customer):
    stripe.control("search", {"lagMs": 0})
    stripe.control("forbid", {"GET v1/payment_intents": 403})
    stripe.proxy.lose_answer("POST", CHARGES, times=3)
    assert_paid_once(stripe, customer, customer.place_order())


def test_lost_charge_is_found_in_the_list_where_the_key_may_not_retrieve(stripe, customer):
    stripe.control("forbid", {"GET v1/payment_intents/{id}": 403, "GET v1/payment_intents/search": 403})
    stripe.proxy.lose_answer("POST", CHARGES, times=3)
    assert_paid_once(stripe, customer, customer.place_order())


def test_charges_go_on_while_the_key_may_not_refund(stripe, admin, customer):
    order = customer.paid_order()
    stripe.control("forbid", {"POST v1/refunds": 403})
    expect(admin.post(f"/orders/{order['id']}/refunds", {"amount": 500}), 202)
    wait_until(lambda: stripe.proxy.count("POST", REFUNDS) > 0, 30, "the refund to be tried")
    for _ in range(3):
        customer.wait_for_order(customer.place_order()["id"], status="PAID", seconds=3)
    stripe.control("forbid", {})
    customer.wait_for_order(order["id"], refundedAmount=500, seconds=60)
    assert stripe.order(order["id"])["refunded"] == 500


def test_lost_charge_is_found_among_objects_that_make_a_page_too_long(stripe, customer):
    stripe.proxy.lose_answer("POST", CHARGES, times=3)
    order = customer.place_order()
    stripe.control("strangers", {"count": 110, "metadataBytes": 45_000})
    assert_paid_once(stripe, customer, order)


def test_rest_goes_back_once_after_a_part_was_refunded_at_the_dashboard(stripe, customer):
    order = customer.paid_order()
    stripe.control("refund", {"order": order["id"], "amount": 1000})
    expect(customer.set_status(order["id"], "CANCELED"), 200)
    customer.wait_for_order(order["id"], status="CANCELED", refundedAmount=order["totalAmount"], seconds=60)
    books = stripe.order(order["id"])
    assert books["refunds"] == 2 and books["refunded"] == books["captured"] == order["totalAmount"]


def test_declined_payment_is_closed_at_stripe_so_that_nobody_can_confirm_it_later(stripe, customer):
    order = customer.place_order(method="pm_card_chargeDeclined")
    failed = customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    assert failed["failure"]["code"] == "card_declined"
    late = stripe.try_control("confirm", {"order": order["id"]})
    assert late.status_code == 400 and "canceled" in late.text
    expect(customer.post(f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}), 202)
    customer.wait_for_order(order["id"], status="PAID")
    assert stripe.order(order["id"])["captured"] == order["totalAmount"]


def test_payment_that_is_confirmed_before_we_close_it_pays_the_order(stripe, customer):
    closing = stripe.proxy.answer("POST", CANCELLATIONS, 503, times=None)
    order = customer.place_order(method="pm_card_chargeDeclined")
    wait_until(lambda: closing.met > 0, 30, "the declined payment to be closed")
    assert customer.order(order["id"])["status"] != "PAYMENT_FAILED", "it can still be confirmed"
    stripe.control("confirm", {"order": order["id"]})
    stripe.proxy.clear()
    assert_paid_once(stripe, customer, order)
