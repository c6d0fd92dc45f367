"""Two thousand orders while Stripe loses answers, refuses, fails, and sends its webhooks twice and in disorder.

STORM_ORDERS (2000) can be set in the environment."""

import json
import os
import threading
import time

import pytest

from client import expect, item
from server import run_quittance
from waiting import wait_until

GATEWAY = "stripe"
ORDERS = int(os.environ.get("STORM_ORDERS", "2000"))
CUSTOMERS = 8
# Pauses between look-ups double: what is late for one has to wait for as long again.
SETTLE_SECONDS = 600

FINAL = {("PAID", "CAPTURED"), ("PAYMENT_FAILED", "FAILED"), ("CANCELED", "REFUNDED"), ("CANCELED", "CANCELED")}


def place_and_sometimes_cancel(customer, count, every):
    """Every so many orders are canceled while their payment is under way or made."""
    orders = []
    for index in range(count):
        order = customer.place_order(item(quantity=1 + index % 3))
        orders.append(order["id"])
        if index % every == every - 1:
            answer = customer.set_status(orders[index - every // 2], "CANCELED")
            assert answer.status_code in (200, 409), answer.text
    return orders


@pytest.fixture(scope="module")
def storm(stripe, shop, customer):
    """All orders after the storm, by id."""
    stripe.faults(seed=11, lost_response=0.2, rate_limited=0.1, error_before=0.05, error_after=0.05,
                  delayMs=[0, 20])
    stripe.send_webhooks_to(shop, seed=12, duplicates=0.3, delayMs=[0, 1500])
    begin = time.monotonic()
    results = [None] * CUSTOMERS
    twins = [customer.twin() for _ in range(CUSTOMERS)]

    def work(index):
        results[index] = place_and_sometimes_cancel(twins[index], ORDERS // CUSTOMERS, 20)
    threads = [threading.Thread(target=work, args=(index,)) for index in range(CUSTOMERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    ids = {order_id for orders in results for order_id in orders}
    placed = time.monotonic() - begin

    def done():
        time.sleep(1)
        found = {order["id"]: order for order in customer.all_pages("/orders?limit=100")}
        moved = stripe.books()["orders"]
        return all(is_final(order, moved) for order in found.values()) and found
    # Half of the payments meet the faults before they are turned off.
    time.sleep(5)
    stripe.faults()
    orders = wait_until(done, SETTLE_SECONDS, "all orders to be settled")
    wait_until(lambda: stripe.books()["webhooks"]["waiting"] == 0, 60, "the last webhook")
    books = stripe.books()
    print(f"{len(ids)} orders placed in {placed:.1f} s, settled after {time.monotonic() - begin:.1f} s; "
          f"{books['requests']}; {books['webhooks']}")
    return {"orders": orders, "books": books, "ids": ids}


def state(order):
    return order["status"], order["paymentStatus"]


def was_never_made(order, moved):
    """A charge that was canceled and that Stripe has never seen: it counts as not made after an hour only."""
    return state(order) == ("CANCELED", "UNKNOWN") and order["id"] not in moved


def is_final(order, moved):
    return was_never_made(order, moved) or state(order) in FINAL


def test_every_order_is_settled(storm):
    states = {}
    for order in storm["orders"].values():
        states[state(order)] = states.get(state(order), 0) + 1
    print(states)
    assert len(storm["orders"]) == len(storm["ids"]) == ORDERS
    moved = storm["books"]["orders"]
    assert all(is_final(order, moved) for order in storm["orders"].values())


def test_no_order_is_charged_twice_and_all_say_the_truth(storm):
    books = storm["books"]["orders"]
    nothing = {"captures": 0, "captured": 0, "refunded": 0, "held": 0}
    for order in storm["orders"].values():
        moved = books.get(order["id"], nothing)
        assert moved["captures"] <= 1, order
        assert moved["held"] == 0, order
        kept = moved["captured"] - moved["refunded"]
        assert kept == (order["totalAmount"] if order["status"] == "PAID" else 0), (order, moved)
        assert order["refundedAmount"] == moved["refunded"], (order, moved)


def test_the_books_agree_with_stripe(storm, shop, stripe):
    assert run_quittance("ledger", "verify", "--data", shop.data).returncode == 0
    result = run_quittance("reconcile", "--json", "--data", shop.data, environment=stripe.environment,
                           seconds=120)
    report = json.loads(result.stdout)
    print({name: value for name, value in report.items() if name != "differences"})
    assert report["differences"] == [] and result.returncode == 0, result.stdout + result.stderr
    moved = storm["books"]["orders"]
    never_made = sum(was_never_made(order, moved) for order in storm["orders"].values())
    [(payments,)] = shop.query("payments.db", "SELECT COUNT(*) FROM payments")
    assert report["underWay"] == never_made <= ORDERS * 0.01
    assert report["compared"] + report["underWay"] == payments == ORDERS


def test_nothing_was_moved_for_anything_else(storm):
    assert set(storm["books"]["orders"]) <= storm["ids"]


def test_the_storm_was_one(storm):
    """Otherwise the tests above would show nothing."""
    requests = storm["books"]["requests"]
    for faults in (requests["faults"], requests["faultsOfReads"]):
        assert faults["lost_response"] > ORDERS * 0.1 and faults["rate_limited"] > ORDERS * 0.05
        assert faults["error_before"] + faults["error_after"] > ORDERS * 0.05
    webhooks = storm["books"]["webhooks"]
    assert webhooks["accepted"] > webhooks["events"] and webhooks["givenUp"] == 0


def test_an_order_that_failed_in_the_storm_can_be_paid_afterwards(storm, stripe, customer):
    failed = [order for order in storm["orders"].values() if order["status"] == "PAYMENT_FAILED"]
    assert failed and {order["failure"]["code"] for order in failed} == {"provider_error"}
    for order in failed[:20]:
        expect(customer.post(f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}), 202)
    for order in failed[:20]:
        customer.wait_for_order(order["id"], seconds=60, status="PAID")
        assert stripe.order(order["id"])["captures"] == 1
