"""Two of each service on one database and Pub/Sub: they share the work, and one carries on for both."""

import threading
import time
import uuid

import pytest

from client import Client, expect, item, order_body
from fleet import Anywhere, Fleet
from onlooker import Onlooker
from services import make_unordered
from waiting import wait_until

ORDERS_IN_PEACE, ORDERS_WITH_A_KILL = 800, 1200
PLACED_BEFORE_THE_KILL = ORDERS_IN_PEACE + 300
BUYERS = 8
# Of so many orders, one is declined and paid with another card.
DECLINED_EVERY = 10
# The emulator delivers again what a killed program had when it comes to it.
SETTLE_SECONDS = 600


class Placed:
    """The orders that a few buyers place together."""

    def __init__(self, fleet, customer):
        self._fleet, self._customer = fleet, customer
        self._lock = threading.Lock()
        self._begun = 0
        self.ids = []

    def _next(self, limit):
        with self._lock:
            self._begun += 1
            return self._begun if self._begun <= limit else None

    def _buy(self, limit, failures):
        shop = Anywhere(self._fleet, self._customer)
        try:
            while (number := self._next(limit)) is not None:
                method = "pm_card_chargeDeclined" if number % DECLINED_EVERY == 0 else "pm_card_visa"
                order = expect(shop.post("/orders", order_body(item(), method=method),
                                         headers={"Idempotency-Key": str(uuid.uuid4())}), 201).json()
                with self._lock:
                    self.ids.append(order["id"])
        except Exception as failure:  # pylint: disable=broad-exception-caught
            failures.append(failure)

    def until(self, limit, meanwhile=lambda: None):
        """Places orders until there are so many."""
        self._begun = len(self.ids)
        failures = []
        buyers = [threading.Thread(target=self._buy, args=(limit, failures), daemon=True)
                  for _ in range(BUYERS)]
        for buyer in buyers:
            buyer.start()
        meanwhile()
        for buyer in buyers:
            buyer.join(120)
        assert not failures, failures
        assert len(self.ids) == len(set(self.ids)) == limit

    def settle(self):
        """Pays those again whose card was declined, until every order is PAID."""
        shop = Anywhere(self._fleet, self._customer)
        end = time.monotonic() + SETTLE_SECONDS
        while self._fleet.unpaid() > 0:
            assert time.monotonic() < end, self._fleet.of_orders(
                "SELECT status, COUNT(*) FROM orders GROUP BY status")
            for [order] in self._fleet.of_orders("SELECT id FROM orders WHERE status = 'PAYMENT_FAILED'"):
                answer = shop.post(f"/orders/{order}/payment", {"paymentMethod": "pm_card_visa"})
                # A conflict: the call before it got through, and its answer was lost.
                assert answer.status_code in (202, 409), answer.text
            time.sleep(0.2)


@pytest.fixture
def fleet(make_server, emulator, database_server):
    bus = emulator.new_project("several")
    make_unordered(bus)
    return Fleet(make_server, bus, database_server("postgresql"), "several")


@pytest.fixture
def onlooker(fleet, tmp_path):
    """Sees the events of an order in their order."""
    watching = Onlooker(fleet.orders[0].environment, tmp_path)
    yield watching
    watching.end()


def all_told(onlooker, placed):
    asked = onlooker.events_of_orders("payment-events")
    updates = onlooker.events_of_orders("order-updates")
    return all(order in asked for order in placed.ids) and all(any(event["data"]["paymentStatus"] == "CAPTURED" for event in updates.get(order, []))
               for order in placed.ids)


def expect_order_of_events(onlooker, placed):
    asked = onlooker.events_of_orders("payment-events")
    told = onlooker.events_of_orders("order-updates")
    for order in placed.ids:
        attempts = [event["data"]["attempt"] for event in asked[order]]
        assert attempts == sorted(attempts) and attempts[0] == 1, (order, asked[order])
        sequences = [event["data"]["sequence"] for event in told[order]]
        assert sequences == sorted(sequences), (order, told[order])


def test_one_of_each_is_killed_and_every_order_is_paid_once(fleet, onlooker):
    placed = Placed(fleet, Client(fleet.orders[0].url).register("Ada Byron"))
    placed.until(ORDERS_IN_PEACE)
    placed.settle()
    wait_until(lambda: all_told(onlooker, placed), 180, "the onlooker to see all")
    assert onlooker.duplicates() == 0, "published twice without need"

    killed_at = []

    def kill_one_of_each():
        wait_until(lambda: len(placed.ids) >= PLACED_BEFORE_THE_KILL, 60, "the moment to kill")
        fleet.orders[0].kill()
        fleet.payments[0].kill()
        killed_at.append(time.monotonic())
    placed.until(ORDERS_IN_PEACE + ORDERS_WITH_A_KILL, kill_one_of_each)
    placed.settle()
    settled = time.monotonic() - killed_at[0]
    wait_until(lambda: all_told(onlooker, placed), 180, "the onlooker to see all")
    print(f"\nmeasured: two instances each: {len(placed.ids)} orders PAID, the last {settled:.1f} s after the kill; "
          f"events published twice: {onlooker.duplicates()}")

    stored = {row[0] for row in fleet.of_orders("SELECT id FROM orders")}
    assert set(placed.ids) <= stored
    captures = fleet.of_payments("SELECT order_id, captured_amount FROM payments WHERE captured_amount > 0")
    assert len(captures) == len(dict(captures)) == len(stored), "an order was not charged exactly once"
    expect_order_of_events(onlooker, placed)
    assert fleet.dead_letters() == []
    for sql in (fleet.of_orders, fleet.of_payments):
        # The dead are forgotten; those that live hold nothing back.
        wait_until(lambda sql=sql: sql("SELECT COUNT(*) FROM relay_instances WHERE id <> ''") == [["1"]], 60,
                   "the dead to be forgotten")
        wait_until(lambda sql=sql: sql("SELECT COUNT(*) FROM outbox") == [["0"]], 60, "an empty outbox")
