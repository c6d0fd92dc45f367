"""Dead letters of the bus in the process: seen, looked at, and sent again by the operator's command line."""

import json
import time
import uuid

import pytest

from client import Client, stock_shelves
from server import run_quittance
from waiting import wait_until

UNKNOWN_TYPE = "quittance.payment.updated.v9"


@pytest.fixture
def running_shop(make_server):
    return make_server().start()


@pytest.fixture
def paid_order(running_shop):
    stock_shelves(Client(running_shop.url).login(*running_shop.admin_credentials()))
    buyer = Client(running_shop.url).register("Ada Byron")
    order = buyer.paid_order()
    return lambda: buyer.order(order["id"])


def dead_letters(server, command, *arguments):
    return run_quittance("dead-letters", command, *arguments, "--data", server.data)


def listed(server):
    done = dead_letters(server, "list")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def report_refund_as_unknown_type(server, order):
    """The payment service says that a part went back, in a form that the order service does not know. Returns the
    id of the event, and its data."""
    event_id = str(uuid.uuid4())
    [(payment_id,)] = server.query("payments.db", "SELECT id FROM payments")
    [(sequence,)] = server.query("orders.db", "SELECT payment_sequence FROM orders")
    data = {"orderId": order["id"], "paymentId": payment_id, "paymentStatus": "PARTIALLY_REFUNDED",
            "capturedAmount": order["totalAmount"], "refundedAmount": 100, "currency": order["currency"],
            "sequence": sequence + 1}
    server.change("payments.db", """
        INSERT INTO outbox (event_id, topic, type, source, ordering_key, traceparent, data, created_at)
        VALUES (?, 'order-updates', ?, 'payment-service', ?, '', ?, ?)""",
                  event_id, UNKNOWN_TYPE, order["id"], json.dumps(data), int(time.time() * 1000))
    return event_id, data


def test_a_dead_letter_is_listed_and_shown_and_dies_again_where_nothing_changed(running_shop, paid_order):
    event_id, data = report_refund_as_unknown_type(running_shop, paid_order())
    [letter] = wait_until(lambda: listed(running_shop), 20, "the dead letter")
    assert (letter["id"], letter["service"], letter["topic"]) == (event_id, "payment", "order-updates")
    assert letter["type"] == UNKNOWN_TYPE and letter["orderingKey"] == data["orderId"]
    assert letter["reason"] == f'The type "{UNKNOWN_TYPE}" is not known on the topic order-updates.'
    assert letter["deliveryAttempts"] == 1

    shown = dead_letters(running_shop, "show", event_id)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == {**letter, "source": "payment-service", "traceparent": "",
                                        "data": json.dumps(data)}

    replayed = dead_letters(running_shop, "replay", event_id)
    assert replayed.returncode == 0 and "back in the outbox of the payment service" in replayed.stdout
    [again] = wait_until(lambda: listed(running_shop), 20, "the letter to die again")
    assert again["id"] == event_id and again["reason"] == letter["reason"]
    assert again["deadAt"] > letter["deadAt"]
    assert paid_order()["refundedAmount"] == 0


def test_a_dead_letter_is_handled_when_its_reason_is_gone(running_shop, paid_order):
    event_id, _ = report_refund_as_unknown_type(running_shop, paid_order())
    wait_until(lambda: listed(running_shop), 20, "the dead letter")
    # Instead of a program that knows the type.
    running_shop.change("payments.db", "UPDATE dead_letters SET type = 'quittance.payment.updated.v1'")
    replayed = dead_letters(running_shop, "replay", event_id)
    assert replayed.returncode == 0, replayed.stderr
    order = wait_until(lambda: paid_order()["refundedAmount"] == 100 and paid_order(), 20, "the refund to be told")
    assert order["paymentStatus"] == "PARTIALLY_REFUNDED"
    assert listed(running_shop) == []
    wait_until(lambda: running_shop.query("payments.db", "SELECT COUNT(*) FROM outbox") == [(0,)], 20,
               "the event to leave the outbox")


@pytest.mark.parametrize("command", ["show", "replay"])
def test_a_dead_letter_that_is_none_is_said_to_be_missing(running_shop, command):
    done = dead_letters(running_shop, command, "nothing")
    assert done.returncode == 2 and "there is no dead letter with the id nothing" in done.stderr
