"""The checks find what they are there for."""

import pytest

from checks import Aftermath, Order

TOTAL = 1250
PAID = Order("PAID", "CAPTURED", TOTAL, TOTAL, 0, 0, 3)
CANCELED = Order("CANCELED", "REFUNDED", TOTAL, TOTAL, TOTAL, 0, 4)
HISTORY = [["o", "1", "PENDING"], ["o", "2", "PROCESSING"], ["o", "3", "PAID"]]


class Told:
    """A fleet whose databases say what the test tells them to."""

    def __init__(self, history=(), payments=(), dead_letters=()):
        self._history, self._payments, self._dead_letters = history, payments, dead_letters

    def of_orders(self, _statement):
        return list(self._history)

    def of_payments(self, _statement):
        return list(self._payments)

    def dead_letters(self):
        return list(self._dead_letters)


class Bought:
    def __init__(self, order_id):
        self.id = order_id


def aftermath(order, fleet=None, **moved):
    made = Aftermath(fleet or Told(), provider=None)
    made.orders = {"o": order}
    made.books = {"o": {"captures": 1, "captured": TOTAL, "refunded": 0, "held": 0, **moved}}
    return made


def test_what_is_well_is_passed():
    aftermath(PAID, Told(payments=[["o", TOTAL, 0]])).check_money()
    aftermath(CANCELED, Told(payments=[["o", TOTAL, TOTAL]]), refunded=TOTAL).check_money()
    aftermath(PAID, Told(history=HISTORY)).check_histories()
    aftermath(PAID).check_orders([Bought("o")])


@pytest.mark.parametrize("order, moved", [
    (PAID, {"captures": 2, "captured": 2 * TOTAL}),
    (PAID, {"captured": TOTAL - 1}),
    (PAID, {"captured": 0, "captures": 0}),
    (PAID, {"refunded": 100}),
    (PAID._replace(refunded=100), {"refunded": 100}),
    (PAID, {"held": 1}),
    (CANCELED, {}),
    (CANCELED._replace(refunded=0), {}),
    (PAID._replace(status="PAYMENT_FAILED", payment_status="FAILED"), {}),
])
def test_an_order_that_does_not_say_what_happened_is_found(order, moved):
    with pytest.raises(AssertionError):
        aftermath(order, Told(payments=[["o", order.captured, order.refunded]]), **moved).check_money()


def test_a_payment_that_the_provider_does_not_know_of_is_found():
    with pytest.raises(AssertionError):
        aftermath(PAID, Told(payments=[["o", 2 * TOTAL, 0]])).check_money()


@pytest.mark.parametrize("history", [
    HISTORY[:2], HISTORY[1:], [HISTORY[0], HISTORY[2]], [*HISTORY[:2], ["o", "3", "CANCELED"]],
    [HISTORY[0], ["o", "2", "PAYMENT_FAILED"], HISTORY[2]],
])
def test_a_history_with_a_gap_or_a_step_that_is_not_allowed_is_found(history):
    with pytest.raises(AssertionError):
        aftermath(PAID, Told(history=history)).check_histories()


@pytest.mark.parametrize("bought, dead_letters", [(["o", "lost"], []), ([], []), (["o", "o"], []),
                                                  (["o"], ["{}"])])
def test_a_lost_or_a_second_order_and_a_dead_letter_are_found(bought, dead_letters):
    with pytest.raises(AssertionError):
        aftermath(PAID, Told(dead_letters=dead_letters)).check_orders([Bought(one) for one in bought])
