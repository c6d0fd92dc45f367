"""Two of each service on one database and Pub/Sub: they share the work, and one carries on for both."""

import threading
import time
import uuid

import pytest
import requests

from client import Client, expect, item, order_body, stock_shelves
from onlooker import Onlooker
from server import ORDER_SERVICE, PAYMENT_SERVICE
from services import keys_of
from waiting import wait_until

ORDERS_IN_PEACE, ORDERS_WITH_A_KILL = 800, 1200
ACCEPTED_BEFORE_THE_KILL = ORDERS_IN_PEACE + 300
BUYERS = 8
# Every so many orders, a card is declined and the order is paid with another.
DECLINED_EVERY = 10
SETTLE_SECONDS = 90
# What is answered when one goes away while it works.
TRY_ELSEWHERE = (502, 503, 504)


class Fleet:
    """The instances, and the databases that they share."""

    def __init__(self, make_server, bus, database, name):
        self.database, self.name = database, name
        urls = database.make_shop(name)
        of_orders = {**bus, "DATABASE_URL": urls["DATABASE_URL"]}
        of_payments = {**bus, "DATABASE_URL": urls["PAYMENTS_DATABASE_URL"]}
        first = make_server("orders-1", of_orders, command=[ORDER_SERVICE]).start()
        stock_shelves(Client(first.url).login(*first.admin_credentials()))
        of_orders["JWT_SIGNING_KEY_FILE"] = str(first.signing_key_file())
        second = make_server("orders-2", of_orders, command=[ORDER_SERVICE], demo=False).start()
        self.orders = [first, second]
        self.payments = [
            make_server(f"payments-{number}", {**of_payments, **keys_of(second)}, command=[PAYMENT_SERVICE],
                        demo=False).start() for number in (1, 2)]

    def of_orders(self, statement):
        return self.database.sql(statement, f"{self.name}_orders")

    def of_payments(self, statement):
        return self.database.sql(statement, f"{self.name}_payments")

    def unpaid(self):
        return int(self.of_orders("SELECT COUNT(*) FROM orders WHERE status <> 'PAID'")[0][0])


class Buyer(threading.Thread):
    """Places orders at whichever instance answers, and pays those again whose card was declined."""

    def __init__(self, urls, customer, accepted, limit):
        super().__init__(daemon=True)
        self._clients = []
        for url in urls:
            client = customer.twin()
            client.url = url
            self._clients.append(client)
        self._accepted, self._limit = accepted, limit
        self.failure = None

    def _anywhere(self, send):
        end = time.monotonic() + 30
        while True:
            try:
                answer = send(self._clients[0])
                if answer.status_code not in TRY_ELSEWHERE:
                    return answer
            except requests.exceptions.RequestException:
                pass
            assert time.monotonic() < end, "no instance answers"
            self._clients.reverse()
            time.sleep(0.05)

    def _place(self):
        declined = self._accepted.take(self._limit)
        if declined is None:
            return False
        key = str(uuid.uuid4())
        body = order_body(item(), method="pm_card_chargeDeclined" if declined else "pm_card_visa")
        order = expect(self._anywhere(
            lambda client: client.post("/orders", body, headers={"Idempotency-Key": key})), 201).json()
        self._accepted.add(order["id"])
        # The next is placed at the other one.
        self._clients.reverse()
        if declined:
            wait_until(lambda: self._anywhere(lambda client: client.get(f"/orders/{order['id']}"))
                       .json().get("status") == "PAYMENT_FAILED", SETTLE_SECONDS, "a declined payment")
            answer = self._anywhere(lambda client: client.post(f"/orders/{order['id']}/payment",
                                                               {"paymentMethod": "pm_card_visa"}))
            # A conflict: the call before it got through, and its answer was lost.
            assert answer.status_code in (202, 409), answer.text
        return True

    def run(self):
        try:
            while self._place():
                pass
        except Exception as failure:  # pylint: disable=broad-exception-caught
            self.failure = failure


class Accepted:
    """Counts the orders that were begun, and keeps the ids of those that were accepted."""

    def __init__(self):
        self._lock = threading.Lock()
        self._begun = 0
        self.ids = []

    def take(self, limit):
        """Whether the next order is to be declined; none when there are enough."""
        with self._lock:
            if self._begun == limit:
                return None
            self._begun += 1
            return self._begun % DECLINED_EVERY == 0

    def add(self, order_id):
        with self._lock:
            self.ids.append(order_id)


def place_orders(fleet, customer, accepted, limit, meanwhile=lambda: None):
    urls = [server.url for server in fleet.orders]
    buyers = [Buyer(urls, customer, accepted, limit) for _ in range(BUYERS)]
    for buyer in buyers:
        buyer.start()
    meanwhile()
    for buyer in buyers:
        buyer.join(120)
        assert not buyer.is_alive() and buyer.failure is None, buyer.failure
    assert len(accepted.ids) == len(set(accepted.ids)) == limit


@pytest.fixture
def fleet(make_server, emulator, database_server):
    return Fleet(make_server, emulator.new_project("several"), database_server("postgresql"), "several")


@pytest.fixture
def onlooker(fleet, tmp_path):
    watching = Onlooker(fleet.orders[0].environment, tmp_path)
    yield watching
    watching.end()


def all_told(onlooker, accepted):
    updates = onlooker.events_of_orders("order-updates")
    return all(any(event["data"]["paymentStatus"] == "CAPTURED" for event in updates.get(order, []))
               for order in accepted.ids)


def expect_order_of_events(onlooker, accepted):
    asked = onlooker.events_of_orders("payment-events")
    told = onlooker.events_of_orders("order-updates")
    for order in accepted.ids:
        attempts = [event["data"]["attempt"] for event in asked[order]]
        assert attempts == sorted(attempts) and attempts[0] == 1, (order, asked[order])
        sequences = [event["data"]["sequence"] for event in told[order]]
        assert sequences == sorted(sequences), (order, told[order])


def test_one_of_each_is_killed_and_every_order_is_paid_once(fleet, onlooker):
    customer = Client(fleet.orders[0].url).register("Ada Byron")
    accepted = Accepted()
    place_orders(fleet, customer, accepted, ORDERS_IN_PEACE)
    wait_until(lambda: fleet.unpaid() == 0, SETTLE_SECONDS, "every order to be PAID")
    wait_until(lambda: all_told(onlooker, accepted), 30, "the onlooker to see all")
    assert onlooker.duplicates() == 0, "published twice without need"

    killed_at = []

    def kill_one_of_each():
        wait_until(lambda: len(accepted.ids) >= ACCEPTED_BEFORE_THE_KILL, 60, "the moment to kill")
        fleet.orders[0].kill()
        fleet.payments[0].kill()
        killed_at.append(time.monotonic())
    place_orders(fleet, customer, accepted, ORDERS_IN_PEACE + ORDERS_WITH_A_KILL, kill_one_of_each)
    wait_until(lambda: fleet.unpaid() == 0, SETTLE_SECONDS, "every order to be PAID")
    settled = time.monotonic() - killed_at[0]
    wait_until(lambda: all_told(onlooker, accepted), 30, "the onlooker to see all")
    print(f"{len(accepted.ids)} orders PAID, the last {settled:.1f} s after the kill; "
          f"events published twice: {onlooker.duplicates()}")

    stored = {row[0] for row in fleet.of_orders("SELECT id FROM orders")}
    assert set(accepted.ids) <= stored
    captures = fleet.of_payments("SELECT order_id, captured_amount FROM payments WHERE captured_amount > 0")
    assert len(captures) == len(dict(captures)) == len(stored), "an order was not charged exactly once"
    expect_order_of_events(onlooker, accepted)
    for sql in (fleet.of_orders, fleet.of_payments):
        assert sql("SELECT COUNT(*) FROM dead_letters") == [["0"]]
        # The dead are forgotten; those that live hold nothing back.
        assert sql("SELECT COUNT(*) FROM relay_instances WHERE id <> ''") == [["1"]]
        wait_until(lambda sql=sql: sql("SELECT COUNT(*) FROM outbox") == [["0"]], 10, "an empty outbox")
