"""Customers who place orders through all of it, ask again until they are answered, and change their minds."""

import random
import threading
import time

from client import expect, item, order_body
from fleet import Anywhere

BUYERS = 12
# Between two orders of one buyer: together, a few dozen orders a second.
LONGEST_PAUSE_SECONDS = 0.6

GOOD_CARD = "pm_card_visa"
DECLINED = ["pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds",
            "pm_card_chargeDeclinedExpiredCard"]

# What becomes of an order after it was placed; together with "nothing" the chances are 1.
PLANS = {"cancel": 0.12, "refund all": 0.05, "refund a part": 0.05, "ask again": 0.1}
# A buyer whose card was declined tries another one this often.
CHANCE_TO_PAY_AGAIN = 0.6
DECLINED_SHARE = 0.12

class Purchase:
    """One order and what its buyer was told of it."""

    def __init__(self, seed, number):
        self.chance = random.Random(f"{seed}/{number}")
        declined = self.chance.random() < DECLINED_SHARE
        method = self.chance.choice(DECLINED) if declined else GOOD_CARD
        self.body = order_body(item(quantity=self.chance.randint(1, 3)),
                               item("test-tea", self.chance.randint(1, 3)), method=method)
        self.key = f"{seed}-{number}"
        self.plan = "pay again" if declined and self.chance.random() < CHANCE_TO_PAY_AGAIN else self._plan()
        self.answer = None

    def _plan(self):
        dice = self.chance.random()
        for plan, share in PLANS.items():
            dice -= share
            if dice < 0:
                return plan
        return "nothing"

    @property
    def id(self):
        return self.answer["id"]

    def place(self, shop):
        """Sends the order, or sends it again; what is told must be the same each time."""
        answer = expect(shop.post("/orders", self.body, headers={"Idempotency-Key": self.key}), 201)
        if self.answer is None:
            self.answer = answer.json()
            return
        assert answer.headers.get("Idempotency-Replayed") == "true", f"{self.key} was placed anew"
        assert answer.json() == self.answer, f"{self.key} was answered with {answer.text} after {self.answer}"

    def carry_on(self, shop, admin):
        """What was planned; false when it is too early for that."""
        if self.plan == "ask again":
            self.place(shop)
            return True
        if self.plan == "cancel":
            return self._accepted(shop.request("PATCH", f"/orders/{self.id}/status", {"status": "CANCELED"}))
        order = expect(shop.get(f"/orders/{self.id}"), 200).json()
        if self.plan == "pay again":
            if order["status"] != "PAYMENT_FAILED":
                return False
            return self._accepted(shop.post(f"/orders/{self.id}/payment", {"paymentMethod": GOOD_CARD}))
        if order["status"] != "PAID":
            return False
        amount = {} if self.plan == "refund all" else {"amount": order["totalAmount"] // 3}
        return self._accepted(admin.post(f"/orders/{self.id}/refunds", amount,
                                         headers={"Idempotency-Key": f"refund-{self.key}"}))

    @staticmethod
    def _accepted(answer):
        # A conflict: the call before it got through, and its answer was lost.
        assert answer.status_code in (200, 202, 409), answer.text
        return True


class Crowd:
    """All buyers, each on a thread."""

    def __init__(self, fleet, customer, orders, seed):
        self._fleet, self._customer, self._orders, self._seed = fleet, customer, orders, seed
        self._lock = threading.Lock()
        self._begun = 0
        self.failures = []
        self.purchases = []
        self.repeated = 0
        self.plans = {}
        self._threads = [threading.Thread(target=self._buy, args=(number,), daemon=True)
                         for number in range(BUYERS)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    @property
    def placed(self):
        return len(self.purchases)

    def still_buying(self):
        return any(thread.is_alive() for thread in self._threads)

    def finish(self, seconds):
        for thread in self._threads:
            thread.join(seconds)
        assert not self.failures, self.failures[0]
        assert not self.still_buying(), "a buyer waits for an answer"
        assert self.placed == self._orders

    def _next(self):
        with self._lock:
            self._begun += 1
            return self._begun if self._begun <= self._orders else None

    def _buy(self, buyer):
        shop, admin = Anywhere(self._fleet, self._customer), Anywhere(self._fleet, self._fleet.admin)
        chance = random.Random(f"{self._seed}/buyer {buyer}")
        waiting = []
        try:
            while (number := self._next()) is not None and not self.failures:
                purchase = Purchase(self._seed, number)
                purchase.place(shop)
                with self._lock:
                    self.purchases.append(purchase)
                if purchase.plan != "nothing":
                    waiting.append(purchase)
                time.sleep(chance.uniform(0, LONGEST_PAUSE_SECONDS))
                if waiting:
                    self._carry_on(waiting, chance.choice(waiting), shop, admin)
            for purchase in list(waiting):
                self._carry_on(waiting, purchase, shop, admin)
        except Exception as failure:  # pylint: disable=broad-exception-caught
            self.failures.append(failure)
        with self._lock:
            self.repeated += shop.repeated + admin.repeated

    def _carry_on(self, waiting, purchase, shop, admin):
        if not purchase.carry_on(shop, admin):
            return
        waiting.remove(purchase)
        with self._lock:
            self.plans[purchase.plan] = self.plans.get(purchase.plan, 0) + 1
