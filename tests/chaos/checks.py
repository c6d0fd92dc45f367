"""What must hold when the dust has settled, by the databases and by the provider's books."""

import collections
import json
import time

from fleet import Anywhere
from server import run_quittance
from waiting import wait_until

# A message that a killed program had comes again when the emulator comes to it; a payment that nobody works on
# is taken up after half a minute, and one that is looked up waits longer from time to time.
SETTLE_SECONDS = 300
# The charge of a canceled order that the provider has never seen counts as "not made" after an hour only: until
# then these are looked up again and again.
NEVER_MADE = {("CANCELED", "UNKNOWN"), ("CANCELED", "PENDING")}
FINAL = {("PAID", "CAPTURED"), ("PAID", "PARTIALLY_REFUNDED"), ("PAYMENT_FAILED", "FAILED"),
         ("CANCELED", "REFUNDED"), ("CANCELED", "CANCELED"), ("CANCELED", "FAILED"), ("REFUNDED", "REFUNDED")}
SUCCESSORS = {
    None: {"PENDING"},
    "PENDING": {"PROCESSING", "PAID", "PAYMENT_FAILED", "CANCELED"},
    "PROCESSING": {"PAID", "PAYMENT_FAILED", "CANCELED"},
    "PAYMENT_FAILED": {"PROCESSING", "CANCELED"},
    "PAID": {"CANCELED", "REFUNDED"},
    "CANCELED": set(),
    "REFUNDED": set(),
}
ANSWERS_TO_REPEAT = 200
TELL_EVERY_SECONDS = 10
# So many orders are told of when something is wrong.
STORIES = 5

NOTHING = {"intents": 0, "captures": 0, "captured": 0, "refunds": 0, "refunded": 0, "held": 0}

Order = collections.namedtuple("Order", "status payment_status total captured refunded reserved version")


class Aftermath:
    def __init__(self, fleet, provider):
        self._fleet, self._provider = fleet, provider
        self.orders = {}
        self.books = {}
        self._looked_up = set()

    def _read(self):
        rows = self._fleet.of_orders("SELECT id, status, payment_status, total_amount, captured_amount, "
                                     "refunded_amount, refund_reserved, version FROM orders")
        self.orders = {row[0]: Order(row[1], row[2], *map(int, row[3:])) for row in rows}
        self.books = self._provider.books()["orders"]
        self._looked_up = {row[0] for row in self._fleet.of_payments(
            "SELECT order_id FROM payments WHERE cancel_requested = 1 AND next_look_up_at > 0")}

    def moved(self, order_id):
        return self.books.get(order_id, NOTHING)

    def _never_made(self, order_id):
        order = self.orders[order_id]
        return ((order.status, order.payment_status) in NEVER_MADE and self.moved(order_id)["intents"] == 0
                and order_id in self._looked_up)

    def _unsettled_orders(self):
        return [order_id for order_id, order in self.orders.items()
                if (order.status, order.payment_status) not in FINAL and not self._never_made(order_id)]

    def unsettled(self):
        """What still has to happen, in words; empty when nothing has."""
        self._read()
        found = collections.Counter(
            f"{self.orders[order_id].status}/{self.orders[order_id].payment_status}"
            for order_id in self._unsettled_orders())
        found["refunds under way"] = sum(order.reserved > 0 for order in self.orders.values())
        found["open refunds"] = int(self._fleet.of_payments(
            "SELECT COUNT(*) FROM refunds WHERE state = 'REQUESTED'")[0][0])
        for name, sql in (("orders", self._fleet.of_orders), ("payments", self._fleet.of_payments)):
            found[f"outbox of {name}"] = int(sql("SELECT COUNT(*) FROM outbox")[0][0])
        found["webhooks"] = self._provider.books()["webhooks"]["waiting"]
        return {what: count for what, count in found.items() if count}

    def wait(self):
        left = {}
        begin = told = time.monotonic()

        def settled():
            nonlocal told
            left.clear()
            left.update(self.unsettled())
            if left and time.monotonic() > told + TELL_EVERY_SECONDS:
                told = time.monotonic()
                print(f"{told - begin:.0f} s after the last fault: {left}")
            time.sleep(0.5)
            return not left
        try:
            wait_until(settled, SETTLE_SECONDS, "everything to be settled")
        except AssertionError as error:
            stories = "\n".join(self._story(order_id) for order_id in self._unsettled_orders()[:STORIES])
            raise AssertionError(f"{error}; left: {left}\n{stories}") from None

    def _story(self, order_id):
        """All that is known of an order."""
        named = f"'{order_id}'"
        history = self._fleet.of_orders("SELECT version, status, payment_status, actor, reason, created_at FROM "
                                        f"order_history WHERE order_id = {named} ORDER BY version")
        payments = self._fleet.of_payments(f"SELECT row_to_json(p) FROM payments p WHERE order_id = {named}")
        logs = [f"{server.data.parent.name}: {line}" for server in (*self._fleet.orders, *self._fleet.payments)
                for line in server.log().splitlines() if order_id in line]
        return "\n".join(map(str, [order_id, self.orders[order_id], self.moved(order_id), *history, *payments,
                                   *logs]))

    def check_orders(self, purchases):
        """Every order that was answered exists, none exists twice, and there is none besides."""
        answered = {purchase.id for purchase in purchases}
        assert len(answered) == len(purchases), "two keys were answered with one order"
        assert not answered - self.orders.keys(), f"lost: {sorted(answered - self.orders.keys())[:10]}"
        assert not self.orders.keys() - answered, (
            f"placed by nobody, or twice: {sorted(self.orders.keys() - answered)[:10]}")
        assert self._fleet.dead_letters() == []

    def check_answers(self, purchases, customer, chance):
        """The same key is answered with the same order, also long afterwards."""
        shop = Anywhere(self._fleet, customer)
        for purchase in chance.sample(purchases, min(ANSWERS_TO_REPEAT, len(purchases))):
            purchase.place(shop)
        total = {purchase.id: purchase.answer["totalAmount"] for purchase in purchases}
        assert total == {order_id: order.total for order_id, order in self.orders.items()}

    def check_histories(self):
        """Without gaps, from PENDING to where the order is now, each step one that is allowed."""
        rows = self._fleet.of_orders(
            "SELECT order_id, version, status FROM order_history ORDER BY order_id, version")
        steps = collections.defaultdict(list)
        for order_id, version, status in rows:
            steps[order_id].append((int(version), status))
        assert steps.keys() == self.orders.keys()
        for order_id, order in self.orders.items():
            versions = [version for version, _ in steps[order_id]]
            assert versions == list(range(1, order.version + 1)), (order_id, order, steps[order_id])
            before = None
            for _, status in steps[order_id]:
                assert status == before or status in SUCCESSORS[before], (order_id, steps[order_id])
                before = status
            assert before == order.status, (order_id, order, steps[order_id])

    def check_money(self):
        """What an order says is what the provider did, and it took the money once at the most."""
        assert self.books.keys() <= self.orders.keys(), "money was moved for something else"
        for order_id, order in self.orders.items():
            moved = self.moved(order_id)
            about = (order_id, order, moved)
            assert moved["captures"] <= 1, about
            assert moved["captured"] in (0, order.total), about
            assert moved["held"] == 0, about
            assert (order.captured, order.refunded) == (moved["captured"], moved["refunded"]), about
            kept = moved["captured"] - moved["refunded"]
            if order.status == "PAID":
                assert moved["captured"] == order.total and kept > 0, about
                assert (order.payment_status == "CAPTURED") == (order.refunded == 0), about
            else:
                assert kept == 0, about
        rows = self._fleet.of_payments(
            "SELECT order_id, SUM(captured_amount), SUM(refunded_amount) FROM payments GROUP BY order_id")
        for order_id, captured, refunded in rows:
            moved = self.moved(order_id)
            assert (int(captured), int(refunded)) == (moved["captured"], moved["refunded"]), (order_id, moved)

    def check_ledger_and_provider(self):
        environment = {**self._provider.environment, **self._fleet.urls}
        verified = run_quittance("ledger", "verify", environment=environment, seconds=300)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        print(f"ledger: {verified.stdout.strip()}")
        stuck = run_quittance("payments", "stuck", environment=environment, seconds=60)
        assert stuck.returncode == 0 and not stuck.stdout, stuck.stdout + stuck.stderr
        reconciled = run_quittance("reconcile", "--json", environment=environment, seconds=900)
        report = json.loads(reconciled.stdout)
        assert report["differences"] == [] and reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
        print(f"reconcile: {report['compared']} payments compared, {report['underWay']} under way, "
              "no difference")
